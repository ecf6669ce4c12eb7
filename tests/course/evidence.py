"""Short ways to say what happened in a session, for tests of the core."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from course.model import (
    Carer,
    CarerWeek,
    Cohort,
    EventKind,
    Evidence,
    Level,
    Participant,
    ParticipantEvent,
    Platform,
    RegisterEntry,
    SessionRegister,
    Source,
)
from course.reports import build_report
from tests.factories import FIRST, make_carer, make_cohort

WEEK_2 = FIRST + timedelta(weeks=1)  # two hours, from 10:00
AFTER = FIRST + timedelta(weeks=9)
SERIES = "81000000001"


def at(minute: float) -> datetime:
    """An instant in week 2, in minutes from its planned start."""
    return WEEK_2 + timedelta(minutes=minute)


def event(kind: EventKind, minute: float, connection: str | None, **more: Any) -> ParticipantEvent:
    """One fact in week 2, told by a notification of instance "one"."""
    made = ParticipantEvent(
        key="",
        platform=Platform.ZOOM,
        kind=kind,
        occurred_at=at(minute),
        source=Source.WEBHOOK,
        series_ref=SERIES,
        instance_ref="one",
        connection_ref=connection,
    )
    made = replace(made, **more)
    return replace(
        made,
        key=f"{made.kind}|{made.occurred_at}|{made.connection_ref}|{made.instance_ref}"
        f"|{made.level}|{made.source}|{made.seat_ref}|{made.participant}",
    )


def who(name: str = "Maya Patel", invitation: str | None = "r1", **more: Any) -> Participant:
    """How the platform shows somebody; by default on the first carer's personal link."""
    return Participant(display_name=name, invitation_ref=invitation, **more)


def stay(
    start: float, end: float | None, connection: str = "c1", seen: Participant | None = None
) -> list[ParticipantEvent]:
    """Joined, and left unless `end` is None."""
    seen = seen or who()
    events = [event(EventKind.JOINED, start, connection, participant=seen)]
    if end is not None:
        events.append(event(EventKind.LEFT, end, connection, participant=seen))
    return events


def record(
    start: float, end: float, connection: str = "record:1", seen: Participant | None = None
) -> ParticipantEvent:
    """A row of the platform's own record."""
    return event(
        EventKind.STAY,
        start,
        connection,
        until_at=at(end),
        source=Source.PLATFORM_RECORD,
        participant=seen or who(),
    )


def camera(start: float, end: float, level: Level, connection: str = "c1") -> ParticipantEvent:
    """A sample of a camera."""
    return event(EventKind.CAMERA, start, connection, until_at=at(end), level=level)


def held(start: float = 0, end: float | None = 120) -> list[ParticipantEvent]:
    """The instance's start and, unless it was never told, its end."""
    told = [event(EventKind.INSTANCE_STARTED, start, None)]
    return told if end is None else [*told, event(EventKind.INSTANCE_ENDED, end, None)]


def carers(*names: str, household: str = "H1") -> tuple[Carer, ...]:
    """Carers of one household, with personal links r1, r2 ..."""
    return tuple(
        make_carer(
            id=f"carer-{number}",
            name=name,
            email=f"{name.split()[0].lower()}@example.com",
            household=household,
            position=number - 1,
            invitation_ref=f"r{number}",
        )
        for number, name in enumerate(names, start=1)
    )


def cohort(*names: str, **changes: Any) -> Cohort:
    """A cohort of one household with these carers."""
    return make_cohort(carers=carers(*(names or ("Maya Patel",))), **changes)


def register(
    events: list[ParticipantEvent],
    *,
    of: Cohort | None = None,
    now: datetime = AFTER,
    closed: bool = False,
    **more: Any,
) -> SessionRegister:
    """The register of week 2. `closed`: the platform's record came, and shows the session."""
    entry = RegisterEntry(week=2, closed_at=AFTER, record_complete=True)
    evidence = Evidence(events=tuple(events), registers=(entry,) if closed else (), **more)
    return build_report(of or cohort(), evidence, now=now).registers[1]


def week(events: list[ParticipantEvent], carer: str = "carer-1", **more: Any) -> CarerWeek:
    """One carer's week 2."""
    return register(events, **more).weeks[carer]
