"""Asks Zoom for the deliveries that it gave up on, and stores them as if they had come."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from course.model import Platform
from course.store import registers
from course.store.database import Database
from integration.provider import MeetingProvider, ProviderError
from webhooks.evidence import ZoomReader
from webhooks.inbox import Delivery, Inbox
from webhooks.rejected import Malformed

FIRST_LOOK = timedelta(days=3)  # at the start of the service; Zoom keeps seven days
OVERLAP = timedelta(hours=3)  # Zoom tries for 85 minutes before it gives up
EVERY = timedelta(minutes=30)
BATCH = 200

log = structlog.get_logger(__name__)


class Recovery:
    """Looks while a session is held and for hours after, and once at the start."""

    def __init__(
        self,
        *,
        database: Database,
        provider: MeetingProvider,
        reader: ZoomReader,
        inbox: Inbox,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._provider = provider
        self._reader = reader
        self._inbox = inbox
        self._clock = clock
        self._looked_at: datetime | None = None

    def recover(self) -> int:
        """Store what was lost; how many deliveries. Raises `ProviderError` and `NotStored`."""
        now, last = self._clock(), self._looked_at
        if last is not None and now - last < EVERY:
            return 0
        since = now - FIRST_LOOK if last is None else last - OVERLAP
        with self._database.read() as connection:
            held = registers.any_held(connection, Platform.ZOOM, since=since, until=now)
        if not held:
            self._looked_at = now
            return 0
        try:
            bodies = self._provider.lost_deliveries(since, now)
        except ProviderError as e:
            if e.permanent:
                self._looked_at = now
            raise
        found = [d for body in bodies if (d := self._read(body, now)) is not None]
        for start in range(0, len(found), BATCH):
            self._inbox.accept(found[start : start + BATCH])
        self._looked_at = now
        if found:
            log.info("deliveries_recovered", count=len(found))
        return len(found)

    def _read(self, body: str, now: datetime) -> Delivery | None:
        """What Zoom's log holds came over its API with our token: it needs no signature."""
        try:
            return self._reader.read(body.encode(errors="replace"), received_at=now)
        except Malformed:
            return None
