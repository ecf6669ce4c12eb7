"""A full cohort with seven weeks of evidence: twelve households, twenty carers, invented names.

Six registers are closed, the seventh is provisional, the eighth session is still to come.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table, insert, select

from course.model import (
    Carer,
    Cohort,
    CorrectionKind,
    EventKind,
    Level,
    MessageKind,
    Participant,
    ParticipantEvent,
    Platform,
    RegisterEntry,
    Session,
    Source,
    Verdict,
)
from course.store import cohorts, evidence, registers, revisions, statements
from course.store import series as series_store
from course.store.copying import (
    MADE_BY_MIGRATIONS,
    NOTED_BY_TRIGGERS,
    go_on_counting,
    is_empty,
    plain_tables,
)
from course.store.database import Database, Transaction
from tests.databases import CIPHER
from tests.factories import make_carer, make_cohort

FULL = "cohort-full"
SERIES = "81000000009"
STRANGER = "Galaxy Tab"
NAMES = {
    "FA01": ("Maya Patel", "Dev Patel"),
    "FA02": ("Tom Becker",),
    "FA03": ("Aisha Rahman", "Yusuf Rahman"),
    "FA04": ("Lena Fischer",),
    "FA05": ("Owen Davies", "Carys Davies"),
    "FA06": ("Grace Okafor",),
    "FA07": ("Niamh Byrne", "Sean Byrne"),
    "FA08": ("Sofia Rossi", "Marco Rossi"),
    "FA09": ("Daniel Cohen", "Ruth Cohen"),
    "FA10": ("Piotr Nowak", "Ewa Nowak"),
    "FA11": ("Hana Suzuki", "Ken Suzuki"),
    "FA12": ("Zoë Ash",),
}
AFTER_WEEK_7 = make_cohort().sessions[6].ends_at + timedelta(hours=1)


def full_cohort() -> Cohort:
    """The cohort as it was opened."""
    carers: list[Carer] = []
    for household, names in NAMES.items():
        for position, name in enumerate(names):
            number = len(carers) + 1
            carers.append(
                make_carer(
                    id=f"full-{number}",
                    name=name,
                    email=f"carer{number}@example.com",
                    household=household,
                    position=position,
                )
            )
    return make_cohort(id=FULL, name="Winter 2027", series_ref=None, carers=tuple(carers))


_Rows = list[tuple[Table, list[dict[str, Any]]]]
_MADE: _Rows = []


def save_full_cohort(database: Database) -> None:
    """Store the cohort with everything that was heard and said.

    Registers are judged once in a process; whoever comes later gets the rows that were stored then.
    """
    with database.write() as connection:
        is_new = database.cipher is CIPHER and is_empty(connection)
        if is_new and _MADE:
            for table, rows in _MADE:
                connection.execute(insert(table), rows)
                go_on_counting(connection, table)
            return
        _save(connection)
        if is_new:
            _MADE.extend(_read(connection))


def _read(connection: Transaction) -> _Rows:
    found = [
        (table, [dict(row) for row in connection.execute(select(table)).mappings()])
        for table in plain_tables()
        if table.name not in MADE_BY_MIGRATIONS | NOTED_BY_TRIGGERS
    ]
    return [(table, rows) for table, rows in found if rows]


def _save(connection: Transaction) -> None:
    cohort = full_cohort()
    tokens = {carer.id: f"join-{carer.id}" for carer in cohort.carers}
    cohorts.insert_cohort(connection, cohort, tokens)
    series_store.update_series(connection, FULL, Platform.ZOOM, series_ref=SERIES)
    for carer in cohort.carers:
        link = f"https://zoom.us/w/{carer.id}"
        series_store.save_invitation(
            connection, carer.id, Platform.ZOOM, ref=f"ref-{carer.id}", join_url=link
        )
    cohort = cohorts.read_cohort(connection, FULL) or cohort  # with everybody's link
    for session in cohort.sessions[:7]:
        evidence.save_events(connection, list(_session_events(cohort, session)))
    for session in cohort.sessions[:6]:
        closed = session.ends_at + timedelta(minutes=30)
        entry = RegisterEntry(week=session.week, closed_at=closed, record_complete=True)
        registers.save_register(connection, FULL, entry)
        revisions.revise(
            connection,
            cohort,
            cause=revisions.CLOSED,
            actor="system",
            now=closed,
            weeks=[session.week],
        )
    statements.add_correction(
        connection,
        FULL,
        week=3,
        carer_id="full-3",
        verdict=Verdict.ABSENT,
        kind=CorrectionKind.CATCH_UP,
        reason="went through the week with Maya Patel's family, Dev took notes",
        made_by="facilitator Ann",
        now=AFTER_WEEK_7,
    )
    statements.add_message(
        connection,
        FULL,
        week=8,
        carer_id="full-1",
        kind=MessageKind.ABSENCE,
        text="We are at Tom Becker's wedding",
        now=AFTER_WEEK_7,
    )


def _session_events(cohort: Cohort, session: Session) -> Iterator[ParticipantEvent]:
    length = session.length.total_seconds() / 60
    yield _event(session, EventKind.INSTANCE_STARTED, -5)
    yield _event(session, EventKind.INSTANCE_ENDED, length + 2)
    for number, carer in enumerate(cohort.carers):
        if (number, session.week) in {(2, 3), (17, 4), (7, 5), (8, 4)}:
            continue
        shown = [carer.name]
        spans = [(-1.0 - number / 10, length + 1)]
        if (number + session.week) % 9 == 0:
            spans = [(0.0, length * 0.4), (length * 0.45, length * 0.95)]
        if (number, session.week) == (4, 2):
            spans = [(35.0, length)]
        if (number, session.week) == (0, 2):
            shown = ["Maya Patel", "Tom Becker"]  # her link was passed on
        camera_until = length * (0.3 if (number, session.week) in {(5, 6), (11, 3)} else 2)
        for turn, (begin, end) in enumerate(spans):
            yield from _stay(session, carer, shown, f"{number}-{turn}", begin, end)
            if number != 9:  # whose camera nobody ever reports
                yield from _camera(session, f"{number}-{turn}", begin, end, camera_until)
    if session.week == 2:
        seen = Participant(display_name=STRANGER)
        yield _event(session, EventKind.JOINED, 5, "stranger", participant=seen)
        yield _event(session, EventKind.LEFT, 25, "stranger", participant=seen)
        yield _recorded(session, seen, "stranger", 5, 25)


def _stay(
    session: Session, carer: Carer, shown: list[str], connection: str, begin: float, end: float
) -> Iterator[ParticipantEvent]:
    for name in shown:
        seen = Participant(display_name=name, invitation_ref=f"ref-{carer.id}")
        yield _event(session, EventKind.JOINED, begin, connection, participant=seen)
    yield _event(session, EventKind.LEFT, end, connection, participant=seen)
    yield _event(session, EventKind.MICROPHONE, begin + 1, connection, level=Level.ON)
    yield _recorded(session, seen, connection, begin, end)


def _recorded(
    session: Session, seen: Participant, connection: str, begin: float, end: float
) -> ParticipantEvent:
    """The same stay in the platform's own record."""
    told = _event(session, EventKind.STAY, begin, f"record-{connection}", participant=seen)
    return replace(
        told,
        until_at=session.starts_at + timedelta(minutes=end),
        source=Source.PLATFORM_RECORD,
    )


def _camera(
    session: Session, connection: str, begin: float, end: float, until: float
) -> Iterator[ParticipantEvent]:
    yield _event(session, EventKind.CAMERA, begin, connection, level=Level.ON)
    if until < end:
        yield _event(session, EventKind.CAMERA, until, connection, level=Level.OFF)


def _event(
    session: Session,
    kind: EventKind,
    minute: float,
    connection: str | None = None,
    *,
    participant: Participant | None = None,
    level: Level | None = None,
) -> ParticipantEvent:
    at: datetime = session.starts_at + timedelta(minutes=minute)
    name = participant.display_name if participant else ""
    fact = f"{session.week}|{kind}|{minute}|{connection}|{level}|{name}"
    return ParticipantEvent(
        key=f"zoom:{hashlib.sha256(fact.encode()).hexdigest()}",
        platform=Platform.ZOOM,
        kind=kind,
        occurred_at=at,
        source=Source.WEBHOOK,
        series_ref=SERIES,
        instance_ref=f"instance-{session.week}",
        connection_ref=f"{session.week}-{connection}" if connection else None,
        participant=participant,
        level=level,
        received_at=at,
    )
