"""A database in trouble: somebody else holds its tables, or its disk is full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text

from course.store.database import Database


@contextmanager
def held_by_somebody(database: Database) -> Iterator[None]:
    """Nothing that comes in can be stored: another writer, or the tables are being written anew."""
    with database.write() as connection:
        if database.is_sqlite:
            connection.execute(text("UPDATE cohort SET version = 1"))
        else:
            connection.execute(text("LOCK TABLE notification, participant_event IN EXCLUSIVE MODE"))
        yield


@contextmanager
def without_room_for_facts(database: Database) -> Iterator[None]:
    """No participant event can be stored."""
    if database.is_sqlite:
        begins = ["ALTER TABLE participant_event RENAME TO away"]
        ends = ["ALTER TABLE away RENAME TO participant_event"]
    else:
        begins = [
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE SQLSTATE '53100'; END $$",
            "CREATE TRIGGER full_disk BEFORE INSERT ON participant_event EXECUTE FUNCTION "
            "full_disk()",
        ]
        ends = ["DROP TRIGGER full_disk ON participant_event", "DROP FUNCTION full_disk()"]
    _tell(database, begins)
    yield
    _tell(database, ends)


def _tell(database: Database, statements: list[str]) -> None:
    with database.write() as connection:
        for statement in statements:
            connection.execute(text(statement))
