"""Plays a scene on Teams: encrypted roster notifications while it runs, then the reports.

https://learn.microsoft.com/graph/changenotifications-for-onlinemeeting and
https://learn.microsoft.com/graph/api/resources/attendancerecord
"""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

from sandbox.config import SandboxConfig
from sandbox.delivery import Tally
from sandbox.graph_errors import GraphError, utc
from sandbox.graph_events import Calendar, GraphSeries
from sandbox.graph_subscriptions import Subscription, Subscriptions
from sandbox.scene import Act, Person, Scene

AT_ONCE = 8


@dataclass(slots=True)
class _Stay:
    """One connection: an anonymous joiner is a new participant at every join."""

    id: str
    person: Person
    name: str
    joined_at: datetime
    left_at: datetime | None = None
    engagements: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Notice:
    at: datetime
    resource: dict[str, Any]
    lost: bool


def _pascal(value: Any) -> Any:
    """The same with keys in PascalCase, as real payloads were seen."""
    if isinstance(value, dict):
        return {k if "@" in k else k[:1].upper() + k[1:]: _pascal(v) for k, v in value.items()}
    return [_pascal(v) for v in value] if isinstance(value, list) else value


class GraphStage:
    """Plays scenes; every notification is answered before `play` returns."""

    def __init__(
        self, config: SandboxConfig, calendar: Calendar, subscriptions: Subscriptions
    ) -> None:
        self._config = config
        self._calendar = calendar
        self._subscriptions = subscriptions
        self.call_records: dict[str, dict[str, Any]] = {}

    def play(self, scene: Scene) -> dict[str, object]:
        """Play one held session; what became of its notifications."""
        series, instance = self._calendar.find(scene.series_ref)
        if instance is not None:
            raise GraphError(400, "BadRequest", "A scene plays on a series master.")
        starts = scene.starts_at + timedelta(minutes=scene.opens)
        ends = scene.starts_at + timedelta(minutes=scene.closes)
        stays, notices = self._perform(scene, starts, ends)
        tally = Tally()
        sent = [n for n in sorted(notices, key=lambda n: n.at) if not n.lost]
        tally.lost = len(notices) - len(sent)
        for subscription in self._subscriptions.live():
            if _is_about(subscription, series):
                self._send(subscription, series, sent, tally)
        series.reports.append(self._report(stays, starts, ends))
        self._tell_record(series, stays, starts, ends)
        return tally.summary()

    def _send(
        self, subscription: Subscription, series: GraphSeries, sent: list[_Notice], tally: Tally
    ) -> None:
        about = str(subscription.asked["resource"])

        def deliver(numbered: tuple[int, _Notice]) -> int:
            number, notice = numbered
            resource = {
                "@odata.type": "#microsoft.graph.callevent",
                "@odata.id": about,
                "id": str(uuid.uuid4()),
                **notice.resource,
            }
            # Every fourth in the casing that real tenants have sent.
            shown = _pascal(resource) if number % 4 == 3 else resource
            return self._subscriptions.notify(subscription, shown)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            for notice, code in zip(sent, pool.map(deliver, enumerate(sent)), strict=True):
                if code == 202:
                    tally.delivered += 1
                else:
                    kind = notice.resource["eventType"]
                    tally.failed.append(f"{kind} of {series.id[-6:]}: {code or 'no answer'}")

    def _perform(
        self, scene: Scene, starts: datetime, ends: datetime
    ) -> tuple[list[_Stay], list[_Notice]]:
        live: dict[tuple[str, str], _Stay] = {}
        lobby: dict[tuple[str, str], str] = {}
        stays: list[_Stay] = []
        notices = [
            _Notice(starts, {"eventType": "callStarted", "eventDateTime": utc(starts)}, lost=False)
        ]
        hosts = [
            Act(at=scene.opens, person=key, deed="join")
            for key, person in scene.people.items()
            if person.host
        ]
        for act in sorted([*hosts, *scene.acts], key=lambda a: a.at):
            at = scene.starts_at + timedelta(minutes=act.at)
            place, person = (act.person, act.device), scene.people[act.person]
            if act.deed == "wait":
                lobby[place] = str(uuid.uuid4())
                waiting = _Stay(lobby[place], person, act.name or person.name, at)
                notices.append(self._delta(waiting, at, lobby=True, lost=act.lost))
            elif act.deed == "join":
                ref = lobby.pop(place, None) or str(uuid.uuid4())
                live[place] = stay = _Stay(ref, person, act.name or person.name, at)
                stays.append(stay)
                self._engage(stay, at, "camera", "cameraOn" if act.camera else "cameraOff")
                self._engage(stay, at, "microphone", "unmute" if act.microphone else "mute")
                notices.append(self._delta(stay, at, lost=act.lost))
            elif place not in live:
                raise GraphError(400, "BadRequest", f"{act.person} has not joined.")
            elif act.deed == "leave":
                stay = live.pop(place)
                stay.left_at = at
                notices.append(self._delta(stay, at, gone=True, lost=act.lost))
            elif act.deed == "rename":
                live[place].name = act.name or ""
                notices.append(self._delta(live[place], at, lost=act.lost))
            elif act.deed in ("camera_on", "camera_off"):
                on = act.deed == "camera_on"
                self._engage(live[place], at, "camera", "cameraOn" if on else "cameraOff")
            else:
                self._engage(live[place], at, "microphone", act.deed)
        for stay in live.values():
            stay.left_at = ends
            notices.append(self._delta(stay, ends, gone=True, lost=False))
        over = {"eventType": "callEnded", "eventDateTime": utc(ends)}
        notices.append(_Notice(ends, over, lost=False))
        return stays, notices

    def _engage(self, stay: _Stay, at: datetime, kind: str, what: str) -> None:
        if stay.person.reports_media:
            stay.engagements.append(
                {"engagementType": kind, "engagementSubType": what, "dateTime": utc(at)}
            )

    def _delta(
        self,
        stay: _Stay,
        at: datetime,
        *,
        lost: bool,
        gone: bool = False,
        lobby: bool = False,
    ) -> _Notice:
        seen: dict[str, Any] = {
            "id": stay.id,
            "info": {"identity": self._identity(stay)},
            "isInLobby": lobby,
        }
        if gone:
            seen["removedState"] = {"reason": "Participant has left the meeting call."}
        resource = {
            "eventType": "rosterUpdated",
            "eventDateTime": utc(at),
            "participants@delta": [seen],
        }
        return _Notice(at, resource, lost=lost)

    def _identity(self, stay: _Stay) -> dict[str, Any]:
        if stay.person.host:
            return {
                "user": {
                    "id": self._config.teams_host_id,
                    "displayName": stay.name,
                    "tenantId": self._config.teams_tenant_id,
                }
            }
        return {"user": None, "guest": {"id": f"guest-{stay.id}", "displayName": stay.name}}

    def _report(self, stays: list[_Stay], starts: datetime, ends: datetime) -> dict[str, Any]:
        records = [
            {
                "id": stay.id,
                "emailAddress": self._config.teams_host_email
                if stay.person.host
                else stay.person.email,
                "totalAttendanceInSeconds": _seconds(stay, ends),
                "role": "Organizer" if stay.person.host else "Presenter",
                "identity": {
                    "id": self._config.teams_host_id if stay.person.host else f"guest-{stay.id}",
                    "displayName": stay.name,
                    "tenantId": self._config.teams_tenant_id if stay.person.host else None,
                },
                "registrationId": None,
                "attendanceIntervals": [
                    {
                        "joinDateTime": utc(stay.joined_at),
                        "leaveDateTime": utc(stay.left_at or ends),
                        "durationInSeconds": _seconds(stay, ends),
                    }
                ],
                "engagements": stay.engagements,
            }
            for stay in stays
        ]
        return {
            "id": str(uuid.uuid4()),
            "totalParticipantCount": len(records),
            "meetingStartDateTime": utc(starts),
            "meetingEndDateTime": utc(ends),
            "attendanceRecords": records,
        }

    def _tell_record(
        self, series: GraphSeries, stays: list[_Stay], starts: datetime, ends: datetime
    ) -> None:
        """A call record: whether media was sent at all; anonymous people have no name in it."""
        record_id = str(uuid.uuid4())
        self.call_records[record_id] = {
            "id": record_id,
            "version": 1,
            "type": "groupCall",
            "modalities": ["audio", "video"],
            "startDateTime": utc(starts),
            "endDateTime": utc(ends),
            "lastModifiedDateTime": utc(ends),
            "joinWebUrl": series.join_url,
            "organizer_v2": {"id": self._config.teams_host_id},
            "sessions": [_call_session(stay, ends) for stay in stays],
        }
        for subscription in self._subscriptions.live():
            if "callRecords" in str(subscription.asked["resource"]):
                self._subscriptions.notify_record(subscription, record_id)


