"""Participant events, and with what people said everything that verdicts rest on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    func,
    or_,
    select,
    union,
)

from course.instances import window_of
from course.model import (
    Cohort,
    EventKind,
    Evidence,
    Level,
    Participant,
    ParticipantEvent,
    Platform,
    Role,
    Session,
    Source,
)
from course.store import rehearsals, statements, tables
from course.store import series as series_store
from course.store.journal import journal
from course.store.registers import read_registers
from course.store.series import StoredSeries
from course.store.tombstones import read_forgotten


def event_values(event: ParticipantEvent) -> tuple[Any, ...]:
    """In the order of the table's columns."""
    seen = event.participant
    return (
        *(event.key, event.platform.value, event.series_ref, event.instance_ref),
        *(event.kind.value, event.occurred_at, event.until_at, event.source.value),
        *(event.instance_started_at, event.connection_ref, event.seat_ref),
        event.level.value if event.level else None,
        *(event.carer_id, event.notification_id, event.told_as, event.received_at),
        participant_json(seen) if seen else None,
    )


def participant_json(seen: Participant) -> dict[str, Any]:
    """What is known of whoever was seen; what is not known takes no room."""
    found = {name: value for name in _TEXTS if (value := getattr(seen, name))}
    if seen.stable_account:
        found["stable_account"] = True
    if seen.by_phone:
        found["by_phone"] = True
    if seen.role is not Role.ATTENDEE:
        found["role"] = seen.role.value
    return found


_COLUMNS = tuple(tables.participant_event.columns.keys())
_PLATFORMS, _KINDS, _SOURCES, _LEVELS = (
    {member.value: member for member in kind} for kind in (Platform, EventKind, Source, Level)
)
_TEXTS = ("display_name", "email", "invitation_ref", "account_ref", "note")


def _events(connection: Connection, query: Select[Any]) -> list[ParticipantEvent]:
    """Whole rows of the table, read by the thousand: by position, enumerations looked up."""
    return [
        _event(dict(zip(_COLUMNS, row, strict=True))) for row in connection.execute(query).all()
    ]


def _event(values: dict[str, Any]) -> ParticipantEvent:
    values["platform"] = _PLATFORMS[values["platform"]]
    values["kind"] = _KINDS[values["kind"]]
    values["source"] = _SOURCES[values["source"]]
    if values["level"] is not None:
        values["level"] = _LEVELS[values["level"]]
    if (seen := values["participant"]) is not None:
        seen["role"] = Role(seen.get("role", Role.ATTENDEE))
        values["participant"] = Participant(**seen)
    return ParticipantEvent(**values)


def save_events(connection: Connection, events: Sequence[ParticipantEvent]) -> int:
    """Store the facts that are not there yet; how many were new. Nobody erased comes back."""
    events = read_forgotten(connection).without(events)
    facts = journal(tables.participant_event, connection.dialect)
    return facts.append(connection, [facts.encode(event_values(event)) for event in events])


def read_evidence(connection: Connection, cohort: Cohort) -> Evidence:
    """Everything that the cohort's verdicts rest on."""
    return Evidence(
        events=tuple(_read_events(connection, cohort)),
        corrections=statements.current_corrections(connection, cohort.id),
        links=statements.current_links(connection, cohort.id),
        registers=tuple(read_registers(connection, cohort.id)),
        attestations=statements.current_attestations(connection, cohort.id),
        messages=statements.read_messages(connection, cohort.id),
        rehearsals=rehearsals.read_rehearsals(connection, cohort.id),
    )


def _read_events(connection: Connection, cohort: Cohort) -> list[ParticipantEvent]:
    table, series = tables.participant_event, tables.series
    ours = select(series.c.platform, series.c.series_ref).where(
        series.c.cohort_id == cohort.id, series.c.series_ref.is_not(None)
    )
    former = select(tables.former_series.c.platform, tables.former_series.c.series_ref).where(
        tables.former_series.c.cohort_id == cohort.id
    )
    carers = [carer.id for carer in cohort.carers]
    events: dict[str, ParticipantEvent] = {}
    for platform, series_ref in connection.execute(union(ours, former)).all():
        of_series = and_(table.c.platform == platform, table.c.series_ref == series_ref)
        instances = select(table.c.instance_ref).where(of_series, table.c.instance_ref.is_not(None))
        # Some media reports name only the instance, never the series.
        of_instance = and_(
            table.c.platform == platform,
            table.c.series_ref.is_(None),
            table.c.instance_ref.in_(instances),
        )
        told = _events(connection, select(table).where(or_(of_series, of_instance)))
        events.update((event.key, event) for event in told)
    if carers:
        own = _events(connection, select(table).where(table.c.carer_id.in_(carers)))
        events.update((event.key, event) for event in own)
    return sorted(events.values(), key=lambda e: (e.occurred_at, e.key))


