"""The pages of staff: cohorts, register, live board, what needs a person, one's own sign-in.

They show what the API gives, and their forms call it: whatever a page does, the API does.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as AnyResponse

from course.model import Cohort, Platform, SessionState
from course.rehearsal import coming_rehearsal
from course.reports import explain
from course.restriction import shown_name
from course.store import access, cohorts, evidence, rehearsals
from web import report_words
from web.access import Caller
from web.account import add_account
from web.attention import carers_of, read_attention
from web.board import BoardView, board_json
from web.cohort_view import (
    cohort_json,
    known_cohort,
    known_week,
    must_be_shown,
    note_overview,
    note_view,
)
from web.opening import Opening
from web.opening_pages import add_opening
from web.page import Pages
from web.progress import progress_of
from web.rehearsals import rehearsal_json
from web.report_view import ReportView
from web.timeline import draw

LISTED = 100
EVENING = 18
_ALL, _STAFF = ("admin", "facilitator", "viewer"), ("admin", "facilitator")


def create_pages(pages: Pages) -> Blueprint:
    """The blueprint."""
    routes = Blueprint("pages", __name__, template_folder=str(Path(__file__).parent / "templates"))
    reports = ReportView(pages.database, pages.clock)
    boards = BoardView(pages.database, pages.clock)
    page = partial(pages.add, routes)
    opening = Opening(
        database=pages.database,
        office=pages.office,
        configured=pages.configured,
        timezone=pages.timezone,
        clock=pages.clock,
        quotas=pages.quotas,
    )
    add_opening(routes, pages, opening)
    add_account(routes, pages)

    @page("/", _ALL)
    def every_cohort(caller: Caller) -> AnyResponse:
        now = pages.clock()
        with pages.database.read() as connection:
            found, total = cohorts.page_of_cohorts(
                connection, only_ids=caller.cohort_ids, limit=LISTED, offset=0
            )
        rows = [(cohort, cohort.next_session(now)) for cohort in found]
        rows.sort(key=lambda row: row[1].starts_at if row[1] else datetime.max.replace(tzinfo=UTC))
        return pages.answer("cohorts.html", caller=caller, here="cohorts", rows=rows, total=total)

    @page("/cohorts/<cohort_id>", _ALL)
    def one_cohort(caller: Caller, cohort_id: str) -> AnyResponse:
        cohort = known_cohort(pages.database, caller, cohort_id)
        note_view(pages.database, caller, cohort_id, pages.clock())
        with pages.database.read() as connection:
            enrolments = cohorts.read_enrolments(connection, cohort_id)
            steps = progress_of(connection, cohort, enrolments, sends_mail=pages.sends_mail)
            offered = rehearsals.read_rehearsals(connection, cohort_id)
        now = pages.clock()
        rehearsal = coming_rehearsal(offered, now)
        report = reports.shown(cohort, caller)
        return pages.answer(
            "cohort.html",
            caller=caller,
            here="cohorts",
            cohort=cohort_json(cohort, enrolments, caller, public_url=pages.public_url),
            report=report,
            apart=report_words.apart(report),
            next=cohort.next_session(now),
            now=now,
            steps=steps,
            summary=_summary(cohort, pages),
            sends_mail=pages.sends_mail,
            unmatched_days=pages.unmatched_days,
            facilitators=[f.email for f in cohort.facilitators],
            rehearsal=rehearsal_json(cohort, rehearsal),
            rehearsal_is_on=rehearsal is not None and rehearsal.starts_at <= now,
            rehearsal_times=_evenings_before(cohort, now),
            elsewhere=_elsewhere(cohort, pages, now),
        )

    @page("/cohorts/<cohort_id>/sessions/<int:week>", _STAFF)
    def live_board(caller: Caller, cohort_id: str, week: int) -> AnyResponse:
        mark = boards.mark(cohort_id)
        # Hundreds of open boards ask this: nothing else is read when nothing is new.
        if request.args.get("seen") == mark and caller.may_see(cohort_id):
            return Response(status=204)
        cohort = known_cohort(pages.database, caller, cohort_id)
        session = known_week(cohort, week, None)
        note_view(pages.database, caller, cohort_id, pages.clock())
        shown = board_json(cohort, boards.built(cohort, session, mark))
        return pages.answer(
            "board_part.html" if "seen" in request.args else "board.html",
            caller=caller,
            here="cohorts",
            board=shown,
            mark=mark,
            names={c.id: shown_name(c, to_admin=False) for c in cohort.carers},
            partners={c.id: next(iter(cohort.partners(c)), None) for c in cohort.carers},
        )

    @page("/cohorts/<cohort_id>/sessions/<int:week>/carers/<carer_id>", _STAFF)
    def one_week(caller: Caller, cohort_id: str, week: int, carer_id: str) -> AnyResponse:
        cohort = known_cohort(pages.database, caller, cohort_id)
        session = known_week(cohort, week, carer_id)
        carer = next(c for c in cohort.carers if c.id == carer_id)
        must_be_shown(cohort, carer_id, caller)
        with pages.database.write() as connection:
            found = evidence.read_evidence(connection, cohort)
            access.add_audit(
                connection,
                actor=caller.actor,
                action="evidence.view",
                subject=f"{cohort_id}/{week}/{carer_id}",
                now=pages.clock(),
            )
        register = next(r for r in reports.built(cohort).registers if r.session.week == week)
        return pages.answer(
            "week.html",
            caller=caller,
            here="cohorts",
            cohort=cohort,
            carer=carer,
            session=session,
            register=register,
            told=explain(cohort, found, week=week, carer_id=carer_id, now=pages.clock()),
            timeline=draw(register, register.weeks[carer_id], ZoneInfo(cohort.timezone)),
            partner=next(iter(cohort.partners(carer)), None),
        )

    @page("/attention", _STAFF)
    def needs_a_person(caller: Caller) -> AnyResponse:
        note_overview(pages.database, caller, "attention", pages.clock())
        offset = max(0, request.args.get("offset", 0, type=int))
        found = read_attention(
            pages.database, caller, clock=pages.clock, limit=LISTED, offset=offset
        )
        shown = offset + len(found["items"])
        with pages.database.read() as connection:
            names = cohorts.read_carer_names(
                connection, carers_of(found), to_admin=caller.role == "admin"
            )
        return pages.answer(
            "attention.html",
            caller=caller,
            here="attention",
            **found,
            names=names,
            offset=offset,
            following=shown if found["items"] and shown < found["total"] else None,
        )

    return routes


def _elsewhere(cohort: Cohort, pages: Pages, now: datetime) -> list[Platform]:
    """The configured platforms to which the remaining sessions could move."""
    if cohort.cancel_requested or all(s.starts_at <= now for s in cohort.sessions):
        return []
    return [
        platform
        for platform, missing in pages.configured().items()
        if not missing and platform is not cohort.platform
    ]


def _evenings_before(cohort: Cohort, now: datetime) -> list[datetime]:
    """Six o'clock on the evening before each coming session: when a rehearsal may be offered."""
    if cohort.cancel_requested:
        return []
    zone = ZoneInfo(cohort.timezone)
    eves = [
        s.starts_at.astimezone(zone).replace(hour=EVENING, minute=0) - timedelta(days=1)
        for s in cohort.sessions
        if s.state is SessionState.SCHEDULED
    ]
    return [eve for eve in sorted(eves) if eve > now]


def _summary(cohort: Cohort, pages: Pages) -> str:
    """The dates in words, to be copied or mailed; nobody is named in it."""
    sessions = "\n".join(
        f"Week {s.week}: {pages.local(s.starts_at, '%A %-d %B %Y, %H:%M')} to "
        f"{pages.local(s.ends_at)}, {s.topic}"
        for s in cohort.sessions
        if s.state is SessionState.SCHEDULED
    )
    return (
        f"{cohort.name}, on {cohort.platform.value.capitalize()}\n\n{sessions}\n\n"
        f"Register and live board: {pages.public_url}/cohorts/{cohort.id}\n"
    )
