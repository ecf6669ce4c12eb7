"""The live board: who is in, who waits, who is missing, whose camera nobody has seen. Pure.

It answers for this minute what the register answers for the whole session, from the same evidence
and by the same identities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from course.attendance import Judge
from course.connections import Connection
from course.identity import name_is_gone, participant_key
from course.instances import Instance
from course.model import (
    Carer,
    Cohort,
    EventKind,
    Evidence,
    Level,
    Message,
    MessageKind,
    ParticipantEvent,
    RegisterState,
    Session,
    Source,
    Suggestion,
    Tested,
)

SAMPLED_WITHIN = timedelta(minutes=6)  # quality reports come by the minute, some minutes late
ON = (Level.ON, Level.SENDING)


class Place(StrEnum):
    """Where somebody is now."""

    IN = "in"
    WAITING = "waiting"
    LEFT = "left"
    NOT_SEEN = "not_seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One carer now. `camera` and `microphone`: `on`, `off` or `unknown`; told at `camera_at`.

    `calls_for` is the reason to ring them, the most pressing first in `Board.seats`; empty when
    nothing is wrong. `absence`: they told us that they would not come. `shared_with`: the carer at
    whose device a person attested them. `tested`: camera and microphone, and when.
    """

    carer: Carer
    place: Place
    since: datetime | None
    camera: str
    camera_at: datetime | None
    microphone: str
    devices: int
    calls_for: str
    absence: Message | None
    shared_with: str | None
    ticked: str | None
    notes: tuple[Message, ...]
    says_together: bool
    tested: Tested | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    """Somebody whom nothing ties to a carer."""

    ref: str
    display_name: str
    place: Place
    since: datetime | None
    suggestions: tuple[Suggestion, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One session now. `held_from` None: nobody has opened it."""

    session: Session
    state: RegisterState
    as_of: datetime
    held_from: datetime | None
    seats: tuple[Seat, ...]
    strangers: tuple[Stranger, ...]


# The most pressing first.
CALLS = ("missing", "waiting", "left", "camera off", "camera not reported")


def build_board(cohort: Cohort, evidence: Evidence, session: Session, *, now: datetime) -> Board:
    """The board of one session. Sorted by who needs a call, then by family."""
    judge = Judge(cohort, evidence, now=now)
    register = judge.register(session)
    mine, strangers = judge.people(session)
    ticks = judge.ticks(session)
    tested = judge.tested()
    attested = {
        a.carer_id: a.with_carer_id for a in evidence.attestations if a.week == session.week
    }
    said = [m for m in evidence.messages if m.week == session.week]
    households = {carer.id: carer.household for carer in cohort.carers}
    together = {households[m.carer_id] for m in said if m.kind is MessageKind.TOGETHER}
    absences = {m.carer_id: m for m in said if m.kind is MessageKind.ABSENCE}
    held = register.state is RegisterState.LIVE and register.held_from is not None
    seats = []
    for carer in cohort.carers:
        if carer.withdrawn_at is not None and carer.withdrawn_at <= session.starts_at:
            continue
        beside = attested.get(carer.id)
        seats.append(
            _seat(
                carer,
                mine.get(carer.id, []) + (mine.get(beside, []) if beside else []),
                ticks.get(carer.id, []),
                held=held,
                late=now >= session.starts_at,
                absence=absences.get(carer.id),
                shared_with=beside,
                notes=tuple(
                    m for m in said if m.kind is MessageKind.NOTE and m.carer_id == carer.id
                ),
                says_together=carer.household in together,
                tested=tested.get(carer.id),
                now=now,
            )
        )
    order = {call: number for number, call in enumerate((*CALLS, ""))}
    return Board(
        session=session,
        state=register.state,
        as_of=now,
        held_from=register.held_from,
        seats=tuple(
            sorted(
                seats,
                key=lambda s: (
                    s.absence is not None and s.place is Place.NOT_SEEN,
                    order[s.calls_for],
                    s.carer.household,
                    s.carer.position,
                    s.carer.id,
                ),
            )
        ),
        strangers=_strangers(judge, strangers),
    )


def _seat(
    carer: Carer,
    found: Sequence[tuple[Instance, Connection]],
    ticks: Sequence[ParticipantEvent],
    *,
    held: bool,
    late: bool,
    absence: Message | None,
    shared_with: str | None,
    notes: tuple[Message, ...],
    says_together: bool,
    tested: Tested | None,
    now: datetime,
) -> Seat:
    place, since = _place(found)
    inside = [c for i, c in found if _is_in(i, c)]
    camera, camera_at = _level(inside, EventKind.CAMERA, now)
    microphone, _ = _level(inside, EventKind.MICROPHONE, now)
    said = [e for e in ticks if e.kind is EventKind.CAMERA and e.source is Source.FACILITATOR]
    ticked = (
        max(said, key=lambda e: (e.received_at or e.occurred_at, e.key)).level if said else None
    )
    calls_for = ""
    if held and late:
        calls_for = {Place.NOT_SEEN: "missing", Place.WAITING: "waiting", Place.LEFT: "left"}.get(
            place, ""
        )
    if place is Place.IN and ticked not in (Level.ON, Level.PARTLY):
        calls_for = {"off": "camera off", "unknown": "camera not reported"}.get(camera, "")
    return Seat(
        carer=carer,
        place=place,
        since=since,
        camera=camera,
        camera_at=camera_at,
        microphone=microphone,
        devices=len(inside),
        calls_for=calls_for,
        absence=absence,
        shared_with=shared_with,
        ticked=ticked.value if ticked else None,
        notes=notes,
        says_together=says_together,
        tested=tested,
    )


def _is_in(instance: Instance, connection: Connection) -> bool:
    return (
        connection.open_from is not None
        and not connection.is_record
        and (instance.ended_at is None or instance.ended_at < connection.open_from)
    )


def _place(found: Sequence[tuple[Instance, Connection]]) -> tuple[Place, datetime | None]:
    """Where they are, and since when."""
    inside = [c.open_from for i, c in found if _is_in(i, c) and c.open_from is not None]
    if inside:
        return Place.IN, min(inside)
    waiting = [
        c.events[-1].occurred_at
        for i, c in found
        if c.waited and c.events[-1].kind is EventKind.WAITING and i.ended_at is None
    ]
    if waiting:
        return Place.WAITING, min(waiting)
    gone = [end for _, c in found for _, end in c.spans]
    gone += [c.orphan_left_at for _, c in found if c.orphan_left_at is not None]
    gone += [i.ended_at for i, c in found if c.open_from is not None and i.ended_at is not None]
    return (Place.LEFT, max(gone)) if gone else (Place.NOT_SEEN, None)


def _level(
    connections: Sequence[Connection], kind: EventKind, now: datetime
) -> tuple[str, datetime | None]:
    """On at any device, off at all of them, or unknown; and when that was told.

    Of each device the last word counts; a sample that is too old says nothing of now.
    """
    words = [word for c in connections if (word := _last_word(c, kind, now)) is not None]
    at = max((at for at, _ in words), default=None)
    if any(is_on for _, is_on in words):
        return "on", at
    if words and len(words) == len(connections) and all(is_on is False for _, is_on in words):
        return "off", at
    return "unknown", None


def _last_word(
    connection: Connection, kind: EventKind, now: datetime
) -> tuple[datetime, bool | None] | None:
    told = [
        (event.until_at or event.occurred_at, event.level)
        for event in connection.media
        if event.kind is kind
        and event.level is not Level.DEVICE_PRESENT
        and (event.until_at is None or event.until_at >= now - SAMPLED_WITHIN)
    ]
    if not told:
        return None
    at, level = max(told, key=lambda word: (word[0], word[1] in ON))
    return at, None if level is None else level in ON


def _strangers(judge: Judge, found: Sequence[tuple[Instance, Connection]]) -> tuple[Stranger, ...]:
    groups: dict[str, list[tuple[Instance, Connection]]] = {}
    for instance, connection in found:
        if name_is_gone(connection):
            continue
        if not connection.is_record and (connection.was_present or connection.waited):
            groups.setdefault(participant_key(connection), []).append((instance, connection))
    seen = []
    for ref, pairs in groups.items():
        place, since = _place(pairs)
        names = [name for _, c in pairs for name in c.names]
        seen.append(
            Stranger(
                ref=ref,
                display_name=names[0] if names else "",
                place=place,
                since=since,
                suggestions=judge.suggest(pairs[0][1]),
            )
        )
    return tuple(sorted(seen, key=lambda s: (s.place, s.display_name, s.ref)))
