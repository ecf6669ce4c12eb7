"""Keeps connections to the media streams that Zoom has announced, and stores what they tell.

A process of its own (`circle media-streams`): a stream needs a connection that lives as long as
the session. The announcement is a webhook like any other, stored by the service; this worker finds
it in the database, so either may be restarted at any time.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import urlsplit

import structlog

from course.model import Level, Platform, Source
from course.store import evidence, notifications
from course.store.database import Database
from course.store.notifications import Notification
from integration.zoom_streams import camera_events

STARTED, STOPPED = "meeting.rtms_started", "meeting.rtms_stopped"
LONGEST = timedelta(hours=4)  # an older announcement is of a session that is over
LOOK_TWICE = timedelta(minutes=2)  # a commit may be seen a little after its time
LOOK_EVERY = timedelta(seconds=5)
AGAIN_AFTER = timedelta(seconds=30)
SAY_AGAIN_EVERY = timedelta(minutes=5)
AT_ONCE = timedelta(milliseconds=1)
HOST = ".zoom.us"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One announced stream of one held instance."""

    ref: str
    instance_ref: str
    server_urls: str


class Connection(Protocol):
    """A joined stream."""

    def close(self) -> None: ...


class Connect(Protocol):
    """Joins a stream."""

    def __call__(
        self,
        stream: Stream,
        *,
        on_camera: Callable[[list[int], bool], None],
        on_lost: Callable[[], None],
    ) -> Connection: ...


def read_stream(notification: Notification) -> Stream | None:
    """The stream that an announcement is about; None when it names none of Zoom's servers."""
    told = json.loads(notification.body or "{}").get("stream") or {}
    urls, ref = str(told.get("server_urls") or ""), str(told.get("id") or "")
    hosts = [urlsplit(url.strip()) for url in urls.split(",") if url.strip()]
    ours = all(h.scheme == "wss" and (h.hostname or "").endswith(HOST) for h in hosts)
    if not (ref and hosts and ours and notification.instance_ref):
        return None
    return Stream(ref=ref, instance_ref=notification.instance_ref, server_urls=urls)


class MediaStreams:
    """The streams that are connected now."""

    def __init__(
        self, database: Database, connect: Connect, *, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._connect = connect
        self._clock = clock
        self._live: dict[str, tuple[Stream, Connection]] = {}
        self._cameras: dict[str, dict[int, Level]] = {}
        self._heard: deque[tuple[Stream, list[int], Level | None, datetime]] = deque()
        self._announced: dict[str, tuple[Stream, datetime]] = {}
        self._over: set[str] = set()
        self._looked_at: datetime | None = None
        self._lost_at: dict[str, datetime] = {}
        self._said_again_at: dict[str, datetime] = {}

    @property
    def live(self) -> int:
        """How many are connected."""
        return len(self._live)

    def look(self) -> None:
        """Join what has been announced, leave what was stopped, and hear what came.

        What could not be stored is stored at the next look; nothing is forgotten before it is.
        """
        now = self._clock()
        self._take()
        self._say_again(now)
        if self._looked_at is not None and now - self._looked_at < LOOK_EVERY:
            return
        with self._database.read() as connection:
            told = notifications.recent_of_kind(
                connection,
                Platform.ZOOM,
                (STARTED, STOPPED),
                since=self._looked_at - LOOK_TWICE if self._looked_at else now - LONGEST,
            )
        self._looked_at = now
        self._over |= {ref for n in told if n.kind == STOPPED and (ref := _ref(n))}
        for notification in told:
            stream = read_stream(notification) if notification.kind == STARTED else None
            if stream is not None:
                self._announced[stream.ref] = stream, now + LONGEST
        for ref, (stream, until) in list(self._announced.items()):
            if ref in self._over or until < now:
                del self._announced[ref]
            elif self._may_join(stream):
                self._join(stream)
        for ref in [ref for ref in self._live if ref in self._over]:
            self._leave(ref)

    def close(self) -> None:
        """Leave every stream; what the cameras do from now on nobody knows."""
        self._take()
        for ref in list(self._live):
            self._leave(ref)

    def _may_join(self, stream: Stream) -> bool:
        lost_at = self._lost_at.get(stream.ref)
        return stream.ref not in self._live and (
            lost_at is None or self._clock() - lost_at >= AGAIN_AFTER
        )

    def _join(self, stream: Stream) -> None:
        self._forget(stream)
        self._cameras[stream.ref] = {}
        self._said_again_at[stream.ref] = self._clock()
        self._live[stream.ref] = (
            stream,
            self._connect(
                stream,
                on_camera=lambda seats, is_on: self._heard.append(
                    (stream, list(seats), Level.ON if is_on else Level.OFF, self._clock())
                ),
                on_lost=lambda: self._heard.append((stream, [], None, self._clock())),
            ),
        )
        log.info("stream_joined", live=self.live)

    def _forget(self, stream: Stream) -> None:
        """An earlier connection may have ended without a word: what it said last ends there."""
        with self._database.read() as connection:
            told = [
                e
                for e in evidence.instance_events(connection, stream.instance_ref)
                if e.source is Source.MEDIA_STREAM and e.seat_ref
            ]
        if not told:
            return
        last = {e.seat_ref: e for e in sorted(told, key=lambda e: (e.occurred_at, e.key))}
        heard_at = max(e.occurred_at for e in told)
        stale = [seat for seat, e in last.items() if seat and e.level is not None]
        self._store(stream, stale, None, heard_at + AT_ONCE)

    def _take(self) -> None:
        """Store what the connections' own threads have heard since the last look."""
        while self._heard:
            stream, seats, level, at = self._heard[0]
            if level is None:
                self._lost(stream, at)
            else:
                self._store(stream, seats, level, at)
                self._cameras.setdefault(stream.ref, {}).update(dict.fromkeys(seats, level))
            self._heard.popleft()

    def _say_again(self, now: datetime) -> None:
        """Every few minutes what still holds, so that a sudden end leaves little in doubt."""
        for ref, (stream, _) in self._live.items():
            if now - self._said_again_at[ref] < SAY_AGAIN_EVERY:
                continue
            for level in (Level.ON, Level.OFF):
                seats = [seat for seat, now_is in self._cameras[ref].items() if now_is is level]
                self._store(stream, seats, level, now)
            self._said_again_at[ref] = now

    def _lost(self, stream: Stream, at: datetime) -> None:
        """The connection broke: joined anew in a while; until then nobody knows."""
        self._store(stream, sorted(self._cameras.get(stream.ref, {})), None, at)
        self._cameras.pop(stream.ref, None)
        self._live.pop(stream.ref, None)
        self._lost_at[stream.ref] = at
        log.warning("stream_lost", live=self.live)

    def _leave(self, ref: str) -> None:
        stream, connection = self._live[ref]
        connection.close()
        self._lost(stream, self._clock())

    def _store(
        self, stream: Stream, seats: Iterable[int | str], level: Level | None, at: datetime
    ) -> None:
        events = camera_events(seats, uuid=stream.instance_ref, level=level, at=at)
        if events:
            with self._database.write() as connection:
                evidence.save_events(connection, events)


def _ref(notification: Notification) -> str:
    told = json.loads(notification.body or "{}").get("stream") or {}
    return str(told.get("id") or "")
