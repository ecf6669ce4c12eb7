"""Zoom's dashboard: which media flowed in which minute of a live meeting, for plans without QSS.

`GET /metrics/meetings/{uuid}/participants/qos` names people by their seat (`user_id`) only; names,
addresses and devices are empty for outsiders and are not read here.
https://developers.zoom.us/docs/api/accounts/#tag/dashboards
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from course.model import EventKind, Level, ParticipantEvent, Platform, Source
from integration.zoom_client import PooledZoomClient
from integration.zoom_values import instant, pages, rows, twice

PAGE = 10  # the most that Zoom allows here
MINUTE = timedelta(minutes=1)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def fetch(zoom: PooledZoomClient, uuid: str, *, sent_direction: str) -> list[ParticipantEvent]:
    """What the dashboard shows of one live instance. Raises `ProviderError`."""
    found = pages(
        lambda query: zoom.metric.list_participants_qos(
            meeting_id=twice(uuid), type="live", **query
        ),
        "participants",
        size=PAGE,
    )
    return list(media_events(found, uuid=uuid, sent_direction=sent_direction))


def media_events(
    participants: Iterable[Mapping[str, Any]], *, uuid: str, sent_direction: str
) -> Iterator[ParticipantEvent]:
    """Camera by the minute, and each sign of a microphone once.

    `sent_direction` is `input` or `output`: which of them means "sent" Zoom's texts disagree about.
    """
    for participant in participants:
        seat = str(participant.get("user_id") or "").strip()
        heard: set[Level] = set()
        for row in rows(participant.get("user_qos")):
            at = instant(row.get("date_time"))
            if not seat or at is None:
                continue
            minute = at.replace(second=0, microsecond=0)
            sends = _sends(row.get(f"video_{sent_direction}"))
            level = Level.SENDING if sends else Level.NOT_SENDING
            yield _event(uuid, seat, EventKind.CAMERA, level, minute)
            level = _microphone(row, sent_direction)
            # Silence proves something only where nearly all minutes were silent; a sign needs one.
            if level is Level.NOT_SENDING or level not in heard:
                heard.add(level)
                yield _event(uuid, seat, EventKind.MICROPHONE, level, minute)


def _microphone(row: Mapping[str, Any], direction: str) -> Level:
    if _sends(row.get(f"audio_{direction}")):
        return Level.SENDING
    if any(_sends(row.get(f"audio_{side}")) for side in ("input", "output")):
        return Level.DEVICE_PRESENT
    return Level.NOT_SENDING


def _sends(details: object) -> bool:
    """Values are text such as "27.15 kbps"; absent, empty and "0 kbps" all mean: nothing."""
    if not isinstance(details, Mapping):
        return False
    found = _NUMBER.search(str(details.get("bitrate") or ""))
    return bool(found and float(found.group()) > 0) or bool(
        str(details.get("resolution") or "").strip()
    )


def _event(
    uuid: str, seat: str, kind: EventKind, level: Level, minute: datetime
) -> ParticipantEvent:
    told = "\n".join((uuid, seat, kind, level, minute.isoformat()))
    return ParticipantEvent(
        key=f"zoom:dashboard:{hashlib.sha256(told.encode()).hexdigest()[:32]}",
        platform=Platform.ZOOM,
        kind=kind,
        occurred_at=minute,
        until_at=minute + MINUTE,
        source=Source.DASHBOARD,
        instance_ref=uuid,
        seat_ref=seat,
        level=level,
    )
