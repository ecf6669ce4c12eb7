"""The platform's object behind a cohort, and each carer's way into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, select, union, update

from course.model import Platform
from course.store import tables
from course.store.database import insert_new


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSeries:
    """What we know of the platform's object. `attempted_at`: a create call may have gone out."""

    cohort_id: str
    platform: Platform
    attempted_at: datetime | None = None
    series_ref: str | None = None
    organiser_ref: str | None = None
    meeting_ref: str | None = None
    join_url: str | None = None
    cancelled_at: datetime | None = None


def read_series(connection: Connection, cohort_id: str, platform: Platform) -> StoredSeries | None:
    """What is known of the cohort's series on that platform."""
    row = (
        connection.execute(
            select(tables.series).where(
                tables.series.c.cohort_id == cohort_id,
                tables.series.c.platform == platform.value,
            )
        )
        .mappings()
        .one_or_none()
    )
    return StoredSeries(**{**row, "platform": platform}) if row is not None else None


def series_around(
    connection: Connection, platform: Platform, *, begins: datetime, ends: datetime
) -> list[StoredSeries]:
    """The series of cohorts that have a session near that span."""
    session, near = tables.session, timedelta(hours=3)
    rows = connection.execute(
        select(tables.series)
        .distinct()
        .join(session, session.c.cohort_id == tables.series.c.cohort_id)
        .where(
            tables.series.c.platform == platform.value,
            tables.series.c.series_ref.is_not(None),
            session.c.starts_at < ends + near,
            session.c.ends_at > begins - near,
        )
        .order_by(tables.series.c.cohort_id)
    ).mappings()
    return [StoredSeries(**{**row, "platform": platform}) for row in rows]


def update_series(
    connection: Connection, cohort_id: str, platform: Platform, **changes: datetime | str | None
) -> None:
    """Note what was learnt about the series; the names are those of `StoredSeries`."""
    connection.execute(
        update(tables.series)
        .where(tables.series.c.cohort_id == cohort_id, tables.series.c.platform == platform.value)
        .values(**changes)
    )


def save_invitation(
    connection: Connection,
    carer_id: str,
    platform: Platform,
    *,
    ref: str | None,
    join_url: str | None,
    problem: str | None = None,
) -> None:
    """Note how a carer gets in on that platform, or why they cannot yet."""
    values = {"invitation_ref": ref, "join_url": join_url, "problem": problem}
    table = tables.invitation
    if not insert_new(
        connection, table, [{"carer_id": carer_id, "platform": platform.value, **values}]
    ):
        connection.execute(
            update(table)
            .where(table.c.carer_id == carer_id, table.c.platform == platform.value)
            .values(**values)
        )


def read_invitation(connection: Connection, carer_id: str, platform: Platform) -> bool:
    """Whether the platform was, or may have been, asked to let this carer in."""
    table = tables.invitation
    found = connection.execute(
        select(table.c.carer_id).where(
            table.c.carer_id == carer_id, table.c.platform == platform.value
        )
    ).scalar()
    return found is not None


def forget_invitations(
    connection: Connection, carer_ids: Sequence[str], platform: Platform
) -> None:
    """These carers' links on that platform are no more; whom they named is not forgotten."""
    table = tables.invitation
    gone = connection.execute(
        select(table.c.carer_id, table.c.invitation_ref).where(
            table.c.carer_id.in_(list(carer_ids)),
            table.c.platform == platform.value,
            table.c.invitation_ref.is_not(None),
        )
    ).mappings()
    insert_new(connection, tables.former_invitation, [dict(row) for row in gone])
    connection.execute(
        delete(table).where(
            table.c.carer_id.in_(list(carer_ids)), table.c.platform == platform.value
        )
    )


def forget_refusals(connection: Connection, cohort_id: str) -> None:
    """Let everybody who could not be invited be invited again."""
    table = tables.invitation
    carers = select(tables.carer.c.id).where(tables.carer.c.cohort_id == cohort_id)
    connection.execute(
        delete(table).where(table.c.carer_id.in_(carers), table.c.problem.is_not(None))
    )


def retire_series(
    connection: Connection, cohort_id: str, platform: Platform, *, now: datetime
) -> None:
    """The series is gone from the platform: what it showed still counts, another may be made."""
    stored = read_series(connection, cohort_id, platform)
    if stored is None or stored.series_ref is None:
        return
    insert_new(
        connection,
        tables.former_series,
        [
            {
                "platform": platform.value,
                "series_ref": stored.series_ref,
                "cohort_id": cohort_id,
                "ended_at": now,
            }
        ],
    )
    update_series(
        connection,
        cohort_id,
        platform,
        attempted_at=None,
        series_ref=None,
        organiser_ref=None,
        meeting_ref=None,
        join_url=None,
    )
    carers = select(tables.carer.c.id).where(tables.carer.c.cohort_id == cohort_id)
    forget_invitations(connection, list(connection.execute(carers).scalars()), platform)


def count_former(connection: Connection, cohort_id: str) -> int:
    """How many series of this cohort are gone."""
    table = tables.former_series
    return connection.execute(
        select(func.count()).select_from(table).where(table.c.cohort_id == cohort_id)
    ).scalar_one()


def find_cohort(connection: Connection, platform: Platform, ref: str) -> str | None:
    """The id of the cohort whose live series, or one occurrence of it, that is; or None."""
    series, session = tables.series, tables.session
    whole = select(series.c.cohort_id).where(
        series.c.platform == platform.value, series.c.series_ref == ref
    )
    part = (
        select(session.c.cohort_id)
        .join(tables.cohort, tables.cohort.c.id == session.c.cohort_id)
        .where(tables.cohort.c.platform == platform.value, session.c.occurrence_ref == ref)
    )
    return connection.execute(union(whole, part)).scalars().first()
