"""Health for operators: `/readyz` with reasons in words, `/metrics` for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flask import Blueprint, Response, jsonify
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from course.model import CohortState, Platform
from course.store import cohorts, evidence
from course.store.database import STORAGE_TROUBLE, Database
from web.access import open_door


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
        self.stored = Gauge(
            "circle_notifications_stored",
            "Stored notifications by state",
            ["state"],
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

    def committed(self, new: int, repeated: int) -> None:
        """Count one commit of the inbox."""
        self.deliveries.labels(kind="new").inc(new)
        self.deliveries.labels(kind="repeated").inc(repeated)
        self.commits.observe(new + repeated)


def create_health(
    *,
    database: Database,
    metrics: Metrics,
    ready: Callable[[], bool],
    configured: Sequence[Platform],
) -> Blueprint:
    """`/readyz` and `/metrics`; neither names a person or a cohort."""
    routes = Blueprint("health", __name__)

    @routes.get("/readyz")
    @open_door
    def readyz() -> Response:
        reasons = [] if ready() else ["The service is still starting."]
        try:
            with database.read() as connection:
                evidence.count_notifications(connection)
        except STORAGE_TROUBLE:
            reasons.append("The database does not answer. Check DATABASE_URL and the disk.")
        answer = jsonify(
            ready=not reasons,
            reasons=reasons,
            platforms=[platform.value for platform in configured],
        )
        answer.status_code = 503 if reasons else 200
        return answer

    @routes.get("/metrics")
    @open_door
    def prometheus() -> Response:
        with database.read() as connection:
            for state, count in evidence.count_notifications(connection).items():
                metrics.stored.labels(state=state).set(count)
            for platform in configured:
                if at := evidence.last_received(connection, platform):
                    metrics.last.labels(platform=platform.value).set(at.timestamp())
            waiting = cohorts.cohorts_in_state(connection, CohortState.NEEDS_ATTENTION)
            metrics.attention.set(len(waiting))
        return Response(generate_latest(metrics.registry), content_type=CONTENT_TYPE_LATEST)

    return routes
