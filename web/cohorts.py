"""Opening, listing, reading and cancelling cohorts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from typing import Any, Protocol

from flask import Response, jsonify, request
from pydantic import TypeAdapter, ValidationError

from course.model import Facilitator, Platform
from course.programme import COURSE
from course.store import cohorts
from course.timetable import faults_of_plan
from integration.scheduling import NewCarer, NewCohort, NewHousehold, Refused
from web.access import Caller
from web.cohort_view import CohortView, cohort_json, expected_version, known_cohort, problem_of
from web.operations import Operations
from web.problems import Problem
from web.schemas import CohortIn, CohortOut, CohortsOut, Page

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_WRITERS, _ALL = ("admin",), ("admin", "facilitator", "viewer")


class CohortOffice(Protocol):
    """Opens and cancels cohorts; `integration.scheduling.Scheduling` is one."""

    def open_cohort(self, new: NewCohort, *, key: str | None, actor: str) -> str: ...

    def cancel_cohort(self, cohort_id: str, *, expected: int | None, actor: str) -> None: ...


def add_cohorts(
    api: Operations,
    *,
    office: CohortOffice,
    view: CohortView,
    configured: Callable[[], Mapping[Platform, list[str]]],
    default_timezone: str,
) -> None:
    """The operations on `/cohorts`: open, list, read, cancel."""
    database = api.database

    def plan_faults(raw: dict[str, Any], faulty: set[str]) -> list[tuple[str, str]]:
        return [
            *_plan_faults(raw, faulty, timezone=default_timezone, now=api.clock()),
            *household_faults(raw.get("households")),
        ]

    @api.add(
        "POST",
        "/cohorts",
        summary="Open a cohort in one call",
        roles=_WRITERS,
        body=CohortIn,
        answers={201: CohortOut, 202: CohortOut},
        headers={"Idempotency-Key": "The same key and body give the same cohort"},
        more_faults=plan_faults,
    )
    def create(caller: Caller, body: CohortIn) -> Response:
        key = request.headers.get("Idempotency-Key")
        if key is not None and not _KEY.fullmatch(key):
            raise Problem(
                422,
                "The Idempotency-Key is not acceptable",
                errors=[("Idempotency-Key", "1 to 255 visible ASCII characters")],
            )
        if missing := configured()[body.platform]:
            raise Problem(
                409,
                f"{body.platform.value.capitalize()} is not configured",
                f"Set {', '.join(missing)}, then start the service again.",
            )
        try:
            cohort_id = office.open_cohort(_new(body), key=key, actor=caller.actor)
        except Refused as e:
            raise problem_of(e) from e
        return view.settled(cohort_id, caller, done=201)

    @api.add(
        "GET",
        "/cohorts",
        summary="List the cohorts, the newest first",
        roles=_ALL,
        query=Page,
        answers={200: CohortsOut},
    )
    def listed(caller: Caller, query: Page) -> Response:
        with database.read() as connection:
            found, total = cohorts.page_of_cohorts(
                connection,
                state=query.state,
                platform=query.platform,
                only_ids=caller.cohort_ids,
                limit=query.limit,
                offset=query.offset,
            )
            rows = [
                cohort_json(
                    c,
                    cohorts.read_enrolments(connection, c.id),
                    caller,
                    public_url=view.public_url,
                )
                for c in found
            ]
        following = query.offset + query.limit
        more = f"/api/v1/cohorts?limit={query.limit}&offset={following}"
        return jsonify(cohorts=rows, total=total, next=more if following < total else None)

    @api.add(
        "GET", "/cohorts/<cohort_id>", summary="One cohort", roles=_ALL, answers={200: CohortOut}
    )
    def one(caller: Caller, cohort_id: str) -> Response:
        return view.shown(cohort_id, caller, code=200)

    @api.add(
        "DELETE",
        "/cohorts/<cohort_id>",
        summary="Cancel a cohort; its evidence stays",
        roles=_WRITERS,
        answers={200: CohortOut, 202: CohortOut},
        headers={"If-Match": "The ETag of the cohort as you have read it"},
    )
    def cancel(caller: Caller, cohort_id: str) -> Response:
        known_cohort(database, caller, cohort_id)
        try:
            office.cancel_cohort(cohort_id, expected=expected_version(), actor=caller.actor)
        except Refused as e:
            raise problem_of(e) from e
        return view.settled(cohort_id, caller, done=200)


def _new(body: CohortIn) -> NewCohort:
    return NewCohort(
        name=body.name,
        platform=body.platform,
        first_session_on=body.first_session_on,
        skip_dates=tuple(body.skip_dates),
        organiser=body.organiser,
        session_minutes=body.session_minutes,
        first_session_minutes=body.first_session_minutes,
        starts_at=body.starts_at,
        household_rule=body.household_rule,
        facilitators=tuple(Facilitator(name=f.name, email=f.email) for f in body.facilitators),
        households=tuple(
            NewHousehold(
                reference=h.reference,
                carers=tuple(NewCarer(name=c.name, email=c.email) for c in h.carers),
            )
            for h in body.households
        ),
        allow_past=body.allow_past,
    )


def household_faults(households: object) -> list[tuple[str, str]]:
    """What is wrong with the households together, beside what is wrong inside each."""
    faults: list[tuple[str, str]] = []
    seen: set[str] = set()
    listed = households if isinstance(households, list) else []
    for number, household in enumerate(h for h in listed if isinstance(h, dict)):
        carers, reference = household.get("carers"), household.get("reference")
        if isinstance(carers, list) and not 1 <= len(carers) <= 2:
            faults.append((f"households.{number}.carers", "a household has one or two carers"))
        if isinstance(reference, str):
            if reference.strip() in seen:
                faults.append((f"households.{number}.reference", "this reference is given twice"))
            seen.add(reference.strip())
    return faults


def _plan_faults(
    raw: dict[str, Any], faulty: set[str], *, timezone: str, now: datetime
) -> list[tuple[str, str]]:
    """The timetable's faults, as far as its fields could be read at all."""

    def field(name: str, kind: Any, default: Any) -> Any:
        if name in faulty or name not in raw:
            return default
        try:
            return TypeAdapter(kind).validate_python(raw[name])
        except ValidationError:
            return default

    # Without a readable date, some far Saturday lets the other fields be judged all the same.
    first = field("first_session_on", date, date(2100, 1, 2))
    return [
        (fault.field, fault.message)
        for fault in faults_of_plan(
            COURSE,
            first_session_on=first,
            skip_dates=field("skip_dates", list[date], []) if first != date(2100, 1, 2) else [],
            starts_at=field("starts_at", time, COURSE.starts_at),
            timezone=timezone,
            session_minutes=field("session_minutes", int, COURSE.session_minutes),
            first_session_minutes=field("first_session_minutes", int, COURSE.first_session_minutes),
            allow_past=field("allow_past", bool, False),
            now=now.astimezone(UTC),
        )
    ]
