"""Changing cohorts: versions, states, sessions, carers. Reading them is in `cohorts`.

A cohort's version is raised by each change of the staff; whatever works on a version shows its
state only as long as that version is the newest, so old work never overwrites newer news.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, select, update

from course.model import Cohort, CohortState, Platform, Session
from course.store import series, tables


def unsettled(connection: Connection) -> list[tuple[str, Platform, int]]:
    """(id, platform, version) of the cohorts with a change that is not carried out yet."""
    table = tables.cohort
    rows = connection.execute(
        select(table.c.id, table.c.platform, table.c.version)
        .where(table.c.settled_version < table.c.version)
        .order_by(table.c.created_at, table.c.id)
    )
    return [(row[0], Platform(row[1]), row[2]) for row in rows]


def show_state(
    connection: Connection, cohort_id: str, version: int, state: CohortState, problem: str | None
) -> bool:
    """Show how the work on one version goes; False when staff have changed the cohort since."""
    table = tables.cohort
    return bool(
        connection.execute(
            update(table)
            .where(table.c.id == cohort_id, table.c.version == version)
            .values(state=state.value, problem=problem)
        ).rowcount
    )


def settle(
    connection: Connection,
    cohort_id: str,
    version: int,
    state: CohortState,
    problem: str | None,
    *,
    now: datetime,
    drifted_at: datetime | None = None,
) -> bool:
    """The work on one version is over; False when staff have changed the cohort since."""
    table = tables.cohort
    return bool(
        connection.execute(
            update(table)
            .where(table.c.id == cohort_id, table.c.version == version)
            .values(
                state=state.value,
                problem=problem,
                settled_version=version,
                settled_at=now,
                drifted_at=drifted_at,
            )
        ).rowcount
    )


def raise_version(connection: Connection, cohort_id: str) -> int:
    """Staff changed the cohort: the platform must follow. The new version."""
    table = tables.cohort
    return int(
        connection.execute(
            update(table)
            .where(table.c.id == cohort_id)
            .values(version=table.c.version + 1, state=CohortState.OPENING.value, problem=None)
            .returning(table.c.version)
        ).scalar_one()
    )


def move_platform(
    connection: Connection,
    cohort: Cohort,
    platform: Platform,
    organiser: str,
    *,
    now: datetime,
    begun: Collection[int] = (),
) -> None:
    """The cohort meets on that platform from now on; what was held stays where it was held.

    A session under way belongs to both platforms. `begun`: the weeks in which people are already.
    """
    table = tables.session
    for session in cohort.sessions:
        held = session.platforms
        if session.ends_at <= now:
            held = held or (cohort.platform,)
        elif session.starts_at <= now or session.week in begun:
            held = tuple(dict.fromkeys((*(held or (cohort.platform,)), platform)))
        changed = {"platforms": " ".join(held) or None}
        if session.starts_at > now:
            changed["occurrence_ref"] = None
        connection.execute(
            update(table)
            .where(table.c.cohort_id == cohort.id, table.c.week == session.week)
            .values(**changed)
        )
    series.insert_series(connection, cohort.id, platform)
    series.update_series(connection, cohort.id, cohort.platform, organiser=cohort.organiser)
    connection.execute(
        update(tables.cohort)
        .where(tables.cohort.c.id == cohort.id)
        .values(platform=platform.value, organiser=organiser, moved_at=now, drifted_at=None)
    )


def ask_to_remake(connection: Connection, cohort_id: str, version: int) -> None:
    """With this version, a series that was deleted on the platform may be made again."""
    connection.execute(
        update(tables.cohort).where(tables.cohort.c.id == cohort_id).values(remake_version=version)
    )


def save_session(connection: Connection, cohort_id: str, session: Session) -> None:
    """Store a session as it is planned now."""
    table = tables.session
    connection.execute(
        update(table)
        .where(table.c.cohort_id == cohort_id, table.c.week == session.week)
        .values(
            starts_at=session.starts_at,
            ends_at=session.ends_at,
            state=session.state.value,
            occurrence_ref=session.occurrence_ref,
            sequence=session.sequence,
        )
    )


def withdraw_carers(connection: Connection, carer_ids: Sequence[str], *, now: datetime) -> None:
    """They no longer take part; what they attended stays."""
    table = tables.carer
    connection.execute(
        update(table)
        .where(table.c.id.in_(list(carer_ids)), table.c.withdrawn_at.is_(None))
        .values(withdrawn_at=now)
    )


def set_occurrence(connection: Connection, cohort_id: str, week: int, ref: str) -> None:
    """Note which of the platform's occurrences is that week's session."""
    connection.execute(
        update(tables.session)
        .where(tables.session.c.cohort_id == cohort_id, tables.session.c.week == week)
        .values(occurrence_ref=ref)
    )


def request_cancel(connection: Connection, cohort_id: str, *, now: datetime) -> None:
    """Ask a running opening to stop; the first asking stands."""
    connection.execute(
        update(tables.cohort)
        .where(tables.cohort.c.id == cohort_id, tables.cohort.c.cancel_requested_at.is_(None))
        .values(cancel_requested_at=now)
    )
