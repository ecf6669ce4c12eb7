"""Health for operators: `/readyz` with reasons in words, `/metrics` for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from flask import Blueprint, Response, jsonify
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from course.model import CohortState, Platform
from course.store import cohorts, notifications
from course.store.database import STORAGE_TROUBLE, Database
from web.access import open_door
from web.health_words import warnings_of


class Metrics:
    """The figures of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.notifications = Counter(
            "circle_notifications",
            "Webhook notifications by platform and outcome",
            ["platform", "outcome"],
            registry=self.registry,
        )
        self.deliveries = Counter(
            "circle_deliveries_committed",
            "Deliveries in the database, new and repeated",
            ["kind"],
            registry=self.registry,
        )
        self.commits = Histogram(
            "circle_commit_deliveries",
            "Deliveries that shared a commit",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
            registry=self.registry,
        )
        self.latency = Histogram(
            "circle_webhook_seconds",
            "From a verified delivery's body to its answer, which is after its commit",
            ["platform"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3),
            registry=self.registry,
        )
        self.stored = Gauge(
            "circle_notifications_open",
            "Stored notifications that are not done: waiting, parked, quarantined, dropped",
            ["state"],
            registry=self.registry,
        )
        self.oldest = Gauge(
            "circle_oldest_waiting_seconds",
            "Age of the oldest notification that is stored but not read yet; 0 when there is none",
            registry=self.registry,
        )
        self.validated = Gauge(
            "circle_zoom_validation_timestamp_seconds",
            "When Zoom last validated our address; it should every 72 hours",
            registry=self.registry,
        )
        self.last = Gauge(
            "circle_last_notification_timestamp_seconds",
            "When the last verified notification came in",
            ["platform"],
            registry=self.registry,
        )
        self.attention = Gauge(
            "circle_cohorts_needing_attention",
            "Cohorts whose opening or timetable needs a person",
            registry=self.registry,
        )

        self._counts = {kind: self.deliveries.labels(kind=kind) for kind in ("new", "repeated")}
        self._latency = {p: self.latency.labels(platform=p.value) for p in Platform}
        self._outcomes: dict[tuple[Platform, str], Counter] = {}

    def committed(self, new: int, repeated: int) -> None:
        """Count one commit of the inbox."""
        self._counts["new"].inc(new)
        self._counts["repeated"].inc(repeated)
        self.commits.observe(new + repeated)

    def outcome(self, platform: Platform, outcome: str, count: int = 1) -> None:
        """Count what became of deliveries."""
        found = self._outcomes.get((platform, outcome))
        if found is None:
            found = self.notifications.labels(platform=platform.value, outcome=outcome)
            self._outcomes[platform, outcome] = found
        found.inc(count)

    def answered(self, platform: Platform, seconds: float) -> None:
        """Note how long an answer took."""
        self._latency[platform].observe(seconds)


def create_health(
    *,
    database: Database,
    metrics: Metrics,
    ready: Callable[[], bool],
    configured: Sequence[Platform],
    clock: Callable[[], datetime],
) -> Blueprint:
    """`/readyz` and `/metrics`; neither names a person or a cohort."""
    routes = Blueprint("health", __name__)

    @routes.get("/readyz")
    @open_door
    def readyz() -> Response:
        reasons = [] if ready() else ["The service is still starting."]
        warnings: list[str] = []
        try:
            with database.read() as connection:
                warnings = list(warnings_of(connection, configured, now=clock()))
        except STORAGE_TROUBLE:
            reasons.append("The database does not answer. Check DATABASE_URL and the disk.")
        answer = jsonify(
            ready=not reasons,
            reasons=reasons,
            warnings=warnings,
            platforms=[platform.value for platform in configured],
        )
        answer.status_code = 503 if reasons else 200
        return answer

    @routes.get("/metrics")
    @open_door
    def prometheus() -> Response:
        with database.read() as connection:
            counts = notifications.count_open(connection)
            for state in notifications.OPEN:
                metrics.stored.labels(state=state).set(counts.get(state, 0))
            oldest = notifications.oldest_waiting(connection)
            metrics.oldest.set((clock() - oldest).total_seconds() if oldest else 0)
            for platform in configured:
                if at := notifications.last_received(connection, platform):
                    metrics.last.labels(platform=platform.value).set(at.timestamp())
            if at := notifications.last_validation(connection):
                metrics.validated.set(at.timestamp())
            waiting = cohorts.cohorts_in_state(connection, CohortState.NEEDS_ATTENTION)
            metrics.attention.set(len(waiting))
        return Response(generate_latest(metrics.registry), content_type=CONTENT_TYPE_LATEST)

    return routes
