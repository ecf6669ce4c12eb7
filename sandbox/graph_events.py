"""Recurring calendar events of the Graph stand-in: series masters and their instances.

https://learn.microsoft.com/graph/api/user-post-events
"""

from __future__ import annotations

import hashlib
import itertools
import json
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from sandbox.config import SandboxConfig
from sandbox.graph_errors import GraphError
from sandbox.graph_rules import WINDOWS_NAMES, check_names, expand, invalid, read_point, read_zone


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
    """One series master and its online meeting; without one both links to it are empty."""

    id: str
    asked: dict[str, Any]
    starts_at: datetime
    ends_at: datetime
    join_url: str
    meeting_id: str
    instances: list[GraphInstance]
    cancelled: bool = False
    reports: list[dict[str, Any]] = field(default_factory=list)

    @property
    def subject(self) -> str:
        """The name that the calendar shows."""
        return str(self.asked.get("subject", ""))

    def body(self, zone_name: str) -> dict[str, Any]:
        """The master as Graph shows it, its first times in the zone that was preferred."""
        online = bool(self.join_url)
        return {
            "@odata.etag": f'W/"{self.id[-8:]}"',
            "id": self.id,
            "transactionId": self.asked.get("transactionId"),
            "iCalUId": f"040000{self.id}",
            "type": "seriesMaster",
            "seriesMasterId": None,
            "isOrganizer": True,
            "isCancelled": False,
            "subject": self.subject,
            "body": self.asked.get("body", {"contentType": "html", "content": ""}),
            "start": _shown(self.starts_at, zone_name),
            "end": _shown(self.ends_at, zone_name),
            "originalStartTimeZone": _windows(self.asked["start"]["timeZone"]),
            "originalEndTimeZone": _windows(self.asked["end"]["timeZone"]),
            "recurrence": _recurrence(self.asked),
            "attendees": [
                {
                    "type": attendee.get("type", "required"),
                    "emailAddress": attendee["emailAddress"],
                    "status": {"response": "none", "time": "0001-01-01T00:00:00Z"},
                }
                for attendee in self.asked.get("attendees", [])
            ],
            "hideAttendees": self.asked.get("hideAttendees", False),
            "isOnlineMeeting": online,
            "onlineMeetingProvider": "teamsForBusiness" if online else "unknown",
            "onlineMeetingUrl": None,
            "onlineMeeting": {"joinUrl": self.join_url, "conferenceId": "177513992"}
            if online
            else None,
        }

    def instance_body(self, instance: GraphInstance, zone_name: str) -> dict[str, Any]:
        """One instance, its times in the zone that was preferred."""
        return {
            "id": instance.id,
            "subject": self.subject,
            "seriesMasterId": self.id,
            "type": "exception" if instance.is_exception else "occurrence",
            "isCancelled": instance.cancelled,
            "recurrence": None,
            "start": _shown(instance.starts_at, zone_name),
            "end": _shown(instance.ends_at, zone_name),
        }


