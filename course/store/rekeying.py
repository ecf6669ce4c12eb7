"""Sealing everything with the newest key, in small parts, as often as it is interrupted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from sqlalchemy import Column, Text, and_, func, select, type_coerce, update

from course.store import tables
from course.store.database import Database
from course.store.types import Sealed, SealedJson

PART = 500  # rows in one transaction: others write meanwhile
_BEFORE = len("v1.")
_KEY_ID = 8


def rekey(database: Database) -> int:
    """Seal anew whatever is sealed with an older key; how many values. Safe to repeat.

    Raises `UnreadableField` when a value's key is not at hand; nothing is lost then, and what was
    sealed anew before stays so.
    """
    return sum(_rekey(database, column) for column in _sealed_columns())


def keys_in_use(database: Database) -> dict[str, int]:
    """How many stored values each key has sealed, by the key's id."""
    found: Counter[str] = Counter()
    with database.read() as connection:
        for column in _sealed_columns():
            raw = type_coerce(column, Text())
            key = func.substr(raw, _BEFORE + 1, _KEY_ID)
            for row in connection.execute(
                select(key, func.count()).where(column.is_not(None)).group_by(key)
            ):
                found[row[0]] += row[1]
    return dict(found)


def _sealed_columns() -> Iterator[Column[object]]:
    for table in tables.metadata.sorted_tables:
        for column in table.c:
            if isinstance(column.type, Sealed | SealedJson):
                yield column


def _rekey(database: Database, column: Column[object]) -> int:
    table, cipher, count = column.table, database.cipher, 0
    raw = type_coerce(column, Text())
    keys = list(table.primary_key)
    old = select(*keys, raw.label("sealed")).where(
        column.is_not(None), raw.not_like(f"v1.{cipher.newest}.%")
    )
    while True:
        with database.write() as connection:
            rows = connection.execute(old.limit(PART)).all()
            for row in rows:
                # Only if nobody wrote it in between: what was written since is sealed anew anyway.
                ours = and_(*(k == v for k, v in zip(keys, row, strict=False)), raw == row.sealed)
                fresh = type_coerce(cipher.seal(cipher.open(row.sealed)), Text())
                connection.execute(update(table).where(ours).values({column: fresh}))
        count += len(rows)
        if len(rows) < PART:
            return count
