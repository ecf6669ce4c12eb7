"""Places in a queue that every process shares: rates and numbers of calls at a time.

Times are seconds since the epoch on this machine's clock; the rows are small and few.
"""

from __future__ import annotations

from sqlalchemy import Connection, case, select, update

from course.store import tables
from course.store.database import insert_new


def take_turn(connection: Connection, bucket: str, *, interval: float, now: float) -> float:
    """When the caller's turn is, `interval` seconds after the turn before; it is then taken."""
    table = tables.pace
    insert_new(connection, table, [{"bucket": bucket, "place": 0, "free_at": 0.0}])
    begins = case((table.c.free_at > now, table.c.free_at), else_=now)
    return (
        float(
            connection.execute(
                update(table)
                .where(table.c.bucket == bucket, table.c.place == 0)
                .values(free_at=begins + interval)
                .returning(table.c.free_at)
            ).scalar_one()
        )
        - interval
    )


def take_place(
    connection: Connection, bucket: str, *, places: int, holder: str, until: float, now: float
) -> int | None:
    """One of `places` places, held until given back or until `until`; None when all are taken."""
    table = tables.pace
    insert_new(
        connection,
        table,
        [{"bucket": bucket, "place": n, "free_at": 0.0} for n in range(places)],
    )
    free = connection.execute(
        select(table.c.place)
        .where(table.c.bucket == bucket, table.c.place < places, table.c.free_at <= now)
        .order_by(table.c.place)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).scalar()
    if free is not None:
        connection.execute(
            update(table)
            .where(table.c.bucket == bucket, table.c.place == free)
            .values(free_at=until, holder=holder)
        )
    return free


def keep_place(
    connection: Connection, bucket: str, place: int, *, until: float, longer: float
) -> bool:
    """Hold a place until `longer`; False when its time ran out and somebody else has it."""
    table = tables.pace
    kept = connection.execute(
        update(table)
        .where(table.c.bucket == bucket, table.c.place == place, table.c.free_at == until)
        .values(free_at=longer)
    )
    return bool(kept.rowcount)


def give_place_back(connection: Connection, bucket: str, place: int, *, until: float) -> None:
    """Free the place, unless its time ran out and somebody else has it."""
    table = tables.pace
    connection.execute(
        update(table)
        .where(table.c.bucket == bucket, table.c.place == place, table.c.free_at == until)
        .values(free_at=0.0)
    )


def give_all_back(connection: Connection, holder: str) -> None:
    """Free what a process held when it died; it calls this when it starts again."""
    table = tables.pace
    connection.execute(
        update(table).where(table.c.holder == holder).values(free_at=0.0, holder=None)
    )
