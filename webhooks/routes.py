"""The webhook addresses: verify, store, answer; nothing else happens in the request.

Answers are designed: 2xx means stored (or stored already), 401 not provably the platform's, 400
the platform's own but unreadable (kept in quarantine), 413 too large, 503 not stored, send again.
Our own trouble is never 4xx, because Zoom never repeats those.

A plain WSGI callable in front of the Flask application: when a whole country joins at 10:00, these
addresses are all that is asked for, and Flask's work for a request would be most of the cost.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qsl

import structlog
from prometheus_client import Counter

from course.model import Platform
from course.store.database import STORAGE_TROUBLE
from webhooks import teams, zoom
from webhooks.evidence import TeamsReader, ZoomReader, quarantined
from webhooks.inbox import Delivery, Inbox, NotStored
from webhooks.rejected import Malformed, Rejected

PREFIX = "/webhooks/"
LARGEST = 1 << 20
HARDENED = (
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
)
log = structlog.get_logger(__name__)


class Changed(Protocol):
    """Told that a series was changed on the platform; `cause` names the news."""

    def __call__(
        self, platform: Platform, series_ref: str, *, at: datetime, cause: str
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. A problem is `application/problem+json`."""

    code: int
    body: bytes = b""
    content_type: str = ""
    headers: tuple[tuple[str, str], ...] = ()


def _json(code: int, found: Mapping[str, Any], *, kind: str = "application/json") -> Answer:
    return Answer(code, json.dumps(found).encode(), kind)


def _problem(code: int, title: str, **more: str) -> Answer:
    return _json(code, {"title": title, **more}, kind="application/problem+json")


def _not_stored(detail: str) -> Answer:
    problem = _problem(503, "Not stored", detail=detail)
    return Answer(503, problem.body, problem.content_type, (("Retry-After", "5"),))


class _TooLarge(Exception):
    """More than 1 MiB: refused by its length before anything is read."""


def _body(environ: Mapping[str, Any]) -> bytes:
    """The raw bytes, never more than 1 MiB."""
    given = environ.get("CONTENT_LENGTH") or ""
    length = int(given) if given.isascii() and given.isdigit() and len(given) < 20 else None
    if length is not None and length > LARGEST:
        raise _TooLarge
    if length is None and not environ.get("wsgi.input_terminated") and not _chunked(environ):
        return b""
    left, pieces = LARGEST + 1 if length is None else length, []
    while left > 0 and (piece := environ["wsgi.input"].read(min(left, 65_536))):
        pieces.append(piece)
        left -= len(piece)
    body = b"".join(pieces)
    if len(body) > LARGEST:
        raise _TooLarge
    return body


