"""The webhook addresses: verify, store, answer; nothing else happens in the request.

Answers are designed: 2xx means stored (or stored already), 401 not provably the platform's, 400
the platform's own but unreadable (kept in quarantine), 413 too large, 503 not stored, send again.
Our own trouble is never 4xx, because Zoom never repeats those.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

import structlog
from flask import Blueprint, Response, jsonify, request
from prometheus_client import Counter
from werkzeug.exceptions import RequestEntityTooLarge

from course.model import Platform
from course.store.database import STORAGE_TROUBLE
from webhooks import teams, zoom
from webhooks.evidence import TeamsReader, ZoomReader, quarantined
from webhooks.inbox import Delivery, Inbox, NotStored
from webhooks.rejected import Malformed, Rejected

LARGEST = 1 << 20


class Changed(Protocol):
    """Told that a series was changed on the platform; `cause` names the news."""

    def __call__(
        self, platform: Platform, series_ref: str, *, at: datetime, cause: str
    ) -> None: ...


log = structlog.get_logger(__name__)


def _body() -> bytes:
    """The raw bytes, never more than 1 MiB: refused by its length before anything is read."""
    if request.content_length is not None and request.content_length > LARGEST:
        raise RequestEntityTooLarge
    body = request.stream.read(LARGEST + 1)
    if len(body) > LARGEST:
        raise RequestEntityTooLarge
    return body


def _proof() -> dict[str, str]:
    """The two headers that prove a Zoom delivery; all the others are not even looked at."""
    return {name: request.headers.get(name, "") for name in zoom.PROOF}


def _not_stored(detail: str) -> Response:
    answer = jsonify(title="Not stored", detail=detail)
    answer.status_code = 503
    answer.mimetype = "application/problem+json"
    answer.headers["Retry-After"] = "5"
    return answer


def _problem(code: int, title: str) -> Response:
    answer = jsonify(title=title)
    answer.status_code = code
    answer.mimetype = "application/problem+json"
    return answer


def _handshake_answer(token: str) -> Response:
    """Graph's validation token, in a form that is inert should it hold markup."""
    answer = Response(token, 200, content_type="text/plain; charset=utf-8")
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Content-Security-Policy"] = "default-src 'none'"
    return answer


def create_webhooks(
    *,
    inbox: Inbox,
    zoom_reader: ZoomReader | None,
    teams_reader: TeamsReader | None,
    wake: Callable[[], None],
    changed: Changed,
    counted: Counter,
    clock: Callable[[], datetime],
) -> Blueprint:
    """The routes. `wake` starts the chores that look after subscriptions; `changed` is told when
    a series was changed on the platform.

    `counted` has the labels `platform` and `outcome`.
    """
    routes = Blueprint("webhooks", __name__, url_prefix="/webhooks")

    def count(platform: Platform, outcome: str) -> None:
        counted.labels(platform=platform.value, outcome=outcome).inc()

    def tell_of_changes(deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            news = delivery.notification
            if delivery.changed_at is not None and news.series_ref is not None:
                try:
                    changed(
                        news.platform,
                        news.series_ref,
                        at=delivery.changed_at,
                        cause=news.delivery_key[:16],
                    )
                except STORAGE_TROUBLE:
                    # Stored already; each series is compared on the day before a session anyway.
                    log.warning("change_not_looked_at", series=news.series_ref)

    @routes.post("/zoom")
    def zoom_notification() -> Response:
        body, now = _body(), clock()
        if zoom_reader is None:
            log.error("zoom_webhook_without_secret")
            return _not_stored("Zoom is not configured here: set ZOOM_WEBHOOK_SECRETS.")
        try:
            secret = zoom_reader.verify(_proof(), body, now=now)
        except Rejected as e:
            count(Platform.ZOOM, e.reason)
            return _problem(401, "Not provably from Zoom")
        try:
            answer = zoom_reader.handshake(body, secret=secret)
            delivery = zoom_reader.read(body, received_at=now)
        except Malformed as e:
            count(Platform.ZOOM, "malformed")
            inbox.accept([quarantined(Platform.ZOOM, body, reason=str(e), received_at=now)])
            return _problem(400, "Signed by Zoom, but not readable")
        if delivery is None:
            count(Platform.ZOOM, "other_account")
            return Response(status=204)
        inbox.accept([delivery])
        count(Platform.ZOOM, "accepted")
        tell_of_changes([delivery])
        return jsonify(answer) if answer is not None else Response(status=204)

    @routes.post("/teams")
    def teams_notification() -> Response:
        try:
            token = teams.handshake(request.args)
        except Malformed:
            return _problem(400, "The validation token is not acceptable")
        if token is not None:
            return _handshake_answer(token)
        body, now = _body(), clock()
        if teams_reader is None:
            return _not_stored("Teams is not configured here: set its settings.")
        try:
            deliveries, dropped = teams_reader.read(body, received_at=now)
        except Malformed as e:
            # Nothing proves that this is Graph's, so nothing is kept; 202 ends its repeating.
            count(Platform.TEAMS, "malformed")
            log.info("teams_batch_malformed", reason=str(e))
            return Response(status=202)
        for reason in dropped:
            count(Platform.TEAMS, reason)
        if deliveries:
            inbox.accept(deliveries)
            counted.labels(platform="teams", outcome="accepted").inc(len(deliveries))
            tell_of_changes(deliveries)
        return Response(status=202)

    @routes.post("/teams/lifecycle")
    def teams_lifecycle() -> Response:
        try:
            token = teams.handshake(request.args)
        except Malformed:
            return _problem(400, "The validation token is not acceptable")
        if token is not None:
            return _handshake_answer(token)
        body = _body()
        if teams_reader is None:
            return _not_stored("Teams is not configured here: set its settings.")
        try:
            kinds = teams_reader.lifecycle(body, now=clock())
        except Malformed:
            count(Platform.TEAMS, "malformed")
            return Response(status=202)
        for kind in kinds:
            count(Platform.TEAMS, kind)
        if kinds:
            wake()
        return Response(status=202)

    @routes.errorhandler(NotStored)
    def not_stored(_error: NotStored) -> Response:
        return _not_stored("The database did not confirm in time. Send it again.")

    for trouble in STORAGE_TROUBLE:
        routes.register_error_handler(
            trouble, lambda _error: _not_stored("The database is not available. Send it again.")
        )
    return routes
