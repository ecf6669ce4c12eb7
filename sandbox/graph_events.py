"""Recurring calendar events of the Graph stand-in: series masters and their instances.

https://learn.microsoft.com/graph/api/user-post-events
"""

from __future__ import annotations

import hashlib
import itertools
import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo, available_timezones

from sandbox.config import SandboxConfig
from sandbox.graph_errors import GraphError

EVENT_FIELDS = {
    *("subject", "body", "start", "end", "recurrence", "attendees", "hideAttendees"),
    *("allowNewTimeProposals", "responseRequested", "isOnlineMeeting", "onlineMeetingProvider"),
    *("transactionId", "location", "categories", "isReminderOn", "importance", "sensitivity"),
    *("reminderMinutesBeforeStart", "showAs", "isAllDay", "locations"),
}
WINDOWS = {"GMT Standard Time": "Europe/London", "UTC": "UTC"}
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(slots=True)
class GraphInstance:
    """One occurrence of a series."""

    id: str
    starts_at: datetime
    ends_at: datetime
    is_exception: bool = False
    cancelled: bool = False


@dataclass(slots=True)
class GraphSeries:
    """One series master with its online meeting."""

    id: str
    asked: dict[str, Any]
    join_url: str
    meeting_id: str
    instances: list[GraphInstance]
    cancelled: bool = False
    reports: list[dict[str, Any]] = field(default_factory=list)

    def body(self) -> dict[str, Any]:
        """The master as Graph shows it."""
        return {
            "@odata.etag": f'W/"{self.id[-8:]}"',
            "id": self.id,
            "transactionId": self.asked.get("transactionId"),
            "iCalUId": f"040000{self.id}",
            "type": "seriesMaster",
            "seriesMasterId": None,
            "isOrganizer": True,
            "isCancelled": self.cancelled,
            "subject": self.asked["subject"],
            "start": _seven(self.asked["start"]),
            "end": _seven(self.asked["end"]),
            "originalStartTimeZone": "GMT Standard Time",
            "recurrence": self.asked["recurrence"],
            "attendees": [
                {**a, "status": {"response": "none", "time": "0001-01-01T00:00:00Z"}}
                for a in self.asked.get("attendees", [])
            ],
            "hideAttendees": self.asked.get("hideAttendees", False),
            "isOnlineMeeting": True,
            "onlineMeetingProvider": "teamsForBusiness",
            "onlineMeetingUrl": None,
            "onlineMeeting": {"joinUrl": self.join_url, "conferenceId": "177513992"},
        }

    def instance_body(self, instance: GraphInstance, zone_name: str) -> dict[str, Any]:
        """One instance, its times in the zone that was preferred."""
        zone = ZoneInfo(WINDOWS.get(zone_name, zone_name))

        def shown(at: datetime) -> dict[str, str]:
            return {
                "dateTime": f"{at.astimezone(zone):%Y-%m-%dT%H:%M:%S}.0000000",
                "timeZone": zone_name,
            }

        return {
            "id": instance.id,
            "subject": self.asked["subject"],
            "seriesMasterId": self.id,
            "type": "exception" if instance.is_exception else "occurrence",
            "isCancelled": instance.cancelled,
            "recurrence": None,
            "start": shown(instance.starts_at),
            "end": shown(instance.ends_at),
        }


def _seven(point: dict[str, Any]) -> dict[str, Any]:
    return {**point, "dateTime": f"{str(point['dateTime'])[:19]}.0000000"}


def read_point(value: object) -> datetime:
    """Wall time and zone to an instant. A `Z` or offset makes it an instant whatever the zone."""
    if not isinstance(value, dict) or not isinstance(value.get("dateTime"), str):
        raise GraphError(400, "ErrorInvalidRequest", "A dateTimeTimeZone is missing.")
    name = str(value.get("timeZone") or "")
    zone_name = WINDOWS.get(name, name)
    if zone_name not in available_timezones():
        raise GraphError(
            400,
            "TimeZoneNotSupportedException",
            f"A valid TimeZone value must be specified. The following TimeZone value is not "
            f"supported: '{name}'.",
        )
    try:
        wall = datetime.fromisoformat(value["dateTime"])
    except ValueError as e:
        raise GraphError(400, "ErrorPropertyValidationFailure", "dateTime is not valid.") from e
    return (wall if wall.tzinfo else wall.replace(tzinfo=ZoneInfo(zone_name))).astimezone(UTC)


