"""Opening and cancelling a cohort: one staff call, many remote calls, each a recorded step.

`open_cohort` stores the cohort and starts a durable workflow; nothing remote happens in the
request. A kill at any point resumes at the step it was in. A series is never made twice: before a
create is repeated the platform is asked whether the first one happened.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time as wall
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any

from dbos import DBOS, DBOSConfiguredInstance, SetWorkflowID

from course.model import (
    Carer,
    Cohort,
    CohortState,
    Facilitator,
    HouseholdRule,
    Platform,
    Rule,
)
from course.programme import COURSE
from course.store import access, cohorts, idempotency
from course.store.database import Database
from course.timetable import plan_sessions
from integration.durable import StepRefused, persist
from integration.opening import Opening


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCarer:
    """A carer to enrol."""

    name: str
    email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewHousehold:
    """A household that booked: one or two carers."""

    reference: str
    carers: tuple[NewCarer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCohort:
    """What staff asked for, already checked. `organiser` None: the platform's default host."""

    name: str
    platform: Platform
    first_session_on: date
    skip_dates: tuple[date, ...]
    organiser: str | None
    session_minutes: int
    first_session_minutes: int
    starts_at: time
    household_rule: HouseholdRule
    facilitators: tuple[Facilitator, ...]
    households: tuple[NewHousehold, ...]
    allow_past: bool


