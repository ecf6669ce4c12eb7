"""The webhook addresses: verify, store, answer; nothing else happens in the request.

Answers are designed: 2xx means stored (or stored already), 401 not provably the platform's, 400
the platform's own but unreadable (kept in quarantine), 413 too large, 503 not stored, send again.
Our own trouble is never 4xx, because Zoom never repeats those.

Nothing here waits for the network with a thread in hand, and Flask is not asked: when a whole
country joins at 10:00, these addresses are all that is asked for. Zoom's deliveries are read in
the event loop and wait there for their commit; Graph's need keys and the database to be believed,
so they are read in a thread. What follows from a delivery, once it is stored, is an errand: nobody
waits for it with an answer.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl

import structlog

from course.model import Platform
from course.store.database import STORAGE_TROUBLE
from integration.provider import ProviderError
from webhooks import teams
from webhooks.calls_reader import CallsReader
from webhooks.evidence import TeamsReader, ZoomReader, parked, quarantined
from webhooks.inbox import PATIENCE, Delivery, Inbox, NotStored
from webhooks.rejected import Malformed, Rejected

PREFIX = "/webhooks/"
CALLS = "/webhooks/teams/calls/"
LARGEST = 1 << 20  # bytes of a body
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


class Counted(Protocol):
    """Told what became of deliveries, for the figures, and how long an answer took."""

    def outcome(self, platform: Platform, outcome: str, count: int = 1) -> None: ...

    def answered(self, platform: Platform, seconds: float) -> None: ...


class Headers(Protocol):
    """A request's headers; names in lower case."""

    def get(self, name: str) -> str | None: ...

    def items(self) -> Iterable[tuple[str, str]]: ...


