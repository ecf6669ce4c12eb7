"""The pages of staff: cohorts, the register, the live board, what needs a person.

They show what the API gives, and their forms call it: whatever a page does, the API does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from course.model import Carer, Cohort, Platform, Session, SessionState
from course.programme import COURSE
from course.reports import explain
from course.store import access, cohorts, evidence
from course.store.database import Database
from course.timetable import suggested_skips
from web.access import Caller, authenticate
from web.attention import attention_items
from web.board import BoardView, board_json
from web.cohort_view import cohort_json, known_cohort, known_week
from web.problems import Problem
from web.report_view import ReportView
from web.signin import PAGE_POLICY, csrf_of_page
from web.timeline import draw

SATURDAYS = 40
LISTED = 100
_ALL, _STAFF, _ADMIN = ("admin", "facilitator", "viewer"), ("admin", "facilitator"), ("admin",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """What the pages are made from."""

    database: Database
    clock: Callable[[], datetime]
    notice: str
    timezone: str
    public_url: str
    configured: Callable[[], Mapping[Platform, list[str]]]

    def answer(self, name: str, code: int = 200, **values: Any) -> Response:
        """One page."""
        return Response(
            render_template(
                name, notice=self.notice, csrf=csrf_of_page(), local=self.local, **values
            ),
            code,
            mimetype="text/html",
            headers={"Content-Security-Policy": PAGE_POLICY},
        )

    def local(self, at: str | datetime, form: str = "%H:%M") -> str:
        """An instant as people of the practice read it."""
        found = datetime.fromisoformat(at) if isinstance(at, str) else at
        return found.astimezone(ZoneInfo(self.timezone)).strftime(form)


def create_pages(pages: Pages) -> Blueprint:
    """The blueprint."""
    routes = Blueprint("pages", __name__, template_folder=str(Path(__file__).parent / "templates"))
    reports = ReportView(pages.database, pages.clock)
    boards = BoardView(pages.database, pages.clock)

    def page(
        path: str, roles: tuple[str, ...]
    ) -> Callable[[Callable[..., AnyResponse]], Callable[..., AnyResponse]]:
        def decorate(view: Callable[..., AnyResponse]) -> Callable[..., AnyResponse]:
            @wraps(view)
            def checked(**values: Any) -> AnyResponse:
                try:
                    caller = authenticate(pages.database, pages.clock)
                except Problem as refusal:
                    if refusal.code != 401:
                        raise
                    return redirect(f"/signin?next={quote(request.full_path.rstrip('?'))}", 303)
                try:
                    if caller.role not in roles:
                        raise Problem(403, "Not for your role", f"This is for: {', '.join(roles)}.")
                    return view(caller, **values)
                except Problem as problem:
                    return pages.answer(
                        "problem.html", problem.code, caller=caller, problem=problem
                    )

            checked.circle_roles = roles  # type: ignore[attr-defined]
            routes.add_url_rule(path, view.__name__, checked, methods=["GET"])
            return view

        return decorate

    @page("/", _ALL)
    def every_cohort(caller: Caller) -> AnyResponse:
        now = pages.clock()
        with pages.database.read() as connection:
            found, total = cohorts.page_of_cohorts(
                connection, only_ids=caller.cohort_ids, limit=LISTED, offset=0
            )
        rows = [(cohort, _next(cohort, now)) for cohort in found]
        rows.sort(key=lambda row: row[1].starts_at if row[1] else datetime.max.replace(tzinfo=UTC))
        return pages.answer("cohorts.html", caller=caller, here="cohorts", rows=rows, total=total)

    @page("/cohorts/new", _ADMIN)
    def new_cohort(caller: Caller) -> AnyResponse:
        today = pages.clock().astimezone(ZoneInfo(pages.timezone)).date()
        return pages.answer(
            "cohort_new.html",
            caller=caller,
            here="cohorts",
            saturdays=_saturdays(today),
            platforms={p.value: missing for p, missing in pages.configured().items()},
            course=COURSE,
        )

    @page("/cohorts/<cohort_id>", _ALL)
    def one_cohort(caller: Caller, cohort_id: str) -> AnyResponse:
        cohort = known_cohort(pages.database, caller, cohort_id)
        with pages.database.read() as connection:
            enrolments = cohorts.read_enrolments(connection, cohort_id)
        now = pages.clock()
        return pages.answer(
            "cohort.html",
            caller=caller,
            here="cohorts",
            cohort=cohort_json(cohort, enrolments, caller, public_url=pages.public_url),
            report=reports.shown(cohort, caller),
            next=_next(cohort, now),
            now=now,
        )

    @page("/cohorts/<cohort_id>/sessions/<int:week>", _STAFF)
    def live_board(caller: Caller, cohort_id: str, week: int) -> AnyResponse:
        cohort = known_cohort(pages.database, caller, cohort_id)
        session = known_week(cohort, week, None)
        mark = boards.mark(cohort)
        if request.args.get("seen") == mark:
            return Response(status=204)
        shown = board_json(cohort, boards.built(cohort, session))
        return pages.answer(
            "board_part.html" if "seen" in request.args else "board.html",
            caller=caller,
            here="cohorts",
            board=shown,
            mark=mark,
            names={c.id: c.name for c in cohort.carers},
            partners={
                c.id: next(
                    (p for p in cohort.carers if p.household == c.household and p is not c), None
                )
                for c in cohort.carers
            },
        )

    @page("/cohorts/<cohort_id>/sessions/<int:week>/carers/<carer_id>", _STAFF)
    def one_week(caller: Caller, cohort_id: str, week: int, carer_id: str) -> AnyResponse:
        cohort = known_cohort(pages.database, caller, cohort_id)
        session = known_week(cohort, week, carer_id)
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
        carer = next(c for c in cohort.carers if c.id == carer_id)
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
            partner=next(
                (c for c in cohort.carers if c.household == carer.household and c.id != carer.id),
                None,
            ),
        )

    @page("/attention", _STAFF)
    def needs_a_person(caller: Caller) -> AnyResponse:
        with pages.database.read() as connection:
            items = attention_items(connection, caller, now=pages.clock())
            names = {
                carer.id: carer.name
                for cohort_id in {item["cohort"] for item in items}
                for carer in (_carers(cohorts.read_cohort(connection, cohort_id)))
            }
        return pages.answer(
            "attention.html", caller=caller, here="attention", items=items, names=names
        )

    return routes


def _next(cohort: Cohort, now: datetime) -> Session | None:
    """The session being held, or the next one."""
    coming = (s for s in cohort.sessions if s.ends_at > now and s.state is SessionState.SCHEDULED)
    return min(coming, key=lambda s: s.starts_at, default=None)


def _carers(cohort: Cohort | None) -> tuple[Carer, ...]:
    return cohort.carers if cohort is not None else ()


def _saturdays(today: date) -> list[tuple[date, str]]:
    """The Saturdays that a course may begin on, with what one may want to know of each."""
    first = today + timedelta(days=(5 - today.weekday()) % 7 or 7)
    found = []
    for n in range(SATURDAYS):
        day = first + timedelta(weeks=n)
        found.append((day, suggested_skips(day).get(day, "")))
    return found
