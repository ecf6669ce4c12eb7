"""Writing many rows in the driver's own words: what arrives when a whole country joins at 10:00.

The one place beside SQLAlchemy's statements: preparing their parameters cost four fifths of the
writer's time. Tables and columns come from the metadata, values go as parameters as everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, Table

from course.store.types import Sealed, SealedJson, UtcDateTime, cipher_of

Encode = Callable[[Any], Any]
Row = tuple[Any, ...]
MOST_VALUES = 30_000  # in one statement; SQLite takes 32,766, PostgreSQL 65,535

_JSON = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


class Journal:
    """Appends rows to one table, each once. Rows are encoded before, by whoever brings them.

    The values arrive in the database exactly as through SQLAlchemy: sealed, and instants in UTC.
    """

    def __init__(self, table: Table, dialect: Dialect) -> None:
        columns = ", ".join(column.name for column in table.c)
        self._into = f"INSERT INTO {table.name} ({columns}) VALUES "  # nosec
        encoders = (_encoder(column.type, dialect) for column in table.c)
        self._encoders = tuple((n, encode) for n, encode in enumerate(encoders) if encode)
        mark = "?" if dialect.name == "sqlite" else "%s"
        self._marks = f"({', '.join([mark] * len(table.c))})"
        self.most = MOST_VALUES // len(table.c)
        self._key = next(n for n, column in enumerate(table.c) if column.primary_key)

    def encode(self, values: Sequence[Any]) -> Row:
        """One row as the driver takes it; `values` stand in the order of the table's columns."""
        row = list(values)
        for n, encode in self._encoders:
            if row[n] is not None:
                row[n] = encode(row[n])
        return tuple(row)

    def append(self, connection: Connection, rows: Sequence[Row]) -> int:
        """Insert the rows whose keys are not there yet; how many were new.

        One statement for all: between two of them SQLite's driver lets go of the interpreter and
        stands in line for it again, behind every request that is being read. In the order of their
        keys: two processes that write the same rows wait for each other in one direction only.
        """
        new = 0
        rows = sorted(rows, key=lambda row: str(row[self._key]))
        for start in range(0, len(rows), self.most):
            some = rows[start : start + self.most]
            # Names come from our own metadata, values are parameters.
            statement = f"{self._into}{', '.join([self._marks] * len(some))} ON CONFLICT DO NOTHING"  # nosec
            new += connection.exec_driver_sql(
                statement,
                tuple(value for row in some for value in row),
                execution_options={"preserve_rowcount": True},
            ).rowcount
        return new


@lru_cache
def journal(table: Table, dialect: Dialect) -> Journal:
    """The journal of a table; one for each database."""
    return Journal(table, dialect)


def _encoder(kind: object, dialect: Dialect) -> Encode | None:
    """How a column's values are written; None: as they are."""
    cipher = cipher_of(dialect)
    if isinstance(kind, Sealed):
        return cipher.seal
    if isinstance(kind, SealedJson):
        return lambda value: cipher.seal(_JSON.encode(value))
    if isinstance(kind, UtcDateTime):
        return _sqlite_instant if dialect.name == "sqlite" else _instant
    return None


def _instant(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a naive datetime must not be stored")
    return value if value.tzinfo is UTC else value.astimezone(UTC)


def _sqlite_instant(value: datetime) -> str:
    """As SQLAlchemy writes it: UTC without its zone, always with microseconds."""
    return _instant(value).isoformat(" ", "microseconds")[:26]