def _seconds(stay: _Stay, ends: datetime) -> int:
    return int(((stay.left_at or ends) - stay.joined_at).total_seconds())


def _call_session(stay: _Stay, ends: datetime) -> dict[str, Any]:
    sent = any(e["engagementSubType"] == "cameraOn" for e in stay.engagements)
    span = {"startDateTime": utc(stay.joined_at), "endDateTime": utc(stay.left_at or ends)}
    video = {"streamDirection": "callerToCallee", "packetUtilization": 48_210 if sent else 0}
    caller = {"identity": {"user": {"id": f"teamsvisitor:{stay.id}", "displayName": None}}}
    media = [{"label": "main-video", "streams": [video]}]
    segment = {"id": stay.id, **span, "caller": caller, "media": media}
    return {
        "id": stay.id,
        "modalities": ["audio", "video"],
        **span,
        "caller": caller,
        "segments": [segment],
    }


def _is_about(subscription: Subscription, series: GraphSeries) -> bool:
    resource = str(subscription.asked["resource"])
    return resource.endswith("/meetingCallEvents") and subscription_link(resource) == (
        series.join_url
    )


def subscription_link(resource: str) -> str:
    """The join link that a resource names, decoded once."""
    begin, end = resource.find("'"), resource.rfind("'")
    return unquote(resource[begin + 1 : end])
