"""Who was in a cohort before, went to another one and came back: by the transfers between them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, select

from course.store import tables


def who_was_here(connection: Connection, origins: Mapping[str, str | None]) -> dict[str, str]:
    """Carer id to the same person's id before, of those who were elsewhere in between.

    `origins`: every carer of one cohort, and who they were transferred from.
    """
    away = {before for before in origins.values() if before is not None} - {*origins}
    if not away:
        return {}
    earlier = _earlier(connection, away, here=origins.keys())
    found: dict[str, str] = {}
    for carer_id, origin in origins.items():
        before = origin
        while before is not None and before not in origins:
            before = earlier.get(before)
        if before is not None and before != origin:
            found[carer_id] = before
    return found


def _earlier(
    connection: Connection, away: Collection[str], *, here: Collection[str]
) -> dict[str, str | None]:
    """Who each of those was before, and before that, until they were in this cohort."""
    table, earlier, new = tables.carer, dict[str, str | None](), {*away}
    while new:
        rows = connection.execute(
            select(table.c.id, table.c.transferred_from).where(table.c.id.in_(new))
        ).all()
        earlier |= {row.id: row.transferred_from for row in rows}
        known = {*earlier, *here}
        new = {b for row in rows if (b := row.transferred_from) is not None and b not in known}
    return earlier
