"""Subscriptions to live notifications, where the platform needs one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from course.model import Platform
from course.store import tables
from course.store.hashing import token_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWatch:
    """One subscription. `watch_ref` is None until the platform has confirmed it.

    It is stored before the platform is asked: the platform calls our endpoint, with our
    `client_state`, while we are still waiting for its answer.
    """

    id: str
    cohort_id: str
    platform: Platform
    series_ref: str
    client_state: str
    certificate_ref: str
    made_at: datetime
    watch_ref: str | None = None
    expires_at: datetime | None = None
    renewal_due_at: datetime | None = None
    ended_at: datetime | None = None
    problem: str | None = None
    renewed_at: datetime | None = None

    @property
    def last_sure_at(self) -> datetime:
        """When the platform last confirmed that it lives."""
        return self.renewed_at or self.made_at


def insert_watch(connection: Connection, watch: StoredWatch) -> None:
    """Store a subscription that is about to be made."""
    connection.execute(
        insert(tables.watch).values(
            **{
                **asdict(watch),
                "platform": watch.platform.value,
                "client_state_hash": token_hash(watch.client_state),
            }
        )
    )


def update_watch(connection: Connection, watch_id: str, **changes: datetime | str | None) -> None:
    """Note what became of a subscription; the names are those of `StoredWatch`."""
    connection.execute(update(tables.watch).where(tables.watch.c.id == watch_id).values(**changes))


def _columns() -> list[str]:
    return list(StoredWatch.__dataclass_fields__)


def live_watches(connection: Connection, cohort_id: str | None = None) -> list[StoredWatch]:
    """The subscriptions that have not ended, of one cohort or of all."""
    table = tables.watch
    query = select(*(table.c[name] for name in _columns())).where(table.c.ended_at.is_(None))
    if cohort_id is not None:
        query = query.where(table.c.cohort_id == cohort_id)
    rows = connection.execute(query.order_by(table.c.made_at, table.c.id)).mappings()
    return [StoredWatch(**{**row, "platform": Platform(row["platform"])}) for row in rows]


def outlived_watches(connection: Connection, *, since: datetime) -> list[StoredWatch]:
    """The subscriptions that have not ended, of cohorts without a session after `since`."""
    session = tables.session
    wanted = set(
        connection.execute(
            select(session.c.cohort_id).distinct().where(session.c.ends_at > since)
        ).scalars()
    )
    return [watch for watch in live_watches(connection) if watch.cohort_id not in wanted]


def find_watch(connection: Connection, client_state: str) -> StoredWatch | None:
    """The subscription with that shared secret, ended or not; found by hash, in even time."""
    table = tables.watch
    row = (
        connection.execute(
            select(*(table.c[name] for name in _columns())).where(
                table.c.client_state_hash == token_hash(client_state)
            )
        )
        .mappings()
        .one_or_none()
    )
    return StoredWatch(**{**row, "platform": Platform(row["platform"])}) if row else None
