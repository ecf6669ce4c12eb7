"""Teams' call records: whether media was sent at all in a call, by people without names.

They come a quarter of an hour to hours after a call, and say neither when a camera was on nor who
an anonymous person was. So they only ever add: a microphone that was used, a camera that worked.
Network addresses, device names and levels are in them too; none of that passes this file.
https://learn.microsoft.com/graph/api/resources/callrecords-callrecord
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from course.model import EventKind, Level, ParticipantEvent, Platform, Source
from integration.provider import CallRecord, ProviderError
from integration.teams_client import GraphCalls
from integration.teams_values import rows, utc_instant

READ_CALL_RECORDS = "CallRecords.Read.All"
MOST_PAGES = 100
# What was sent -> what it proves: used is connected; when a camera was on, nobody says.
_PROVES = {
    "main-audio": (EventKind.MICROPHONE, Level.SENDING),
    "main-video": (EventKind.CAMERA, Level.DEVICE_PRESENT),
}


def fetch(graph: GraphCalls, record_ref: str, *, with_events: bool) -> CallRecord:
    """GET /communications/callRecords/{id}, with its sessions or without. Raises `ProviderError`.

    The permission is for every call of the tenant: of a call that is not ours, its link and times
    are all that is ever asked for.
    """
    answer = graph.call(
        "GET",
        f"v1.0/communications/callRecords/{quote(record_ref, safe='')}",
        needs=READ_CALL_RECORDS,
        params={"$expand": "sessions($expand=segments)"} if with_events else None,
        headers={"Prefer": "include-unknown-enum-members"},
    )
    body = answer.body
    begins, ends = utc_instant(body, "startDateTime"), utc_instant(body, "endDateTime")
    if begins is None or ends is None:
        raise ProviderError("Graph's call record has no times.", permanent=False)
    sessions = list(_sessions(graph, body)) if with_events else []
    return CallRecord(
        join_url=str(body.get("joinWebUrl") or ""),
        begins_at=begins,
        ends_at=ends,
        events=tuple(_events(record_ref, sessions)),
    )


def _sessions(graph: GraphCalls, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield from rows(body.get("sessions"))
    following = body.get("sessions@odata.nextLink")
    for _ in range(MOST_PAGES):
        if not isinstance(following, str) or not following:
            return
        page = graph.call("GET", following, needs=READ_CALL_RECORDS).body
        yield from rows(page.get("value"))
        following = page.get("@odata.nextLink")


def _events(record_ref: str, sessions: list[dict[str, Any]]) -> Iterator[ParticipantEvent]:
    """One session is one stay of one device; `caller` is the person, `callee` the service."""
    for session in sessions:
        begins, ends = utc_instant(session, "startDateTime"), utc_instant(session, "endDateTime")
        if begins is None or ends is None or begins >= ends:
            continue
        sent = {
            str(media.get("label") or "").lower()
            for segment in rows(session.get("segments"))
            for media in rows(segment.get("media"))
            if any(_was_sent(stream) for stream in rows(media.get("streams")))
        }
        for label in sorted(sent & set(_PROVES)):
            kind, level = _PROVES[label]
            yield _event(record_ref, str(session.get("id")), kind, level, begins, ends)


def _was_sent(stream: Mapping[str, Any]) -> bool:
    """Both directions are listed even when nothing went that way."""
    packets = stream.get("packetUtilization")
    return (
        stream.get("streamDirection") == "callerToCallee"
        and isinstance(packets, int)
        and packets > 0
    )


def _event(
    record_ref: str,
    session_ref: str,
    kind: EventKind,
    level: Level,
    begins: datetime,
    ends: datetime,
) -> ParticipantEvent:
    told = "\n".join([record_ref, session_ref, kind, begins.isoformat(), ends.isoformat()])
    return ParticipantEvent(
        key=f"teams:call:{hashlib.sha256(told.encode()).hexdigest()[:32]}",
        platform=Platform.TEAMS,
        kind=kind,
        occurred_at=begins,
        until_at=ends,
        source=Source.PLATFORM_RECORD,
        level=level,
    )
