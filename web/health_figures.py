"""The figures that are read from the database whenever Prometheus asks.

Every process tells the same of them: take the greatest of several, never the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Gauge

from course.model import CohortState, Platform
from course.store import notifications, watchfulness
from course.store.database import STORAGE_TROUBLE, Database, Transaction
from web.health_look import Look, NoAnswer

REGISTER_LATE = timedelta(hours=2)


class WorkInHand(NamedTuple):
    """What the workflow engine says: how many are begun or queued, when the last round ended."""

    workflows: Mapping[str, int]
    last_round: datetime | None


class StoredFigures:
    """Gauges in a registry, and how to fill them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, says: str, *labels: str) -> Gauge:
            return Gauge(f"circle_{name}", says, labels, registry=registry)

        self._database = gauge("database_up", "Whether the database answers: 1 or 0")
        self._stored = gauge(
            "notifications_open",
            "Stored notifications that are not done: waiting, parked, quarantined, dropped",
            "state",
        )
        self._oldest = gauge(
            "oldest_waiting_seconds",
            "Age of the oldest notification that is stored but not read yet; 0 when there is none",
        )
        self._validated = gauge(
            "zoom_validation_timestamp_seconds",
            "When Zoom last validated our address; it should every 72 hours",
        )
        self._last = gauge(
            "last_notification_timestamp_seconds",
            "When the last verified notification came in",
            "platform",
        )
        self._cohorts = gauge("cohorts", "Cohorts by state", "state")
        self._changes = gauge(
            "changes_under_way", "Cohorts with a change that is not carried out yet"
        )
        self._mail = gauge("mail_unsent", "Mails that wait, and mails with trouble", "state")
        self._registers = gauge(
            "registers_late", "Sessions over for two hours whose register is still open"
        )
        self._subscriptions = gauge(
            "subscriptions", "Subscriptions to live notifications: all, and with trouble", "state"
        )
        self._expiry = gauge(
            "subscription_first_expiry_timestamp_seconds",
            "When the first of the subscriptions to live notifications ends",
        )
        self._workflows = gauge("workflows", "Durable workflows that are begun or queued", "status")
        self._round = gauge(
            "last_round_timestamp_seconds",
            "When the last round of chores ended; there is one every minute",
        )

    def read(
        self,
        database: Database,
        platforms: Sequence[Platform],
        work: Callable[[], WorkInHand | None],
        now: datetime,
        look: Look,
    ) -> None:
        """Fill all; when the database does not answer, say that and nothing older."""

        def ask() -> WorkInHand | None:
            with database.read() as connection:
                self._of_notifications(connection, platforms, now)
                self._of_cohorts(connection, now)
            return work()

        try:
            in_hand = look(ask)
        except (NoAnswer, *STORAGE_TROUBLE):
            self._database.set(0)
            return
        self._database.set(1)
        if in_hand is not None:
            for status, count in in_hand.workflows.items():
                self._workflows.labels(status=status).set(count)
            if in_hand.last_round is not None:
                self._round.set(in_hand.last_round.timestamp())

    def _of_notifications(
        self, connection: Transaction, platforms: Sequence[Platform], now: datetime
    ) -> None:
        counts = notifications.count_open(connection)
        for state in notifications.OPEN:
            self._stored.labels(state=state).set(counts.get(state, 0))
        oldest = notifications.oldest_waiting(connection)
        self._oldest.set((now - oldest).total_seconds() if oldest else 0)
        for platform in platforms:
            if at := notifications.last_received(connection, platform):
                self._last.labels(platform=platform.value).set(at.timestamp())
        if at := notifications.last_validation(connection):
            self._validated.set(at.timestamp())

    def _of_cohorts(self, connection: Transaction, now: datetime) -> None:
        states = watchfulness.cohorts_by_state(connection)
        for state in CohortState:
            self._cohorts.labels(state=state.value).set(states.get(state.value, 0))
        self._changes.set(watchfulness.changes_under_way(connection))
        waiting, troubled = watchfulness.mail_waiting(connection)
        self._mail.labels(state="waiting").set(waiting)
        self._mail.labels(state="trouble").set(troubled)
        self._registers.set(watchfulness.open_registers(connection, now=now, after=REGISTER_LATE))
        live, trouble, first = watchfulness.subscriptions(connection)
        self._subscriptions.labels(state="live").set(live)
        self._subscriptions.labels(state="trouble").set(trouble)
        self._expiry.set(first.timestamp() if first else float("nan"))
