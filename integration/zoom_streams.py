"""Zoom's realtime media streams: cameras switched on and off, to the second.

Only events are subscribed to, never sound or pictures. An event names the seat (`user_id`) and no
more; whose it is the notifications know. Mute is not told.
https://developers.zoom.us/docs/rtms/
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime

from course.model import EventKind, Level, ParticipantEvent, Platform, Source


def camera_events(
    seats: Iterable[int | str], *, uuid: str, level: Level | None, at: datetime
) -> list[ParticipantEvent]:
    """A camera was switched at these seats; `level` None: from here on nobody knows."""
    return [_event(str(seat), uuid, level, at) for seat in seats]


def _event(seat: str, uuid: str, level: Level | None, at: datetime) -> ParticipantEvent:
    told = "\n".join((uuid, seat, level or "", at.isoformat()))
    return ParticipantEvent(
        key=f"zoom:stream:{hashlib.sha256(told.encode()).hexdigest()[:32]}",
        platform=Platform.ZOOM,
        kind=EventKind.CAMERA,
        occurred_at=at,
        source=Source.MEDIA_STREAM,
        instance_ref=uuid,
        seat_ref=seat,
        level=level,
        received_at=at,
    )
