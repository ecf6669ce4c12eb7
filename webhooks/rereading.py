"""Reads again what was stored but could not be read: keys were missing, or our reader failed.

What cannot be read again and again is parked: it is kept, it is shown to staff, it stands in
nobody's way, and a new version of the service tries it once more at its start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import structlog

from course.model import Platform
from course.store import looked, notifications
from course.store.database import STORAGE_TROUBLE, Database
from course.store.evidence import save_events
from course.store.notifications import Notification
from integration.provider import ProviderError
from webhooks.inbox import Delivery
from webhooks.rejected import Malformed

# Once a minute: keys that are away for two days are not coming back by themselves.
MOST_ATTEMPTS = 2_880

log = structlog.get_logger(__name__)


class Dropped(Exception):
    """The item is not to be believed or not ours; the text says why, for counting."""


class Reader(Protocol):
    """Reads a stored notification once more. Raises `Dropped` and `Malformed`."""

    def read_again(self, notification: Notification) -> Delivery: ...


class Rereader:
    """Takes up what waits, the least tried first."""

    def __init__(self, database: Database, readers: Mapping[Platform, Reader]) -> None:
        self._database = database
        self._readers = readers

    def take_up_parked(self) -> int:
        """Let what was parked wait again; how many. Call it at the start of the service."""
        with self._database.write() as connection:
            return notifications.unpark(connection)

    def read_waiting(self) -> int:
        """Read what waits; how many could be read now."""
        with self._database.read() as connection:
            waiting = notifications.waiting_notifications(connection)
        return sum(
            self._read(notification)
            for notification in waiting
            if notification.platform in self._readers
        )

    def _read(self, notification: Notification) -> bool:
        try:
            delivery = self._readers[notification.platform].read_again(notification)
        except Dropped as e:
            self._settle(notification, state="dropped", reason=str(e), body=None)
            return False
        except Malformed as e:
            self._settle(notification, state="quarantined", reason=str(e), body=notification.body)
            return False
        except STORAGE_TROUBLE:
            raise
        except ProviderError as e:
            self._tried(notification, str(e), last=e.permanent)
            return False
        except Exception as e:
            log.exception("notification_not_read", kind=type(e).__name__)
            self._tried(notification, type(e).__name__)
            return False
        found = delivery.notification
        if found is not None and found.state == "waiting":
            self._tried(notification, found.reason)
            return False
        self._store(notification, delivery)
        return True

    def _store(self, notification: Notification, delivery: Delivery) -> None:
        """The facts, and that it is done, in one transaction."""
        found = delivery.notification
        told_by = [
            event if event.told_as else replace(event, notification_id=notification.id)
            for event in delivery.events
        ]
        with self._database.write() as connection:
            save_events(connection, told_by)
            # By when they came in these facts are old: a closed register would not hear of them.
            looked.look_again(connection, looked.LATE_EVIDENCE, since=notification.received_at)
            notifications.settle_notification(
                connection,
                notification.id,
                state=found.state if found else "done",
                reason=found.reason if found else None,
                body=found.body if found else None,
            )

    def _tried(self, notification: Notification, reason: str | None, *, last: bool = False) -> None:
        """`last`: what it points to is refused, and will be in a minute."""
        last = last or notification.attempts + 1 >= MOST_ATTEMPTS
        self._settle(
            notification,
            state="parked" if last else "waiting",
            reason=reason,
            body=notification.body,
        )
        if last:
            log.error("notification_parked", notification=notification.id, reason=reason)

    def _settle(
        self, notification: Notification, *, state: str, reason: str | None, body: str | None
    ) -> None:
        with self._database.write() as connection:
            notifications.settle_notification(
                connection, notification.id, state=state, reason=reason, body=body
            )
