"""Held instances: which events belong to one held meeting, and to which session it counts.

Where the platform names the instance, the name decides. Where it does not, a series' stream of
live events is cut when the platform says that the call ended, when nobody is left, or after three
silent hours. An instance counts for the session whose window it overlaps most; the window is from
30 minutes before the planned start to 120 minutes after the planned end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from course.connections import Connection, build_connections
from course.intervals import Span, intersect, subtract, total, union
from course.model import EventKind, ParticipantEvent, Session, SessionState

WINDOW_BEFORE = timedelta(minutes=30)
WINDOW_AFTER = timedelta(minutes=120)
SILENCE = timedelta(hours=3)
NEAR = timedelta(minutes=2)  # notifications and record may differ by so much and still agree
INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One held meeting. `ended_at` is None while nobody has told its end.

    Where nobody has told its start either, `started_at` is its first sign of life.
    """

    ref: str | None
    started_at: datetime
    start_was_told: bool
    ended_at: datetime | None
    last_event_at: datetime
    connections: tuple[Connection, ...]

    @property
    def is_recorded(self) -> bool:
        """Whether the platform's own record tells of it."""
        return bool(self.recorded)

    @property
    def recorded(self) -> tuple[Connection, ...]:
        """What the record tells."""
        return tuple(c for c in self.connections if c.is_record)

    @property
    def span(self) -> Span:
        """From its start to its last sign of life, never empty."""
        end = max(self.last_event_at, self.ended_at or self.last_event_at)
        return self.started_at, max(end, self.started_at + INSTANT)


def find_instances(events: Iterable[ParticipantEvent]) -> tuple[Instance, ...]:
    """The held instances among the events, in order of their start. Equal keys are one event."""
    named: dict[str, list[ParticipantEvent]] = {}
    unnamed: dict[tuple[str, str | None], list[ParticipantEvent]] = {}
    for event in {e.key: e for e in sorted(events, key=lambda e: e.key)}.values():
        if event.carer_id is not None:
            continue  # told of a carer, not of whoever was in a meeting
        if event.instance_ref is not None:
            named.setdefault(event.instance_ref, []).append(event)
        else:
            unnamed.setdefault((event.platform, event.series_ref), []).append(event)
    found = [_build(ref, group) for ref, group in named.items()]
    found += [_build(None, group) for stream in unnamed.values() for group in _cut(stream)]
    return tuple(sorted(found, key=lambda i: (i.started_at, i.ref or "")))


def _build(ref: str | None, events: list[ParticipantEvent]) -> Instance:
    told = [e.occurred_at for e in events if e.kind is EventKind.INSTANCE_STARTED]
    told = told or [e.instance_started_at for e in events if e.instance_started_at is not None]
    moves = [e.occurred_at for e in events if e.kind is not EventKind.WAITING]
    ends = [e.occurred_at for e in events if e.kind is EventKind.INSTANCE_ENDED]
    return Instance(
        ref=ref,
        started_at=min(told or moves or [e.occurred_at for e in events]),
        start_was_told=bool(told),
        ended_at=max(ends, default=None),
        last_event_at=max(e.until_at or e.occurred_at for e in events),
        connections=build_connections(events, ended_at=max(ends, default=None)),
    )


def _cut(events: list[ParticipantEvent]) -> list[list[ParticipantEvent]]:
    """The unnamed stream of one series in pieces, each one held instance."""
    pieces: list[list[ParticipantEvent]] = []
    piece: list[ParticipantEvent] = []
    inside: set[str] = set()
    over = False
    # At one instant whoever joins does so before others leave: the roster is not empty between.
    order = {EventKind.INSTANCE_STARTED: 0, EventKind.LEFT: 2, EventKind.INSTANCE_ENDED: 3}
    for event in sorted(events, key=lambda e: (e.occurred_at, order.get(e.kind, 1), e.key)):
        silent = piece and event.occurred_at - piece[-1].occurred_at > SILENCE
        late = event.kind in (EventKind.LEFT, EventKind.INSTANCE_ENDED)
        if piece and (silent or (over and not late)):
            pieces.append(piece)
            piece, inside = [], set()
        over = over and late and bool(piece)
        piece.append(event)
        if event.kind is EventKind.JOINED:
            inside.add(event.connection_ref or "")
        elif event.kind is EventKind.LEFT:
            inside.discard(event.connection_ref or "")
            over = over or not inside
        elif event.kind is EventKind.INSTANCE_ENDED:
            over = True
    return [*pieces, piece] if piece else pieces


