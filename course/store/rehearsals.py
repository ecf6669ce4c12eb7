"""Rehearsals: offered, taken back, read. At most one of a cohort is still to come."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from course.model import Rehearsal
from course.store import tables
from course.store.holding import hold_cohorts


def offer_rehearsal(
    connection: Connection,
    cohort_id: str,
    *,
    starts_at: datetime,
    ends_at: datetime,
    offered_by: str,
    now: datetime,
) -> None:
    """Offer one; another that has not begun is replaced by it, those that were held stay."""
    hold_cohorts(connection, cohort_id)
    take_rehearsal_back(connection, cohort_id, now=now)
    connection.execute(
        insert(tables.rehearsal).values(
            id=uuid.uuid4().hex,
            cohort_id=cohort_id,
            starts_at=starts_at,
            ends_at=ends_at,
            offered_by=offered_by,
            offered_at=now,
        )
    )


def take_rehearsal_back(connection: Connection, cohort_id: str, *, now: datetime) -> bool:
    """Take back the one that has not begun; False when there is none.

    One that has begun stays for good: what was seen then must never become attendance.
    """
    table = tables.rehearsal
    found = connection.execute(
        update(table)
        .where(
            table.c.cohort_id == cohort_id, table.c.withdrawn_at.is_(None), table.c.starts_at > now
        )
        .values(withdrawn_at=now)
    )
    return found.rowcount > 0


def read_rehearsals(connection: Connection, cohort_id: str) -> tuple[Rehearsal, ...]:
    """Every rehearsal of a cohort, also those taken back, by their start."""
    table = tables.rehearsal
    rows = connection.execute(
        select(*(table.c[name] for name in Rehearsal.__dataclass_fields__))
        .where(table.c.cohort_id == cohort_id)
        .order_by(table.c.starts_at, table.c.id)
    ).mappings()
    return tuple(Rehearsal(**row) for row in rows)