class Refused(Exception):
    """Staff's call cannot be done.

    `kind`: `not_configured`, `no_organiser`, `key_reused` or `duplicate`.
    """

    def __init__(self, kind: str, message: str, *, cohort_id: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.cohort_id = cohort_id


class _KeyTaken(Exception):
    """Another request with the same key was faster."""


def _fingerprint(new: NewCohort) -> str:
    text = json.dumps(asdict(new), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


@DBOS.dbos_class()
class Scheduling(DBOSConfiguredInstance):
    """Opens and cancels cohorts. One per process, made before the engine is launched."""

    def __init__(
        self,
        *,
        database: Database,
        opening: Opening,
        organisers: Mapping[Platform, str],
        rule: Rule,
        timezone: str,
        clock: Callable[[], datetime],
        name: str = "scheduling",
    ) -> None:
        """`name` finds this object again after a restart; it must not change in production."""
        self._database = database
        self._opening = opening
        self._organisers = organisers
        self._rule = rule
        self._timezone = timezone
        self._clock = clock
        super().__init__(config_name=name)

    def open_cohort(self, new: NewCohort, *, key: str | None, actor: str) -> str:
        """Store the cohort and start opening it; its id (an older one's for the same key).

        Raises `Refused`.
        """
        fingerprint = _fingerprint(new)
        bound = f"{actor}\n{key}" if key is not None else None
        try:
            with self._database.write() as connection:
                if bound is not None and (older := idempotency.read_key(connection, key=bound)):
                    return self._same_or_refuse(older, fingerprint)
                cohort, tokens = self._draft(new)
                namesake = cohorts.find_namesake(
                    connection,
                    platform=new.platform,
                    name=new.name,
                    first_session_on=cohort.sessions[0].starts_at.date(),
                )
                if namesake is not None:
                    raise Refused(
                        "duplicate",
                        "A cohort of that name on that platform begins on that day already. "
                        "Open it, or choose another name.",
                        cohort_id=namesake,
                    )
                cohorts.insert_cohort(connection, cohort, tokens)
                access.add_audit(
                    connection,
                    actor=actor,
                    action="cohort.open",
                    subject=cohort.id,
                    now=cohort.created_at,
                )
                if bound is not None:
                    holder = idempotency.reserve_key(
                        connection,
                        key=bound,
                        fingerprint=fingerprint,
                        cohort_id=cohort.id,
                        now=cohort.created_at,
                    )
                    if holder[0] != cohort.id:
                        raise _KeyTaken
        except _KeyTaken:
            return self.open_cohort(new, key=key, actor=actor)
        self._start(cohort.id)
        return cohort.id

    def _same_or_refuse(self, older: tuple[str, str], fingerprint: str) -> str:
        cohort_id, seen = older
        if seen != fingerprint:
            raise Refused(
                "key_reused",
                "This Idempotency-Key was used with another body. Use a new key for a new cohort.",
                cohort_id=cohort_id,
            )
        return cohort_id

    def _draft(self, new: NewCohort) -> tuple[Cohort, dict[str, str]]:
        now = self._clock()
        if new.platform not in self._organisers:
            raise Refused("not_configured", f"{new.platform.value} is not configured.")
        organiser = new.organiser or self._organisers[new.platform]
        if not organiser:
            raise Refused(
                "no_organiser",
                "Name the organiser whose account hosts the sessions, or set "
                f"{new.platform.value.upper()}_HOST.",
            )
        sessions = plan_sessions(
            COURSE,
            first_session_on=new.first_session_on,
            skip_dates=new.skip_dates,
            starts_at=new.starts_at,
            timezone=self._timezone,
            session_minutes=new.session_minutes,
            first_session_minutes=new.first_session_minutes,
        )
        # A course that has begun already counts its carers from its start.
        enrolled_at = min(now, sessions[0].starts_at)
        carers = tuple(
            Carer(
                id=uuid.uuid4().hex,
                name=person.name,
                email=person.email,
                household=household.reference,
                position=position,
                enrolled_at=enrolled_at,
            )
            for household in new.households
            for position, person in enumerate(household.carers)
        )
        cohort = Cohort(
            id=uuid.uuid4().hex,
            name=new.name,
            platform=new.platform,
            state=CohortState.OPENING,
            timezone=self._timezone,
            organiser=organiser,
            rule=replace(self._rule, household=new.household_rule),
            sessions=sessions,
            carers=carers,
            facilitators=new.facilitators,
            created_at=now,
        )
        return cohort, {carer.id: secrets.token_urlsafe(24) for carer in carers}

    def resume(self) -> None:
        """After a start: take up cohorts that were stored but whose workflow never began."""
        with self._database.read() as connection:
            opening = cohorts.cohorts_in_state(connection, CohortState.OPENING)
        for cohort_id in opening:
            self._start(cohort_id)

    def _start(self, cohort_id: str) -> None:
        with SetWorkflowID(f"open-{cohort_id}"):
            DBOS.start_workflow(self.open_workflow, cohort_id)

    def wait_until_settled(self, cohort_id: str, *, timeout: timedelta) -> None:
        """Return when the cohort is no longer `opening`, or when the time is over."""
        until = wall.monotonic() + timeout.total_seconds()
        while wall.monotonic() < until:
            with self._database.read() as connection:
                if cohorts.read_state(connection, cohort_id) is not CohortState.OPENING:
                    return
            wall.sleep(0.05)

    def cancel_cohort(self, cohort_id: str, *, actor: str) -> None:
        """Start cancelling: the series goes from the platform, the evidence stays."""
        with self._database.write() as connection:
            cohorts.request_cancel(connection, cohort_id, now=self._clock())
            access.add_audit(
                connection,
                actor=actor,
                action="cohort.cancel",
                subject=cohort_id,
                now=self._clock(),
            )
        with SetWorkflowID(f"cancel-{cohort_id}"):
            DBOS.start_workflow(self.cancel_workflow, cohort_id)

    @DBOS.workflow(max_recovery_attempts=100_000)
    def open_workflow(self, cohort_id: str) -> str:
        """Every step of opening a cohort; the state it ended in."""
        opening = self._opening

        def step(name: str, action: Callable[..., Any], *arguments: Any) -> Any:
            return persist(
                name,
                lambda: action(cohort_id, *arguments),
                on_trouble=lambda message: opening.tell(cohort_id, message),
            )

        try:
            made = step("create the series", opening.create)
            for number in range(1, 4):
                changes = step("compare", opening.compare, made if number == 1 else None)
                if not changes:
                    break
                if number == 3:
                    raise StepRefused(step("name the difference", opening.difference))
                for change in changes:
                    step(f"mend {change['ref']}", opening.mend, change)
            step("find the meeting", opening.resolve)
            for carer_id in step("list the carers", opening.to_invite):
                try:
                    step("invite", opening.invite, carer_id)
                except StepRefused as e:
                    step("note the refusal", opening.note_refusal, carer_id, str(e))
            step("share links", opening.share_invitations)
            step("watch", opening.watch)
            return str(step("finish", opening.finish))
        except StepRefused as e:
            return str(DBOS.run_step({"name": "give up"}, opening.give_up, cohort_id, str(e)))

    @DBOS.workflow(max_recovery_attempts=100_000)
    def cancel_workflow(self, cohort_id: str) -> str:
        """Wait for a running opening to notice, then remove everything from the platform."""
        opening = self._opening

        def step(name: str, action: Callable[[str], Any]) -> Any:
            return persist(
                name,
                lambda: action(cohort_id),
                on_trouble=lambda message: opening.tell(cohort_id, message),
            )

        while DBOS.run_step({"name": "is it still opening"}, self._still_opening, cohort_id):
            DBOS.sleep(0.5)
        try:
            step("remove the series", opening.remove)
            return "cancelled"
        except StepRefused as e:
            return str(DBOS.run_step({"name": "tell staff"}, opening.tell, cohort_id, str(e)))

    def _still_opening(self, cohort_id: str) -> bool:
        found = DBOS.get_workflow_status(f"open-{cohort_id}")
        return found is not None and found.status in ("PENDING", "ENQUEUED", "DELAYED")
