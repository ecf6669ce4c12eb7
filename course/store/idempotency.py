"""Idempotency keys: which cohort a key was first used for, and with which body."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from course.store import tables
from course.store.database import insert_new
from course.store.hashing import token_hash


def reserve_key(
    connection: Connection, *, key: str, fingerprint: str, cohort_id: str, now: datetime
) -> tuple[str, str]:
    """Bind an idempotency key to a cohort; returns the (cohort id, fingerprint) it is bound to.

    The cohort row must exist already or be inserted in the same transaction.
    """
    hashed = token_hash(key)
    insert_new(
        connection,
        tables.idempotency,
        [{"key": hashed, "fingerprint": fingerprint, "cohort_id": cohort_id, "created_at": now}],
    )
    return read_key(connection, key=key) or (cohort_id, fingerprint)


def read_key(connection: Connection, *, key: str) -> tuple[str, str] | None:
    """The (cohort id, fingerprint) that an idempotency key is bound to, or None."""
    row = connection.execute(
        select(tables.idempotency.c.cohort_id, tables.idempotency.c.fingerprint).where(
            tables.idempotency.c.key == token_hash(key)
        )
    ).one_or_none()
    return (row[0], row[1]) if row is not None else None
