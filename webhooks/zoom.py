"""Zoom's webhooks: prove, answer the address check, read. Pure; bytes in, values out.

https://developers.zoom.us/docs/api/webhooks/ and, for the payloads,
https://developers.zoom.us/docs/api/meetings/events/
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from course.identity import is_phone_number
from course.model import EventKind, Participant, ParticipantEvent, Platform, Role, Source
from webhooks.instants import FIRST_YEAR, LAST_YEAR, in_utc
from webhooks.rejected import Malformed, Rejected
from webhooks.strict_json import read_object
from webhooks.zoom_media import MEDIA_EVENTS, media_events, media_kept

# A delivery may come again up to 85 minutes later, and whether Zoom signs it anew is not
# documented: refusing an honest late one would lose it for good, replays are stopped by its key.
OLDEST = timedelta(hours=2)
AHEAD = timedelta(minutes=5)

_SIGNATURE = re.compile(rb"v0=[0-9a-f]{64}")
_TIMESTAMP = re.compile(rb"[0-9]{1,13}")
# Zoom asks to prove the secret by signing a token: anything else would sign what a forger wants.
_PLAIN_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")

# Zoom's event -> what it is in our words. Breakout rooms are left out on purpose: moving between
# rooms is told by joined and left at the same second as well, and those are folded.
KINDS = {
    "meeting.started": EventKind.INSTANCE_STARTED,
    "meeting.ended": EventKind.INSTANCE_ENDED,
    "meeting.participant_joined": EventKind.JOINED,
    "meeting.participant_left": EventKind.LEFT,
    "meeting.participant_joined_waiting_room": EventKind.WAITING,
    "meeting.participant_put_in_waiting_room": EventKind.WAITING,
    "meeting.participant_left_waiting_room": EventKind.SEEN,
    "meeting.participant_admitted": EventKind.SEEN,
    "meeting.participant_jbh_joined": EventKind.SEEN,
    "meeting.participant_jbh_waiting": EventKind.WAITING,
    "meeting.participant_bind": EventKind.SEEN,
    "meeting.participant_role_changed": EventKind.SEEN,
}
KNOWN = {
    *KINDS,
    *MEDIA_EVENTS,
    "endpoint.url_validation",
    "meeting.created",
    "meeting.updated",
    "meeting.deleted",
    "meeting.permanently_deleted",
    "meeting.device_tested",
    "meeting.participant_joined_breakout_room",
    "meeting.participant_left_breakout_room",
    "meeting.registration_created",
    "meeting.registration_approved",
    "meeting.registration_cancelled",
    "meeting.registration_denied",
    "app_deauthorized",
}
# Zoom announces a media stream to join; flat, without an object.
STREAMS = {"meeting.rtms_started", "meeting.rtms_stopped"}
CHANGES = {"meeting.updated", "meeting.deleted", "meeting.permanently_deleted"}
_HOSTS = {"host", "cohost", "co-host"}


class Parsed(NamedTuple):
    """A notification in our words. `kept` is what is stored of it, personal extras dropped; None
    when it tells one fact and nothing else.

    `changed_at`: when somebody changed or deleted the meeting, where that is the news.
    """

    event_name: str
    account_ref: str | None
    delivery_key: str
    series_ref: str | None
    instance_ref: str | None
    events: tuple[ParticipantEvent, ...]
    known: bool
    kept: str | None
    changed_at: datetime | None = None
    client_ref: str | None = None


class Headers(Protocol):
    """A delivery's headers; names in lower case."""

    def get(self, name: str) -> str | None: ...


def _header(headers: Headers, name: str) -> bytes:
    try:
        return (headers.get(name) or "").encode("ascii")
    except UnicodeEncodeError:
        return b""


@lru_cache(maxsize=8)
def _keyed(secret: str) -> hmac.HMAC:
    return hmac.new(secret.encode(), digestmod="sha256")


def _sign(secret: str, timestamp: bytes, body: bytes) -> bytes:
    # Not `hmac.digest`: it lets go of the interpreter even for a few bytes, and then stands in
    # line for it again behind the writer.
    signing = _keyed(secret).copy()
    signing.update(b"v0:%s:" % timestamp)
    signing.update(body)
    return b"v0=" + signing.hexdigest().encode()


def verify(headers: Headers, body: bytes, *, secrets: Sequence[str], now: datetime) -> str:
    """The secret that these very bytes were signed with, lately. Raises `Rejected`."""
    usable = [secret for secret in secrets if secret]
    if not usable:
        raise Rejected("no_secret")
    signature = _header(headers, "x-zm-signature")
    timestamp = _header(headers, "x-zm-request-timestamp")
    if not _SIGNATURE.fullmatch(signature) or not _TIMESTAMP.fullmatch(timestamp):
        raise Rejected("bad_signature")
    matches = [hmac.compare_digest(_sign(secret, timestamp, body), signature) for secret in usable]
    if not any(matches):
        raise Rejected("bad_signature")
    age = now.timestamp() - int(timestamp)  # only a proven number is looked at
    if age > OLDEST.total_seconds() or -age > AHEAD.total_seconds():
        raise Rejected("stale")
    return usable[matches.index(True)]