def instance_media(
    connection: Connection, platform: str, instance_ref: str
) -> list[ParticipantEvent]:
    """The samples of camera and microphone that name one held instance and no series."""
    table = tables.participant_event
    return _events(
        connection,
        select(table).where(
            table.c.platform == platform,
            table.c.series_ref.is_(None),
            table.c.instance_ref == instance_ref,
            table.c.until_at.is_not(None),
            table.c.kind.in_([EventKind.CAMERA.value, EventKind.MICROPHONE.value]),
        ),
    )


def instance_events(connection: Connection, instance_ref: str) -> list[ParticipantEvent]:
    """Everything that was told of one held instance on Zoom."""
    table = tables.participant_event
    return _events(
        connection,
        select(table).where(
            table.c.platform == Platform.ZOOM.value, table.c.instance_ref == instance_ref
        ),
    )


def call_events(
    connection: Connection, series_ref: str, *, since: datetime
) -> list[ParticipantEvent]:
    """What our bot was told of a series' calls since then."""
    table = tables.participant_event
    return _events(
        connection,
        select(table).where(
            table.c.platform == Platform.TEAMS.value,
            table.c.series_ref == series_ref,
            table.c.source == Source.CALL_BOT.value,
            table.c.occurred_at >= since,
        ),
    )


def _marking() -> Select[Any]:
    """Built once: a page that is open in hundreds of browsers asks it every few seconds."""
    table, cohort = tables.participant_event, tables.cohort
    asked: BindParameter[str] = bindparam("cohort_id")
    platforms, refs = (
        union(
            *(
                select(series.c[name]).where(
                    series.c.cohort_id == asked, series.c.series_ref.is_not(None)
                )
                for series in (tables.series, tables.former_series)
            )
        )
        for name in ("platform", "series_ref")
    )
    of_series = and_(table.c.platform.in_(platforms), table.c.series_ref.in_(refs))
    instances = (
        select(table.c.instance_ref).distinct().where(of_series, table.c.instance_ref.is_not(None))
    )
    carers = select(tables.carer.c.id).where(tables.carer.c.cohort_id == asked)
    told = [
        select(func.count()).select_from(table).where(of_series),
        select(func.count())
        .select_from(table)
        .where(
            table.c.platform.in_(platforms),
            table.c.series_ref.is_(None),
            table.c.instance_ref.in_(instances),
        ),
        select(func.count()).select_from(table).where(table.c.carer_id.in_(carers)),
    ]
    said = [
        select(func.max(of.c.id)).where(of.c.cohort_id == asked)
        for of in (tables.correction, tables.link, tables.attestation, tables.message)
    ]
    closed = (
        select(func.count())
        .select_from(tables.register)
        .where(tables.register.c.cohort_id == asked, tables.register.c.closed_at.is_not(None))
    )
    return select(
        *(one.scalar_subquery() for one in (*told, *said, closed)), cohort.c.version
    ).where(cohort.c.id == asked)


_MARKING = _marking()


def mark(connection: Connection, cohort_id: str) -> str | None:
    """Another one whenever there are more facts or statements about the cohort, or it was changed.

    Only counts. None when there is no such cohort.
    """
    counted = connection.execute(_MARKING, {"cohort_id": cohort_id}).one_or_none()
    return None if counted is None else "-".join(str(n or 0) for n in counted)


def known_instances(
    connection: Connection, cohort: Cohort, session: Session, platform: Platform
) -> tuple[str, ...]:
    """The held instances that notifications named around a session, on that platform.

    Also those of a series that was since made anew.
    """
    table = tables.participant_event
    refs = [
        stored.series_ref
        for stored in series_store.all_series(connection, cohort.id)
        if stored.platform is platform
    ]
    rows = connection.execute(
        select(table.c.instance_ref)
        .distinct()
        .where(
            table.c.platform == platform.value,
            table.c.series_ref.in_(refs),
            table.c.instance_ref.is_not(None),
            table.c.source == Source.WEBHOOK.value,
            *_around(session),
        )
        .order_by(table.c.instance_ref)
    )
    return tuple(rows.scalars())


def _around(session: Session) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    table, (begins, ends) = tables.participant_event, window_of(session)
    return table.c.occurred_at >= begins, table.c.occurred_at <= ends


def places_of(connection: Connection, cohort: Cohort, session: Session) -> list[StoredSeries]:
    """The series in which a session was held, one for each platform on which it was.

    Whichever were heard of around its time, and on a platform where it was to be held and of which
    nothing was heard, the series that was in use then.
    """
    table = tables.participant_event
    known = series_store.all_series(connection, cohort.id)
    heard = set(
        connection.execute(
            select(table.c.series_ref)
            .distinct()
            .where(table.c.series_ref.in_([s.series_ref for s in known]), *_around(session))
        ).scalars()
    )
    found: list[StoredSeries] = []
    for platform in Platform:
        # Of a series that went before this was noted nothing is known but its name.
        here = [s for s in known if s.platform is platform and (s.organiser_ref or not s.ended_at)]
        told = [s for s in here if s.series_ref in heard]
        if not told and platform in cohort.held_on(session):
            former = [s for s in here if s.ended_at and s.ended_at > session.starts_at]
            told = (former or [s for s in here if not s.ended_at])[:1]
        found += told
    return found
