"""The parent's page: when the session is, under which name to join, and on to the platform.

The token in the address is the only credential: 192 random bits, one carer, one cohort, dead two
weeks after the course. Opening the page is kept as evidence, minute by minute: together with the
exact name in the meeting it says who somebody was. That it showed the privacy notice is kept too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from flask import Blueprint, Response, redirect, render_template, request, send_from_directory
from werkzeug.wrappers import Response as AnyResponse

from course.calendar_file import calendar_file
from course.model import (
    Cohort,
    EventKind,
    MessageKind,
    ParticipantEvent,
    Platform,
    Rehearsal,
    Source,
)
from course.store import cohorts, evidence, notices, rehearsals
from course.store.cohorts import Enrolment
from course.store.database import Database
from web.access import open_door
from web.headers import FOR_DEVICES
from web.join_moment import Moment, Phase, moment_of
from web.limits import RateLimit, client_address
from web.notice import Notice, Practice
from web.own_weeks import OwnWeeks

ALIVE_AFTER = timedelta(days=14)
RUSH_BEFORE = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
OPENED, GUESSED = 60, 600  # a minute
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; "
    "media-src 'self' blob: mediastream:; form-action 'self' https: {own}; "
    "frame-ancestors 'none'; base-uri 'none'"
)
NO_PRACTICE = Practice()


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """Whose page it is."""

    cohort: Cohort
    enrolment: Enrolment
    rehearsals: tuple[Rehearsal, ...]
    is_expired: bool

    @property
    def may_enter(self) -> bool:
        """Whether the page is still theirs."""
        carer = self.enrolment.carer
        return not self.is_expired and carer.withdrawn_at is None and not carer.restricted


def create_join_page(
    *,
    database: Database,
    clock: Callable[[], datetime],
    public_url: str,
    allowed_hosts: Callable[[str], bool],
    notice: str,
    has_bot: bool = False,
    practice: Practice = NO_PRACTICE,
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

    privacy = {
        platform: Notice(
            practice=practice, platform=platform, has_bot=has_bot and platform is Platform.TEAMS
        )
        for platform in Platform
    }
    versions: dict[Platform, str] = {}
    shown: set[tuple[str, str]] = set()  # what this process knows to be stored

    def find(token: str) -> Guest | None:
        opened.take(token[:100])
        with database.read() as connection:
            found = cohorts.find_by_join_token(connection, token) if len(token) <= 100 else None
            cohort = cohorts.read_cohort(connection, found[0]) if found else None
            if found is None or cohort is None:
                return None
            enrolments = cohorts.read_enrolments(connection, cohort.id)
            offered = rehearsals.read_rehearsals(connection, cohort.id)
        over = max(s.ends_at for s in cohort.sessions) + ALIVE_AFTER
        return Guest(
            cohort=cohort,
            enrolment=next(e for e in enrolments if e.carer.id == found[1]),
            rehearsals=offered,
            is_expired=clock() > over,
        )

    def note_opening(guest: Guest, *, shows_notice: bool = False) -> None:
        now, carer, platform = clock(), guest.enrolment.carer, guest.cohort.platform
        minute = now.replace(second=0, microsecond=0)
        fact = f"{carer.id}\n{minute.isoformat()}"
        event = ParticipantEvent(
            key=f"join:{hashlib.sha256(fact.encode()).hexdigest()}",
            platform=platform,
            kind=EventKind.JOIN_PAGE_OPENED,
            occurred_at=minute,
            source=Source.JOIN_PAGE,
            carer_id=carer.id,
        )
        if platform not in versions:
            versions[platform] = privacy[platform].version()
        seen = (carer.id, versions[platform])
        news = shows_notice and seen not in shown
        with database.write() as connection:
            evidence.save_events(connection, [event])
            if news:
                notices.note_shown(connection, *seen, now=now)
        if news:
            shown.add(seen)

    def asks_for_weeks(moment: Moment, now: datetime) -> bool:
        if request.method == "GET" and {"weeks", "sent"} & set(request.args):
            return True
        return moment.session is None or now < moment.session.starts_at - RUSH_BEFORE

    def page(name: str, code: int = 200, **values: object) -> Response:
        answer = Response(
            render_template(name, notice=notice, **values), code, mimetype="text/html"
        )
        parts = urlsplit(public_url)
        answer.headers["Content-Security-Policy"] = POLICY.format(
            own=f"{parts.scheme}://{parts.netloc}"
        )
        answer.headers["Permissions-Policy"] = FOR_DEVICES
        return answer

    def closed(guest: Guest | None, token: str) -> Response:
        """Why there is no page; also who has left may still clear their calendar."""
        if guest is None:
            guessed.take(client_address())
            return page("join_unknown.html", 404)
        return page("join_gone.html", 404, guest=guest, address=f"/join/{token}")

    @routes.get("/join/<token>")
    @open_door
    def show(token: str) -> AnyResponse:
        guest = find(token)
        if guest is None or not guest.may_enter:
            return closed(guest, token)
        if request.method == "GET":
            note_opening(guest, shows_notice=True)
        now, cohort, carer = clock(), guest.cohort, guest.enrolment.carer
        moment = moment_of(cohort, guest.rehearsals, now=now)
        return page(
            "join.html",
            carer_name=carer.name,
            moment=moment,
            phase=moment.phase.value,
            partner=next((c.name for c in cohort.partners(carer) if c.withdrawn_at is None), None),
            link_ready=guest.enrolment.platform_join_url is not None
            and moment.phase is not Phase.CANCELLED,
            platform=cohort.platform.value.capitalize(),
            bot=has_bot and cohort.platform is Platform.TEAMS,
            facilitators=[f.name for f in cohort.facilitators],
            # Judging weeks takes time that nobody has when the whole country joins at ten.
            weeks=own.of(cohort, carer) if asks_for_weeks(moment, now) else None,
            address=f"/join/{token}",
            sent=request.args.get("sent") == "1",
        )

    @routes.get("/join/<token>/privacy")
    @open_door
    def about_privacy(token: str) -> AnyResponse:
        """The whole privacy notice."""
        guest = find(token)
        if guest is None or not guest.may_enter:
            return closed(guest, token)
        if request.method == "GET":
            note_opening(guest, shows_notice=True)
        found = privacy[guest.cohort.platform]
        return page(
            "join_privacy.html",
            version=found.version(),
            address=f"/join/{token}",
            **found.values(),
        )

    @routes.post("/join/<token>")
    @open_door
    def go(token: str) -> AnyResponse:
        guest = find(token)
        if guest is None or not guest.may_enter:
            return closed(guest, token)
        cohort, link = guest.cohort, guest.enrolment.platform_join_url
        moment = moment_of(cohort, guest.rehearsals, now=clock())
        if link is None or moment.phase is Phase.CANCELLED:
            return redirect(f"/join/{token}", code=303)  # which says what is so
        parts = urlsplit(link)
        if parts.scheme not in ("https", "http") or not allowed_hosts(parts.hostname or ""):
            return page("join_unknown.html", 404)
        note_opening(guest)
        if moment.session is not None and "who" in request.form:
            both = request.form["who"] == "both"
            own.together(cohort, guest.enrolment.carer, moment.session.week, both=both)
        return redirect(link, code=303)

    @routes.post("/join/<token>/weeks/<int:week>/<any(absence, contest):kind>")
    @open_door
    def say(token: str, week: int, kind: str) -> AnyResponse:
        """An absence announced, or a verdict contested."""
        guest = find(token)
        if guest is None or not guest.may_enter:
            return closed(guest, token)
        text = request.form.get("text", "")
        if not own.say(guest.cohort, guest.enrolment.carer, week, MessageKind(kind), text):
            return page("join_unknown.html", 404)
        return redirect(f"/join/{token}?sent=1", code=303)

    @routes.post("/join/<token>/devices")
    @open_door
    def checked(token: str) -> AnyResponse:
        """What the page's own check of camera and microphone found."""
        guest, told = find(token), request.get_json(silent=True)
        if guest is None or not guest.may_enter:
            return closed(guest, token)
        if not isinstance(told, dict):
            return Response(status=400)
        own.checked(
            guest.cohort,
            guest.enrolment.carer,
            camera=told.get("camera") is True,
            microphone=told.get("microphone") is True,
        )
        return Response(status=204)

    @routes.get("/join/<token>/calendar.ics")
    @open_door
    def calendar(token: str) -> AnyResponse:
        """Also for who has withdrawn: their calendar must hear that the sessions are off."""
        guest = find(token)
        if guest is None or guest.is_expired:
            return closed(guest, token)
        answer = Response(
            calendar_file(
                guest.cohort,
                guest.enrolment.carer,
                join_url=f"{public_url}/join/{token}",
                rehearsals=guest.rehearsals,
            ),
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
