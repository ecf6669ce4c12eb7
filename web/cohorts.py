"""Opening, listing, reading and cancelling cohorts."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from flask import Response, jsonify, request
from pydantic import TypeAdapter, ValidationError

from course.model import Cohort, CohortState, Facilitator, Platform
from course.programme import COURSE
from course.store import cohorts
from course.store.cohorts import Enrolment
from course.store.database import Database
from course.timetable import faults_of_plan
from integration.scheduling import NewCarer, NewCohort, NewHousehold, Refused
from web.access import Caller
from web.operations import Operations
from web.problems import Problem
from web.schemas import CohortIn, CohortOut, CohortsOut, Page

WAIT = timedelta(seconds=18)  # an answer within 20 s, with what the answer itself takes
WAITERS = 16  # so many requests may wait at once; the other threads stay free for webhooks
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_WRITERS, _ALL = ("admin",), ("admin", "facilitator", "viewer")


class CohortOffice(Protocol):
    """Opens and cancels cohorts; `integration.scheduling.Scheduling` is one."""

    def open_cohort(self, new: NewCohort, *, key: str | None, actor: str) -> str: ...

    def cancel_cohort(self, cohort_id: str, *, actor: str) -> None: ...

    def wait_until_settled(self, cohort_id: str, *, timeout: timedelta) -> None: ...


def known_cohort(database: Database, caller: Caller, cohort_id: str) -> Cohort:
    """The cohort, if it exists and was given to the caller; else the same 404 for both."""
    with database.read() as connection:
        found = cohorts.read_cohort(connection, cohort_id) if caller.may_see(cohort_id) else None
    if found is None:
        raise Problem(404, "No such cohort", "GET /api/v1/cohorts lists yours.")
    return found


def cohort_json(
    cohort: Cohort, enrolments: list[Enrolment], caller: Caller, *, public_url: str
) -> dict[str, Any]:
    """A cohort as the API gives it. Addresses and links only to those who may see them."""
    zone, sees = ZoneInfo(cohort.timezone), caller.sees_addresses
    references = dict.fromkeys(e.carer.household for e in enrolments)
    return {
        "id": cohort.id,
        "name": cohort.name,
        "platform": cohort.platform.value,
        "state": cohort.state.value,
        "problem": cohort.problem,
        "series_ref": cohort.series_ref,
        "organiser": cohort.organiser if sees else None,
        "sessions": [
            {
                "week": s.week,
                "topic": s.topic,
                "starts_at": s.starts_at.astimezone(zone).isoformat(),
                "ends_at": s.ends_at.astimezone(zone).isoformat(),
                "state": s.state.value,
                "occurrence_ref": s.occurrence_ref,
            }
            for s in cohort.sessions
        ],
        "carers": [
            {
                "id": e.carer.id,
                "name": e.carer.name,
                "email": e.carer.email if sees else None,
                "household": e.carer.household,
                "join_url": f"{public_url}/join/{e.join_token}" if sees else None,
                "platform_join_url": e.platform_join_url if sees else None,
                "problem": e.problem,
            }
            for e in enrolments
        ],
        "households": [
            {
                "reference": reference,
                "fee": COURSE.fee(sum(e.carer.household == reference for e in enrolments)),
            }
            for reference in references
        ],
    }


def add_cohorts(
    api: Operations,
    *,
    office: CohortOffice,
    configured: Callable[[], Mapping[Platform, list[str]]],
    public_url: str,
    default_timezone: str,
) -> None:
    """The operations on `/cohorts`."""
    database = api.database
    waiting = threading.BoundedSemaphore(WAITERS)

    def shown(cohort_id: str, caller: Caller, *, code: int) -> Response:
        cohort = known_cohort(database, caller, cohort_id)
        with database.read() as connection:
            enrolments = cohorts.read_enrolments(connection, cohort_id)
        answer = jsonify(cohort_json(cohort, enrolments, caller, public_url=public_url))
        answer.status_code = code
        answer.set_etag(str(cohort.version))
        return answer

    def plan_faults(raw: dict[str, Any], faulty: set[str]) -> list[tuple[str, str]]:
        return [
            *_plan_faults(raw, faulty, timezone=default_timezone, now=api.clock()),
            *_household_faults(raw.get("households")),
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
            raise _refused(e) from e
        # The platform calls our webhooks while we wait for it, so not all threads may wait.
        if waiting.acquire(blocking=False):
            try:
                office.wait_until_settled(cohort_id, timeout=WAIT)
            finally:
                waiting.release()
        with database.read() as connection:
            ready = cohorts.read_state(connection, cohort_id) is CohortState.READY
        answer = shown(cohort_id, caller, code=201 if ready else 202)
        answer.headers["Location"] = f"/api/v1/cohorts/{cohort_id}"
        return answer

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
                    c, cohorts.read_enrolments(connection, c.id), caller, public_url=public_url
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
        return shown(cohort_id, caller, code=200)

    @api.add(
        "DELETE",
        "/cohorts/<cohort_id>",
        summary="Cancel a cohort; its evidence stays",
        roles=_WRITERS,
        answers={202: CohortOut},
    )
    def cancel(caller: Caller, cohort_id: str) -> Response:
        known_cohort(database, caller, cohort_id)
        office.cancel_cohort(cohort_id, actor=caller.actor)
        answer = shown(cohort_id, caller, code=202)
        answer.headers["Location"] = f"/api/v1/cohorts/{cohort_id}"
        return answer


def _refused(error: Refused) -> Problem:
    if error.kind == "no_organiser":
        return Problem(422, "1 thing to put right", errors=[("organiser", str(error))])
    if error.kind == "key_reused":
        return Problem(422, "The key was used before", str(error))
    detail = str(error)
    if error.cohort_id is not None:
        detail += f" It is /api/v1/cohorts/{error.cohort_id}."
    return Problem(409, "This cannot be opened", detail)


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


def _household_faults(households: object) -> list[tuple[str, str]]:
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
