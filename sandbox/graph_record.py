"""What Teams keeps of a call: the attendance report with engagements, and the call record.

https://learn.microsoft.com/graph/api/resources/attendancerecord,
https://learn.microsoft.com/graph/api/resources/meetingengagement (beta) and
https://learn.microsoft.com/graph/api/resources/callrecords-callrecord
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sandbox.config import SandboxConfig
from sandbox.graph_errors import utc
from sandbox.scene import Person

PACKETS = 48_210  # what somebody sends in a stay; any number above 0 says the same


@dataclass(slots=True)
class Stay:
    """One connection from its join to its end: an anonymous joiner is new at every join."""

    id: str
    person: Person
    name: str
    joined_at: datetime
    left_at: datetime | None = None
    engagements: list[dict[str, str]] = field(default_factory=list)

    def engage(self, at: datetime, kind: str, what: str) -> None:
        """Note a camera or microphone switched, where the client reports such things at all."""
        if self.person.reports_media:
            self.engagements.append(
                {"engagementType": kind, "engagementSubType": what, "dateTime": utc(at)}
            )

    def identity(self, config: SandboxConfig) -> dict[str, Any]:
        """Who a roster says it is: the signed-in organiser, or a guest with a typed name."""
        if self.person.host:
            return {"user": _organiser(self.name, config)}
        return {"user": None, "guest": {"id": f"guest-{self.id}", "displayName": self.name}}


def attendance_report(
    stays: list[Stay], *, ref: str, starts: datetime, ends: datetime, config: SandboxConfig
) -> dict[str, Any]:
    """One report of one call, with a record for each participant id."""
    return {
        "id": ref,
        "totalParticipantCount": len(stays),
        "meetingStartDateTime": utc(starts),
        "meetingEndDateTime": utc(ends),
        "attendanceRecords": [_attendance_record(stay, ends, config) for stay in stays],
    }


def _attendance_record(stay: Stay, ends: datetime, config: SandboxConfig) -> dict[str, Any]:
    left_at, is_host = stay.left_at or ends, stay.person.host
    seconds = int((left_at - stay.joined_at).total_seconds())
    return {
        "id": stay.id,
        "emailAddress": config.teams_host_email if is_host else stay.person.email,
        "totalAttendanceInSeconds": seconds,
        "role": "Organizer" if is_host else "Presenter",
        "identity": _organiser(stay.name, config)
        if is_host
        else {"id": f"guest-{stay.id}", "displayName": stay.name, "tenantId": None},
        "registrationId": None,
        "attendanceIntervals": [
            {
                "joinDateTime": utc(stay.joined_at),
                "leaveDateTime": utc(left_at),
                "durationInSeconds": seconds,
            }
        ],
        "engagements": stay.engagements,
    }


def call_record(
    stays: list[Stay],
    *,
    ref: str,
    join_url: str,
    starts: datetime,
    ends: datetime,
    config: SandboxConfig,
) -> dict[str, Any]:
    """Whether media was sent at all; anonymous people have no name in it."""
    name = next((stay.name for stay in stays if stay.person.host), None)
    organiser = _organiser(name, config)
    return {
        "id": ref,
        "version": 1,
        "type": "groupCall",
        "modalities": ["audio", "video"],
        "startDateTime": utc(starts),
        "endDateTime": utc(ends),
        "lastModifiedDateTime": utc(ends),
        "joinWebUrl": join_url,
        "organizer_v2": {
            "id": config.teams_host_id,
            "identity": {
                "user": {**organiser, "userPrincipalName": config.teams_host_email},
                "guest": None,
                "phone": None,
            },
            "administrativeUnitInfos": [],
        },
        "sessions": [_session(stay, ends, config) for stay in stays],
    }


def _session(stay: Stay, ends: datetime, config: SandboxConfig) -> dict[str, Any]:
    span = {"startDateTime": utc(stay.joined_at), "endDateTime": utc(stay.left_at or ends)}
    who = (
        {
            **_organiser(stay.name, config),
            "userPrincipalName": config.teams_host_email,
        }
        if stay.person.host
        else {"id": f"teamsvisitor:{stay.id}", "displayName": None, "tenantId": None}
    )
    agent = {"headerValue": None, "platform": "unknown", "productFamily": "unknown"}
    ends_of_it = {
        "caller": {"userAgent": agent, "associatedIdentity": who, "identity": {"user": who}},
        "callee": {"userAgent": agent},
    }
    said = {engagement["engagementSubType"] for engagement in stay.engagements}
    media = [
        _media("main-audio", sent="unmute" in said, codec="audioCodec", name="satin"),
        _media("main-video", sent="cameraOn" in said, codec="videoCodec", name="h264"),
    ]
    segment = {
        "id": stay.id,
        **span,
        **ends_of_it,
        # A client may never tell what it sent.
        "media": media if stay.person.reports_media else [],
    }
    return {
        "id": stay.id,
        "modalities": ["audio", "video"],
        **span,
        **ends_of_it,
        "isTest": False,
        "failureInfo": None,
        "segments": [segment],
    }


def _media(label: str, *, sent: bool, codec: str, name: str) -> dict[str, Any]:
    """Both directions are listed even when nothing went that way."""

    def stream(direction: str, *, used: bool) -> dict[str, Any]:
        return {
            "streamDirection": direction,
            "packetUtilization": PACKETS if used else 0,
            "averageBandwidthEstimate": 2_477_474 if used else None,
            codec: name if used else "unknown",
            "startDateTime": None,
            "endDateTime": None,
        }

    return {
        "label": label,
        "streams": [stream("callerToCallee", used=sent), stream("calleeToCaller", used=True)],
    }


def _organiser(name: str | None, config: SandboxConfig) -> dict[str, Any]:
    return {"id": config.teams_host_id, "displayName": name, "tenantId": config.teams_tenant_id}
