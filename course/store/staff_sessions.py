"""Who is signed in in a browser: one-time links, and sessions that end by themselves.

Links and session ids are random and long, and kept as hashes only. A session that was begun with an
access token lives no longer than the token.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, Connection, Row, and_, func, insert, or_, select, update

from course.store import tables
from course.store.audit_trail import plain_person
from course.store.hashing import token_hash

IDLE = timedelta(hours=1)
LONGEST = timedelta(hours=12)
NOTE_EVERY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    """Whoever signs in. Roles and cohorts are those of access tokens.

    `account` is the identity provider's own id of the person, who may share the name of another.
    """

    name: str
    role: str
    cohort_ids: tuple[str, ...]
    account: str | None = None


def insert_link(
    connection: Connection, link: str, staff: Staff, *, now: datetime, expires_at: datetime
) -> None:
    """A link that signs one person in, once."""
    connection.execute(
        insert(tables.signin_link).values(
            link_hash=token_hash(link),
            name=staff.name,
            role=staff.role,
            cohort_ids=list(staff.cohort_ids),
            created_at=now,
            expires_at=expires_at,
        )
    )


def find_link(connection: Connection, link_hash: str, *, now: datetime) -> Staff | None:
    """Whom the link of that hash signs in; None when it is unknown, used or too old."""
    table = tables.signin_link
    row = connection.execute(
        select(table).where(
            table.c.link_hash == link_hash,
            table.c.used_at.is_(None),
            table.c.expires_at > now,
        )
    ).one_or_none()
    return None if row is None else _staff(row)


def use_link(connection: Connection, link_hash: str, *, now: datetime) -> Staff | None:
    """The same, and from now on it signs nobody in. Of two at once only one gets in."""
    found = find_link(connection, link_hash, now=now)
    table = tables.signin_link
    used = connection.execute(
        update(table)
        .where(table.c.link_hash == link_hash, table.c.used_at.is_(None))
        .values(used_at=now)
    )
    return found if used.rowcount else None


def insert_session(
    connection: Connection,
    session: str,
    staff: Staff,
    *,
    now: datetime,
    token_id: str | None = None,
) -> None:
    """Somebody has signed in."""
    connection.execute(
        insert(tables.staff_session).values(
            session_hash=token_hash(session),
            name=staff.name,
            role=staff.role,
            cohort_ids=list(staff.cohort_ids),
            created_at=now,
            token_id=token_id,
            account=staff.account,
            seen_at=now,
        )
    )


def find_session(connection: Connection, session: str, *, now: datetime) -> Staff | None:
    """Who is signed in; None when the session ended, was idle too long, or its token died."""
    table, token = tables.staff_session, tables.access_token
    row = connection.execute(
        select(table.c.name, table.c.role, table.c.cohort_ids, table.c.account)
        .join(token, token.c.id == table.c.token_id, isouter=True)
        .where(
            table.c.session_hash == token_hash(session),
            table.c.ended_at.is_(None),
            table.c.seen_at > now - IDLE,
            table.c.created_at > now - LONGEST,
            token.c.revoked_at.is_(None),
            or_(token.c.expires_at.is_(None), token.c.expires_at > now),
        )
    ).one_or_none()
    return None if row is None else _staff(row)


def wants_noting(connection: Connection, session: str, *, now: datetime) -> bool:
    """Whether it is time to note that the session is in use; not with every click."""
    seen_at = connection.execute(
        select(tables.staff_session.c.seen_at).where(
            tables.staff_session.c.session_hash == token_hash(session)
        )
    ).scalar()
    return seen_at is not None and now - seen_at >= NOTE_EVERY


def note_session(connection: Connection, session: str, *, now: datetime) -> None:
    """The session is in use."""
    connection.execute(
        update(tables.staff_session)
        .where(tables.staff_session.c.session_hash == token_hash(session))
        .values(seen_at=now)
    )


def end_sessions(
    connection: Connection, *, session: str | None = None, of: Staff | None = None, now: datetime
) -> int:
    """End one session, or all of one person; how many were live."""
    table = tables.staff_session
    if of is None:
        ended = [token_hash(session or "")]
    else:
        # Names are sealed, so the live sessions are read and compared here.
        live = connection.execute(
            select(table.c.session_hash, table.c.name).where(
                table.c.account.is_(None) if of.account is None else table.c.account == of.account,
                table.c.ended_at.is_(None),
                table.c.created_at > now - LONGEST,
            )
        )
        ended = [row.session_hash for row in live if of.account or row.name == of.name]
    done = connection.execute(
        update(table)
        .where(table.c.session_hash.in_(ended), table.c.ended_at.is_(None))
        .values(ended_at=now)
    )
    return int(done.rowcount)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How many of each kind were live and are no longer."""

    sessions: int
    links: int
    tokens: int


def shut_out(connection: Connection, name: str, *, now: datetime) -> Ended:
    """End every session, unused link and access token of people of that name, at once."""
    wanted = plain_person(name)

    def end(key: Column[Any], named: Column[Any], live: Any, **values: datetime) -> int:
        # Names are sealed, so the live ones are read and compared here.
        rows = connection.execute(select(key, named).where(live)).all()
        keys = [row[0] for row in rows if plain_person(row[1]) == wanted]
        if not keys:
            return 0
        asked = update(key.table).where(key.in_(keys), live).values(**values)
        return int(connection.execute(asked).rowcount)

    session, link, token = (
        tables.staff_session.c,
        tables.signin_link.c,
        tables.access_token.c,
    )
    recent = and_(session.ended_at.is_(None), session.created_at > now - LONGEST)
    unused = and_(link.used_at.is_(None), link.expires_at > now)
    return Ended(
        sessions=end(session.session_hash, session.name, recent, ended_at=now),
        links=end(link.link_hash, link.name, unused, used_at=now),
        tokens=end(token.id, token.name, token.revoked_at.is_(None), revoked_at=now),
    )


def anybody_known(connection: Connection) -> bool:
    """Whether there ever was an access token or a session: if not, this is the first start."""
    return any(
        connection.execute(select(func.count()).select_from(table)).scalar()
        for table in (tables.access_token, tables.staff_session)
    )


def _staff(row: Row[*tuple[Any, ...]]) -> Staff:
    account = getattr(row, "account", None)  # links name nobody's
    return Staff(name=row.name, role=row.role, cohort_ids=tuple(row.cohort_ids), account=account)
