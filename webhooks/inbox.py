"""Notifications stored once, before the answer; concurrent deliveries share a commit.

One writer thread takes whatever is waiting and commits it together, because the whole country
joins at 10:00 and a disk confirms only so many commits a second. `accept` returns only after the
commit (SQLite `synchronous=FULL`, PostgreSQL `synchronous_commit=on`) that holds its delivery.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from course.model import ParticipantEvent
from course.store.database import Database
from course.store.evidence import Notification, save_events, save_notifications

PATIENCE = 2.5  # seconds; Zoom waits 3 s for an answer
BATCH = 512

log = structlog.get_logger(__name__)


class NotStored(Exception):
    """It could not be stored in time: answer 503, the platform sends it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A notification and the facts read from it, stored in one transaction.

    `changed_at`: when somebody changed the series on the platform, where that is the news.
    """

    notification: Notification
    events: tuple[ParticipantEvent, ...] = ()
    changed_at: datetime | None = None


@dataclass(slots=True)
class _Waiting:
    deliveries: Sequence[Delivery]
    done: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None


class Inbox:
    """Stores deliveries durably, many to a commit. Thread-safe."""

    def __init__(
        self, database: Database, *, committed: Callable[[int, int], None] = lambda _new, _old: None
    ) -> None:
        """`committed` hears of every commit: how many deliveries were new, how many repeated."""
        self._database = database
        self._committed = committed
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, daemon=True, name="inbox writer")
        self._writer.start()

    def accept(self, deliveries: Sequence[Delivery]) -> None:
        """Store them, or find them stored. Returns after the commit. Raises `NotStored`."""
        waiting = _Waiting(deliveries)
        self._queue.put(waiting)
        if not waiting.done.wait(PATIENCE):
            raise NotStored("the database did not confirm in time")
        if waiting.error is not None:
            raise NotStored("the database refused") from waiting.error

    def close(self) -> None:
        """Store what is waiting and stop."""
        self._queue.put(None)
        self._writer.join(timeout=5)

    def _write(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, closing = [first], False
            while len(batch) < BATCH and not closing:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    closing = True
                else:
                    batch.append(more)
            self._commit(batch)
            if closing:
                return

    def _commit(self, batch: list[_Waiting]) -> None:
        """Store a batch and wake everybody in it, whatever happens: this thread must not die."""
        try:
            deliveries = [d for waiting in batch for d in waiting.deliveries]
            with self._database.write() as connection:
                new = save_notifications(connection, [d.notification for d in deliveries])
                save_events(connection, [event for d in deliveries for event in d.events])
            self._committed(new, len(deliveries) - new)
        except Exception as e:
            if len(batch) > 1:
                for waiting in batch:  # one bad delivery must not take the others with it
                    self._commit([waiting])
                return
            batch[0].error = e
        for waiting in batch:
            waiting.done.set()
            if waiting.error is not None:
                log.warning("delivery_not_stored", kind=type(waiting.error).__name__)
