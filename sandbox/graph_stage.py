"""Plays a scene on Teams: encrypted roster notifications while it runs, then the record.

https://learn.microsoft.com/graph/changenotifications-for-onlinemeeting
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sandbox.config import SandboxConfig
from sandbox.delivery import Tally
from sandbox.graph_errors import GraphError, utc
from sandbox.graph_events import Calendar, GraphSeries
from sandbox.graph_record import Stay, attendance_report, call_record
from sandbox.graph_subscriptions import Subscriptions
from sandbox.pace import Pace, deliver
from sandbox.scene import Act, Scene

LEFT = "Participant has left the meeting call."
CUT_OFF = "Participant has entered an inactive state in the roster."
Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Notice:
    at: datetime
    resource: dict[str, Any]
    lost: bool = False
    number: int = 0


def _pascal(value: Any) -> Any:
    """The same with keys in PascalCase, as real payloads were seen."""
    if isinstance(value, dict):
        return {k if "@" in k else k[:1].upper() + k[1:]: _pascal(v) for k, v in value.items()}
    return [_pascal(v) for v in value] if isinstance(value, list) else value


def _new_ids(series: GraphSeries, starts: datetime) -> Iterator[str]:
    """Ids that are new at each playing, yet the same whenever the same things are played."""
    number = 0
    while True:
        number += 1
        name = f"{series.join_url} {len(series.reports)} {utc(starts)} {number}"
        yield str(uuid.uuid5(uuid.NAMESPACE_URL, name))


class GraphStage:
    """Plays scenes; every notification is answered before `play` returns."""

    def __init__(
        self, config: SandboxConfig, calendar: Calendar, subscriptions: Subscriptions
    ) -> None:
        self._config = config
        self._calendar = calendar
        self._subscriptions = subscriptions
        self.call_records: dict[str, dict[str, Any]] = {}

    def play(self, scene: Scene, pace: Pace | None = None) -> dict[str, object]:
        """Play one held session, all at once or at a pace; what became of its notifications."""
        series, instance = self._calendar.find(scene.series_ref)
        if instance is not None or not series.join_url:
            raise GraphError(400, "BadRequest", "A scene plays on a series with online meetings.")
        starts = scene.starts_at + timedelta(minutes=scene.opens)
        ends = scene.starts_at + timedelta(minutes=scene.closes)
        ids = _new_ids(series, starts)
        stays, notices = _Performance(self._config, ids).perform(scene, starts, ends)
        tally = Tally()
        sent = [n for n in sorted(notices, key=lambda n: n.at) if not n.lost]
        sent = [replace(notice, number=number) for number, notice in enumerate(sent)]
        tally.lost = len(notices) - len(sent)
        for notice, codes in deliver(sent, lambda n: self._send(series, n), pace):
            for code in codes:
                tally.count(code, str(notice.resource["eventType"]))
        series.reports.append(
            attendance_report(stays, ref=next(ids), starts=starts, ends=ends, config=self._config)
        )
        record = call_record(
            stays,
            ref=next(ids),
            join_url=series.join_url,
            starts=starts,
            ends=ends,
            config=self._config,
        )
        self._tell_record(record, tally)
        return tally.summary()

    def _send(self, series: GraphSeries, notice: _Notice) -> list[int]:
        """To everybody who is subscribed to this meeting; the codes."""
        codes = []
        for subscription in self._subscriptions.live():
            if subscription.link != series.join_url:
                continue
            resource = {
                "@odata.type": "#microsoft.graph.callevent",
                "@odata.id": str(subscription.asked["resource"]),
                "id": str(uuid.uuid4()),
                **notice.resource,
            }
            # Every fourth in the casing that real tenants have sent.
            shown = _pascal(resource) if notice.number % 4 == 3 else resource
            codes.append(self._subscriptions.notify(subscription, shown))
        return codes

    def _tell_record(self, record: dict[str, Any], tally: Tally) -> None:
        self.call_records[record["id"]] = record
        for subscription in self._subscriptions.live():
            # A subscriber to `updated` alone hears of later versions only; there are none here.
            wanted = str(subscription.asked["changeType"]).split(",")
            if subscription.link is None and "created" in wanted:
                code = self._subscriptions.notify_record(subscription, record["id"])
                tally.count(code, "callRecord")


class _Performance:
    """What everybody does in one scene, as stays for the record and notices for the roster."""

    def __init__(self, config: SandboxConfig, ids: Iterator[str]) -> None:
        self._config = config
        self._ids = ids
        self._live: dict[Place, Stay] = {}
        self._lobby: dict[Place, Stay] = {}
        self._stays: list[Stay] = []
        self._notices: list[_Notice] = []

    def perform(
        self, scene: Scene, starts: datetime, ends: datetime
    ) -> tuple[list[Stay], list[_Notice]]:
        """Everything from the call's start to its end, when whoever is still there is put out."""
        self._tell(starts, "callStarted")
        hosts = [
            Act(at=scene.opens, person=key, deed="join")
            for key, person in scene.people.items()
            if person.host
        ]
        for act in sorted([*hosts, *scene.acts], key=lambda a: a.at):
            self._act(scene, act, scene.starts_at + timedelta(minutes=act.at))
        for place in list(self._live):
            self._leave(place, ends, reason=LEFT, lost=False)
        for waiting in self._lobby.values():
            self._delta(waiting, ends, gone=LEFT, lobby=True)
        self._tell(ends, "callEnded")
        return self._stays, self._notices

    def _act(self, scene: Scene, act: Act, at: datetime) -> None:
        place, person = (act.person, act.device), scene.people[act.person]
        if act.deed == "wait":
            waiting = Stay(next(self._ids), person, act.name or person.name, at)
            self._lobby[place] = waiting
            self._delta(waiting, at, lobby=True, lost=act.lost)
        elif act.deed == "join":
            if place in self._live:  # the same device again: its old connection was lost
                self._leave(place, at, reason=CUT_OFF, lost=act.lost)
            waited = self._lobby.pop(place, None)  # let in under the same id
            ref = waited.id if waited else next(self._ids)
            stay = Stay(ref, person, act.name or person.name, at)
            self._live[place] = stay
            self._stays.append(stay)
            stay.engage(at, "camera", "cameraOn" if act.camera else "cameraOff")
            stay.engage(at, "microphone", "unmute" if act.microphone else "mute")
            self._delta(stay, at, lost=act.lost)
        elif act.deed == "leave" and place in self._lobby:
            self._delta(self._lobby.pop(place), at, gone=LEFT, lobby=True, lost=act.lost)
        elif place not in self._live:
            raise GraphError(
                400, "BadRequest", f"{act.person} cannot {act.deed} without having joined."
            )
        else:
            self._change(self._live[place], act, place, at)

    def _change(self, stay: Stay, act: Act, place: Place, at: datetime) -> None:
        """What somebody does who is in the call."""
        if act.deed == "leave":
            self._leave(place, at, reason=LEFT, lost=act.lost)
        elif act.deed == "rename":
            stay.name = act.name or ""
            self._delta(stay, at, lost=act.lost)
        elif act.deed in ("camera_on", "camera_off"):
            stay.engage(at, "camera", "cameraOn" if act.deed == "camera_on" else "cameraOff")
        else:
            stay.engage(at, "microphone", act.deed)

    def _tell(self, at: datetime, kind: str) -> None:
        self._notices.append(_Notice(at, {"eventType": kind, "eventDateTime": utc(at)}))

    def _leave(self, place: Place, at: datetime, *, reason: str, lost: bool) -> None:
        stay = self._live.pop(place)
        stay.left_at = at
        self._delta(stay, at, gone=reason, lost=lost)

    def _delta(
        self,
        stay: Stay,
        at: datetime,
        *,
        gone: str | None = None,
        lobby: bool = False,
        lost: bool = False,
    ) -> None:
        """A change of the roster. A switched camera or microphone is never in it."""
        seen: dict[str, Any] = {
            "id": stay.id,
            "info": {"identity": stay.identity(self._config)},
            "isInLobby": lobby,
        }
        if gone is not None:
            seen["removedState"] = {"reason": gone}
        resource = {
            "eventType": "rosterUpdated",
            "eventDateTime": utc(at),
            "participants@delta": [seen],
        }
        self._notices.append(_Notice(at, resource, lost))
