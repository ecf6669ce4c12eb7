"""Notifications: the deliveries as they came, kept once, and what became of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, literal_column, select, update

from course.forgotten import Forgotten
from course.model import ParticipantEvent, Platform
from course.store import tables
from course.store.database import Database
from course.store.evidence import event_values
from course.store.journal import Row, journal
from course.store.tombstones import read_forgotten

Encoded = tuple[Row | None, list[Row]]
OPEN = ("waiting", "parked", "quarantined", "dropped", "flagged")
ERASED_SINCE = "about somebody who was erased"
VALIDATION = "'endpoint.url_validation'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One HTTP delivery as received, minimised. The same delivery has the same `id`.

    `state`: `done`; `waiting`: stored, but not read yet (a key is missing, or what it points to
    has not been fetched), tried again later; `parked`: tried often enough, a person must look;
    `flagged`: the platform says that it is done with us, until a person settles it;
    `quarantined`: cannot be read; `dropped`: turned out not to be believed.
    `body` is None where nothing of it needs to be kept.
    """

    id: str
    platform: Platform
    received_at: datetime
    kind: str
    body: str | None
    series_ref: str | None = None
    instance_ref: str | None = None
    state: str = "done"
    reason: str | None = None
    attempts: int = 0


class EvidenceJournal:
    """Stores deliveries: encoded by whoever brings them, written many at a time."""

    def __init__(self, database: Database) -> None:
        dialect = database.engine.dialect
        self._notifications = journal(tables.notification, dialect)
        self._events = journal(tables.participant_event, dialect)
        self._database = database
        self._forgotten = Forgotten()

    def look_for_erased(self) -> None:
        """Read who was erased: whoever brings deliveries cannot ask the database for each."""
        with self._database.read() as connection:
            self._forgotten = read_forgotten(connection)

    def encode(
        self, notification: Notification | None, events: Iterable[ParticipantEvent]
    ) -> Encoded:
        """A delivery as rows. One that tells just one fact is kept as that fact, without a
        notification of its own: whose name it holds is then written down once. Of somebody who
        was erased nothing personal is kept."""
        told = list(events)
        kept = self._forgotten.without(told)
        facts = [self._events.encode(event_values(event)) for event in kept]
        if notification is None:
            return None, facts
        of = (notification.platform, notification.series_ref, notification.body)
        if kept != told or self._forgotten.named_in(*of):
            notification = replace(notification, body=None, reason=ERASED_SINCE)
        return self._notifications.encode(_notification_values(notification)), facts

    def store(self, database: Database, deliveries: Iterable[Encoded]) -> int:
        """Store each once, all in one transaction; how many deliveries were new."""
        notifications: list[Row] = []
        told: list[Row] = []
        lone: list[Row] = []
        for notification, facts in deliveries:
            if notification is None:
                lone += facts
            else:
                notifications.append(notification)
                told += facts
        single = not notifications and len(lone) <= self._events.most
        with database.write(single=single) as connection:
            new = self._events.append(connection, lone)
            if not single:
                new += self._notifications.append(connection, notifications)
                self._events.append(connection, told)
        return new


def _notification_values(n: Notification) -> tuple[Any, ...]:
    """In the order of the table's columns."""
    return (
        *(n.id, n.platform.value, n.received_at, n.kind, n.series_ref, n.instance_ref),
        *(n.state, n.reason, n.attempts, n.body),
    )


def waiting_notifications(connection: Connection, *, limit: int = 100) -> list[Notification]:
    """The stored notifications that could not be read yet: the least tried, the oldest first."""
    table = tables.notification
    rows = connection.execute(
        select(table)
        .where(table.c.state == "waiting")
        .order_by(table.c.attempts, table.c.received_at)
        .limit(limit)
    ).mappings()
    return [Notification(**{**row, "platform": Platform(row["platform"])}) for row in rows]


def settle_notification(
    connection: Connection,
    notification_id: str,
    *,
    state: str,
    reason: str | None,
    body: str | None,
) -> None:
    """Note what became of a waiting notification, and one more attempt."""
    table = tables.notification
    connection.execute(
        update(table)
        .where(table.c.id == notification_id)
        .values(state=state, reason=reason, body=body, attempts=table.c.attempts + 1)
    )


