"""Authenticator apps: one for each person who signs in by link or token, found by their name.

The name is that on their links and tokens, so a new link meets the same app. A code is used up by
being accepted: its half minute is kept, and only later ones are accepted after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select, update

from course.store import audit_trail, tables
from course.store.database import insert_new

# A person may sign in once a year. By then whatever link or token they had has ended long ago.
UNUSED = timedelta(days=731)


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """The app of one person."""

    secret: str = field(repr=False)
    added_at: datetime


def find_factor(connection: Connection, name: str) -> Factor | None:
    """The app of that person, if they have set one up."""
    table = tables.second_factor
    row = connection.execute(
        select(table.c.secret, table.c.added_at).where(
            table.c.person == audit_trail.person(connection, name)
        )
    ).one_or_none()
    return None if row is None else Factor(secret=row.secret, added_at=row.added_at)


def add_factor(connection: Connection, name: str, secret: str, *, step: int, now: datetime) -> bool:
    """Keep an app whose code of `step` was shown; False when the person has one already."""
    row = {
        "person": audit_trail.person(connection, name, keep=True),
        "name": name,
        "secret": secret,
        "last_step": step,
        "added_at": now,
        "used_at": now,
    }
    return bool(insert_new(connection, tables.second_factor, [row]))


def use_code(connection: Connection, name: str, *, step: int, now: datetime) -> bool:
    """Use up the code of `step`; False when it or a later one was used. Of two at once only one
    gets in.
    """
    table = tables.second_factor
    used = connection.execute(
        update(table)
        .where(table.c.person == audit_trail.person(connection, name), table.c.last_step < step)
        .values(last_step=step, used_at=now)
    )
    return bool(used.rowcount)


def remove_factor(connection: Connection, name: str) -> bool:
    """Forget the app of that person; False when there is none."""
    table = tables.second_factor
    gone = delete(table).where(table.c.person == audit_trail.person(connection, name))
    return bool(connection.execute(gone).rowcount)


def forget_unused(connection: Connection, *, now: datetime) -> int:
    """Forget the apps of those who have long not signed in; how many."""
    table = tables.second_factor
    return connection.execute(delete(table).where(table.c.used_at < now - UNUSED)).rowcount
