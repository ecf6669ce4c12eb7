"""Offering a rehearsal: a time at which carers may try the real meeting, before it matters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Response, jsonify

from course.model import Cohort, Rehearsal, SessionState
from course.rehearsal import coming_rehearsal
from course.store import access, rehearsals
from web.access import Caller
from web.cohort_view import known_cohort
from web.operations import Operations
from web.problems import Problem
from web.schemas import RehearsalIn, RehearsalOut

_STAFF = ("admin", "facilitator")
_PATH = "/cohorts/<cohort_id>/rehearsal"


def add_rehearsals(api: Operations) -> None:
    """`GET`, `POST` and `DELETE …/rehearsal`."""

    def answer(cohort: Cohort, code: int) -> Response:
        with api.database.read() as connection:
            offered = rehearsals.read_rehearsals(connection, cohort.id)
        found = jsonify(rehearsal=rehearsal_json(cohort, coming_rehearsal(offered, api.clock())))
        found.status_code = code
        return found

    @api.add(
        "GET",
        _PATH,
        summary="The rehearsal that is offered",
        roles=(*_STAFF, "viewer"),
        answers={200: RehearsalOut},
    )
    def show(caller: Caller, cohort_id: str) -> Response:
        return answer(known_cohort(api.database, caller, cohort_id), 200)

    @api.add(
        "POST",
        _PATH,
        summary="Offer a rehearsal; it replaces one that has not begun. Nobody attends by it",
        roles=_STAFF,
        body=RehearsalIn,
        answers={201: RehearsalOut},
    )
    def offer(caller: Caller, cohort_id: str, body: RehearsalIn) -> Response:
        cohort = known_cohort(api.database, caller, cohort_id)
        starts_at = body.starts_at.astimezone(UTC)
        ends_at, now = starts_at + timedelta(minutes=body.minutes), api.clock()
        if fault := _fault(cohort, starts_at, ends_at, now):
            raise Problem(422, "1 thing to put right", errors=[("starts_at", fault)])
        with api.database.write() as connection:
            rehearsals.offer_rehearsal(
                connection,
                cohort.id,
                starts_at=starts_at,
                ends_at=ends_at,
                offered_by=caller.name,
                now=now,
            )
            access.add_audit(
                connection,
                actor=caller.actor,
                action="rehearsal.offer",
                subject=cohort.id,
                now=now,
            )
        return answer(cohort, 201)

    @api.add(
        "DELETE",
        _PATH,
        summary="Take the rehearsal back, as long as it has not begun",
        roles=_STAFF,
        answers={200: RehearsalOut},
    )
    def take_back(caller: Caller, cohort_id: str) -> Response:
        cohort, now = known_cohort(api.database, caller, cohort_id), api.clock()
        with api.database.write() as connection:
            if not rehearsals.take_rehearsal_back(connection, cohort.id, now=now):
                raise Problem(
                    409,
                    "No rehearsal is still to come",
                    "One that has begun stays, so that what was seen then never counts.",
                )
            access.add_audit(
                connection,
                actor=caller.actor,
                action="rehearsal.withdraw",
                subject=cohort.id,
                now=now,
            )
        return answer(cohort, 200)


def rehearsal_json(cohort: Cohort, offered: Rehearsal | None) -> dict[str, Any] | None:
    """A rehearsal as API and page give it; times in the cohort's zone."""
    if offered is None:
        return None
    zone = ZoneInfo(cohort.timezone)
    return {
        "starts_at": offered.starts_at.astimezone(zone).isoformat(),
        "ends_at": offered.ends_at.astimezone(zone).isoformat(),
        "offered_by": offered.offered_by,
    }


def _fault(cohort: Cohort, starts_at: datetime, ends_at: datetime, now: datetime) -> str:
    """Why no rehearsal can be held then; empty when it can."""
    planned = [s for s in cohort.sessions if s.state is SessionState.SCHEDULED]
    if cohort.cancel_requested or not planned:
        return "this cohort was cancelled"
    if starts_at <= now:
        return "this is past; give a time that is still to come"
    if starts_at >= max(s.ends_at for s in planned):
        return "the last session is over by then"
    for session in planned:
        if starts_at < session.ends_at and session.starts_at < ends_at:
            return f"session {session.week} is held then; end before it begins"
    return ""