def unpark(connection: Connection) -> int:
    """Let everything that was parked wait again; how many."""
    table = tables.notification
    return connection.execute(
        update(table).where(table.c.state == "parked").values(state="waiting", attempts=0)
    ).rowcount


def notifications_of(connection: Connection, ids: Iterable[str]) -> list[Notification]:
    """The stored deliveries with those ids, in the order in which they came."""
    table = tables.notification
    rows = connection.execute(
        select(table).where(table.c.id.in_(list(ids))).order_by(table.c.received_at, table.c.id)
    ).mappings()
    return [Notification(**{**row, "platform": Platform(row["platform"])}) for row in rows]


def recent_of_kind(
    connection: Connection, platform: Platform, kinds: Sequence[str], *, since: datetime
) -> list[Notification]:
    """The deliveries of these kinds that came since then, in order."""
    table = tables.notification
    rows = connection.execute(
        select(table)
        .where(
            table.c.platform == platform.value,
            table.c.kind.in_(kinds),
            table.c.received_at >= since,
        )
        .order_by(table.c.received_at, table.c.id)
    ).mappings()
    return [Notification(**{**row, "platform": Platform(row["platform"])}) for row in rows]


def quality_reports(connection: Connection, instance_ref: str | None) -> list[Notification]:
    """Zoom's quality reports of one held instance; of the last one reported when None."""
    table = tables.notification
    ours = (table.c.platform == Platform.ZOOM.value, table.c.kind == "meeting.participant_qos")
    if instance_ref is None:
        instance_ref = connection.execute(
            select(table.c.instance_ref).where(*ours).order_by(table.c.received_at.desc()).limit(1)
        ).scalar()
    rows = connection.execute(
        select(table)
        .where(*ours, table.c.instance_ref == instance_ref)
        .order_by(table.c.received_at, table.c.id)
    ).mappings()
    return [Notification(**{**row, "platform": Platform(row["platform"])}) for row in rows]


def count_open(connection: Connection) -> dict[str, int]:
    """How many notifications are in each state that is not `done`."""
    table = tables.notification
    rows = connection.execute(
        select(table.c.state, func.count()).where(table.c.state != "done").group_by(table.c.state)
    )
    return {row[0]: row[1] for row in rows}


def parked_because(connection: Connection) -> list[str]:
    """Why notifications are parked, each reason once."""
    table = tables.notification
    rows = connection.execute(
        select(table.c.reason).distinct().where(table.c.state == "parked").order_by(table.c.reason)
    )
    return [reason or "no reason was noted" for reason in rows.scalars()]


def oldest_waiting(connection: Connection) -> datetime | None:
    """When the oldest notification came in that is stored but not read yet."""
    table = tables.notification
    return connection.execute(
        select(func.min(table.c.received_at)).where(table.c.state == "waiting")
    ).scalar()


def last_received(connection: Connection, platform: Platform) -> datetime | None:
    """When the last verified delivery of a platform came in."""
    notification, event = tables.notification, tables.participant_event
    last = [
        connection.execute(
            select(table.c.received_at)
            .where(table.c.platform == platform.value, good)
            .order_by(table.c.received_at.desc())
            .limit(1)
        ).scalar()
        for table, good in (
            (notification, notification.c.state != "quarantined"),
            (event, event.c.received_at.is_not(None)),
        )
    ]
    return max((at for at in last if at is not None), default=None)


def last_validation(connection: Connection) -> datetime | None:
    """When Zoom last checked our address."""
    table = tables.notification
    # The kind as a literal: a parameter would hide from the planner that the partial index fits.
    return connection.execute(
        select(func.max(table.c.received_at)).where(table.c.kind == literal_column(VALIDATION))
    ).scalar()


def flagged_since(connection: Connection, platform: Platform) -> datetime | None:
    """Since when the platform says that it is done with us."""
    table = tables.notification
    return connection.execute(
        select(func.min(table.c.received_at)).where(
            table.c.state == "flagged", table.c.platform == platform.value
        )
    ).scalar()


def settle_flags(connection: Connection, platform: Platform) -> int:
    """A person says that the platform has us again; how many flags that settles."""
    table = tables.notification
    return connection.execute(
        update(table)
        .where(table.c.state == "flagged", table.c.platform == platform.value)
        .values(state="done", reason="connected again")
    ).rowcount
