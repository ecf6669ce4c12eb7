"""Plays a scene on Zoom: signed notifications while it runs, and the record that remains.

https://developers.zoom.us/docs/api/webhooks/ and https://developers.zoom.us/docs/api/qss/events/
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sandbox.delivery import Courier, Tally
from sandbox.pace import Pace, deliver
from sandbox.scene import Act, Person, Scene
from sandbox.zoom_account import LogEntry, ZoomError, ZoomStandIn
from sandbox.zoom_meetings import Instance, Meeting, Occurrence, zulu

MINUTE = timedelta(minutes=1)
QOS_BATCH = 5  # minutes of quality rows in one notification
ADMITTED = "meeting.participant_admitted"


@dataclass(slots=True)
class _Stay:
    """One connection of one person."""

    person: Person
    user_id: str
    connection: str
    name: str
    joined_at: datetime
    left_at: datetime | None = None
    lost: bool = False
    camera: list[tuple[datetime, bool]] = field(default_factory=list)
    microphone: list[tuple[datetime, bool]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Notice:
    event: str
    at: datetime
    body: dict[str, Any]
    lost: bool


class ZoomStage:
    """Plays scenes; every notification is answered before `play` returns."""

    def __init__(self, zoom: ZoomStandIn, courier: Courier) -> None:
        self._zoom = zoom
        self._courier = courier

    def play(self, scene: Scene, pace: Pace | None = None) -> dict[str, object]:
        """Play one held session, all at once or at a pace; what became of its notifications."""
        with self._zoom.lock:
            meeting = self._zoom.meeting(scene.series_ref)
            uuid_ = self._zoom.account.new_uuid()
        starts = scene.starts_at + timedelta(minutes=scene.opens)
        ends = scene.starts_at + timedelta(minutes=scene.closes)
        stays, waits, notices = self._perform(scene, meeting, uuid_, starts, ends)
        for stay in stays:
            notices += _sampled(stay, uuid_, pace.sampled) if pace else _media(stay, uuid_)
        held = Instance(uuid=uuid_, starts_at=starts, ends_at=ends)
        held.rows = [self._row(stay, ends) for stay in stays]
        held.rows += [self._row(w, ends) | {"status": "in_waiting_room"} for w in waits]
        held.quality = [_shown(stay) for stay in stays if stay.person.reports_media]
        if pace is None:
            self._record(meeting, held)
        tally = Tally()
        for notice in notices:
            if notice.lost:
                self._note(notice.event, self._body(notice), 0)
        sent = [n for n in notices if not n.lost]
        tally.lost = len(notices) - len(sent)
        for notice, code in deliver(sent, self._deliver, pace):
            tally.count(code, notice.event)
        if pace is not None:
            self._record(meeting, held)
        return tally.summary()

    def _record(self, meeting: Meeting, held: Instance) -> None:
        with self._zoom.lock:
            meeting.instances.append(held)

    def announce(self, event: str, meeting: Meeting, occurrences: list[Occurrence]) -> None:
        """Tell the webhook that a meeting was changed or deleted, by whomever, a little later."""
        config = self._zoom.config
        body = {
            "event": event,
            "event_ts": int(self._zoom.clock().timestamp() * 1000),
            "payload": {
                "account_id": config.zoom_account_id,
                "operator": meeting.host_email,
                "operator_id": meeting.host_id,
                "operation": "single" if len(occurrences) == 1 else "all",
                "object": {
                    "id": meeting.id,
                    "uuid": meeting.uuid,
                    "host_id": meeting.host_id,
                    "occurrences": [o.body() for o in occurrences],
                },
            },
        }
        raw = json.dumps(body).encode()
        threading.Thread(
            target=self._courier.deliver,
            args=(config.zoom_webhook_url, raw, self._signed(raw)),
            daemon=True,
        ).start()

    def validate(self) -> dict[str, object]:
        """Send the signed check of the endpoint; whether its answer proves the secret."""
        token, config = secrets.token_urlsafe(16), self._zoom.config
        body = {"event": "endpoint.url_validation", "payload": {"plainToken": token}}
        raw = json.dumps({**body, "event_ts": int(self._zoom.clock().timestamp() * 1000)}).encode()
        code, answer = self._courier.ask(config.zoom_webhook_url, raw, self._signed(raw))
        proof = hmac.new(config.zoom_webhook_secret.encode(), token.encode(), hashlib.sha256)
        return {"answered": code, "proved": answer.get("encryptedToken") == proof.hexdigest()}

    def _perform(
        self, scene: Scene, meeting: Meeting, uuid_: str, starts: datetime, ends: datetime
    ) -> tuple[list[_Stay], list[_Stay], list[_Notice]]:
        """What everybody does: stays and waits for the record, notices for the webhook."""
        about: dict[str, Any] = {
            "uuid": uuid_,
            "id": str(meeting.id),
            "host_id": meeting.host_id,
            "topic": meeting.asked["topic"],
            "type": 8,
            "start_time": zulu(starts),
            "timezone": meeting.asked["timezone"],
            "duration": meeting.asked["duration"],
        }
        notices = [_Notice("meeting.started", starts, {"object": about}, lost=False)]
        live: dict[tuple[str, str], _Stay] = {}
        lobby: dict[tuple[str, str], _Stay] = {}
        stays: list[_Stay] = []
        waits: list[_Stay] = []
        hosts = [
            Act(at=scene.opens, person=key, deed="join")
            for key, person in scene.people.items()
            if person.host
        ]
        for act in sorted([*hosts, *scene.acts], key=lambda a: a.at):
            at = scene.starts_at + timedelta(minutes=act.at)
            place = (act.person, act.device)
            if act.deed == "wait":
                lobby[place] = waiting = self._arrive(scene.people[act.person], act, at)
                event = "meeting.participant_joined_waiting_room"
                notices.append(self._notice(event, about, waiting, at, "date_time", lost=act.lost))
            elif act.deed == "join":
                live[place] = stay = self._arrive(scene.people[act.person], act, at)
                stays.append(stay)
                if place in lobby:  # let in: the same device, so the same connection
                    waited = lobby.pop(place)
                    waited.left_at, stay.connection = at, waited.connection
                    waits.append(waited)
                    for event in ("meeting.participant_left_waiting_room", ADMITTED):
                        notices.append(
                            self._notice(event, about, waited, at, "date_time", lost=act.lost)
                        )
                event = "meeting.participant_joined"
                notices.append(self._notice(event, about, stay, at, "join_time", lost=act.lost))
            elif place not in live:
                raise ZoomError(400, 300, f"{act.person} cannot {act.deed} without having joined.")
            elif act.deed == "leave":
                stay = live.pop(place)
                stay.left_at = at
                event = "meeting.participant_left"
                notices.append(self._notice(event, about, stay, at, "leave_time", lost=act.lost))
            elif act.deed == "rename":
                live[place].name = act.name or ""  # Zoom tells it with the next event only
            else:
                states = (
                    live[place].camera
                    if act.deed in ("camera_on", "camera_off")
                    else live[place].microphone
                )
                states.append((at, act.deed in ("camera_on", "unmute")))
        # A meeting ended by its host tells its end first and everybody's leave after it.
        body = {"object": {**about, "end_time": zulu(ends)}}
        notices.append(_Notice("meeting.ended", ends, body, lost=False))
        for stay in live.values():
            stay.left_at = ends
            event = "meeting.participant_left"
            notices.append(self._notice(event, about, stay, ends, "leave_time", lost=False))
        return stays, [*waits, *lobby.values()], notices

    def _arrive(self, person: Person, act: Act, at: datetime) -> _Stay:
        return _Stay(
            person=person,
            user_id=str(16_777_216 + secrets.randbelow(1 << 20) * 1024),
            connection=str(uuid.uuid4()).upper(),
            name=act.name or person.name,
            joined_at=at,
            lost=act.lost,
            camera=[(at, act.camera)],
            microphone=[(at, act.microphone)],
        )

    def _participant(self, stay: _Stay) -> dict[str, Any]:
        account = self._zoom.host_id if stay.person.host else ""
        email = self._zoom.config.zoom_host if stay.person.host else stay.person.email
        seen: dict[str, Any] = {
            "user_id": stay.user_id,
            "user_name": stay.name,
            "participant_user_id": account,
            "id": account,
            "participant_uuid": stay.connection,
            "email": email,
            "public_ip": "203.0.113.7",
        }
        if stay.person.invitation_ref is not None:
            seen["registrant_id"] = stay.person.invitation_ref
        return seen

    def _notice(
        self,
        event: str,
        about: dict[str, Any],
        stay: _Stay,
        at: datetime,
        name: str,
        *,
        lost: bool,
    ) -> _Notice:
        participant = {**self._participant(stay), name: zulu(at)}
        if event == "meeting.participant_left":
            participant["leave_reason"] = "left the meeting. Reason : left the meeting"
        return _Notice(event, at, {"object": {**about, "participant": participant}}, lost=lost)

    def _row(self, stay: _Stay, ends: datetime) -> dict[str, Any]:
        left = stay.left_at or ends
        return {
            "id": self._zoom.host_id if stay.person.host else "",
            "user_id": stay.user_id,
            "name": stay.name,
            "user_email": self._zoom.config.zoom_host if stay.person.host else stay.person.email,
            "participant_user_id": self._zoom.host_id if stay.person.host else "",
            "registrant_id": stay.person.invitation_ref or "",
            "join_time": zulu(stay.joined_at),
            "leave_time": zulu(left),
            "duration": int((left - stay.joined_at).total_seconds()),
            "status": "in_meeting",
            "failover": False,
        }

    def _note(self, event: str, body: bytes, code: int) -> None:
        """Into Zoom's log of deliveries, from which lost ones can be had again."""
        entry = LogEntry(
            id=str(uuid.uuid4()),
            event=event,
            at=self._zoom.clock(),
            code=code,
            retry=0 if 200 <= code < 300 else 3,
            body=body.decode(),
        )
        self._zoom.webhook_log.append(entry)

    def _body(self, notice: _Notice) -> bytes:
        config = self._zoom.config
        told = {
            "payload": {"account_id": config.zoom_account_id, **notice.body},
            "event_ts": int(notice.at.timestamp() * 1000),
            "event": notice.event,
        }
        return json.dumps(told, ensure_ascii=False).encode()

    def _deliver(self, notice: _Notice) -> int:
        body = self._body(notice)
        code = self._courier.deliver(self._zoom.config.zoom_webhook_url, body, self._signed(body))
        self._note(notice.event, body, code)
        return code

    def _signed(self, body: bytes) -> dict[str, str]:
        """The headers that prove a body, over its very bytes and the time of sending."""
        stamp = str(int(self._zoom.clock().timestamp()))
        signed = b"v0:" + stamp.encode() + b":" + body
        secret = self._zoom.config.zoom_webhook_secret.encode()
        return {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Zoom Marketplace/1.0a",
            "x-zm-signature": f"v0={hmac.new(secret, signed, hashlib.sha256).hexdigest()}",
            "x-zm-request-timestamp": stamp,
            "x-zm-request-id": str(uuid.uuid4()).replace("-", "_"),
        }


