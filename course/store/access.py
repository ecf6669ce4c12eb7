"""Access tokens (hashed, scoped, expiring) and the audit trail (append-only, chained)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert, select, update

from course.store import audit_trail, tables
from course.store.hashing import token_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """Who calls and what they may do. Roles: `admin`, `facilitator`, `viewer`.

    `cohort_ids` are the cohorts given to a facilitator or viewer; an admin sees all, and so does a
    viewer to whom none was given.
    """

    id: str
    name: str
    role: str
    cohort_ids: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


def insert_token(
    connection: Connection,
    *,
    token_id: str,
    token: str,
    name: str,
    role: str,
    cohort_ids: Sequence[str],
    now: datetime,
    expires_at: datetime | None,
) -> None:
    """Store a token's hash; the token itself is shown once and kept nowhere."""
    connection.execute(
        insert(tables.access_token).values(
            id=token_id,
            token_hash=token_hash(token),
            name=name,
            role=role,
            cohort_ids=list(cohort_ids),
            created_at=now,
            expires_at=expires_at,
        )
    )


def find_token(connection: Connection, token: str, *, now: datetime) -> AccessToken | None:
    """The live token, or None when unknown, expired or revoked."""
    return _live(connection, tables.access_token.c.token_hash == token_hash(token), now)


def find_token_of_id(connection: Connection, token_id: str, *, now: datetime) -> AccessToken | None:
    """The same of a token that was shown before."""
    return _live(connection, tables.access_token.c.id == token_id, now)


def _live(connection: Connection, which: ColumnElement[bool], now: datetime) -> AccessToken | None:
    table = tables.access_token
    row = (
        connection.execute(
            select(
                table.c.id,
                table.c.name,
                table.c.role,
                table.c.cohort_ids,
                table.c.created_at,
                table.c.expires_at,
                table.c.revoked_at,
            ).where(which)
        )
        .mappings()
        .one_or_none()
    )
    if row is None or row["revoked_at"] or (row["expires_at"] and row["expires_at"] <= now):
        return None
    return AccessToken(**{**row, "cohort_ids": tuple(row["cohort_ids"])})


def revoke_token(connection: Connection, token_id: str, *, now: datetime) -> bool:
    """End a token; False when there is none with that id."""
    table = tables.access_token
    done = connection.execute(
        update(table)
        .where(table.c.id == token_id, table.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    return bool(done.rowcount)


def add_audit(
    connection: Connection,
    *,
    actor: str,
    action: str,
    subject: str,
    now: datetime,
    detail: dict[str, Any] | None = None,
) -> None:
    """Append one line to the audit trail."""
    audit_trail.append(
        connection, at=now, actor=actor, action=action, subject=subject, detail=detail
    )


def audited_since(
    connection: Connection, *, actor: str, action: str, subject: str, since: datetime
) -> bool:
    """Whether that person did that to that subject since then."""
    done = done_to_since(connection, actor=actor, action=action, since=since)
    return any(subject == to for _, to in done)


def done_to_since(
    connection: Connection, *, actor: str, action: str, since: datetime
) -> list[tuple[datetime, str]]:
    """When that person did that since then, and to what."""
    table = tables.audit
    who = audit_trail.done_by(connection, actor, action)
    rows = connection.execute(
        select(table.c.at, table.c.subject).where(table.c.done_by == who, table.c.at >= since)
    )
    return [(at, subject) for at, subject in rows]


def done_since(
    connection: Connection, *, actor: str, actions: Sequence[str], since: datetime
) -> list[datetime]:
    """When that person did one of those things since then."""
    table = tables.audit
    who = [audit_trail.done_by(connection, actor, action) for action in actions]
    query = select(table.c.at).where(table.c.done_by.in_(who), table.c.at > since)
    return list(connection.execute(query).scalars())
