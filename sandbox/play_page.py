"""The page on which a person lets a session take place now, one click from the live board."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from sandbox.desk import ServiceRefused
from sandbox.live import Live

SPEEDS = {"10": "10 times faster", "1": "in real time", "30": "30 times faster"}
PLATFORMS = ("zoom", "teams")
OURS = ("same-origin", "none")  # another site's page must not press our buttons
POLICY = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'"


def create_play_page(live: Live) -> Blueprint:
    """`/play`."""
    routes = Blueprint(
        "play",
        __name__,
        template_folder="templates",
        static_folder="static",
        static_url_path="/play/static",
    )

    def shown(code: int = 200, fault: str = "") -> Response:
        offers = []
        try:
            offers = live.offers()
        except ServiceRefused as e:
            code, fault = 502, fault or str(e)
        text = render_template(
            "play.html",
            fault=fault,
            offers=offers,
            service=live.desk.service,
            speeds=SPEEDS,
            platforms=PLATFORMS,
            now=live.clock(),
        )
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
        return Response(text, code, mimetype="text/html", headers=headers)

    def played(find: Callable[[], str]) -> AnyResponse:
        """Play the next session of that cohort, and go to its board."""
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in OURS:
            return shown(403, "That did not come from this page. Press the button here.")
        speed = request.form.get("speed", "")
        if speed not in SPEEDS:
            return shown(400, "Choose one of the speeds below.")
        try:
            cohort_id = find()
            week = live.play(cohort_id, speed=float(speed))
        except ServiceRefused as e:
            return shown(409, str(e))
        return redirect(f"{live.desk.service}/cohorts/{cohort_id}/sessions/{week}", 303)

    @routes.get("/play")
    def page() -> Response:
        return shown()

    @routes.post("/play/example")
    def example() -> AnyResponse:
        platform = request.form.get("platform", "")
        if platform not in PLATFORMS:
            return shown(400, "Choose Zoom or Teams.")
        return played(lambda: live.open_example(platform))

    @routes.post("/play/session")
    def session() -> AnyResponse:
        return played(lambda: request.form.get("cohort", ""))

    return routes