class Calendar:
    """The organiser's calendar. What it does is atomic under the tenant's lock."""

    def __init__(self, config: SandboxConfig) -> None:
        self._config = config
        self._series: dict[str, GraphSeries] = {}
        self._numbers = itertools.count(1)

    def clear(self) -> None:
        """Empty the calendar, without telling anybody."""
        self._series.clear()

    def live(self) -> list[GraphSeries]:
        """Every series that was not cancelled."""
        return [s for s in list(self._series.values()) if not s.cancelled]

    def create(self, asked: dict[str, Any]) -> GraphSeries:
        """A new series, or the one that the same transactionId made before."""
        transaction = asked.get("transactionId")
        if transaction is not None:
            for known in self.live():
                if known.asked.get("transactionId") == transaction:
                    return known
        check_names(asked)
        starts_at, ends_at = read_point(asked.get("start")), read_point(asked.get("end"))
        if ends_at <= starts_at:
            raise invalid("End is before start.")
        expand(asked, starts_at)  # refuses what it cannot repeat, before anything is made
        number = next(self._numbers)
        online = asked.get("isOnlineMeeting") is True
        identity = f"AAMkAGI{number:06d}{secrets.token_hex(8)}="
        series = GraphSeries(
            id=identity,
            asked=asked,
            starts_at=starts_at,
            ends_at=ends_at,
            join_url=self._join_url(number) if online else "",
            meeting_id=f"MSo{secrets.token_urlsafe(24)}" if online else "",
            instances=[],
        )
        series.instances = _instances(identity, asked, series)
        self._series[series.id] = series
        return series

    def _join_url(self, number: int) -> str:
        """The long form, with percent signs of its own."""
        thread = f"19%3ameeting_{hashlib.sha256(str(number).encode()).hexdigest()[:32]}%40thread.v2"
        context = json.dumps(
            {"Tid": self._config.teams_tenant_id, "Oid": self._config.teams_host_id},
            separators=(",", ":"),
        )
        # Teams writes its escapes in small letters; both ids are in small letters already.
        escaped = quote(context).lower().replace("tid", "Tid", 1).replace("oid", "Oid", 1)
        return f"https://teams.microsoft.com/l/meetup-join/{thread}/0?context={escaped}"

    def find(self, ref: str) -> tuple[GraphSeries, GraphInstance | None]:
        """A master, or a master with one of its instances."""
        for series in self.live():
            if series.id == ref:
                return series, None
            for instance in series.instances:
                if instance.id == ref and not instance.cancelled:
                    return series, instance
        raise GraphError(
            404, "ErrorItemNotFound", "The specified object was not found in the store."
        )

    def change(self, ref: str, asked: dict[str, Any], zone_name: str) -> dict[str, Any]:
        """PATCH a master (its attendees) or one instance, which becomes an exception."""
        series, instance = self.find(ref)
        check_names(asked)
        if instance is None:
            known = {"attendees", "subject", "body", "hideAttendees", "recurrence"}
            if set(asked) - known:
                raise GraphError(400, "ErrorInvalidRequest", "The stand-in keeps a series' times.")
            series.asked = {**series.asked, **asked}
            if "recurrence" in asked:
                # Whether exceptions outlive a longer range is not documented: here none does.
                series.instances = _instances(series.id, series.asked, series)
            return series.body(zone_name)
        if set(asked) - {"start", "end"}:
            raise GraphError(400, "ErrorInvalidRequest", "The stand-in moves instances only.")
        starts_at = read_point(asked["start"]) if "start" in asked else instance.starts_at
        ends_at = read_point(asked["end"]) if "end" in asked else instance.ends_at
        if _crosses(series, instance, starts_at, ends_at):
            raise GraphError(
                400,
                "ErrorOccurrenceCrossingBoundary",
                "Modified occurrence is crossing or overlapping adjacent occurrence.",
            )
        if ends_at <= starts_at:
            raise invalid("End is before start.")
        instance.starts_at, instance.ends_at, instance.is_exception = starts_at, ends_at, True
        return series.instance_body(instance, zone_name)

    def cancel(self, ref: str) -> None:
        """Take a series, or one instance of it, out of the calendar."""
        series, instance = self.find(ref)
        if instance is None:
            series.cancelled = True
        else:
            instance.cancelled = True

    def by_join_url(self, join_url: str) -> GraphSeries | None:
        """The series with exactly that link, case included."""
        found = (s for s in list(self._series.values()) if s.join_url == join_url != "")
        return next(found, None)

    def by_meeting_id(self, meeting_id: str) -> GraphSeries | None:
        """The series behind an online meeting."""
        found = (s for s in list(self._series.values()) if s.meeting_id == meeting_id != "")
        return next(found, None)


def _instances(identity: str, asked: dict[str, Any], series: GraphSeries) -> list[GraphInstance]:
    length = series.ends_at - series.starts_at
    return [
        GraphInstance(id=f"{identity[:-1]}i{n}=", starts_at=at, ends_at=at + length)
        for n, at in enumerate(expand(asked, series.starts_at))
    ]


def _crosses(
    series: GraphSeries, instance: GraphInstance, starts_at: datetime, ends_at: datetime
) -> bool:
    """Whether it would reach a neighbour's day; that a cancelled one keeps its day is assumed."""
    zone = read_zone(series.asked["start"]["timeZone"])
    begins_on, ends_on = sorted(at.astimezone(zone).date() for at in (starts_at, ends_at))
    place = series.instances.index(instance)
    before, after = series.instances[:place][-1:], series.instances[place + 1 :][:1]
    return any(begins_on <= i.ends_at.astimezone(zone).date() for i in before) or any(
        ends_on >= i.starts_at.astimezone(zone).date() for i in after
    )


def _shown(at: datetime, zone_name: str) -> dict[str, str]:
    wall = at.astimezone(read_zone(zone_name))
    return {"dateTime": f"{wall:%Y-%m-%dT%H:%M:%S}.0000000", "timeZone": zone_name}


def _windows(zone_name: str) -> str:
    """Exchange keeps the Windows name of a zone, whichever it was given."""
    return WINDOWS_NAMES.get(zone_name, zone_name)


def _recurrence(asked: dict[str, Any]) -> dict[str, Any]:
    pattern, span = asked["recurrence"]["pattern"], asked["recurrence"]["range"]
    zone_name = span.get("recurrenceTimeZone") or asked["start"]["timeZone"]
    defaults = {"interval": 1, "month": 0, "dayOfMonth": 0, "index": "first"}
    return {
        "pattern": {"firstDayOfWeek": "sunday", **defaults, **pattern},
        "range": {**span, "endDate": "0001-01-01", "recurrenceTimeZone": _windows(zone_name)},
    }
