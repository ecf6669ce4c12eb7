"""Deciding and writing as one, whoever else is at it: what was read stays true until the commit.

SQLite has one writer at a time, so there it is always so. On PostgreSQL two transactions may read
the same and both write what follows from it, unless one has to wait for the other before it reads.
https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-ROWS
"""

from __future__ import annotations

from sqlalchemy import Connection, select

from course.store import tables


def hold_cohorts(connection: Connection, *cohort_ids: str) -> None:
    """From here to the end of the transaction nobody else holds one of these cohorts.

    Read after it, not before; and hold before the audit trail is written, which comes last
    everywhere. What only refers to a cohort, like the facts that come in, does not wait.
    """
    table = tables.cohort
    connection.execute(
        select(table.c.id)
        .where(table.c.id.in_(cohort_ids))
        .order_by(table.c.id)  # all in one order, or two would wait for one another
        .with_for_update(key_share=True)
    )
