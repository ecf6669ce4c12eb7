"""Tells a world as Zoom would: signed notifications, quality of service, dashboard, report."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from bench.truth.hearing import Hearing, instant
from bench.truth.world import Person, Stay, World, span
from course.model import Level
from integration.zoom_dashboard import media_events
from integration.zoom_record import read_instance
from integration.zoom_streams import camera_events
from webhooks.evidence import ZoomReader

SECRET = "truth-bench-secret"  # invented  # nosec B105
SERIES = "81000000001"
HOST = "host-id"
MIXES = ("none", "qss", "qss lossy", "dashboard", "stream", "qss + stream", "ticks", "qss + ticks")
READER = ZoomReader(secrets=[SECRET], account_id="A", sent_direction="output")


def zulu(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def uuid_of(instance: int) -> str:
    return f"/inst{instance}+Ab==" if instance >= 0 else "rehearsal=="


class ZoomTells:
    """One world on Zoom. `loss`: the share of notifications that never arrive."""

    def __init__(
        self, luck: random.Random, world: World, *, mix: str, loss: float, record: bool
    ) -> None:
        self._luck, self._world, self._mix, self._loss = luck, world, mix, loss
        self.hearing = Hearing(world)
        self.hearing.record = record
        self._bodies = self.hearing.told

    def tell(self) -> Hearing:
        """Everything that reaches us, in any order, some of it twice."""
        for number, (begin, end) in enumerate(self._world.instances):
            self._post("meeting.started", self._about(number, begin), begin)
            about = {**self._about(number, begin), "end_time": zulu(instant(end))}
            if self._post("meeting.ended", about, end):
                self.hearing.ended.add(number)
        if self._world.rehearsal:
            self._rehearse(*self._world.rehearsal)
        for person in self._world.people:
            for stay in person.stays:
                self._tell_stay(person, stay)
            if person.only_waited:
                self._wait(person, 10, None)
        self._deliver()
        if self._mix in ("dashboard",):
            self._poll()
        if "stream" in self._mix:
            self._stream()
        if self.hearing.record:
            self._report()
        return self.hearing

    def _about(self, number: int, begin: int) -> dict[str, Any]:
        return {
            "uuid": uuid_of(number),
            "id": SERIES,
            "host_id": HOST,
            "type": 8,
            "start_time": zulu(instant(begin)),
        }

    def _post(
        self, event: str, about: dict[str, Any], second: float, *, always: bool = False
    ) -> bool:
        """Send one notification; whether it arrives."""
        if not always and self._luck.random() < self._loss:
            return False
        body = {
            "event": event,
            "event_ts": int(instant(second).timestamp() * 1000),
            "payload": {"account_id": "A", "object": about},
        }
        self._bodies += [body] * (2 if self._luck.random() < 0.05 else 1)
        return True

    def _rehearse(self, begin: int, end: int) -> None:
        about = self._about(-1, begin)
        self._post("meeting.started", about, begin, always=True)
        who = {"user_id": "1", "participant_uuid": "R1", "user_name": "Dr Alma Lee", "id": HOST}
        for event, at, name in (
            ("meeting.participant_joined", begin, "join_time"),
            ("meeting.participant_left", end, "leave_time"),
        ):
            self._post(event, {**about, "participant": {**who, name: zulu(instant(at))}}, at)
        self._post("meeting.ended", {**about, "end_time": zulu(instant(end))}, end)

    def _who(self, person: Person, stay: Stay, seat: str, name: str) -> dict[str, Any]:
        account = HOST if person.role == "host" else ""
        seen: dict[str, Any] = {
            "user_id": seat,
            "user_name": name,
            "participant_user_id": account,
            "id": account,
            "participant_uuid": f"P{stay.number}",
            "email": "",
        }
        link = person.carer if person.link_of is None else person.link_of
        if link is not None and stay.by_link:
            seen["registrant_id"] = f"r{link + 1}"
        return seen

    def _wait(self, person: Person, second: int, stay: Stay | None) -> None:
        waiting = stay or Stay(900 + (person.carer or 0), 0, second, second, [person.name], 0, [])
        who = self._who(person, waiting, f"w{waiting.number}", waiting.names[0])
        about = self._about(waiting.instance, self._world.instances[waiting.instance][0])
        told = {**about, "participant": {**who, "date_time": zulu(instant(second))}}
        self._post("meeting.participant_joined_waiting_room", told, second)

    def _tell_stay(self, person: Person, stay: Stay) -> None:
        about = self._about(stay.instance, self._world.instances[stay.instance][0])
        known = self.hearing.of(stay)
        if stay.waited_from is not None:
            self._wait(person, stay.waited_from, stay)
        if "stream" in self._mix:
            stay.rooms = []  # media streams do not cover breakout rooms
        seat = f"{stay.number}000"

        def move(event: str, name: str, at: int, seat: str, shown: str) -> bool:
            who = {**self._who(person, stay, seat, shown), name: zulu(instant(at))}
            return self._post(f"meeting.participant_{event}", {**about, "participant": who}, at)

        known.joined = move("joined", "join_time", stay.joined_at, seat, stay.names[0])
        if known.joined and person.carer is not None:
            self.hearing.first_join_told.add(person.carer)
        for number, at in enumerate(stay.rooms, start=1):
            moved = move("left", "leave_time", at, seat, stay.names[0])
            seat = f"{stay.number}00{number}"
            came = move("joined", "join_time", at, seat, stay.names[0])
            if came or moved:
                known.last_sign = at
        known.left = move("left", "leave_time", stay.left_at, seat, stay.names[-1])
        if known.joined and not known.left and stay.instance in self.hearing.ended:
            known.left = stay.left_at >= self._world.instances[stay.instance][1]
        if self._mix.startswith("qss"):
            self._quality(stay)

    def _quality(self, stay: Stay) -> None:
        loss = 0.2 if self._mix == "qss lossy" else self._loss / 2
        arrived: list[tuple[int, bool]] = []
        for batch in self._batches(stay):
            rows = [row for minute, sends in batch for row in _rows(minute, stay, sends=sends)]
            participant = {
                "user_id": _seat(stay, batch[0][0]),
                "participant_user_id": "",
                "email": "",
                "qos": rows,
            }
            about = {"uuid": uuid_of(stay.instance), "participant": participant}
            if self._luck.random() < loss:
                continue
            if self._post("meeting.participant_qos", about, batch[-1][0] + 60, always=True):
                arrived += batch
        self._note_minutes(stay, arrived)

    def _minutes(self, stay: Stay) -> list[tuple[int, bool]]:
        if stay.by_phone:
            return []
        on = stay.camera
        found = []
        for minute in range(stay.joined_at // 60 * 60, stay.left_at, 60):
            begin, end = max(minute, stay.joined_at), min(minute + 60, stay.left_at)
            found.append((minute, _any_on(on, begin, end, stay.left_at)))
        return found

    def _batches(self, stay: Stay) -> Iterator[list[tuple[int, bool]]]:
        minutes = self._minutes(stay)
        batch: list[tuple[int, bool]] = []
        for minute in minutes:
            if batch and (len(batch) == 5 or _seat(stay, batch[0][0]) != _seat(stay, minute[0])):
                yield batch
                batch = []
            batch.append(minute)
        if batch:
            yield batch

    def _note_minutes(self, stay: Stay, minutes: list[tuple[int, bool]]) -> None:
        """A minute "with video" between two such was on; at the ends nobody can tell how much."""
        known, length, told = self.hearing.of(stay), self._world.length, dict(minutes)
        known.microphone = bool(minutes)
        known.whole_microphone = len(minutes) == len(self._minutes(stay))
        for minute, sends in minutes:
            mask = span(minute, minute + 60, length) & stay.inside(length)
            if not sends:
                known.off |= mask
            elif told.get(minute - 60) and told.get(minute + 60):
                known.on |= mask
            known.last_sign = max(known.last_sign or 0, min(minute + 60, stay.left_at))

    def _poll(self) -> None:
        for number in range(len(self._world.instances)):
            participants = []
            for person in self._world.people:
                for stay in (s for s in person.stays if s.instance == number and not s.by_phone):
                    minutes = self._minutes(stay)
                    self._note_minutes(stay, minutes)
                    for seat in sorted({_seat(stay, minute) for minute, _ in minutes}):
                        there = [m for m in minutes if _seat(stay, m[0]) == seat]
                        participants.append(
                            {
                                "user_id": seat,
                                "user_name": "",
                                "user_qos": [_entry(m, stay, sends=sends) for m, sends in there],
                            }
                        )
            self.hearing.events += media_events(
                participants, uuid=uuid_of(number), sent_direction="output"
            )

    def _stream(self) -> None:
        length = self._world.length
        for person in self._world.people:
            for stay in (s for s in person.stays if not s.by_phone):
                for at, is_on in _said_again(stay):
                    self.hearing.events += camera_events(
                        [f"{stay.number}000"],
                        uuid=uuid_of(stay.instance),
                        level=Level.ON if is_on else Level.OFF,
                        at=instant(at),
                    )
                known = self.hearing.of(stay)
                known.on = stay.camera_on(length)
                known.off = stay.inside(length) & ~known.on

    def _report(self) -> None:
        half = len(self._world.instances) > 1 and self._luck.random() < 0.5
        self.hearing.whole_record = not half
        for number, (begin, end) in enumerate(self._world.instances[: 1 if half else None]):
            rows = []
            for person in self._world.people:
                for stay in (s for s in person.stays if s.instance == number):
                    rows += self._rows_of(person, stay)
            details = {
                "start_time": zulu(instant(begin)),
                "end_time": zulu(instant(end)),
                "host_id": HOST,
            }
            self.hearing.recorded += read_instance(
                details, rows, series_ref=SERIES, uuid=uuid_of(number)
            )
        self.hearing.events += self.hearing.recorded

    def _rows_of(self, person: Person, stay: Stay) -> list[dict[str, Any]]:
        """One for each room; sometimes without the link, or without a length."""
        known = self.hearing.of(stay)
        known.undated = person.role == "carer" and self._luck.random() < 0.01
        known.recorded = not known.undated
        without_link = known.joined and self._luck.random() < 0.05
        edges = [stay.joined_at, *stay.rooms, stay.left_at]
        rows = []
        for n in range(len(edges) - 1):
            who = self._who(person, stay, f"{stay.number}00{n}", stay.names[-1])
            name = str(who["user_name"])
            told = self.hearing.told_names
            told[name] = told.get(name, 0) + edges[n + 1] - edges[n]
            rows.append(
                {
                    "id": who["id"],
                    "user_id": who["user_id"],
                    "name": name,
                    "user_email": "",
                    "participant_user_id": who["participant_user_id"],
                    "registrant_id": "" if without_link else who.get("registrant_id", ""),
                    "join_time": zulu(instant(edges[n])),
                    "leave_time": zulu(instant(edges[n if known.undated else n + 1])),
                    "duration": 0 if known.undated else edges[n + 1] - edges[n],
                    "status": "in_meeting",
                }
            )
        return rows

    def _deliver(self) -> None:
        self._luck.shuffle(self._bodies)
        for told in self._bodies:
            body = json.dumps(told, ensure_ascii=False).encode()
            now = instant(self._world.length)
            stamp = str(int(now.timestamp()))
            signed = hmac.digest(SECRET.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256)
            headers = {
                "x-zm-signature": f"v0={signed.hex()}",
                "x-zm-request-timestamp": stamp,
            }
            READER.verify(headers, body, now=now)
            delivery = READER.read(body, received_at=now)
            if delivery is not None:
                self.hearing.events += delivery.events


def _said_again(stay: Stay) -> Iterator[tuple[int, bool]]:
    """Every switch, and every five minutes what holds."""
    for n, (at, is_on) in enumerate(stay.camera):
        until = stay.camera[n + 1][0] if n + 1 < len(stay.camera) else stay.left_at
        for again in range(at, max(until, at + 1), 300):
            yield again, is_on


def _seat(stay: Stay, second: int) -> str:
    """The `user_id` at that time: each move between rooms gives a new one."""
    return f"{stay.number}00{sum(1 for at in stay.rooms if at <= second)}"


def _any_on(camera: list[tuple[int, bool]], begin: int, end: int, left_at: int) -> bool:
    for n, (at, is_on) in enumerate(camera):
        until = camera[n + 1][0] if n + 1 < len(camera) else left_at
        if is_on and max(at, begin) < min(until, end):
            return True
    return False


def _rows(minute: int, stay: Stay, *, sends: bool) -> Iterator[dict[str, Any]]:
    at = zulu(instant(minute))
    yield {"date_time": at, "type": "cpu_usage", "details": {}}
    if stay.has_microphone and (minute // 60 + stay.number) % 9:  # some minutes are silent
        yield {"date_time": at, "type": "audio_output", "details": {"bitrate": "27.15 kbps"}}
    yield {
        "date_time": at,
        "type": "video_input",
        "details": {"bitrate": "898 kbps", "resolution": "1280*720"},
    }
    if sends:
        yield {
            "date_time": at,
            "type": "video_output",
            "details": {"bitrate": "391 kbps", "resolution": "1280*720"},
        }


def _entry(minute: int, stay: Stay, *, sends: bool) -> dict[str, Any]:
    picture = {"bitrate": "391 kbps", "resolution": "1280*720"} if sends else {"bitrate": ""}
    sound = {"bitrate": "27.15 kbps"} if stay.has_microphone else {"bitrate": ""}
    return {
        "date_time": zulu(instant(minute)),
        "audio_output": sound,
        "video_input": {"bitrate": "898 kbps", "resolution": "1280*720"},
        "video_output": picture,
    }