def _media(stay: _Stay, uuid_: str) -> Iterator[_Notice]:
    """The quality-of-service notifications of one stay, in batches."""
    if not stay.person.reports_media:
        return
    rows: list[dict[str, Any]] = []
    minute = stay.joined_at.replace(second=0, microsecond=0)
    until = stay.left_at or stay.joined_at
    while minute < until:
        rows += _seen(stay, minute)
        minute += MINUTE
        if minute.minute % QOS_BATCH == 0 or minute >= until:
            yield _quality_notice(stay, uuid_, rows, minute)
            rows = []


def _sampled(stay: _Stay, uuid_: str, every: timedelta) -> Iterator[_Notice]:
    """The same told while it lasts: one look in each notification, soon after it."""
    at = stay.joined_at
    while stay.person.reports_media and at < (stay.left_at or stay.joined_at):
        yield _quality_notice(stay, uuid_, _seen(stay, at), at + every / 4)
        at += every


def _quality_notice(stay: _Stay, uuid_: str, rows: list[dict[str, Any]], at: datetime) -> _Notice:
    """It names only the instance's uuid."""
    participant = {"user_id": stay.user_id, "participant_user_id": "", "email": "", "qos": rows}
    body = {"object": {"uuid": uuid_, "participant": participant}}
    return _Notice("meeting.participant_qos", at, body, lost=False)