class Request(NamedTuple):
    """One request to a webhook address. `body` is None when it is more than `LARGEST`."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes | None


class Answer(NamedTuple):
    """What goes back. A problem is `application/problem+json`."""

    code: int
    body: bytes = b""
    content_type: str = ""
    headers: tuple[tuple[str, str], ...] = ()


STORED = Answer(204)


def _json(code: int, found: Mapping[str, Any], *, kind: str = "application/json") -> Answer:
    return Answer(code, json.dumps(found).encode(), kind)


def _problem(code: int, title: str, **more: str) -> Answer:
    return _json(code, {"title": title, **more}, kind="application/problem+json")


def _not_stored(detail: str) -> Answer:
    problem = _problem(503, "Not stored", detail=detail)
    return Answer(503, problem.body, problem.content_type, (("Retry-After", "5"),))


def _sender(path: str) -> Platform:
    return Platform.ZOOM if path == "/webhooks/zoom" else Platform.TEAMS


@dataclass(frozen=True, slots=True, kw_only=True)
class Receivers:
    """The addresses. `wake` starts the chores that look after subscriptions; `changed` is told
    when a series was changed on the platform: both ask the workflow engine, which may let them
    wait, so they are handed to `later`. What blocks before the answer is done by `threads`.
    """

    inbox: Inbox
    zoom_reader: ZoomReader | None
    teams_reader: TeamsReader | None
    calls_reader: CallsReader | None = None
    wake: Callable[[], None]
    changed: Changed
    later: Callable[[Callable[[], object]], object]
    counted: Counted
    clock: Callable[[], datetime]
    threads: Executor
    hardened: tuple[tuple[str, str], ...] = field(default=HARDENED)
    within: float = PATIENCE  # seconds for a thread to answer

    async def receive(self, request: Request) -> Answer:
        """The answer to one request; whatever happens, there is one."""
        receive = self._receiver(request.path)
        if receive is None:
            return _problem(404, "Not found")
        if request.method != "POST":
            refused = _problem(405, "Only POST is for this address")
            return Answer(405, refused.body, refused.content_type, (("Allow", "POST"),))
        if request.body is None:
            return _problem(413, "The body is too large")
        try:
            return await receive(request, request.body)
        except NotStored:
            self.counted.outcome(_sender(request.path), "not_stored")
            return _not_stored("The database did not confirm. Send it again.")
        except STORAGE_TROUBLE:
            self.counted.outcome(_sender(request.path), "not_stored")
            return _not_stored("The database is not available. Send it again.")
        except Exception:
            self.counted.outcome(_sender(request.path), "failed")
            number = secrets.token_hex(6)
            log.exception("webhook_failed", number=number)
            return _problem(500, "Something went wrong on our side", detail=f"See {number}.")

    def _receiver(self, path: str) -> Callable[[Request, bytes], Awaitable[Answer]] | None:
        if path == "/webhooks/zoom":
            return self._zoom
        if path == "/webhooks/teams":
            return self._teams
        if path == "/webhooks/teams/lifecycle":
            return self._lifecycle
        return self._call if path.startswith(CALLS) else None

    async def _in_thread(self, do: Callable[..., Answer], *args: Any) -> Answer:
        """What a thread answers; `NotStored` when it takes too long, which is true until it is
        done. What it stores after that is found stored when it is sent again.
        """
        doing = asyncio.get_running_loop().run_in_executor(self.threads, do, *args)
        try:
            async with asyncio.timeout(self.within):
                return await doing
        except TimeoutError as e:
            raise NotStored("it was not read in time") from e

    async def _zoom(self, request: Request, body: bytes) -> Answer:
        began = time.perf_counter()
        now = self.clock()
        if self.zoom_reader is None:
            log.error("zoom_webhook_without_secret")
            return _not_stored("Zoom is not configured here: set ZOOM_WEBHOOK_SECRETS.")
        try:
            secret = self.zoom_reader.verify(request.headers, body, now=now)
        except Rejected as e:
            self.counted.outcome(Platform.ZOOM, e.reason)
            return _problem(401, "Not provably from Zoom")
        try:
            answer = self.zoom_reader.handshake(body, secret=secret)
            delivery = self.zoom_reader.read(body, received_at=now)
        except Malformed as e:
            self.counted.outcome(Platform.ZOOM, "malformed")
            await self.inbox.stored(
                quarantined(Platform.ZOOM, body, reason=str(e), received_at=now)
            )
            return _problem(400, "Signed by Zoom, but not readable")
        except Exception as e:
            log.exception("delivery_not_read", kind=type(e).__name__)
            self.counted.outcome(Platform.ZOOM, "not_read_yet")
            await self.inbox.stored(parked(body, e, received_at=now))
            return STORED
        if delivery is None:
            self.counted.outcome(Platform.ZOOM, "other_account")
            return Answer(204)
        await self.inbox.stored(delivery)
        self.counted.outcome(Platform.ZOOM, "accepted")
        self._tell_of_changes([delivery])
        self.counted.answered(Platform.ZOOM, time.perf_counter() - began)
        return _json(200, answer) if answer is not None else STORED

    async def _teams(self, request: Request, body: bytes) -> Answer:
        # Answered at once and without a thread: Graph asks this while our own call that makes the
        # subscription is still waiting for its answer.
        if (shaken := self._handshake(request)) is not None:
            return shaken
        return await self._in_thread(self._read_teams, body)

    async def _lifecycle(self, request: Request, body: bytes) -> Answer:
        if (shaken := self._handshake(request)) is not None:
            return shaken
        return await self._in_thread(self._read_lifecycle, body)

    async def _call(self, request: Request, body: bytes) -> Answer:
        secret = request.path.removeprefix(CALLS)
        return await self._in_thread(
            self._read_call, secret, request.headers.get("authorization") or "", body
        )

    def _read_call(self, secret: str, authorization: str, body: bytes) -> Answer:
        if self.calls_reader is None:
            return _problem(401, "Not provably from Microsoft")
        try:
            self.calls_reader.take(secret, authorization, body, now=self.clock())
        except Rejected as e:
            self.counted.outcome(Platform.TEAMS, f"call_{e.reason}")
            return _problem(401, "Not provably from Microsoft")
        except Malformed as e:
            self.counted.outcome(Platform.TEAMS, "call_malformed")
            log.info("call_notification_malformed", reason=str(e))
            return Answer(202)
        except ProviderError as e:
            return _not_stored(str(e))
        self.counted.outcome(Platform.TEAMS, "call_accepted")
        return Answer(202)

    def _read_teams(self, body: bytes) -> Answer:
        began, now = time.perf_counter(), self.clock()
        if self.teams_reader is None:
            return _not_stored("Teams is not configured here: set its settings.")
        try:
            deliveries, dropped = self.teams_reader.read(body, received_at=now)
        except Malformed as e:
            # Nothing proves that this is Graph's, so nothing is kept; 202 ends its repeating.
            self.counted.outcome(Platform.TEAMS, "malformed")
            log.info("teams_batch_malformed", reason=str(e))
            return Answer(202)
        for reason in dropped:
            self.counted.outcome(Platform.TEAMS, reason)
        if deliveries:
            self.inbox.accept(deliveries)
            self.counted.outcome(Platform.TEAMS, "accepted", len(deliveries))
            self._tell_of_changes(deliveries)
        self.counted.answered(Platform.TEAMS, time.perf_counter() - began)
        return Answer(202)

    def _read_lifecycle(self, body: bytes) -> Answer:
        if self.teams_reader is None:
            return _not_stored("Teams is not configured here: set its settings.")
        try:
            kinds = self.teams_reader.lifecycle(body, now=self.clock())
        except Malformed:
            self.counted.outcome(Platform.TEAMS, "malformed")
            return Answer(202)
        for kind in kinds:
            self.counted.outcome(Platform.TEAMS, kind)
        if kinds:
            self.later(self.wake)
        return Answer(202)

    def _handshake(self, request: Request) -> Answer | None:
        """Graph's validation token as plain text, which is inert should it hold markup."""
        if not request.query:
            return None
        try:
            token = teams.handshake(dict(parse_qsl(request.query, keep_blank_values=True)))
        except (Malformed, ValueError):
            return _problem(400, "The validation token is not acceptable")
        if token is None:
            return None
        return Answer(200, token.encode(), "text/plain; charset=utf-8")

    def _tell_of_changes(self, deliveries: Sequence[Delivery]) -> None:
        """Stored, so it is answered 2xx whatever becomes of this: each series is compared on the
        day before a session anyway.
        """
        for delivery in deliveries:
            if delivery.changed is None or delivery.notification is None:
                continue
            series_ref, at = delivery.changed
            news = delivery.notification
            self.later(partial(self.changed, news.platform, series_ref, at=at, cause=news.id[:16]))
