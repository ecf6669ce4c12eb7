"""Microsoft Graph's notifications of a meeting's call: answer the check, take apart, read. Pure.

https://learn.microsoft.com/graph/changenotifications-for-onlinemeeting

Documented payloads are camelCase, real ones were seen in PascalCase, and a form of 2022 is still
about: every key is therefore looked up without regard to case.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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
from webhooks.instants import in_utc
from webhooks.rejected import Malformed
from webhooks.strict_json import read_object

LONGEST_TOKEN = 4096
MOST_ITEMS = 1000

# Graph's event -> ours. Anything else (recording, transcription) is none of our business.
KINDS = {
    "callstarted": EventKind.INSTANCE_STARTED,
    "callended": EventKind.INSTANCE_ENDED,
    "rosterupdated": None,
    "microsoft.communication.callrosterupdate": None,
    "microsoft.communication.callstarted": EventKind.INSTANCE_STARTED,
    "microsoft.communication.callended": EventKind.INSTANCE_ENDED,
}
_IDENTITIES = ("user", "guest", "azurecommunicationservicesuser", "acsuser", "phone", "encrypted")
_PROGRAMS = ("application", "applicationinstance", "acsapplicationinstance")
_SENDS = ("sendreceive", "sendonly")


def handshake(query: Mapping[str, str]) -> str | None:
    """Graph's validation token to send back as plain text, or None. Raises `Malformed`."""
    token = query.get("validationToken")
    if token is None:
        return None
    if not token or len(token) > LONGEST_TOKEN or any(ord(c) < 32 or ord(c) == 127 for c in token):
        raise Malformed("a validation token that is none")
    return token


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One delivery taken apart; `malformed` counts items that are not objects."""

    items: tuple[Mapping[str, Any], ...]
    tokens: tuple[str, ...]
    malformed: int


def split(body: bytes) -> Batch:
    """The items and validation tokens of a delivery. Raises `Malformed`."""
    found = read_object(body)
    items, tokens = found.get("value"), found.get("validationTokens")
    if not isinstance(items, list) or len(items) > MOST_ITEMS:
        raise Malformed("no list of items")
    if tokens is not None and not isinstance(tokens, list):
        raise Malformed("validation tokens that are no list")
    readable = tuple(item for item in items if isinstance(item, dict))
    return Batch(
        items=readable,
        tokens=tuple(token for token in tokens or [] if isinstance(token, str)),
        malformed=len(items) - len(readable),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """What the platform says of a subscription itself."""

    watch_ref: str
    kind: str


def lifecycle(item: Mapping[str, Any]) -> Lifecycle:
    """Read a lifecycle item. Raises `Malformed`."""
    ref, kind = item.get("subscriptionId"), item.get("lifecycleEvent")
    if not isinstance(ref, str) or not isinstance(kind, str):
        raise Malformed("no subscription or no lifecycle event")
    known = ("reauthorizationRequired", "subscriptionRemoved", "missed")
    return Lifecycle(watch_ref=ref, kind=kind if kind in known else "unknown")


def field(value: Mapping[str, Any], name: str) -> Any:
    """A field by name in any case."""
    if name in value:
        return value[name]
    return next((v for k, v in value.items() if k.lower() == name), None)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def text(value: Any) -> str:
    # PostgreSQL keeps every character but this one.
    return value.replace("\0", "").strip()[:200] if isinstance(value, str) else ""


def fact_key(*parts: object) -> str:
    """The key of one fact: the same for every telling of it."""
    joined = "\n".join("" if part is None else str(part) for part in parts)
    return f"teams:{hashlib.sha256(joined.encode()).hexdigest()}"


def parse(
    resource: Mapping[str, Any],
    *,
    series_ref: str,
    received_at: datetime,
    organiser_ref: str | None,
) -> tuple[ParticipantEvent, ...]:
    """The facts in one decrypted resource. Raises `Malformed`."""
    name = text(field(resource, "eventtype") or field(resource, "calleventtype")).lower()
    told = field(resource, "eventdatetime")
    occurred_at = in_utc(told) if told is not None else received_at
    kind = KINDS.get(name)
    if kind is not None:
        return (
            ParticipantEvent(
                key=fact_key(series_ref, kind, occurred_at),
                platform=Platform.TEAMS,
                kind=kind,
                occurred_at=occurred_at,
                source=Source.WEBHOOK,
                series_ref=series_ref,
                received_at=received_at,
            ),
        )
    events: list[ParticipantEvent] = []
    for seen, gone in _roster(resource):
        events += _of_participant(
            seen,
            gone=gone,
            occurred_at=occurred_at,
            received_at=received_at,
            series_ref=series_ref,
            organiser_ref=organiser_ref,
        )
    return tuple(events)


def _roster(resource: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """Every participant named, and whether the list they stand in says that they left."""
    for name, gone in (
        ("participants@delta", False),
        ("activeparticipants@joined", False),
        ("activeparticipants@exited", True),
    ):
        found = field(resource, name)
        if found is None:
            continue
        if not isinstance(found, list):
            raise Malformed("a roster that is no list")
        for seen in found:
            if isinstance(seen, Mapping):
                yield seen, gone


def _of_participant(
    seen: Mapping[str, Any],
    *,
    gone: bool,
    occurred_at: datetime,
    received_at: datetime,
    series_ref: str,
    organiser_ref: str | None,
) -> Iterator[ParticipantEvent]:
    ref = text(field(seen, "id"))
    if not ref:
        raise Malformed("a participant without id")
    # Leaving and losing the connection ("inactive state") both end presence.
    if gone or isinstance(field(seen, "removedstate"), Mapping):
        kind = EventKind.LEFT
    elif field(seen, "isinlobby") is True:
        kind = EventKind.WAITING
    else:
        kind = EventKind.JOINED
    who = who_is(seen, organiser_ref)

    def fact(kind: EventKind, level: Level | None) -> ParticipantEvent:
        # A rename comes as a repeated "joined" with another name: a fact of its own.
        shown = who.display_name if kind is EventKind.JOINED else None
        return ParticipantEvent(
            key=fact_key(series_ref, ref, kind, level, occurred_at, shown),
            platform=Platform.TEAMS,
            kind=kind,
            occurred_at=occurred_at,
            source=Source.WEBHOOK,
            series_ref=series_ref,
            connection_ref=ref,
            participant=who,
            level=level,
            received_at=received_at,
        )

    yield fact(kind, None)
    if kind is not EventKind.JOINED:
        return
    # The type defines these two; no documented delta carries them. Used when they are there.
    muted, streams = field(seen, "ismuted"), field(seen, "mediastreams")
    if isinstance(muted, bool):
        yield fact(EventKind.MICROPHONE, Level.OFF if muted else Level.ON)
    if isinstance(streams, list):
        yield fact(EventKind.CAMERA, Level.ON if camera_sends(streams) else Level.OFF)


def camera_sends(streams: Sequence[Any]) -> bool:
    """Whether a camera is on: a video stream that is sent; screen sharing is another type."""
    return any(
        text(field(stream, "mediatype")).lower() == "video"
        and text(field(stream, "direction")).lower() in _SENDS
        for stream in streams
        if isinstance(stream, Mapping)
    )


def who_is(seen: Mapping[str, Any], organiser_ref: str | None) -> Participant:
    identities = _mapping(field(_mapping(field(seen, "info")), "identity"))
    for kind in _IDENTITIES:
        identity = field(identities, kind)
        if not isinstance(identity, Mapping):
            continue
        account = text(field(identity, "id"))
        # Anonymous joiners come as "teamsvisitor:..." with an id that changes at every visit.
        lasting = (
            kind == "user"
            and bool(account)
            and not account.startswith("teamsvisitor:")
            and bool(text(field(identity, "tenantid")))
        )
        return Participant(
            display_name=text(field(identity, "displayname")),
            email=text(field(identity, "email")),
            account_ref=account or None,
            stable_account=lasting,
            by_phone=kind == "phone",
            role=Role.ORGANISER if account and account == organiser_ref else Role.ATTENDEE,
        )
    program = next(
        (found for kind in _PROGRAMS if isinstance(found := field(identities, kind), Mapping)), None
    )
    if program is not None:
        return Participant(display_name=text(field(program, "displayname")), role=Role.BOT)
    return Participant()


def minimise(resource: Mapping[str, Any]) -> dict[str, Any]:
    """What is stored of a resource: kind, time, and who came or went."""
    return {
        "event": text(field(resource, "eventtype") or field(resource, "calleventtype")),
        "at": text(field(resource, "eventdatetime")),
        "roster": [
            {
                "id": text(field(seen, "id")),
                "name": who_is(seen, None).display_name,
                "gone": gone or isinstance(field(seen, "removedstate"), Mapping),
                "lobby": field(seen, "isinlobby") is True,
            }
            for seen, gone in _roster(resource)
        ],
    }