def _seen(stay: _Stay, at: datetime) -> list[dict[str, Any]]:
    return _quality(at, camera=_state(stay.camera, at), microphone=_state(stay.microphone, at))


def _state(states: list[tuple[datetime, bool]], at: datetime) -> bool:
    """The state that held at an instant."""
    known = [on for since, on in states if since <= at]
    return known[-1] if known else states[0][1]


def _quality(minute: datetime, *, camera: bool, microphone: bool) -> list[dict[str, Any]]:
    """The rows of one minute: a camera that is off sends nothing and has no row."""
    at = zulu(minute)
    usual = {"latency": "134 ms", "jitter": "6 ms", "avg_loss": "0.0%", "max_loss": "0.0%"}
    sound = {**usual, "bitrate": "27.15 kbps" if microphone else ""}
    rows: list[dict[str, Any]] = [
        {"date_time": at, "type": "audio_input", "details": {**usual, "bitrate": "63 kbps"}},
        {"date_time": at, "type": "audio_output", "details": sound},
        {
            "date_time": at,
            "type": "video_input",
            "details": {**usual, "bitrate": "898 kbps", "resolution": "1280*720"},
        },
    ]
    if camera:
        picture = {**usual, "bitrate": "391 kbps", "resolution": "1280*720", "frame_rate": "24 fps"}
        rows.append({"date_time": at, "type": "video_output", "details": picture})
    return rows


def _shown(stay: _Stay) -> dict[str, Any]:
    """One participant on the dashboard: a minute an entry, one object for each kind of media."""
    entries: list[dict[str, Any]] = []
    minute = stay.joined_at.replace(second=0, microsecond=0)
    while minute < (stay.left_at or stay.joined_at):
        rows = _quality(
            minute,
            camera=_state(stay.camera, minute),
            microphone=_state(stay.microphone, minute),
        )
        entries.append({"date_time": zulu(minute)} | {row["type"]: row["details"] for row in rows})
        minute += timedelta(minutes=1)
    # Names, addresses and devices are empty for people outside the account.
    return {
        "id": "",
        "user_id": stay.user_id,
        "user_name": "",
        "email": "",
        "join_time": zulu(stay.joined_at),
        "leave_time": zulu(stay.left_at or stay.joined_at),
        "user_qos": entries,
    }
