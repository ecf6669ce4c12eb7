"""With what somebody begins to sign in here: a one-time link, or an access token.

A link is used up only when somebody is let in, so that it is not lost by a mistyped code.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from course.store import access, staff_sessions
from course.store.database import Connection, Database
from course.store.hashing import token_hash
from course.store.staff_sessions import Staff


@dataclass(frozen=True, slots=True)
class FirstFactor:
    """A link by its hash, or a token by its id: neither is good for anything by itself."""

    kind: Literal["link", "token"]
    ref: str

    @property
    def token_id(self) -> str | None:
        """The token with which the session shall end."""
        return self.ref if self.kind == "token" else None

    def find(self, database: Database, *, now: datetime) -> Staff | None:
        """Who signs in with it; None when it is no longer good."""
        with database.read() as connection:
            if self.kind == "link":
                return staff_sessions.find_link(connection, self.ref, now=now)
            return of_token(access.find_token_of_id(connection, self.ref, now=now))

    def use(self, connection: Connection, *, now: datetime) -> Staff | None:
        """The same; from now on a link signs nobody in."""
        if self.kind == "token":
            return of_token(access.find_token_of_id(connection, self.ref, now=now))
        return staff_sessions.use_link(connection, self.ref, now=now)


def by_link(link: str) -> FirstFactor:
    """The link that somebody followed, whether it is good or not."""
    return FirstFactor("link", token_hash(link[:100]))


def by_token(database: Database, token: str, *, now: datetime) -> FirstFactor | None:
    """The token that somebody typed, if it is good."""
    if not (token.isascii() and 0 < len(token) <= 200):
        return None
    with database.read() as connection:
        found = access.find_token(connection, token, now=now)
    return None if found is None else FirstFactor("token", found.id)


def of_token(found: access.AccessToken | None) -> Staff | None:
    """Whoever holds the token."""
    if found is None:
        return None
    return Staff(name=found.name, role=found.role, cohort_ids=found.cohort_ids)
