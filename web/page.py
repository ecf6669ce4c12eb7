"""What every page of staff is made of: who may see it, its headers, times as people read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import wraps
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from course.model import Platform
from course.store.database import Database
from web.access import authenticate
from web.opening import CohortOffice
from web.problems import Problem
from web.quotas import Quotas
from web.second_factor import SecondFactors
from web.signin import PAGE_POLICY, csrf_of_page

View = Callable[..., AnyResponse]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """What the pages are made from. `notice_link`: words and address of a link in the notice;
    `unmatched_days`: how long people whom nobody knew are kept after their session.
    """

    database: Database
    clock: Callable[[], datetime]
    notice: str
    timezone: str
    public_url: str
    configured: Callable[[], Mapping[Platform, list[str]]]
    office: CohortOffice
    factors: SecondFactors
    sends_mail: bool = False
    unmatched_days: int = 30
    quotas: Quotas = field(default_factory=Quotas)
    notice_link: tuple[str, str] | None = None

    def answer(self, name: str, code: int = 200, **values: Any) -> Response:
        """One page."""
        return Response(
            render_template(
                name,
                notice=self.notice,
                notice_link=self.notice_link,
                csrf=csrf_of_page(),
                local=self.local,
                **values,
            ),
            code,
            mimetype="text/html",
            headers={"Content-Security-Policy": PAGE_POLICY},
        )

    def local(self, at: str | datetime, form: str = "%H:%M") -> str:
        """An instant as people of the practice read it."""
        found = datetime.fromisoformat(at) if isinstance(at, str) else at
        return found.astimezone(ZoneInfo(self.timezone)).strftime(form)

    def add(
        self, routes: Blueprint, path: str, roles: tuple[str, ...], method: str = "GET"
    ) -> Callable[[View], View]:
        """Declare a page: whoever is not signed in is sent to sign in, other roles are refused.

        The view gets the caller first; a `Problem` that it raises is shown as a page.
        """

        def decorate(view: View) -> View:
            @wraps(view)
            def checked(**values: Any) -> AnyResponse:
                try:
                    caller = authenticate(self.database, self.clock)
                except Problem as refusal:
                    if refusal.code != 401:
                        raise
                    return _to_sign_in()
                try:
                    if caller.role not in roles:
                        raise Problem(403, "Not for your role", f"This is for: {', '.join(roles)}.")
                    return view(caller, **values)
                except Problem as problem:
                    return self.answer("problem.html", problem.code, caller=caller, problem=problem)

            checked.circle_roles = roles  # type: ignore[attr-defined]
            routes.add_url_rule(path, view.__name__, checked, methods=[method])
            return view

        return decorate


def _to_sign_in() -> AnyResponse:
    """To sign in, and back to the page; a part of a page cannot be sent away, its page can."""
    if "HX-Request" in request.headers:
        return Response(headers={"HX-Redirect": f"/signin?next={quote(request.path)}"})
    return redirect(f"/signin?next={quote(request.full_path.rstrip('?'))}", 303)
