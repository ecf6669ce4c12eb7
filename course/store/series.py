"""The platform's object behind a cohort, and each carer's way into it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update

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
