"""Subscriptions to the calendars in which our series stand: one for each mailbox."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, or_, select, update

from course.model import Platform
from course.store import tables
from course.store.database import insert_new
from course.store.hashing import token_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMailboxWatch:
    """One subscription. `watch_ref` is None until the platform has confirmed it."""

    platform: Platform
    mailbox_ref: str
    client_state: str
    watch_ref: str | None = None
    expires_at: datetime | None = None
    renewal_due_at: datetime | None = None
    problem: str | None = None


def mailboxes_in_use(connection: Connection, platform: Platform, *, since: datetime) -> list[str]:
    """The mailboxes with a series of a live cohort that has a session after `since`."""
    series, cohort, session = tables.series, tables.cohort, tables.session
    return list(
        connection.execute(
            select(series.c.organiser_ref)
            .distinct()
            .join(cohort, cohort.c.id == series.c.cohort_id)
            .join(session, session.c.cohort_id == cohort.c.id)
            .where(
                series.c.platform == platform.value,
                series.c.series_ref.is_not(None),
                series.c.organiser_ref.is_not(None),
                series.c.cancelled_at.is_(None),
                session.c.ends_at > since,
            )
            .order_by(series.c.organiser_ref)
        ).scalars()
    )


def _query() -> list[str]:
    return list(StoredMailboxWatch.__dataclass_fields__)


def read_mailbox_watch(
    connection: Connection, platform: Platform, mailbox_ref: str, *, fresh_state: str
) -> StoredMailboxWatch:
    """The mailbox's subscription; noted with `fresh_state` when there is none yet."""
    table = tables.mailbox_watch
    insert_new(
        connection,
        table,
        [
            {
                "platform": platform.value,
                "mailbox_ref": mailbox_ref,
                "client_state": fresh_state,
                "client_state_hash": token_hash(fresh_state),
            }
        ],
    )
    row = (
        connection.execute(
            select(*(table.c[name] for name in _query())).where(
                table.c.platform == platform.value, table.c.mailbox_ref == mailbox_ref
            )
        )
        .mappings()
        .one()
    )
    return StoredMailboxWatch(**{**row, "platform": Platform(row["platform"])})


def take_mailbox_watch(
    connection: Connection, watch: StoredMailboxWatch, *, until: datetime, now: datetime
) -> bool:
    """Have it to oneself until then; False when it is not due, or another process was quicker."""
    table = tables.mailbox_watch
    due = table.c.renewal_due_at
    taken = connection.execute(
        update(table)
        .where(
            table.c.platform == watch.platform.value,
            table.c.mailbox_ref == watch.mailbox_ref,
            or_(due.is_(None), due <= now),
        )
        .values(renewal_due_at=until)
    )
    return bool(taken.rowcount)


def ask_for_renewal(connection: Connection, watch: StoredMailboxWatch, *, now: datetime) -> None:
    """Let the next round see to it."""
    table = tables.mailbox_watch
    connection.execute(
        update(table)
        .where(table.c.platform == watch.platform.value, table.c.mailbox_ref == watch.mailbox_ref)
        .values(renewal_due_at=now)
    )


def forget_mailbox_watch(connection: Connection, watch: StoredMailboxWatch) -> None:
    """Keep nothing of it: it has ended."""
    table = tables.mailbox_watch
    connection.execute(
        delete(table).where(
            table.c.platform == watch.platform.value, table.c.mailbox_ref == watch.mailbox_ref
        )
    )


def note_mailbox_watch(
    connection: Connection,
    watch: StoredMailboxWatch,
    *,
    watch_ref: str | None,
    expires_at: datetime | None,
    renewal_due_at: datetime | None,
    problem: str | None,
) -> None:
    """Note what became of it."""
    table = tables.mailbox_watch
    connection.execute(
        update(table)
        .where(table.c.platform == watch.platform.value, table.c.mailbox_ref == watch.mailbox_ref)
        .values(
            watch_ref=watch_ref,
            expires_at=expires_at,
            renewal_due_at=renewal_due_at,
            problem=problem,
        )
    )


def find_mailbox_watch(connection: Connection, client_state: str) -> StoredMailboxWatch | None:
    """The subscription with that shared secret; found by hash, in even time."""
    table = tables.mailbox_watch
    row = (
        connection.execute(
            select(*(table.c[name] for name in _query())).where(
                table.c.client_state_hash == token_hash(client_state)
            )
        )
        .mappings()
        .one_or_none()
    )
    return StoredMailboxWatch(**{**row, "platform": Platform(row["platform"])}) if row else None


def all_mailbox_watches(connection: Connection) -> list[StoredMailboxWatch]:
    """Every subscription to a calendar."""
    table = tables.mailbox_watch
    rows = connection.execute(
        select(*(table.c[name] for name in _query())).order_by(table.c.mailbox_ref)
    ).mappings()
    return [StoredMailboxWatch(**{**row, "platform": Platform(row["platform"])}) for row in rows]
