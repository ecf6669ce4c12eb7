"""Zoom's quality-of-service notifications: what they say of camera and microphone, and no more.

They carry network addresses, device and computer names and places as well; none of that passes
this file. https://developers.zoom.us/docs/api/qss/events/
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from course.model import EventKind, Level, ParticipantEvent, Platform, Source
from webhooks.instants import in_utc
from webhooks.rejected import Malformed

MEDIA_EVENTS = frozenset(
    {
        "meeting.participant_qos",
        "meeting.participant_qos_summary",
        "meeting.participant_data",
        "meeting.participant_data_summary",
    }
)
MINUTE = timedelta(minutes=1)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def _sends(details: Any) -> bool:
    """Whether a row shows media; its values are text such as "27.15 kbps", "" or "0 kbps"."""
    if not isinstance(details, Mapping):
        return False
    found = _NUMBER.search(str(details.get("bitrate") or ""))
    return bool(found and float(found.group()) > 0) or bool(
        str(details.get("resolution") or "").strip()
    )


def _rows(participant: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    rows = participant.get("qos")
    if not isinstance(rows, list):
        return []
    return [row for row in rows if isinstance(row, Mapping)]


def _levels(rows: list[Mapping[str, Any]], direction: str) -> dict[EventKind, Level]:
    """Camera and microphone in one minute, from all rows of that minute.

    A minute without a row of sent video is "not sending" only because other rows prove that the
    platform was looking.
    """
    by_type: dict[str, bool] = {}
    for row in rows:
        kind = str(row.get("type") or "")
        by_type[kind] = by_type.get(kind, False) or _sends(row.get("details"))
    camera = Level.SENDING if by_type.get(f"video_{direction}") else Level.NOT_SENDING
    if by_type.get(f"audio_{direction}"):
        microphone = Level.SENDING
    elif any(kind.startswith("audio_") for kind in by_type):
        microphone = Level.DEVICE_PRESENT
    else:
        microphone = Level.NOT_SENDING
    return {EventKind.CAMERA: camera, EventKind.MICROPHONE: microphone}


def media_events(
    name: str,
    participant: Mapping[str, Any],
    *,
    series_ref: str | None,
    instance_ref: str | None,
    told_at: datetime,
    received_at: datetime,
    sent_direction: str,
    notification_id: str,
) -> tuple[ParticipantEvent, ...]:
    """The observations of one notification, neighbouring minutes of one level joined together."""
    seat = _seat(participant)
    if seat is None or instance_ref is None:
        raise Malformed("no participant or no uuid")

    def observed(
        kind: EventKind, level: Level, begins: datetime, ends: datetime | None
    ) -> ParticipantEvent:
        parts = (kind, level, instance_ref, seat, begins.isoformat(), ends)
        key = hashlib.sha256("\n".join(str(p) for p in parts).encode()).hexdigest()
        return ParticipantEvent(
            key=f"zoom:{key}",
            platform=Platform.ZOOM,
            kind=kind,
            occurred_at=begins,
            until_at=ends,
            source=Source.WEBHOOK,
            series_ref=series_ref,
            instance_ref=instance_ref,
            seat_ref=seat,
            level=level,
            notification_id=notification_id,
            received_at=received_at,
        )

    if name == "meeting.participant_qos":
        return tuple(observed(*found) for found in _spans(participant, sent_direction))
    if name == "meeting.participant_qos_summary":
        return ()  # averages over a stay say neither when nor whether at all
    return tuple(
        observed(kind, Level.DEVICE_PRESENT, told_at, None)
        for kind, present in _devices(participant).items()
        if present  # an empty name is no proof: it is empty for people outside the account
    )


def _spans(
    participant: Mapping[str, Any], direction: str
) -> list[tuple[EventKind, Level, datetime, datetime]]:
    minutes: dict[datetime, list[Mapping[str, Any]]] = {}
    for row in _rows(participant):
        written = row.get("date_time")
        if written is not None:
            at = in_utc(written)
            minutes.setdefault(at.replace(second=0, microsecond=0), []).append(row)
    spans: list[tuple[EventKind, Level, datetime, datetime]] = []
    for kind in (EventKind.CAMERA, EventKind.MICROPHONE):
        for minute in sorted(minutes):
            level = _levels(minutes[minute], direction)[kind]
            last = spans[-1] if spans and spans[-1][0] is kind else None
            if last is not None and last[1] is level and last[3] == minute:
                spans[-1] = (kind, level, last[2], minute + MINUTE)
            else:
                spans.append((kind, level, minute, minute + MINUTE))
    return spans


def _seat(participant: Mapping[str, Any]) -> str | None:
    # `participant_id` here is the `user_id` of joined and left.
    for name in ("user_id", "participant_id"):
        value = participant.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return str(value).replace("\0", "").strip()
    return None


def _devices(participant: Mapping[str, Any]) -> dict[EventKind, bool]:
    found = participant.get("data")
    rows = [r for r in found if isinstance(r, Mapping)] if isinstance(found, list) else []
    return {
        EventKind.CAMERA: any(str(r.get("camera") or "").strip() for r in rows),
        EventKind.MICROPHONE: any(str(r.get("microphone") or "").strip() for r in rows),
    }


def media_kept(participant: Mapping[str, Any]) -> dict[str, Any]:
    """What is stored of the notification: whose seat, and which media flowed when."""
    return {
        "user_id": _seat(participant),
        "devices": {kind.value: present for kind, present in _devices(participant).items()},
        "rows": [
            [str(row.get("date_time")), str(row.get("type")), _sends(row.get("details"))]
            for row in _rows(participant)
        ],
    }