class Calendar:
    """The organiser's calendar."""

    def __init__(self, config: SandboxConfig) -> None:
        self._config = config
        self.series: dict[str, GraphSeries] = {}
        self._numbers = itertools.count(1)

    def create(self, asked: dict[str, Any]) -> tuple[GraphSeries, bool]:
        """A new series, or the one that the same transactionId made before; whether it is new."""
        transaction = asked.get("transactionId")
        for known in self.series.values():
            if transaction is not None and known.asked.get("transactionId") == transaction:
                return known, False
        for name in asked:
            if name not in EVENT_FIELDS:
                raise GraphError(
                    400,
                    "RequestBodyRead",
                    f"The property '{name}' does not exist on type 'microsoft.graph.event'.",
                )
        starts_at, ends_at = read_point(asked.get("start")), read_point(asked.get("end"))
        if ends_at <= starts_at:
            raise GraphError(400, "ErrorPropertyValidationFailure", "End is before start.")
        number = next(self._numbers)
        identity = f"AAMkAGI{number:06d}{secrets.token_hex(8)}="
        series = GraphSeries(
            id=identity,
            asked=asked,
            join_url=self._join_url(number),
            meeting_id=f"MSo{secrets.token_urlsafe(24)}",
            instances=[
                GraphInstance(
                    id=f"{identity[:-1]}i{n}=", starts_at=at, ends_at=at + (ends_at - starts_at)
                )
                for n, at in enumerate(_expand(asked, starts_at))
            ],
        )
        self.series[series.id] = series
        return series, True

    def _join_url(self, number: int) -> str:
        """The long form, with percent signs of its own."""
        thread = quote(
            f"19:meeting_{hashlib.sha256(str(number).encode()).hexdigest()[:32]}@thread.v2"
        )
        context = json.dumps(
            {"Tid": self._config.teams_tenant_id, "Oid": self._config.teams_host_id},
            separators=(",", ":"),
        )
        return (
            f"https://teams.microsoft.com/l/meetup-join/{thread.replace('%3A', '%3a')}/0"
            f"?context={quote(context).lower().replace('tid', 'Tid').replace('oid', 'Oid')}"
        )

    def find(self, ref: str) -> tuple[GraphSeries, GraphInstance | None]:
        """A master, or a master with one of its instances."""
        if ref in self.series:
            return self.series[ref], None
        for series in self.series.values():
            for instance in series.instances:
                if instance.id == ref and not instance.cancelled:
                    return series, instance
        raise GraphError(
            404, "ErrorItemNotFound", "The specified object was not found in the store."
        )

    def change(self, ref: str, asked: dict[str, Any]) -> dict[str, Any]:
        """PATCH a master (its attendees) or one instance, which becomes an exception."""
        series, instance = self.find(ref)
        if instance is None:
            if set(asked) - {"attendees", "subject", "body", "hideAttendees"}:
                raise GraphError(400, "ErrorInvalidRequest", "The stand-in keeps a series' times.")
            series.asked.update(asked)
            return series.body()
        starts_at = read_point(asked["start"]) if "start" in asked else instance.starts_at
        ends_at = read_point(asked["end"]) if "end" in asked else instance.ends_at
        others = [i.starts_at.date() for i in series.instances if i is not instance]
        if starts_at.date() in others:
            raise GraphError(
                400,
                "ErrorOccurrenceCrossingBoundary",
                "Modified occurrence is crossing or overlapping adjacent occurrence.",
            )
        instance.starts_at, instance.ends_at, instance.is_exception = starts_at, ends_at, True
        return series.instance_body(instance, "UTC")

    def by_join_url(self, join_url: str) -> GraphSeries | None:
        """The series with exactly that link, case included."""
        return next((s for s in self.series.values() if s.join_url == join_url), None)


def _expand(asked: dict[str, Any], starts_at: datetime) -> list[datetime]:
    """The instants of a weekly numbered recurrence; wall time holds over clock changes."""
    recurrence = asked.get("recurrence")
    if not isinstance(recurrence, dict):
        raise GraphError(400, "ErrorInvalidRequest", "The stand-in makes recurring events only.")
    pattern, span = recurrence.get("pattern", {}), recurrence.get("range", {})
    if pattern.get("type") != "weekly" or span.get("type") != "numbered":
        raise GraphError(400, "ErrorInvalidRequest", "The stand-in knows weekly, numbered only.")
    name = str(asked["start"]["timeZone"])
    zone = ZoneInfo(WINDOWS.get(name, name))
    local = starts_at.astimezone(zone)
    try:
        begins_on = date.fromisoformat(str(span.get("startDate")))
    except ValueError as e:
        raise GraphError(400, "ErrorPropertyValidationFailure", "startDate is not valid.") from e
    if begins_on != local.date() or DAYS[local.weekday()] not in pattern.get("daysOfWeek", []):
        raise GraphError(
            400,
            "ErrorPropertyValidationFailure",
            "The recurrence range's startDate must be the date of start.",
        )
    count = span.get("numberOfOccurrences")
    if not isinstance(count, int) or not 1 <= count <= 999:
        raise GraphError(400, "ErrorPropertyValidationFailure", "numberOfOccurrences is missing.")
    wall = local.replace(tzinfo=None)
    weeks = timedelta(weeks=int(pattern.get("interval", 1)))
    return [(wall + weeks * n).replace(tzinfo=zone).astimezone(UTC) for n in range(count)]
