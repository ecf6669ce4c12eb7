"""What Graph tells our bot of a call: the bearer token, and the roster in snapshots. Pure.

A snapshot names everybody who is in, with who is muted and who sends video; whoever is missing in
the next one has left. Snapshots carry no time: they are taken to be of the moment they came.
https://learn.microsoft.com/graph/api/resources/commsnotifications
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from course.model import EventKind, Level, Participant, ParticipantEvent, Platform, Role, Source
from webhooks.rejected import Malformed, Rejected
from webhooks.strict_json import read_object
from webhooks.teams import MOST_ITEMS, camera_sends, fact_key, field, text, who_is
from webhooks.teams_tokens import LONGEST, proven_claims

ISSUERS = ("https://graph.microsoft.com", "https://api.botframework.com")
_ROSTER = re.compile(r"/?communications/calls/([^/]+)/participants/?", re.IGNORECASE)
_CALL = re.compile(r"/?communications/calls/([^/]+)/?", re.IGNORECASE)


def verify_bearer(header: str, *, keys: Mapping[str, Any], audience: str, now: datetime) -> None:
    """The caller must be Microsoft. Raises `Rejected`, or `UnknownKey` when a key is missing."""
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > LONGEST:
        raise Rejected("no_token")
    claims = proven_claims(token, keys=keys, audience=audience, now=now)
    issuer = claims["iss"]
    if not isinstance(issuer, str) or not any(
        hmac.compare_digest(issuer.encode(), known.encode()) for known in ISSUERS
    ):
        raise Rejected("bad_token")


class Seen(NamedTuple):
    """One participant in a snapshot. None: not said.

    `changed_in`: the number of the roster in which they last changed; it only ever grows.
    """

    ref: str
    changed_in: int | None
    who: Participant
    in_lobby: bool
    muted: bool | None
    camera: bool | None


class Told(NamedTuple):
    """What one delivery says of the call: rosters in order, and whether it is over."""

    rosters: tuple[tuple[Seen, ...], ...]
    is_over: bool


def parse(body: bytes, *, organiser_ref: str | None) -> Told:
    """Read a delivery. Raises `Malformed`."""
    items = read_object(body).get("value")
    if not isinstance(items, list) or len(items) > MOST_ITEMS:
        raise Malformed("no list of items")
    rosters: list[tuple[Seen, ...]] = []
    is_over = False
    for item in items:
        if not isinstance(item, Mapping):
            raise Malformed("an item that is none")
        about = text(field(item, "resource") or field(item, "resourceurl"))
        data = field(item, "resourcedata")
        if _ROSTER.fullmatch(about) and isinstance(data, list):
            rosters.append(tuple(_seen(data, organiser_ref)))
        elif _CALL.fullmatch(about):
            state = field(data, "state") if isinstance(data, Mapping) else None
            deleted = text(field(item, "changetype")).lower() == "deleted"
            is_over = is_over or deleted or text(state).lower() == "terminated"
    return Told(tuple(rosters), is_over)


def _seen(data: Sequence[Any], organiser_ref: str | None) -> Iterator[Seen]:
    for found in data:
        if not isinstance(found, Mapping):
            raise Malformed("a participant that is none")
        ref = text(field(found, "id"))
        if not ref:
            raise Malformed("a participant without id")
        muted, streams = field(found, "ismuted"), field(found, "mediastreams")
        number = field(found, "rostersequencenumber")
        yield Seen(
            ref=ref,
            changed_in=number if isinstance(number, int) and not isinstance(number, bool) else None,
            who=who_is(found, organiser_ref),
            in_lobby=field(found, "isinlobby") is True,
            muted=muted if isinstance(muted, bool) else None,
            camera=camera_sends(streams) if isinstance(streams, list) else None,
        )


class _State(NamedTuple):
    inside: bool
    camera: Level | None
    microphone: Level | None


def facts(
    told: Told,
    known: Sequence[ParticipantEvent],
    *,
    call_id: str,
    series_ref: str,
    at: datetime,
) -> list[ParticipantEvent]:
    """What is new beside what was known of this call; nothing when a snapshot comes again."""
    states = _states(known)
    found: list[ParticipantEvent] = []

    def tell(ref: str, who: Participant | None, kind: EventKind, level: Level | None) -> None:
        found.append(
            ParticipantEvent(
                key=fact_key("call", call_id, ref, kind, level, at),
                platform=Platform.TEAMS,
                kind=kind,
                occurred_at=at,
                source=Source.CALL_BOT,
                series_ref=series_ref,
                connection_ref=ref,
                participant=who,
                level=level,
                told_as="roster of a call",
                received_at=at,
            )
        )

    rosters = (*told.rosters, ()) if told.is_over and not told.rosters else told.rosters
    for roster in rosters:
        present = {seen.ref: seen for seen in roster if not seen.in_lobby}
        for ref, seen in present.items():
            if seen.who.role is Role.BOT:
                continue
            before = states.get(ref, _State(inside=False, camera=None, microphone=None))
            now = _State(
                inside=True,
                camera=_level(seen.camera, before.camera),
                microphone=_level(None if seen.muted is None else not seen.muted, None)
                or before.microphone,
            )
            if not before.inside:
                tell(ref, seen.who, EventKind.JOINED, None)
            if now.camera is not before.camera:
                tell(ref, seen.who, EventKind.CAMERA, now.camera)
            if now.microphone is not before.microphone:
                tell(ref, seen.who, EventKind.MICROPHONE, now.microphone)
            states[ref] = now
        for ref, state in list(states.items()):
            if state.inside and ref not in present and not told.is_over:
                tell(ref, None, EventKind.LEFT, None)
                states[ref] = _State(inside=False, camera=None, microphone=None)
    if told.is_over:
        # The bot is out, the people may not be: from here on nobody knows, and nobody has left.
        for ref, state in states.items():
            if state.inside and state.camera is not None:
                tell(ref, None, EventKind.CAMERA, None)
    return found


def _level(is_on: bool | None, before: Level | None) -> Level | None:
    return before if is_on is None else Level.ON if is_on else Level.OFF


def _states(known: Sequence[ParticipantEvent]) -> dict[str, _State]:
    states: dict[str, _State] = {}
    for event in sorted(known, key=lambda e: (e.occurred_at, e.key)):
        ref = event.connection_ref or ""
        state = states.get(ref, _State(inside=False, camera=None, microphone=None))
        match event.kind:
            case EventKind.JOINED:
                state = state._replace(inside=True)
            case EventKind.LEFT:
                state = _State(inside=False, camera=None, microphone=None)
            case EventKind.CAMERA:
                state = state._replace(camera=event.level)
            case EventKind.MICROPHONE:
                state = state._replace(microphone=event.level)
        states[ref] = state
    return states
