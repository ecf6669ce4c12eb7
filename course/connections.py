"""One device's stay: participant events of one connection folded into spans of presence.

The fold sorts what it is given, so order and repetition of the events change nothing. What the
evidence leaves open (no leave was told, a leave without a join) stays open here; who the person
was and what else they did decides later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby

from course.intervals import Span, union
from course.model import EventKind, Participant, ParticipantEvent, Source

MEDIA = (EventKind.CAMERA, EventKind.MICROPHONE)
MOVES = (EventKind.JOINED, EventKind.LEFT, EventKind.STAY)
SAMPLE = timedelta(minutes=1)  # media are sampled by the minute
# How far the times of one stay may lie apart in two tellings.
SAME_JOIN, SAME_LEAVE = timedelta(seconds=30), timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One device's stay. `spans` were told from join to leave; `open_from`: joined then, and no
    leave was told; at the latest `open_until`, by the record's word or because the instance ended.

    `orphan_left_at`: left then, and no join was told before; `orphan_spans`: since an earlier leave
    until one whose join was not told. `last_seen_at` is its own last evidence. `is_record`: told by
    the platform's record, not pushed; `undated`: it names them and not when they were there.
    """

    ref: str
    participants: tuple[Participant, ...]
    began_at: datetime
    last_seen_at: datetime
    spans: tuple[Span, ...]
    open_from: datetime | None
    open_until: datetime | None
    orphan_left_at: datetime | None
    orphan_spans: tuple[Span, ...]
    waited: bool
    is_record: bool
    undated: bool
    events: tuple[ParticipantEvent, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The displayed names, in the order in which they were seen."""
        return tuple(dict.fromkeys(p.display_name for p in self.participants if p.display_name))

    @property
    def by_phone(self) -> bool:
        """Whether it was a telephone that dialled in."""
        return any(p.by_phone for p in self.participants)

    @property
    def was_present(self) -> bool:
        """Whether it ever was more than waiting."""
        return (
            bool(self.spans)
            or self.undated
            or self.open_from is not None
            or self.orphan_left_at is not None
        )

    @property
    def seats(self) -> frozenset[str]:
        """The platform's second names for it."""
        return frozenset(e.seat_ref for e in self.events if e.seat_ref)

    @property
    def media(self) -> tuple[ParticipantEvent, ...]:
        """What was told of camera and microphone."""
        return tuple(e for e in self.events if e.kind in MEDIA)


def build_connections(
    events: Iterable[ParticipantEvent], *, ended_at: datetime | None = None
) -> tuple[Connection, ...]:
    """The connections of one held instance, in order of their beginning."""
    by_ref: dict[str, list[ParticipantEvent]] = {}
    seats: dict[str, str] = {}
    loose: list[ParticipantEvent] = []
    for event in sorted(events, key=lambda e: (e.occurred_at, e.key)):
        if event.kind in (EventKind.INSTANCE_STARTED, EventKind.INSTANCE_ENDED):
            continue
        if event.connection_ref is None:
            loose.append(event)
            continue
        by_ref.setdefault(event.connection_ref, []).append(event)
        # A live connection is the better owner of a seat than a row of the record.
        if event.seat_ref is not None and (
            event.source is Source.WEBHOOK or event.seat_ref not in seats
        ):
            seats[event.seat_ref] = event.connection_ref
    for event in loose:
        owner = seats.get(event.seat_ref or "") or _same_stay(event, by_ref)
        if owner is not None:
            by_ref[owner].append(event)
    built = [_fold(ref, found, ended_at) for ref, found in by_ref.items()]
    recorded = [c for c in built if c.is_record]
    built = [_closed_by(connection, recorded) for connection in built]
    return tuple(sorted(built, key=lambda c: (c.began_at, c.ref)))


def _closed_by(connection: Connection, recorded: Sequence[Connection]) -> Connection:
    """Where a leave was lost and the record has the same stay: until when it was at most."""
    joined = connection.open_from
    if connection.is_record or joined is None:
        return connection
    same = [row for row in recorded if connection.seats & row.seats]
    if not connection.seats:
        # A platform without seats: the only row that began then under the same name.
        same = [
            row
            for row in recorded
            if abs(row.began_at - joined) <= SAME_JOIN and set(row.names) & set(connection.names)
        ]
        same = same if len(same) == 1 else []
    ends = [end for row in same for _, end in row.spans]
    if not ends:
        return connection
    end = max(ends)
    return replace(connection, open_until=end, last_seen_at=max(connection.last_seen_at, end))


def _same_stay(event: ParticipantEvent, by_ref: dict[str, list[ParticipantEvent]]) -> str | None:
    """Whose stay a report without any name is about: the only one with just these times.

    Reports of a call's media name nobody; a live connection is asked first, then the record's.
    """
    if event.seat_ref is not None or event.until_at is None:
        return None
    for source in (Source.WEBHOOK, Source.PLATFORM_RECORD):
        fits = [
            ref
            for ref, told in by_ref.items()
            if (span := _whole(told, source)) is not None
            and abs(span[0] - event.occurred_at) <= SAME_JOIN
            and abs(span[1] - event.until_at) <= SAME_LEAVE
        ]
        if fits:
            return fits[0] if len(fits) == 1 else None
    return None


def _whole(told: list[ParticipantEvent], source: Source) -> Span | None:
    """From the first to the last movement that this source told."""
    moves = [e for e in told if e.source is source and e.kind in MOVES]
    if not moves:
        return None
    return min(e.occurred_at for e in moves), max(e.until_at or e.occurred_at for e in moves)


def _fold(ref: str, events: list[ParticipantEvent], ended_at: datetime | None) -> Connection:
    events = sorted(events, key=lambda e: (e.occurred_at, e.key))
    stays = [
        (e.occurred_at, e.until_at)
        for e in events
        if e.kind is EventKind.STAY and e.until_at is not None
    ]
    spans, open_from, orphan_left_at, orphan_spans = _pair(events)
    moves = [e for e in events if e.kind not in MEDIA] or events
    return Connection(
        ref=ref,
        participants=tuple(dict.fromkeys(e.participant for e in events if e.participant)),
        began_at=moves[0].occurred_at,
        last_seen_at=max(_last_sign(e) for e in events),
        spans=union([*spans, *stays]),
        open_from=open_from,
        open_until=ended_at,
        orphan_left_at=orphan_left_at,
        orphan_spans=tuple(orphan_spans),
        waited=any(e.kind is EventKind.WAITING for e in events),
        is_record=any(e.source is Source.PLATFORM_RECORD for e in moves),
        undated=not stays and any(e.kind is EventKind.STAY for e in events),
        events=tuple(events),
    )


def _last_sign(event: ParticipantEvent) -> datetime:
    """Until when an event proves that they were there: of a sampled minute only its beginning."""
    if event.until_at is None:
        return event.occurred_at
    if event.kind in MEDIA:
        return max(event.occurred_at, event.until_at - SAMPLE)
    return event.until_at


def _pair(
    events: list[ParticipantEvent],
) -> tuple[list[Span], datetime | None, datetime | None, list[Span]]:
    """Joins and leaves to spans; the join that stays open; the leaves that had no join.

    A move between rooms is told as a leave and a join at the same second, in any order: whoever
    was in stays in. At the same second without having been in, it is a join of no length, unless
    another leave follows: then it was a move, and the first join was lost.
    """
    told = [e for e in events if e.kind in (EventKind.JOINED, EventKind.LEFT)]
    instants = [
        (at, {e.kind for e in group}) for at, group in groupby(told, key=lambda e: e.occurred_at)
    ]
    spans: list[Span] = []
    orphan_spans: list[Span] = []
    open_from: datetime | None = None
    orphan_left_at: datetime | None = None

    def without_join(at: datetime) -> None:
        nonlocal orphan_left_at
        ends = [end for _, end in [*spans, *orphan_spans]]
        if orphan_left_at is not None:
            ends.append(orphan_left_at)
        if not ends:
            orphan_left_at = at
        elif max(ends) < at:
            orphan_spans.append((max(ends), at))

    for number, (at, kinds) in enumerate(instants):
        joined, left = EventKind.JOINED in kinds, EventKind.LEFT in kinds
        if open_from is not None:
            if left and not joined:
                spans.append((open_from, at))
                open_from = None
        elif joined and left:
            following = instants[number + 1][1] if number + 1 < len(instants) else set()
            if EventKind.LEFT in following:
                open_from = at
                without_join(at)
        elif joined:
            open_from = at
        else:
            without_join(at)
    return spans, open_from, orphan_left_at, orphan_spans
