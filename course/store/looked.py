"""Until when a chore has looked at what came in, through restarts and whichever process does it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select, update

from course.store import tables
from course.store.database import insert_new

LATE_EVIDENCE = "late evidence"


def looked_until(connection: Connection, chore: str) -> datetime | None:
    """Until when; None: never."""
    table = tables.looked
    return connection.execute(select(table.c.until).where(table.c.chore == chore)).scalar()


def note_looked(
    connection: Connection, chore: str, *, before: datetime | None, until: datetime
) -> None:
    """Note that it has looked from `before` on, unless it was told meanwhile to look again."""
    table = tables.looked
    if before is None:
        insert_new(connection, table, [{"chore": chore, "until": until}])
        return
    connection.execute(
        update(table).where(table.c.chore == chore, table.c.until == before).values(until=until)
    )


def look_again(connection: Connection, chore: str, *, since: datetime) -> None:
    """What came in then can only be read now: look at it once more."""
    table = tables.looked
    connection.execute(
        update(table).where(table.c.chore == chore, table.c.until > since).values(until=since)
    )
