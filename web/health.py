"""Health for operators: `/readyz` with reasons in words, `/metrics` for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from time import perf_counter

from flask import Blueprint, Response, g, jsonify, request
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from course.model import Platform
from course.store.database import STORAGE_TROUBLE, Database
from web.access import open_door
from web.health_figures import StoredFigures, WorkInHand
from web.health_look import Look, NoAnswer
from web.health_words import warnings_of
from web.release import VERSION


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
        self.commit_latency = Histogram(
            "circle_commit_seconds",
            "How long a commit of deliveries took",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
            registry=self.registry,
        )
        self.latency = Histogram(
            "circle_webhook_seconds",
            "From a verified delivery's body to its answer, which is after its commit",
            ["platform"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3),
            registry=self.registry,
        )
        self.requests = Histogram(
            "circle_http_request_seconds",
            "Requests for pages and the API by route, as the application answered them",
            ["method", "route", "status"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=self.registry,
        )
        self.stored = StoredFigures(self.registry)
        Info("circle_build", "Which release this is", registry=self.registry).info(
            {"version": VERSION}
        )
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

        self._counts = {kind: self.deliveries.labels(kind=kind) for kind in ("new", "repeated")}
        self._latency = {p: self.latency.labels(platform=p.value) for p in Platform}
        self._outcomes: dict[tuple[Platform, str], Counter] = {}

    def committed(self, new: int, repeated: int, seconds: float) -> None:
        """Count one commit of the inbox."""
        self.commit_latency.observe(seconds)
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
    work: Callable[[], WorkInHand | None] = lambda: None,
    look: Look | None = None,
) -> Blueprint:
    """`/readyz` and `/metrics`; neither names a person or a cohort. Times every other request.

    `work` asks the workflow engine; None where it does not run in this process.
    """
    routes = Blueprint("health", __name__)
    look = look or Look()

    @routes.before_app_request
    def begin() -> None:
        g.circle_began = perf_counter()

    @routes.after_app_request
    def end(answer: Response) -> Response:
        rule = request.url_rule
        if rule is not None and "circle_began" in g:
            # The rule, never the path: paths hold families' links.
            metrics.requests.labels(
                method=request.method, route=rule.rule, status=f"{answer.status_code // 100}xx"
            ).observe(perf_counter() - g.circle_began)
        return answer

    @routes.get("/readyz")
    @open_door
    def readyz() -> Response:
        def ask() -> list[str]:
            with database.read() as connection:
                return list(warnings_of(connection, configured, now=clock()))

        reasons = [] if ready() else ["The service is still starting."]
        warnings: list[str] = []
        try:
            warnings = look(ask)
        except (NoAnswer, *STORAGE_TROUBLE):
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
        metrics.stored.read(database, configured, work, clock(), look)
        return Response(generate_latest(metrics.registry), content_type=CONTENT_TYPE_LATEST)

    return routes
