"""A whole installation from one database into another, as it is: nothing sealed is opened.

SQLite to PostgreSQL or back. All of it in one transaction on the target, and compared row by row
before that is committed: either everything is there and the same, or the target is as it was.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Integer,
    MetaData,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.exc import DataError, IntegrityError

from course.store import tables
from course.store.database import Database
from course.store.types import Sealed, SealedJson

BATCH = 1000  # rows
MADE_BY_MIGRATIONS = frozenset({"audit_head"})  # which a database has before anything happened
NOTED_BY_TRIGGERS = frozenset({"cohort_change"})


class NotCopied(Exception):
    """Nothing was copied; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What one table holds: how many rows, and a hash over all of them in whatever order."""

    rows: int
    sha256: str


def plain_tables() -> list[Table]:
    """Our tables, parents first, with what is sealed as the text that is stored."""
    plain = MetaData()
    for table in tables.metadata.sorted_tables:
        copy = table.to_metadata(plain)
        for column in copy.columns:
            if isinstance(column.type, Sealed | SealedJson):
                column.type = Text()
    return list(plain.sorted_tables)


def contents(connection: Connection, table: Table) -> Contents:
    """Read a table through. Both databases give the same for the same rows."""
    rows = total = 0
    for batch in _batches(connection, table):
        for row in batch:
            hashed = hashlib.sha256(_canonical(row).encode()).digest()
            total = (total + int.from_bytes(hashed)) % 2**256
            rows += 1
    return Contents(rows, f"{total:064x}")


def all_contents(connection: Connection) -> dict[str, Contents]:
    """What every table holds."""
    return {table.name: contents(connection, table) for table in plain_tables()}


def is_empty(connection: Connection) -> bool:
    """Whether nothing has ever happened in this database."""
    return not any(
        connection.execute(select(func.count()).select_from(table)).scalar_one()
        for table in plain_tables()
        if table.name not in MADE_BY_MIGRATIONS
    )


def refuse_if_in_use(database: Database) -> None:
    """Raise `NotCopied` while anybody else has the database open: they might write."""
    database.close()  # our own connections would be in the way
    if not database.is_sqlite:
        with database.read() as connection:
            others = connection.execute(
                text(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                    "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )
            ).scalar_one()
        if others:
            raise NotCopied(f"The database is in use ({others} connections). {_STOP}")
        return
    # Only a connection that is alone may stop sharing the file with others. The next one shares it
    # again, as ours always do.
    path = database.engine.url.database or ""
    with closing(sqlite3.connect(path, timeout=1, isolation_level=None)) as alone:
        try:
            mode = alone.execute("PRAGMA journal_mode=DELETE").fetchone()[0]
        except sqlite3.OperationalError:
            mode = ""
    if mode != "delete":
        raise NotCopied(f"The database is in use. {_STOP}")


_STOP = "Stop the service and every other circle command, then run this again."


def copy_everything(
    source: Database,
    target: Database,
    *,
    told: Callable[[str, int], None],
    replace: bool = False,
    finish: Callable[[Connection], None] = lambda _connection: None,
) -> dict[str, Contents]:
    """Copy all tables and compare them; what each holds. Raises `NotCopied`.

    `told` hears of each table and how many rows of it were copied. `replace`: what the target
    holds is given up. `finish` is done to the target together with the copying, or neither is.
    """
    if source.version() != target.version():
        raise NotCopied("The two databases are of different releases; run circle db upgrade.")
    found: dict[str, Contents] = {}
    with source.read(snapshot=True) as here, target.write() as there:
        if not replace and not is_empty(there):
            raise NotCopied(
                "There is something in the target already. Give the address of an empty database."
            )
        for table in reversed(plain_tables()):
            there.execute(delete(table))
        # What the target itself notes of our writing goes again, before its own rows come.
        for table in sorted(plain_tables(), key=lambda table: table.name in NOTED_BY_TRIGGERS):
            if table.name in NOTED_BY_TRIGGERS:
                there.execute(delete(table))
            rows = 0
            for batch in _batches(here, table):
                try:
                    there.execute(insert(table), batch)
                except (DataError, IntegrityError) as e:  # its text would hold the row
                    raise NotCopied(
                        f"The table {table.name} holds something that the target does not take "
                        f"({type(e.orig).__name__}); nothing was kept. Please report this."
                    ) from None
                rows += len(batch)
            told(table.name, rows)
            go_on_counting(there, table)
        for table in plain_tables():
            found[table.name] = contents(here, table)
            if contents(there, table) != found[table.name]:
                raise NotCopied(
                    f"The table {table.name} did not arrive as it is; nothing was kept. "
                    "Please report this."
                )
        finish(there)
    return found


def _batches(connection: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    rows = connection.execute(select(table), execution_options={"yield_per": BATCH})
    for batch in rows.mappings().partitions(BATCH):
        yield [dict(row) for row in batch]


def _canonical(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True, ensure_ascii=False, default=_as_text)


def _as_text(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__} cannot be compared")


def go_on_counting(connection: Connection, table: Table) -> None:
    """Number new rows after those that were brought.

    PostgreSQL numbers rows by a sequence, which knows nothing of rows that came with a number.
    """
    keys = list(table.primary_key.columns)
    if connection.dialect.name != "postgresql" or len(keys) != 1:
        return
    (key,) = keys
    if not isinstance(key.type, Integer):
        return
    last = connection.execute(select(func.max(key))).scalar()
    sequence = connection.execute(
        select(func.pg_get_serial_sequence(table.name, key.name))
    ).scalar()
    if sequence is not None and last is not None:
        connection.execute(select(func.setval(sequence, last)))