def handshake(body: bytes, *, secret: str) -> dict[str, str] | None:
    """The answer to `endpoint.url_validation`, or None for anything else. Verify first.

    https://developers.zoom.us/docs/api/webhooks/#validate-your-webhook-endpoint
    """
    if b"endpoint.url_validation" not in body:
        return None  # by far the most; they are read once, by `parse`
    found = read_object(body)
    if found.get("event") != "endpoint.url_validation":
        return None
    payload = found.get("payload")
    token = payload.get("plainToken") if isinstance(payload, dict) else None
    if not isinstance(token, str) or not _PLAIN_TOKEN.fullmatch(token):
        raise Malformed("a validation token that is none")
    proof = hmac.digest(secret.encode(), token.encode(), "sha256").hex()
    return {"plainToken": token, "encryptedToken": proof}


def text(value: Any) -> str | None:
    """Zoom gives ids as text in most events and as numbers in some; empty means not given."""
    if isinstance(value, str):
        # PostgreSQL keeps every character but this one.
        return (value.replace("\0", "") if "\0" in value else value).strip() or None
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int):
        return str(value)
    raise Malformed("an id of a wrong type")


def words(value: Any) -> str | None:
    """What is text and no id."""
    if value is not None and not isinstance(value, str):
        raise Malformed("a text of a wrong type")
    return text(value)


def instant(value: Any) -> datetime | None:
    """An ISO 8601 instant, or None where there is none. Raises `Malformed` for anything else: what
    is not understood must not become a fact of this moment.
    """
    return None if value is None or value == "" else in_utc(value)


def _object(value: Any, what: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed(f"{what} is not an object")
    return value


_EVENT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}")


def fact_key(*parts: object) -> str:
    """The key of one fact: the same for every telling of it, whatever the delivery looked like.

    128 bits: only Zoom's own signed deliveries get this far, so nobody looks for collisions.
    """
    joined = "\n".join(["" if part is None else str(part) for part in parts])
    return hashlib.sha256(joined.encode()).hexdigest()[:32]


def parse(body: bytes, *, received_at: datetime, sent_direction: str) -> Parsed:
    """Read a verified notification. Raises `Malformed`."""
    found = read_object(body)
    name = found.get("event")
    # It is kept readable, as the notification's kind: nothing but a name gets there.
    if not isinstance(name, str) or not _EVENT_NAME.fullmatch(name):
        raise Malformed("no event name")
    payload = _object(found.get("payload"), "payload")
    meeting = _object(payload.get("object"), "object")
    participant = _object(meeting.get("participant"), "participant")
    if name in KNOWN and name.startswith("meeting.") and not meeting:
        raise Malformed("no object")
    if name in KINDS and name.startswith("meeting.participant_") and not participant:
        raise Malformed("no participant")
    series_ref, instance_ref = text(meeting.get("id")), text(meeting.get("uuid"))
    if name in STREAMS:
        meeting = {"uuid": payload.get("meeting_uuid"), "id": payload.get("meeting_id")}
        series_ref, instance_ref = text(meeting["id"]), text(meeting["uuid"])
    told_at = _told_at(found) or received_at
    account_ref = text(payload.get("account_id"))
    if name in KINDS:
        event = _event(
            name,
            meeting,
            participant,
            series_ref=series_ref,
            instance_ref=instance_ref,
            told_at=told_at,
            received_at=received_at,
        )
        return Parsed(
            event_name=name,
            account_ref=account_ref,
            delivery_key=event.key,
            series_ref=series_ref,
            instance_ref=instance_ref,
            events=(event,),
            known=True,
            kept=None,
        )
    delivery_key = fact_key("zoom", name, json.dumps(found, sort_keys=True))
    events: tuple[ParticipantEvent, ...] = ()
    if name in MEDIA_EVENTS:
        events = media_events(
            name,
            participant,
            series_ref=series_ref,
            instance_ref=instance_ref,
            told_at=told_at,
            received_at=received_at,
            sent_direction=sent_direction,
            notification_id=delivery_key,
        )
    return Parsed(
        event_name=name,
        account_ref=account_ref,
        delivery_key=delivery_key,
        series_ref=series_ref,
        instance_ref=instance_ref,
        events=events,
        known=name in KNOWN or name in STREAMS,
        kept=_kept(name, found, meeting, participant),
        changed_at=told_at if name in CHANGES else None,
        client_ref=text(payload.get("client_id")),
    )


