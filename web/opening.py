"""Opening a cohort from what staff send, whether a program sent JSON or a person filled a form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError

from course.model import Facilitator, Platform
from course.programme import COURSE
from course.store.database import Database
from course.timetable import faults_of_plan
from integration.scheduling import NewCarer, NewCohort, NewHousehold, Refused
from web.access import Caller
from web.cohort_view import problem_of
from web.problems import Problem, to_put_right
from web.quotas import Quotas
from web.schemas import CohortIn


class CohortOffice(Protocol):
    """Opens and cancels cohorts; `integration.scheduling.Scheduling` is one."""

    def opened_with(self, new: NewCohort, *, key: str, actor: str) -> str | None: ...

    def open_cohort(self, new: NewCohort, *, key: str | None, actor: str) -> str: ...

    def cancel_cohort(self, cohort_id: str, *, expected: int | None, actor: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """`configured`: the settings that each platform still lacks."""

    database: Database
    office: CohortOffice
    configured: Callable[[], Mapping[Platform, list[str]]]
    timezone: str
    clock: Callable[[], datetime]
    quotas: Quotas

    def faults(self, raw: dict[str, Any], faulty: set[str]) -> list[tuple[str, str]]:
        """What is wrong with the fields together; `faulty` are wrong in themselves already.

        A first session in the past is named together with other faults. Alone it is left to
        `open`: the same body may have been sent, and taken, before.
        """
        past, lasting = self._plan_faults(raw, faulty)
        lasting += household_faults(raw.get("households"))
        return [*past, *lasting] if lasting or faulty else []

    def _plan_faults(
        self, raw: dict[str, Any], faulty: set[str]
    ) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """What is wrong with the timetable: what has come with time, and what always was."""
        now = self.clock()
        found = _faults_of_plan(raw, faulty, timezone=self.timezone, now=now)
        lasting = _faults_of_plan(
            raw | {"allow_past": True}, faulty, timezone=self.timezone, now=now
        )
        return [fault for fault in found if fault not in lasting], lasting

    def open(self, body: CohortIn, *, key: str | None, caller: Caller) -> str:
        """The id of the cohort that is being opened from now on, or was with the same key.

        Raises `Problem`.
        """
        new = _new(body)
        try:
            known = self.office.opened_with(new, key=key, actor=caller.actor) if key else None
        except Refused as e:
            raise problem_of(e) from e
        if known is not None:
            return known
        past, _ = self._plan_faults(body.model_dump(), set())
        if past:
            raise to_put_right(past)
        self.quotas.check_opening(self.database, caller, self.clock())
        if missing := self.configured()[body.platform]:
            raise Problem(
                409,
                f"{body.platform.value.capitalize()} is not configured",
                f"Set {', '.join(missing)}, then start the service again.",
            )
        try:
            return self.office.open_cohort(new, key=key, actor=caller.actor)
        except Refused as e:
            raise problem_of(e) from e


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
                carers=tuple(NewCarer(name=c.name, email=c.email, phone=c.phone) for c in h.carers),
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


def _faults_of_plan(
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
