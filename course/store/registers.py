"""The registers: what is known of each session's record, and the verdicts when it was closed."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, or_, select, update

from course.model import CohortState, Platform, RegisterEntry, SessionState
from course.store import tables
from course.store.database import insert_new
from course.store.holding import hold_cohorts

# The platform's instances that count for a session overlap this much around it.
WINDOW_BEFORE = timedelta(minutes=30)
WINDOW_AFTER = timedelta(minutes=120)


def read_registers(connection: Connection, cohort_id: str) -> list[RegisterEntry]:
    """What is stored about each session's register."""
    table = tables.register
    rows = connection.execute(
        select(*(table.c[name] for name in RegisterEntry.__dataclass_fields__))
        .where(table.c.cohort_id == cohort_id)
        .order_by(table.c.week)
    ).mappings()
    return [RegisterEntry(**row) for row in rows]


def read_register(connection: Connection, cohort_id: str, week: int) -> RegisterEntry:
    """What is stored about one session's register; an empty entry when nothing is."""
    found = [entry for entry in read_registers(connection, cohort_id) if entry.week == week]
    return found[0] if found else RegisterEntry(week=week)


def save_register(
    connection: Connection,
    cohort_id: str,
    entry: RegisterEntry,
    verdicts: dict[str, Any] | None = None,
) -> None:
    """Store the state of a register; a closed one with its verdicts and the keys they rest on."""
    table = tables.register
    values = {**asdict(entry), "cohort_id": cohort_id}
    if verdicts is not None:
        values["verdicts"] = verdicts
    if not insert_new(connection, table, [values]):
        connection.execute(
            update(table)
            .where(table.c.cohort_id == cohort_id, table.c.week == entry.week)
            .values(**values)
        )


def due_records(connection: Connection, *, since: datetime, now: datetime) -> list[tuple[str, int]]:
    """(cohort id, week) of sessions whose record may be due: those that ended since then with an
    open register, and all whose record is wanted again. Of a cancelled cohort as long as a series
    of it stands: afterwards there is nothing to ask for."""
    session, register, cohort = tables.session, tables.register, tables.cohort
    series, former = tables.series, tables.former_series
    rows = connection.execute(
        select(session.c.cohort_id, session.c.week)
        .join(cohort, cohort.c.id == session.c.cohort_id)
        .outerjoin(
            register,
            and_(register.c.cohort_id == session.c.cohort_id, register.c.week == session.c.week),
        )
        .where(
            session.c.ends_at <= now,
            session.c.state == SessionState.SCHEDULED.value,
            or_(
                and_(session.c.ends_at > since, register.c.closed_at.is_(None)),
                register.c.resync_at <= now,
            ),
            or_(
                cohort.c.state != CohortState.CANCELLED.value,
                exists().where(
                    series.c.cohort_id == cohort.c.id,
                    series.c.series_ref.is_not(None),
                    series.c.cancelled_at.is_(None),
                ),
                exists().where(former.c.cohort_id == cohort.c.id, former.c.removed_at.is_(None)),
            ),
        )
        .order_by(session.c.ends_at, session.c.cohort_id)
    )
    return [(row[0], row[1]) for row in rows]


def _on(platform: Platform) -> ColumnElement[bool]:
    """Sessions that are held, or were begun, on that platform."""
    here, cohort = tables.session.c.platforms, tables.cohort
    return or_(
        and_(here.is_(None), cohort.c.platform == platform.value), here.contains(platform.value)
    )


def sessions_around(
    connection: Connection, platform: Platform, *, begins: datetime, ends: datetime
) -> list[tuple[str, int]]:
    """(cohort id, week) of the sessions that begin before and end after. One that had begun when
    its cohort was cancelled goes on."""
    session, cohort = tables.session, tables.cohort
    rows = connection.execute(
        select(session.c.cohort_id, session.c.week)
        .join(cohort, cohort.c.id == session.c.cohort_id)
        .where(
            _on(platform),
            session.c.state == SessionState.SCHEDULED.value,
            session.c.starts_at <= begins,
            session.c.ends_at >= ends,
        )
        .order_by(session.c.starts_at, session.c.cohort_id)
    )
    return [(row[0], row[1]) for row in rows]


def sessions_between(
    connection: Connection, *, since: datetime, until: datetime
) -> list[tuple[str, int]]:
    """(cohort id, week) of the sessions that begin in that span and are to be held."""
    session, cohort = tables.session, tables.cohort
    rows = connection.execute(
        select(session.c.cohort_id, session.c.week)
        .join(cohort, cohort.c.id == session.c.cohort_id)
        .where(
            cohort.c.state != CohortState.CANCELLED.value,
            session.c.state == SessionState.SCHEDULED.value,
            session.c.starts_at >= since,
            session.c.starts_at <= until,
        )
        .order_by(session.c.starts_at, session.c.cohort_id)
    )
    return [(row[0], row[1]) for row in rows]


def any_held(
    connection: Connection, platform: Platform, *, since: datetime, until: datetime
) -> bool:
    """Whether a session on that platform may have been held in that span."""
    session, cohort = tables.session, tables.cohort
    found = connection.execute(
        select(session.c.week)
        .join(cohort, cohort.c.id == session.c.cohort_id)
        .where(
            _on(platform),
            session.c.state == SessionState.SCHEDULED.value,
            session.c.starts_at < until + WINDOW_BEFORE,
            session.c.ends_at > since - WINDOW_AFTER,
        )
        .limit(1)
    )
    return found.first() is not None


def want_records(
    connection: Connection, cohort_id: str, *, since: datetime, until: datetime
) -> list[int]:
    """Notifications may have been lost in that span: ask the platform's record (again) of each
    session that it touches. The weeks."""
    hold_cohorts(connection, cohort_id)
    session = tables.session
    weeks = list(
        connection.execute(
            select(session.c.week)
            .where(
                session.c.cohort_id == cohort_id,
                session.c.state == SessionState.SCHEDULED.value,
                session.c.starts_at < until + WINDOW_BEFORE,
                session.c.ends_at > since - WINDOW_AFTER,
            )
            .order_by(session.c.week)
        ).scalars()
    )
    for week in weeks:
        entry = read_register(connection, cohort_id, week)
        wish = {"resync_at": until, "trouble_since": None}
        values = {**asdict(entry), "cohort_id": cohort_id, **wish}
        if not insert_new(connection, tables.register, [values]):
            connection.execute(
                update(tables.register)
                .where(tables.register.c.cohort_id == cohort_id, tables.register.c.week == week)
                .values(**wish)
            )
    return weeks