def window_of(session: Session) -> Span:
    """When an instance may take place and still be this session."""
    return session.starts_at - WINDOW_BEFORE, session.ends_at + WINDOW_AFTER


def instances_by_week(
    sessions: Sequence[Session], instances: Sequence[Instance], rehearsals: Sequence[Span] = ()
) -> tuple[dict[int, list[Instance]], list[Instance]]:
    """The instances of each week, and those that belong to no session.

    `rehearsals`: the announced times, see `course.rehearsal`. What was held then and was over
    before any session is none of a week's; of what went on into one only who stayed counts.
    """
    weeks: dict[int, list[Instance]] = {session.week: [] for session in sessions}
    apart: list[Instance] = []
    held = [s for s in sessions if s.state is SessionState.SCHEDULED]
    planned = [(s.starts_at, s.ends_at) for s in held]
    for whole in instances:
        if _is_rehearsal(whole, rehearsals, planned):
            apart.append(whole)
            continue
        instance = _without_rehearsal(whole, rehearsals)
        overlaps = [
            (total(intersect([instance.span], [window_of(session)])), -session.week)
            for session in held
        ]
        best = max(overlaps, default=None)
        if best is None or not best[0]:
            apart.append(whole)
        else:
            weeks[-best[1]].append(instance)
    return weeks, apart


def weeks_going_on(
    sessions: Sequence[Session], instances: Sequence[Instance], *, now: datetime
) -> frozenset[int]:
    """The sessions in whose window somebody is in the meeting, be it before the planned start.

    Told by what was pushed: the platform's record comes afterwards, and can only say who has left.
    A meeting of which nothing was heard for three hours has not lasted until now.
    """
    going_on = [
        replace(i, last_event_at=max(now, i.last_event_at))
        if now - i.last_event_at <= SILENCE
        else i
        for i in instances
        if i.ended_at is None
        and any(c.open_from is not None and c.open_until is None for c in i.connections)
    ]
    weeks, _ = instances_by_week(sessions, going_on)
    return frozenset(week for week, found in weeks.items() if found)


def _is_rehearsal(instance: Instance, rehearsals: Sequence[Span], planned: Sequence[Span]) -> bool:
    """Whether it was held at a rehearsal's time and was over, as far as told, before a session."""
    someone_may_be_in = instance.ended_at is None and any(
        c.open_from is not None for c in instance.connections
    )
    return (
        bool(intersect([instance.span], rehearsals))
        and not intersect([instance.span], planned)
        and not someone_may_be_in
    )


def _without_rehearsal(instance: Instance, rehearsals: Sequence[Span]) -> Instance:
    """Without those who came and went during a rehearsal."""
    kept = tuple(
        c
        for c in instance.connections
        if c.open_from is not None
        or c.undated
        or not any(begin <= c.began_at and c.last_seen_at <= end for begin, end in rehearsals)
    )
    return (
        instance if len(kept) == len(instance.connections) else replace(instance, connections=kept)
    )


def all_recorded(instances: Sequence[Instance]) -> bool:
    """Whether the platform's record covers every join and leave that was pushed.

    A session that broke off and was started again has two records, and one may come before the
    other.
    """
    recorded = union(
        (i.span[0] - NEAR, i.span[1] + NEAR) for i in instances if any(c.spans for c in i.recorded)
    )
    signs = [
        (event.occurred_at, event.occurred_at + INSTANT)
        for instance in instances
        for connection in instance.connections
        if not connection.is_record
        for event in connection.events
        if event.kind in (EventKind.JOINED, EventKind.LEFT)
    ]
    return not subtract(signs, recorded)