def _chunked(environ: Mapping[str, Any]) -> bool:
    return "chunked" in str(environ.get("HTTP_TRANSFER_ENCODING", "")).lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Receivers:
    """The three addresses. `wake` starts the chores that look after subscriptions; `changed` is
    told when a series was changed on the platform; `counted` has the labels `platform`, `outcome`.
    """

    inbox: Inbox
    zoom_reader: ZoomReader | None
    teams_reader: TeamsReader | None
    wake: Callable[[], None]
    changed: Changed
    counted: Counter
    clock: Callable[[], datetime]
    hardened: tuple[tuple[str, str], ...] = field(default=HARDENED)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        answer = self._answer(environ)
        headers = [*self.hardened, *answer.headers, ("Content-Length", str(len(answer.body)))]
        if answer.content_type:
            headers.append(("Content-Type", answer.content_type))
        start_response(f"{answer.code} {HTTPStatus(answer.code).phrase}", headers)
        return [answer.body] if answer.body else []

    def _answer(self, environ: dict[str, Any]) -> Answer:
        receive = {
            "/webhooks/zoom": self._zoom,
            "/webhooks/teams": self._teams,
            "/webhooks/teams/lifecycle": self._lifecycle,
        }.get(environ["PATH_INFO"])
        if receive is None:
            return _problem(404, "Not found")
        if environ["REQUEST_METHOD"] != "POST":
            refused = _problem(405, "Only POST is for this address")
            return Answer(405, refused.body, refused.content_type, (("Allow", "POST"),))
        try:
            return receive(environ)
        except _TooLarge:
            return _problem(413, "The body is too large")
        except NotStored:
            return _not_stored("The database did not confirm. Send it again.")
        except STORAGE_TROUBLE:
            return _not_stored("The database is not available. Send it again.")
        except Exception:
            number = secrets.token_hex(6)
            log.exception("webhook_failed", number=number)
            return _problem(500, "Something went wrong on our side", detail=f"See {number}.")

    def _count(self, platform: Platform, outcome: str) -> None:
        self.counted.labels(platform=platform.value, outcome=outcome).inc()

    def _zoom(self, environ: dict[str, Any]) -> Answer:
        body, now = _body(environ), self.clock()
        if self.zoom_reader is None:
            log.error("zoom_webhook_without_secret")
            return _not_stored("Zoom is not configured here: set ZOOM_WEBHOOK_SECRETS.")
        try:
            # The two headers that prove a delivery; all the others are not even looked at.
            proof = {n: environ.get(f"HTTP_{n.upper().replace('-', '_')}", "") for n in zoom.PROOF}
            secret = self.zoom_reader.verify(proof, body, now=now)
        except Rejected as e:
            self._count(Platform.ZOOM, e.reason)
            return _problem(401, "Not provably from Zoom")
        try:
            answer = self.zoom_reader.handshake(body, secret=secret)
            delivery = self.zoom_reader.read(body, received_at=now)
        except Malformed as e:
            self._count(Platform.ZOOM, "malformed")
            self.inbox.accept([quarantined(Platform.ZOOM, body, reason=str(e), received_at=now)])
            return _problem(400, "Signed by Zoom, but not readable")
        if delivery is None:
            self._count(Platform.ZOOM, "other_account")
            return Answer(204)
        self.inbox.accept([delivery])
        self._count(Platform.ZOOM, "accepted")
        self._tell_of_changes([delivery])
        return _json(200, answer) if answer is not None else Answer(204)

    def _teams(self, environ: dict[str, Any]) -> Answer:
        if (shaken := self._handshake(environ)) is not None:
            return shaken
        body, now = _body(environ), self.clock()
        if self.teams_reader is None:
            return _not_stored("Teams is not configured here: set its settings.")
        try:
            deliveries, dropped = self.teams_reader.read(body, received_at=now)
        except Malformed as e:
            # Nothing proves that this is Graph's, so nothing is kept; 202 ends its repeating.
            self._count(Platform.TEAMS, "malformed")
            log.info("teams_batch_malformed", reason=str(e))
            return Answer(202)
        for reason in dropped:
            self._count(Platform.TEAMS, reason)
        if deliveries:
            self.inbox.accept(deliveries)
            self.counted.labels(platform="teams", outcome="accepted").inc(len(deliveries))
            self._tell_of_changes(deliveries)
        return Answer(202)

    def _lifecycle(self, environ: dict[str, Any]) -> Answer:
        if (shaken := self._handshake(environ)) is not None:
            return shaken
        body = _body(environ)
        if self.teams_reader is None:
            return _not_stored("Teams is not configured here: set its settings.")
        try:
            kinds = self.teams_reader.lifecycle(body, now=self.clock())
        except Malformed:
            self._count(Platform.TEAMS, "malformed")
            return Answer(202)
        for kind in kinds:
            self._count(Platform.TEAMS, kind)
        if kinds:
            self.wake()
        return Answer(202)

    def _handshake(self, environ: Mapping[str, Any]) -> Answer | None:
        """Graph's validation token as plain text, which is inert should it hold markup."""
        query = environ.get("QUERY_STRING", "")
        if not query:
            return None
        try:
            token = teams.handshake(dict(parse_qsl(query, keep_blank_values=True)))
        except (Malformed, ValueError):
            return _problem(400, "The validation token is not acceptable")
        if token is None:
            return None
        return Answer(200, token.encode(), "text/plain; charset=utf-8")

    def _tell_of_changes(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            news = delivery.notification
            if delivery.changed_at is not None and news.series_ref is not None:
                try:
                    self.changed(
                        news.platform,
                        news.series_ref,
                        at=delivery.changed_at,
                        cause=news.delivery_key[:16],
                    )
                except Exception:
                    # Stored, so it must be answered 2xx whatever happens here; each series is
                    # compared on the day before a session anyway.
                    log.exception("change_not_looked_at", series=news.series_ref)