def _told_at(found: Mapping[str, Any]) -> datetime | None:
    stamp = found.get("event_ts")
    if stamp is None:
        return None
    if isinstance(stamp, bool) or not isinstance(stamp, int | float):
        raise Malformed("a time that is none")
    try:
        told_at = datetime.fromtimestamp(stamp / 1000, tz=UTC)
    except (OverflowError, ValueError, OSError) as e:
        raise Malformed("a time that is none") from e
    # Of another age: not known then. What happened has times of its own, and must not be lost.
    return told_at if FIRST_YEAR <= told_at.year <= LAST_YEAR else None


def _occurred_at(
    name: str, meeting: Mapping[str, Any], participant: Mapping[str, Any]
) -> datetime | None:
    told = [instant(participant.get(key)) for key in ("join_time", "leave_time", "date_time")]
    if at := next(filter(None, told), None):
        return at
    if name == "meeting.started":
        return instant(meeting.get("start_time"))
    return instant(meeting.get("end_time")) if name == "meeting.ended" else None


def _event(
    name: str,
    meeting: Mapping[str, Any],
    participant: Mapping[str, Any],
    *,
    series_ref: str | None,
    instance_ref: str | None,
    told_at: datetime,
    received_at: datetime,
) -> ParticipantEvent:
    """The fact in a notification; it happened when it was told, should it not say when."""
    if series_ref is None and instance_ref is None:
        raise Malformed("neither meeting id nor uuid")
    kind = KINDS[name]
    seat = text(participant.get("user_id"))
    connection = text(participant.get("participant_uuid")) or seat
    occurred_at = _occurred_at(name, meeting, participant) or told_at
    seen = _participant(meeting, participant) if participant else None
    # A rename is a fact of its own; the name on a join is not what makes it that join.
    shown = seen.display_name if seen and kind is EventKind.SEEN else None
    key = fact_key("zoom", name, series_ref, instance_ref, connection, occurred_at, shown)
    return ParticipantEvent(
        key=f"zoom:{key}",
        platform=Platform.ZOOM,
        kind=kind,
        occurred_at=occurred_at,
        source=Source.WEBHOOK,
        series_ref=series_ref,
        instance_ref=instance_ref,
        instance_started_at=instant(meeting.get("start_time")),
        connection_ref=connection,
        seat_ref=seat,
        participant=seen,
        told_as=name,
        received_at=received_at,
    )


def _participant(meeting: Mapping[str, Any], participant: Mapping[str, Any]) -> Participant:
    account = text(participant.get("participant_user_id")) or text(participant.get("id"))
    host = text(meeting.get("host_id"))
    is_host = (account is not None and account == host) or (
        str(participant.get("new_role", "")).lower() in _HOSTS
    )
    name = (words(participant.get("user_name")) or "")[:200]
    invitation_ref = text(participant.get("registrant_id"))
    # A number may be typed as a name on a personal link; samples have `phone_number` on everybody.
    dialled = bool(participant.get("phone_number")) or invitation_ref is None
    return Participant(
        display_name=name,
        by_phone=is_phone_number(name) and dialled,
        email=(words(participant.get("email")) or "")[:200],
        invitation_ref=invitation_ref,
        account_ref=account,
        stable_account=account is not None,
        role=Role.ORGANISER if is_host else Role.ATTENDEE,
        note=(words(participant.get("leave_reason")) or "")[:200],
    )


_KEEPER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_KEPT_OF_MEETING = ("id", "uuid", "start_time", "end_time", "type", "duration", "timezone")
_KEPT_OF_PARTICIPANT = (
    *("user_id", "participant_uuid", "participant_user_id", "id", "registrant_id"),
    *("user_name", "email", "join_time", "leave_time", "leave_reason", "date_time"),
    *("old_role", "new_role"),
)


def _kept(
    name: str,
    found: Mapping[str, Any],
    meeting: Mapping[str, Any],
    participant: Mapping[str, Any],
) -> str:
    """What is stored: no network or device address, telephone number, link or secret."""
    kept: dict[str, Any] = {"event": name, "event_ts": found.get("event_ts")}
    kept["object"] = {k: meeting[k] for k in _KEPT_OF_MEETING if k in meeting}
    if name in MEDIA_EVENTS:
        kept["participant"] = media_kept(participant)
    elif participant:
        kept["participant"] = {k: participant[k] for k in _KEPT_OF_PARTICIPANT if k in participant}
    if name in STREAMS:
        payload = found.get("payload") or {}
        kept["stream"] = {
            "id": str(payload.get("rtms_stream_id") or "")[:200],
            "server_urls": str(payload.get("server_urls") or "")[:1000],
        }
    if name in ("meeting.updated", "meeting.deleted"):
        told = meeting.get("occurrences")
        kept["occurrences"] = [
            str(o.get("occurrence_id"))
            for o in (told if isinstance(told, list) else [])
            if isinstance(o, dict)
        ]
    return _KEEPER.encode(kept)
