"""Which version of the privacy notice each carer was shown, and when for the first time."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from course.store import tables
from course.store.database import insert_new


def note_shown(connection: Connection, carer_id: str, version: str, *, now: datetime) -> None:
    """Keep that it was shown; the first time stands."""
    insert_new(
        connection,
        tables.notice_shown,
        [{"carer_id": carer_id, "version": version, "first_shown_at": now}],
    )


def read_shown(connection: Connection, carer_id: str) -> dict[str, datetime]:
    """The versions that a carer was shown, with the first time of each."""
    table = tables.notice_shown
    rows = connection.execute(
        select(table.c.version, table.c.first_shown_at)
        .where(table.c.carer_id == carer_id)
        .order_by(table.c.first_shown_at, table.c.version)
    )
    return {row[0]: row[1] for row in rows}
