"""The parent's page: when the session is, under which name to join, and on to the platform.

The token in the address is the only credential: 192 random bits, one carer, one cohort, dead two
weeks after the course. Opening the page is kept as evidence, minute by minute: together with the
exact name in the meeting it says who somebody was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, redirect, render_template, request, send_from_directory
from werkzeug.wrappers import Response as AnyResponse

from course.calendar_file import calendar_file
from course.model import (
    Cohort,
    EventKind,
    MessageKind,
    ParticipantEvent,
    Platform,
    Session,
    SessionState,
    Source,
)
from course.store import cohorts, evidence
from course.store.cohorts import Enrolment
from course.store.database import Database
from web.access import open_door
from web.limits import RateLimit, client_address
from web.own_weeks import OwnWeeks

ALIVE_AFTER = timedelta(days=14)
EARLY = timedelta(minutes=15)
RUSH_BEFORE = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
OPENED, GUESSED = 60, 600  # a minute
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; "
    "media-src 'self' blob: mediastream:; form-action 'self' https: {own}; "
    "frame-ancestors 'none'; base-uri 'none'"
)


def create_join_page(
    *,
    database: Database,
    clock: Callable[[], datetime],
    public_url: str,
    allowed_hosts: Callable[[str], bool],
    notice: str,
    has_bot: bool = False,
) -> Blueprint:
    """`/join/{token}` and the style sheet.

    `allowed_hosts` says where a stored link may lead; `notice` stands on top of every page;
    `has_bot`: a bot of ours joins the sessions on Teams, and people are told.
    """
    here = Path(__file__).parent
    routes = Blueprint("join", __name__, template_folder=str(here / "templates"))

    own = OwnWeeks(database, clock)
    # A household that shares one address, and everybody at ten o'clock, gets in: links are counted
    # one by one, and addresses only for links that nobody has.
    opened = RateLimit(OPENED, MINUTE, told="openings of this link", clock=clock)
    guessed = RateLimit(GUESSED, MINUTE, told="links that nobody has", clock=clock)

    def unknown() -> Response:
        guessed.take(client_address())
        return page("join_unknown.html", 404)

    def known(token: str) -> tuple[Cohort, Enrolment] | None:
        opened.take(token[:100])
        with database.read() as connection:
            found = cohorts.find_by_join_token(connection, token) if len(token) <= 100 else None
            cohort = cohorts.read_cohort(connection, found[0]) if found else None
            if found is None or cohort is None:
                return None
            enrolments = cohorts.read_enrolments(connection, cohort.id)
        enrolment = next(e for e in enrolments if e.carer.id == found[1])
        over = max(s.ends_at for s in cohort.sessions) + ALIVE_AFTER
        return (cohort, enrolment) if clock() <= over else None

    def find(token: str) -> tuple[Cohort, Enrolment] | None:
        found = known(token)
        return found if found and found[1].carer.withdrawn_at is None else None

    def note_opening(cohort: Cohort, enrolment: Enrolment) -> None:
        minute = clock().replace(second=0, microsecond=0)
        fact = f"{enrolment.carer.id}\n{minute.isoformat()}"
        event = ParticipantEvent(
            key=f"join:{hashlib.sha256(fact.encode()).hexdigest()}",
            platform=cohort.platform,
            kind=EventKind.JOIN_PAGE_OPENED,
            occurred_at=minute,
            source=Source.JOIN_PAGE,
            carer_id=enrolment.carer.id,
        )
        with database.write() as connection:
            evidence.save_events(connection, [event])

    def asks_for_weeks(session: Session | None, now: datetime) -> bool:
        if request.method == "GET" and {"weeks", "sent"} & set(request.args):
            return True
        return session is None or now < session.starts_at - RUSH_BEFORE

    def page(name: str, code: int = 200, **values: object) -> Response:
        answer = Response(
            render_template(name, notice=notice, **values), code, mimetype="text/html"
        )
        parts = urlsplit(public_url)
        answer.headers["Content-Security-Policy"] = POLICY.format(
            own=f"{parts.scheme}://{parts.netloc}"
        )
        return answer

    @routes.get("/join/<token>")
    @open_door
    def show(token: str) -> AnyResponse:
        found = find(token)
        if found is None:
            return unknown()
        cohort, enrolment = found
        if request.method == "GET":
            note_opening(cohort, enrolment)
        now = clock()
        session = _next(cohort, now)
        zone = ZoneInfo(cohort.timezone)
        return page(
            "join.html",
            carer_name=enrolment.carer.name,
            session=session,
            begins=session.starts_at.astimezone(zone) if session else None,
            ends=session.ends_at.astimezone(zone) if session else None,
            soon=session is not None and now >= session.starts_at - EARLY,
            partner=next(
                (
                    c.name
                    for c in cohort.carers
                    if c.household == enrolment.carer.household
                    and c.id != enrolment.carer.id
                    and c.withdrawn_at is None
                ),
                None,
            ),
            link_ready=enrolment.platform_join_url is not None,
            platform=cohort.platform.value.capitalize(),
            bot=has_bot and cohort.platform is Platform.TEAMS,
            # Judging weeks takes time that nobody has when the whole country joins at ten.
            weeks=own.of(cohort, enrolment.carer) if asks_for_weeks(session, now) else None,
            address=f"/join/{token}",
            sent=request.args.get("sent") == "1",
        )

    @routes.post("/join/<token>")
    @open_door
    def go(token: str) -> AnyResponse:
        found = find(token)
        if found is None:
            return unknown()
        cohort, enrolment = found
        link = enrolment.platform_join_url or ""
        parts = urlsplit(link)
        if parts.scheme not in ("https", "http") or not allowed_hosts(parts.hostname or ""):
            return page("join_unknown.html", 404)
        note_opening(cohort, enrolment)
        session = _next(cohort, clock())
        if session is not None and "who" in request.form:
            both = request.form["who"] == "both"
            own.together(cohort, enrolment.carer, session.week, both=both)
        return redirect(link, code=303)

    @routes.post("/join/<token>/weeks/<int:week>/<any(absence, contest):kind>")
    @open_door
    def say(token: str, week: int, kind: str) -> AnyResponse:
        """An absence announced, or a verdict contested."""
        found = find(token)
        if found is None:
            return unknown()
        text = request.form.get("text", "")
        if not own.say(found[0], found[1].carer, week, MessageKind(kind), text):
            return page("join_unknown.html", 404)
        return redirect(f"/join/{token}?sent=1", code=303)

    @routes.post("/join/<token>/devices")
    @open_door
    def checked(token: str) -> AnyResponse:
        """What the page's own check of camera and microphone found."""
        found, told = find(token), request.get_json(silent=True)
        if found is None or not isinstance(told, dict):
            return unknown() if found is None else Response(status=400)
        own.checked(
            found[0],
            found[1].carer,
            camera=told.get("camera") is True,
            microphone=told.get("microphone") is True,
        )
        return Response(status=204)

    @routes.get("/join/<token>/calendar.ics")
    @open_door
    def calendar(token: str) -> AnyResponse:
        """Also for who has withdrawn: their calendar must hear that the sessions are off."""
        found = known(token)
        if found is None:
            return unknown()
        cohort, enrolment = found
        answer = Response(
            calendar_file(cohort, enrolment.carer, join_url=f"{public_url}/join/{token}"),
            content_type="text/calendar; charset=utf-8",
        )
        answer.headers["Content-Disposition"] = 'attachment; filename="sessions.ics"'
        answer.headers["Cache-Control"] = "no-store"
        return answer

    @routes.get("/static/<path:name>")
    @open_door
    def static(name: str) -> Response:
        answer = send_from_directory(here / "static", name)
        answer.headers["Cache-Control"] = "public, max-age=3600"
        return answer

    return routes


def _next(cohort: Cohort, now: datetime) -> Session | None:
    """The session being held or the next one; None when the course is over."""
    coming = (s for s in cohort.sessions if s.ends_at > now and s.state is SessionState.SCHEDULED)
    return min(coming, key=lambda s: s.starts_at, default=None)
