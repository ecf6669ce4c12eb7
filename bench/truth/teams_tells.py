"""Tells a world as Teams would: roster changes, the calling bot's snapshots, attendance report."""

from __future__ import annotations

import json
import random
from typing import Any

from bench.truth.hearing import Hearing, instant
from bench.truth.world import Person, Stay, World
from integration.teams_record import report_events
from webhooks import teams, teams_calls

SERIES = "81000000001"
HOST = "host-oid"
MIXES = ("none", "engagements", "engagements from the second", "bot", "bot dies", "ticks", "all")


class TeamsTells:
    """One world on Teams. `loss`: the share of notifications that never arrive."""

    def __init__(
        self, luck: random.Random, world: World, *, mix: str, loss: float, record: bool
    ) -> None:
        self._luck, self._world, self._mix, self._loss = luck, world, mix, loss
        self.hearing = Hearing(world)
        self.hearing.record = record
        self._told = self.hearing.told

    def tell(self) -> Hearing:
        """Everything that reaches us, in any order, some of it twice."""
        for number, (begin, end) in enumerate(self._world.instances):
            self._post({"eventType": "callStarted"}, begin)
            if self._post({"eventType": "callEnded"}, end):
                self.hearing.ended.add(number)
        if self._world.rehearsal:
            begin, end = self._world.rehearsal
            host = Stay(990, 0, begin, end, ["Dr Alma Lee"], 0, [])
            self._post({"eventType": "callStarted"}, begin, always=True)
            self._roster(self._world.people[0], host, begin, "joined")
            self._roster(self._world.people[0], host, end, "left")
            self._post({"eventType": "callEnded"}, end)
        for person in self._world.people:
            for stay in person.stays:
                self._tell_stay(person, stay)
            if person.only_waited:
                waiting = Stay(900 + (person.carer or 0), 0, 10, 10, [person.name], 0, [])
                self._roster(person, waiting, 10, "lobby")
        self._luck.shuffle(self._told)
        for resource in self._told:
            self.hearing.events += teams.parse(
                json.loads(json.dumps(resource)),
                series_ref=SERIES,
                received_at=instant(self._world.length),
                organiser_ref=HOST,
            )
        if self._mix in ("bot", "bot dies", "all"):
            self._bot()
        if self.hearing.record:
            self._report()
        return self.hearing

    def _post(self, resource: dict[str, Any], second: float, *, always: bool = False) -> bool:
        if not always and self._luck.random() < self._loss:
            return False
        at = instant(second).isoformat().replace("+00:00", "Z")
        told = {**resource, "eventDateTime": at}
        self._told += [told] * (2 if self._luck.random() < 0.05 else 1)
        return True

    def _identity(self, person: Person, stay: Stay, name: str) -> dict[str, Any]:
        if person.role == "host":
            return {"user": {"id": HOST, "displayName": name, "tenantId": "t"}}
        if person.role == "bot":
            return {"application": {"id": "otter", "displayName": name}}
        if stay.by_phone:
            return {"user": None, "phone": {"id": name, "displayName": name}}
        return {"user": None, "guest": {"id": f"g{stay.number}", "displayName": name}}

    def _roster(
        self,
        person: Person,
        stay: Stay,
        at: int,
        what: str,
        name: str = "",
        *,
        always: bool = False,
    ) -> bool:
        seen: dict[str, Any] = {
            "id": f"P{stay.number}",
            "info": {"identity": self._identity(person, stay, name or stay.names[0])},
            "isInLobby": what == "lobby",
        }
        if what == "left":
            seen["removedState"] = {"reason": "Participant has left the meeting call."}
        told = {"eventType": "rosterUpdated", "participants@delta": [seen]}
        return self._post(told, at, always=always)

    def _tell_stay(self, person: Person, stay: Stay) -> None:
        known = self.hearing.of(stay)
        if stay.waited_from is not None:
            self._roster(person, stay, stay.waited_from, "lobby")
        # Of whom nothing but another carer's full name ever reached us, that is who they are.
        takes_a_name = stay.names[-1] != person.name and stay.names[-1] in {
            p.name for p in self._world.carers
        }
        known.joined = self._roster(person, stay, stay.joined_at, "joined", always=takes_a_name)
        if known.joined and person.carer is not None and stay.names[0] == person.name:
            self.hearing.first_join_told.add(person.carer)
        if len(stay.names) > 1:
            middle = (stay.joined_at + stay.left_at) // 2
            if self._roster(person, stay, middle, "joined", stay.names[-1]):
                known.last_sign = middle
        known.left = self._roster(person, stay, stay.left_at, "left", stay.names[-1])

    def _bot(self) -> None:
        """Our bot's snapshots, in order: whoever is in, with camera and mute."""
        same_ids = self._luck.random() < 0.5
        dies_at = self._luck.randint(0, self._world.length) if self._mix == "bot dies" else 10**9
        stays = [(p, s) for p in self._world.people for s in p.stays]
        moments = sorted(
            {at for _, s in stays for at in (s.joined_at, s.left_at, *(c[0] for c in s.camera))}
        )
        known: list[Any] = []

        def hear(value: dict[str, Any], at: int) -> None:
            body = json.dumps({"value": [value]}).encode()
            told = teams_calls.parse(body, organiser_ref=HOST)
            known.extend(
                teams_calls.facts(told, known, call_id="c1", series_ref=SERIES, at=instant(at))
            )

        for at in (moment for moment in moments if moment < dies_at):
            present = [(p, s) for p, s in stays if s.joined_at <= at < s.left_at]
            roster = [self._snapshot(p, s, at, same_ids=same_ids) for p, s in present]
            about = "/communications/calls/c1/participants"
            hear({"changeType": "updated", "resource": about, "resourceData": roster}, at)
        if dies_at < 10**9:
            over = {"changeType": "deleted", "resource": "/communications/calls/c1"}
            hear({**over, "resourceData": {"state": "terminated"}}, dies_at)
        self.hearing.events += known
        for _, stay in stays:
            self._note_bot(stay, dies_at)

    def _note_bot(self, stay: Stay, dies_at: int) -> None:
        told, length = self.hearing.of(stay), self._world.length
        if stay.joined_at < dies_at:
            told.joined = True
            told.last_sign = min(stay.left_at, dies_at)
        if stay.left_at < dies_at:
            told.left = True
        watched = (1 << max(0, min(length, dies_at))) - 1
        told.on |= stay.camera_on(length) & watched
        told.off |= stay.inside(length) & watched & ~stay.camera_on(length)

    def _snapshot(self, person: Person, stay: Stay, at: int, *, same_ids: bool) -> dict[str, Any]:
        camera = any(
            is_on
            for n, (since, is_on) in enumerate(stay.camera)
            if since <= at < (stay.camera[n + 1][0] if n + 1 < len(stay.camera) else stay.left_at)
        )
        return {
            "id": f"P{stay.number}" if same_ids else f"B{stay.number}",
            "isMuted": False,
            "isInLobby": False,
            "info": {"identity": self._identity(person, stay, stay.names[0])},
            "mediaStreams": [
                {"mediaType": "audio", "direction": "sendReceive"},
                {"mediaType": "video", "direction": "sendReceive" if camera else "receiveOnly"},
            ],
        }

    def _report(self) -> None:
        half = len(self._world.instances) > 1 and self._luck.random() < 0.5
        self.hearing.whole_record = not half
        for number, (begin, end) in enumerate(self._world.instances[: 1 if half else None]):
            records = []
            for person in self._world.people:
                stays = [s for s in person.stays if s.instance == number]
                # A signed-in carer is one record with several intervals, a guest is several.
                merged = self._luck.random() < 0.5 and len({s.by_phone for s in stays}) == 1
                for together in [stays] if merged and stays else [[s] for s in stays]:
                    records.append(self._record(person, together))
            self.hearing.recorded += report_events(
                {
                    "id": f"report-{number}",
                    "meetingStartDateTime": instant(begin).isoformat(),
                    "meetingEndDateTime": instant(end).isoformat(),
                },
                records,
                series_ref=SERIES,
            )
        self.hearing.events += self.hearing.recorded

    def _record(self, person: Person, stays: list[Stay]) -> dict[str, Any]:
        host, first = person.role == "host", stays[0]
        # Whether the report shows the first or the last name, nobody has verified.
        shown = (stays[-1].names if self._luck.random() < 0.5 else first.names[:1])[-1]
        undated = person.role == "carer" and self._luck.random() < 0.01
        for stay in stays:
            known = self.hearing.of(stay)
            known.recorded, known.undated = not undated, undated
            told = self.hearing.told_names
            told[shown] = told.get(shown, 0) + stay.left_at - stay.joined_at
        record: dict[str, Any] = {
            "id": f"A{first.number}",
            "emailAddress": "host@example.org" if host else "",
            "role": "Organizer" if host else "Presenter",
            "identity": {
                "id": HOST if host else f"g{first.number}",
                "displayName": shown,
                "tenantId": "t" if host else None,
            },
            "attendanceIntervals": [
                {
                    "joinDateTime": None if undated else instant(stay.joined_at).isoformat(),
                    "leaveDateTime": None if undated else instant(stay.left_at).isoformat(),
                    "durationInSeconds": 0 if undated else stay.left_at - stay.joined_at,
                }
                for stay in stays
            ],
        }
        if person.role == "bot":
            record["identity"]["@odata.type"] = "#microsoft.graph.applicationIdentity"
        if first.by_phone:
            record["identity"]["@odata.type"] = "#microsoft.graph.communicationsPhoneIdentity"
        if not first.by_phone and (self._mix.startswith("engagements") or self._mix == "all"):
            both = any(
                a is not b and a.joined_at < b.left_at and b.joined_at < a.left_at
                for a in stays
                for b in stays
            )
            record["engagements"] = [
                e for stay in stays for e in self._engage(stay, tells=not (undated or both))
            ]
        return record

    def _engage(self, stay: Stay, *, tells: bool) -> list[dict[str, Any]]:
        """Whether joining with the camera on counts as a first engagement, nobody has verified.

        `tells`: whether it can be said of which device, and from when on.
        """
        told = stay.camera
        if self._mix == "engagements from the second":
            told = told[1:]
        if told and tells:
            known, length = self.hearing.of(stay), self._world.length
            known.on |= stay.camera_on(length)
            known.off |= stay.inside(length) & ~stay.camera_on(length)
        return [
            {
                "engagementType": "camera",
                "engagementSubType": "cameraOn" if is_on else "cameraOff",
                "dateTime": instant(at).isoformat(),
            }
            for at, is_on in told
        ]
