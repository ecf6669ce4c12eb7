"""Teams' attendance report of one call, in our words.

https://learn.microsoft.com/graph/api/resources/attendancerecord and, in beta, its engagements:
https://learn.microsoft.com/graph/api/resources/meetingengagement
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from course.model import (
    EventKind,
    Level,
    Participant,
    ParticipantEvent,
    Platform,
    Role,
    Source,
)

# (engagementType, engagementSubType), lower-cased -> what it says. The casing varies.
ENGAGEMENTS = {
    ("camera", "cameraon"): (EventKind.CAMERA, Level.ON),
    ("camera", "on"): (EventKind.CAMERA, Level.ON),
    ("camera", "cameraoff"): (EventKind.CAMERA, Level.OFF),
    ("camera", "off"): (EventKind.CAMERA, Level.OFF),
    ("microphone", "unmute"): (EventKind.MICROPHONE, Level.ON),
    ("microphone", "mute"): (EventKind.MICROPHONE, Level.OFF),
}


def _key(*parts: object) -> str:
    joined = "\n".join("" if part is None else str(part) for part in parts)
    return f"teams:record:{hashlib.sha256(joined.encode()).hexdigest()}"


def _instant(row: Mapping[str, Any], name: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(row.get(name)))
    except ValueError:
        return None
    if not 2000 <= at.year < 2100:
        return None  # Graph writes year 1 for "none"
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def report_events(
    report: Mapping[str, Any], records: Iterable[Mapping[str, Any]], *, series_ref: str
) -> list[ParticipantEvent]:
    """When the call was, who was in it from when to when, and their camera and microphone."""
    ref = str(report.get("id") or "")
    events = []
    for kind, name in (
        (EventKind.INSTANCE_STARTED, "meetingStartDateTime"),
        (EventKind.INSTANCE_ENDED, "meetingEndDateTime"),
    ):
        at = _instant(report, name)
        if at is not None:
            events.append(
                ParticipantEvent(
                    key=_key(ref, kind, at),
                    platform=Platform.TEAMS,
                    kind=kind,
                    occurred_at=at,
                    source=Source.PLATFORM_RECORD,
                    series_ref=series_ref,
                    instance_ref=ref,
                )
            )
    for number, record in enumerate(records):
        # Intervals and engagements of one record belong together: they are one connection.
        connection = f"record:{record.get('id') or number}"
        events += _of_record(
            record,
            connection,
            report_ref=ref,
            series_ref=series_ref,
            began_at=_instant(report, "meetingStartDateTime"),
        )
    return events


def _of_record(
    record: Mapping[str, Any],
    connection: str,
    *,
    report_ref: str,
    series_ref: str,
    began_at: datetime | None,
) -> list[ParticipantEvent]:
    who = _who(record)

    def fact(
        kind: EventKind, at: datetime, until: datetime | None, level: Level | None
    ) -> ParticipantEvent:
        return ParticipantEvent(
            key=_key(report_ref, connection, kind, at, until, level),
            platform=Platform.TEAMS,
            kind=kind,
            occurred_at=at,
            until_at=until,
            source=Source.PLATFORM_RECORD,
            series_ref=series_ref,
            instance_ref=report_ref,
            connection_ref=connection,
            participant=who,
            level=level,
        )

    events = []
    intervals = _mappings(record.get("attendanceIntervals"))
    for interval in intervals:
        begins, ends = _instant(interval, "joinDateTime"), _instant(interval, "leaveDateTime")
        if begins is not None and ends is not None and begins < ends:
            events.append(fact(EventKind.STAY, begins, ends, None))
    if len(events) < max(len(intervals), 1) and began_at is not None:
        # Where data is lacking Graph gives null and a duration of 0: they were there, and nobody
        # knows when. Told again with times, the same record is that record.
        apart = connection if not events else f"{connection}:undated"
        events.append(replace(fact(EventKind.STAY, began_at, None, None), connection_ref=apart))
    for engagement in _mappings(record.get("engagements")):
        at = _instant(engagement, "dateTime")
        said = (
            str(engagement.get("engagementType") or "").lower(),
            str(engagement.get("engagementSubType") or "").lower(),
        )
        if at is not None and said in ENGAGEMENTS:
            kind, level = ENGAGEMENTS[said]
            events.append(fact(kind, at, None, level))
    return events


def _who(record: Mapping[str, Any]) -> Participant:
    identity = record.get("identity")
    identity = identity if isinstance(identity, Mapping) else {}
    account = str(identity.get("id") or "").strip() or None
    kind = str(identity.get("@odata.type") or "").lower()
    role = str(record.get("role") or "").lower()
    return Participant(
        display_name=str(identity.get("displayName") or "").strip()[:200],
        email=str(record.get("emailAddress") or identity.get("email") or "").strip()[:200],
        account_ref=account,
        # Only people of a tenant keep their id; anonymous ones get another at every visit.
        stable_account=bool(account and identity.get("tenantId")),
        by_phone="phone" in kind,
        role=Role.BOT
        if "application" in kind
        else Role.ORGANISER
        if role == "organizer"
        else Role.ATTENDEE,
    )
