"""What the Zoom stand-in remembers: meetings, occurrences, registrants, held instances."""

from __future__ import annotations

import base64
import hashlib
import itertools
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo


@dataclass(slots=True)
class Occurrence:
    """One planned occurrence; its id looks like the start in milliseconds, and is opaque."""

    id: str
    starts_at: datetime
    duration: int
    deleted: bool = False

    def body(self) -> dict[str, Any]:
        """As Zoom shows it."""
        return {
            "occurrence_id": self.id,
            "start_time": zulu(self.starts_at),
            "duration": self.duration,
            "status": "deleted" if self.deleted else "available",
        }


@dataclass(slots=True)
class Registrant:
    """One registered person with a personal link."""

    id: str
    email: str
    first_name: str
    last_name: str
    join_url: str
    approved: bool = True


@dataclass(slots=True)
class Instance:
    """One held meeting. `rows` are what the participants' report says of it, `quality` is what the
    dashboard says of each participant's media.
    """

    uuid: str
    starts_at: datetime
    ends_at: datetime
    rows: list[dict[str, Any]] = field(default_factory=list)
    quality: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Meeting:
    """One recurring meeting."""

    id: int
    uuid: str
    host_id: str
    host_email: str
    asked: dict[str, Any]
    created_at: datetime
    occurrences: list[Occurrence]
    registrants: list[Registrant] = field(default_factory=list)
    instances: list[Instance] = field(default_factory=list)

    def body(self, base_url: str, *, now: datetime, previous: bool) -> dict[str, Any]:
        """As GET /meetings/{id} shows it; past occurrences only when asked for."""
        shown = [o for o in self.occurrences if not o.deleted]
        if not previous:
            shown = [o for o in shown if o.starts_at + timedelta(minutes=o.duration) > now]
        return {
            "id": self.id,
            "uuid": self.uuid,
            "host_id": self.host_id,
            "host_email": self.host_email,
            "type": self.asked["type"],
            "topic": self.asked["topic"],
            "agenda": self.asked.get("agenda", ""),
            "timezone": self.asked["timezone"],
            "duration": self.asked["duration"],
            "created_at": zulu(self.created_at),
            "join_url": f"{base_url}/zoom/j/{self.id}",
            "start_url": f"{base_url}/zoom/s/{self.id}?zak={secrets.token_hex(4)}",
            "status": "waiting",
            "occurrences": [o.body() for o in shown],
            "recurrence": self.asked.get("recurrence", {}),
            "settings": self.asked.get("settings", {}),
        }


def zulu(at: datetime) -> str:
    """An instant in Zoom's format."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"


def read_start(value: str, timezone: str) -> datetime:
    """Zoom's rule: with Z it is UTC whatever the zone says; without, local. Offsets are ignored."""
    if value.endswith("Z"):
        return datetime.fromisoformat(value.removesuffix("Z")).replace(tzinfo=UTC)
    wall = datetime.fromisoformat(value).replace(tzinfo=None)
    return wall.replace(tzinfo=ZoneInfo(timezone)).astimezone(UTC)


def plan(asked: dict[str, Any]) -> list[Occurrence]:
    """The occurrences of a weekly meeting: the same wall-clock time on both sides of a change."""
    zone = ZoneInfo(asked["timezone"])
    first = read_start(asked["start_time"], asked["timezone"]).astimezone(zone)
    recurrence = asked.get("recurrence") or {}
    wanted = {int(day) % 7 for day in str(recurrence.get("weekly_days") or "").split(",") if day}
    wanted = wanted or {(first.isoweekday() + 1) % 7}
    found: list[Occurrence] = []
    for day in itertools.count():
        local = (first.replace(tzinfo=None) + timedelta(days=day)).replace(tzinfo=zone)
        if (local.isoweekday() + 1) % 7 not in wanted:
            continue
        at = local.astimezone(UTC)
        found.append(
            Occurrence(id=str(int(at.timestamp() * 1000)), starts_at=at, duration=asked["duration"])
        )
        if len(found) >= int(recurrence.get("end_times") or 1):
            return found
    raise AssertionError("unreachable")


class ZoomAccount:
    """Everything in the invented account."""

    def __init__(self) -> None:
        self.meetings: dict[int, Meeting] = {}
        self.changes: dict[tuple[str, str], int] = {}
        self.registrations: dict[tuple[int, str, str], int] = {}
        self._numbers = itertools.count(81_000_000_001)
        self._instances = itertools.count(1)

    def clear(self) -> None:
        """Forget every meeting and count; no number is ever given twice."""
        self.meetings.clear()
        self.changes.clear()
        self.registrations.clear()

    def new_id(self) -> int:
        """A meeting number: more than 32 bits, as real ones."""
        return next(self._numbers)

    def new_uuid(self) -> str:
        """A held instance's uuid: base64; every third begins with a slash, as real ones may."""
        number = next(self._instances)
        raw = hashlib.sha256(f"instance {number}".encode()).digest()[:16]
        if number % 3 == 0:
            raw = b"\xff\xf0" + raw[2:]  # base64 "//A..."
        return base64.b64encode(raw).decode()

    def instances(self) -> Iterator[tuple[Meeting, Instance]]:
        """Every held instance."""
        for meeting in self.meetings.values():
            for instance in meeting.instances:
                yield meeting, instance

    def state(self) -> dict[str, Any]:
        """What stands in the account, to look at."""
        return {
            "series": [
                {
                    "id": m.id,
                    "topic": m.asked["topic"],
                    "host": m.host_email,
                    "occurrences": [o.body() for o in m.occurrences if not o.deleted],
                    "registrants": [
                        {"id": r.id, "email": r.email, "approved": r.approved}
                        for r in m.registrants
                    ],
                    "instances": [
                        {"uuid": i.uuid, "start_time": zulu(i.starts_at), "rows": len(i.rows)}
                        for i in m.instances
                    ],
                }
                for m in self.meetings.values()
            ]
        }
