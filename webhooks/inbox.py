"""Notifications stored once, before the answer; concurrent deliveries share a commit.

One writer thread takes whatever is waiting and commits it together, because the whole country
joins at 10:00 and a disk confirms only so many commits a second. `stored` and `accept` return
only after the commit (SQLite `synchronous=FULL`, PostgreSQL `synchronous_commit=on`) that holds
their delivery.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from course.model import ParticipantEvent
from course.store.database import STORAGE_TROUBLE, Database
from course.store.notifications import Encoded, EvidenceJournal, Notification
from webhooks.patience import Patience

PATIENCE = 2.5  # seconds; Zoom waits 3 s for an answer
CLOSE_WITHIN = 5.0  # seconds
BATCH = 512
LOOK_EVERY = 20.0  # seconds between looks who was erased

log = structlog.get_logger(__name__)


class NotStored(Exception):
    """It could not be stored in time: answer 503, the platform sends it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A notification and the facts read from it, stored in one transaction.

    `notification` is None when the delivery tells just one fact, which is then all that is kept.
    `changed`: the series that somebody changed on the platform and when, where that is the news.
    """

    notification: Notification | None
    events: tuple[ParticipantEvent, ...] = ()
    changed: tuple[str, datetime] | None = None


@dataclass(slots=True)
class _Waiting:
    """Somebody who waits for a commit: a thread for `done`, or a coroutine for `future`."""

    rows: list[Encoded]
    done: threading.Event | None = None
    future: asyncio.Future[None] | None = None
    error: Exception | None = None

    def tell(self) -> None:
        """Say in the event loop how it went. Who has given up meanwhile is told nothing."""
        if self.future is not None and not self.future.done():
            if self.error is None:
                self.future.set_result(None)
            else:
                self.future.set_exception(_refused(self.error))

    def give_up(self) -> None:
        """Say in the event loop that it took too long."""
        if self.future is not None and not self.future.done():
            self.future.set_exception(NotStored("the database did not confirm in time"))


def _refused(cause: Exception) -> NotStored:
    refused = NotStored("the database refused")
    refused.__cause__ = cause
    return refused


class Inbox:
    """Stores deliveries durably, many to a commit. Thread-safe."""

    def __init__(
        self,
        database: Database,
        *,
        committed: Callable[[int, int, float], None] = lambda _new, _repeated, _seconds: None,
    ) -> None:
        """`committed` hears of every commit: how many deliveries were new, how many repeated, and
        how many seconds it took.
        """
        self._database = database
        self._journal = EvidenceJournal(database)
        self._committed = committed
        self._patience = Patience(PATIENCE)
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._over = threading.Event()
        self._writer = threading.Thread(target=self._write, daemon=True, name="inbox writer")
        self._writer.start()

    def look_for_erased(self) -> None:
        """Read who was erased since: nothing personal of them is stored any more."""
        self._journal.look_for_erased()

    def keep_looking(self) -> None:
        """Read again and again who was erased: any process may have been told."""
        self.look_for_erased()
        threading.Thread(target=self._look, daemon=True, name="erased").start()

    def _look(self) -> None:
        while not self._over.wait(LOOK_EVERY):
            try:
                self.look_for_erased()
            except STORAGE_TROUBLE:
                continue  # what they told us is encoded as before until it can be read

    async def stored(self, delivery: Delivery) -> None:
        """Store it, or find it stored. Returns after the commit. Raises `NotStored`."""
        loop = asyncio.get_running_loop()
        told: asyncio.Future[None] = loop.create_future()
        waiting = _Waiting(self._rows([delivery]), future=told)
        self._queue.put(waiting)
        wait = self._patience.begin(waiting.give_up)
        try:
            await told
        finally:
            wait.over = True

    def accept(self, deliveries: Sequence[Delivery]) -> None:
        """The same for a thread that can wait."""
        done = threading.Event()
        waiting = _Waiting(self._rows(deliveries), done=done)
        self._queue.put(waiting)
        if not done.wait(PATIENCE):
            raise NotStored("the database did not confirm in time")
        if waiting.error is not None:
            raise _refused(waiting.error)

    def close(self, *, within: float = CLOSE_WITHIN) -> None:
        """Store what is waiting and stop. Who waits longer than `within` was told that theirs is
        not stored, or is told nothing.
        """
        self._over.set()
        self._queue.put(None)
        self._writer.join(within)

    def _rows(self, deliveries: Sequence[Delivery]) -> list[Encoded]:
        """Encoded by whoever brings them: the one writer has enough to do."""
        return [self._journal.encode(d.notification, d.events) for d in deliveries]

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
            rows = [row for waiting in batch for row in waiting.rows]
            began = time.perf_counter()
            new = self._journal.store(self._database, rows)
            self._committed(new, len(rows) - new, time.perf_counter() - began)
        except Exception as e:
            if len(batch) > 1 and not isinstance(e, STORAGE_TROUBLE):
                for waiting in batch:  # one bad delivery must not take the others with it
                    self._commit([waiting])
                return
            for waiting in batch:
                waiting.error = e
            log.warning("deliveries_not_stored", count=len(batch), kind=type(e).__name__)
        _wake(batch)


def _wake(batch: list[_Waiting]) -> None:
    """Tell everybody; those who wait in one event loop with a single call to it."""
    loops: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
    for waiting in batch:
        if waiting.done is not None:
            waiting.done.set()
        elif waiting.future is not None:
            loops.setdefault(waiting.future.get_loop(), []).append(waiting)
    for loop, told in loops.items():
        try:
            loop.call_soon_threadsafe(_tell, told)
        except RuntimeError:  # the loop has ended, and nobody waits in it any more
            log.info("nobody_waits", count=len(told))


def _tell(waiting: list[_Waiting]) -> None:
    for one in waiting:
        one.tell()
