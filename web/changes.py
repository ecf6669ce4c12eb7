"""Changing a cohort that stands: its sessions, its households, its place on the platform."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from flask import Response

from course.model import Platform
from integration.scheduling import NewCarer, NewHousehold, Refused
from web.access import Caller
from web.cohort_view import CohortView, expected_version, known_cohort, problem_of
from web.opening import household_faults
from web.operations import Operations
from web.problems import Problem
from web.schemas import (
    CohortOut,
    HouseholdIn,
    PlatformIn,
    SessionChange,
    TransferIn,
)

_WRITERS = ("admin", "facilitator")
_IF_MATCH = {"If-Match": "The ETag of the cohort as you have read it; an older one is refused"}
_ANSWERS: dict[int, type | str] = {200: CohortOut, 202: CohortOut}


class ChangeOffice(Protocol):
    """Changes cohorts; `integration.scheduling.Scheduling` is one. All raise `Refused`."""

    def move_session(
        self,
        cohort_id: str,
        week: int,
        *,
        starts_at: datetime | None,
        minutes: int | None,
        expected: int | None,
        actor: str,
    ) -> None: ...

    def skip_session(
        self, cohort_id: str, week: int, *, expected: int | None, actor: str
    ) -> None: ...

    def enrol(
        self, cohort_id: str, household: NewHousehold, *, expected: int | None, actor: str
    ) -> None: ...

    def withdraw(
        self, cohort_id: str, carer_id: str, *, expected: int | None, actor: str
    ) -> None: ...

    def transfer(
        self, cohort_id: str, reference: str, to_cohort: str, *, expected: int | None, actor: str
    ) -> str: ...

    def repair(self, cohort_id: str, *, expected: int | None, actor: str) -> None: ...

    def move_platform(
        self,
        cohort_id: str,
        platform: Platform,
        *,
        organiser: str | None,
        expected: int | None,
        actor: str,
    ) -> None: ...


def add_changes(api: Operations, *, office: ChangeOffice, view: CohortView) -> None:
    """The operations that change a cohort."""

    def carried_out(
        cohort_id: str, caller: Caller, change: Callable[[int | None], None]
    ) -> Response:
        known_cohort(api.database, caller, cohort_id)
        try:
            change(expected_version())
        except Refused as e:
            raise problem_of(e) from e
        return view.settled(cohort_id, caller, done=200)

    @api.add(
        "PATCH",
        "/cohorts/<cohort_id>/sessions/<int:week>",
        summary="Move one session, or change its length",
        roles=_WRITERS,
        body=SessionChange,
        answers=_ANSWERS,
        headers=_IF_MATCH,
    )
    def move(caller: Caller, cohort_id: str, week: int, body: SessionChange) -> Response:
        if body.starts_at is None and body.minutes is None:
            raise Problem(
                422,
                "1 thing to put right",
                errors=[("starts_at", "give another starts_at, other minutes, or both")],
            )
        starts_at = body.starts_at.astimezone(UTC) if body.starts_at else None
        return carried_out(
            cohort_id,
            caller,
            lambda expected: office.move_session(
                cohort_id,
                week,
                starts_at=starts_at,
                minutes=body.minutes,
                expected=expected,
                actor=caller.actor,
            ),
        )

    @api.add(
        "DELETE",
        "/cohorts/<cohort_id>/sessions/<int:week>",
        summary="Skip a session's Saturday: it and the later ones move on, one is added at the end",
        roles=_WRITERS,
        answers=_ANSWERS,
        headers=_IF_MATCH,
    )
    def skip(caller: Caller, cohort_id: str, week: int) -> Response:
        return carried_out(
            cohort_id,
            caller,
            lambda expected: office.skip_session(
                cohort_id, week, expected=expected, actor=caller.actor
            ),
        )

    @api.add(
        "POST",
        "/cohorts/<cohort_id>/households",
        summary="Enrol a household after the opening",
        roles=_WRITERS,
        body=HouseholdIn,
        answers=_ANSWERS,
        headers=_IF_MATCH,
        more_faults=lambda raw, _: [
            (field.removeprefix("households.0."), message)
            for field, message in household_faults([raw])
        ],
    )
    def enrol(caller: Caller, cohort_id: str, body: HouseholdIn) -> Response:
        household = NewHousehold(
            reference=body.reference,
            carers=tuple(NewCarer(name=c.name, email=c.email, phone=c.phone) for c in body.carers),
        )
        return carried_out(
            cohort_id,
            caller,
            lambda expected: office.enrol(
                cohort_id, household, expected=expected, actor=caller.actor
            ),
        )

    @api.add(
        "DELETE",
        "/cohorts/<cohort_id>/carers/<carer_id>",
        summary="Withdraw a carer; what they attended stays",
        roles=_WRITERS,
        answers=_ANSWERS,
        headers=_IF_MATCH,
    )
    def withdraw(caller: Caller, cohort_id: str, carer_id: str) -> Response:
        return carried_out(
            cohort_id,
            caller,
            lambda expected: office.withdraw(
                cohort_id, carer_id, expected=expected, actor=caller.actor
            ),
        )

    @api.add(
        "POST",
        "/cohorts/<cohort_id>/transfer",
        summary="Move a household to another cohort; its past is shown there, not counted",
        roles=_WRITERS,
        body=TransferIn,
        answers=_ANSWERS,
        headers=_IF_MATCH,
    )
    def transfer(caller: Caller, cohort_id: str, body: TransferIn) -> Response:
        known_cohort(api.database, caller, cohort_id)
        if not caller.may_see(body.to_cohort):
            raise Problem(
                422,
                "1 thing to put right",
                errors=[("to_cohort", "There is no such cohort.")],
            )
        try:
            called = office.transfer(
                cohort_id,
                body.household,
                body.to_cohort,
                expected=expected_version(),
                actor=caller.actor,
            )
        except Refused as e:
            raise problem_of(e) from e
        says = f"Household {body.household} is called {called} in the other cohort."
        if called == body.household:
            says = f"Household {called} is in the other cohort under the same reference."
        told = {"to_cohort": body.to_cohort, "household": called, "says": says}
        return view.settled(cohort_id, caller, done=200, also={"transferred": told})

    @api.add(
        "POST",
        "/cohorts/<cohort_id>/platform",
        summary="Move the remaining sessions to the other platform; past weeks and pages stay",
        roles=_WRITERS,
        body=PlatformIn,
        answers=_ANSWERS,
        headers=_IF_MATCH,
    )
    def platform(caller: Caller, cohort_id: str, body: PlatformIn) -> Response:
        return carried_out(
            cohort_id,
            caller,
            lambda expected: office.move_platform(
                cohort_id,
                body.platform,
                organiser=body.organiser,
                expected=expected,
                actor=caller.actor,
            ),
        )

    @api.add(
        "POST",
        "/cohorts/<cohort_id>/repair",
        summary="Try again what was refused, and put back what was changed on the platform",
        roles=_WRITERS,
        answers=_ANSWERS,
        headers=_IF_MATCH,
    )
    def repair(caller: Caller, cohort_id: str) -> Response:
        return carried_out(
            cohort_id,
            caller,
            lambda expected: office.repair(cohort_id, expected=expected, actor=caller.actor),
        )
