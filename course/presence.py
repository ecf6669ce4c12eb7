"""Presence of one carer in one session: certain time, possible time, and what is remarkable.

Certain is what the evidence proves; possible adds what it leaves open. If both lead to the same
verdict it is given; if not, a person is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from course.connections import Connection
from course.instances import Instance
from course.intervals import Span, intersect, minutes, subtract, total, union
from course.model import Session

SAME = timedelta(minutes=2)  # webhook and record may differ by so much and still agree


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """When a session was really held, within its planned time; empty without any sign of it."""

    spans: tuple[Span, ...]
    end_was_told: bool

    @property
    def held_from(self) -> datetime | None:
        """When it began to count."""
        return self.spans[0][0] if self.spans else None

    @property
    def held_to(self) -> datetime | None:
        """When it ended to count."""
        return self.spans[-1][1] if self.spans else None


def find_held(session: Session, instances: Sequence[Instance], *, now: datetime) -> Held:
    """The time that counts: the instances' spans clipped to the planned time.

    A pause between two instances is held against nobody. Where no end was told: now, while the
    session runs; when everybody has left, the last leave; else the planned end.
    """
    spans: list[Span] = []
    recorded: list[Span] = []
    all_told = True
    ends = [i.ended_at for i in instances if i.ended_at is not None]
    for instance in instances:
        end = instance.ended_at
        if end is None:
            later = [at for at in ends if at >= instance.last_event_at - SAME]
            end = max(later, default=None)
        if end is None:
            all_told = False
            still_in = any(c.open_from is not None for c in instance.connections)
            if now < session.ends_at:
                end = now if still_in else max(instance.last_event_at, instance.started_at)
            else:
                end = session.ends_at if still_in else instance.last_event_at
        if instance.started_at < end:
            is_recorded = any(c.is_record for c in instance.connections)
            (recorded if is_recorded else spans).append((instance.started_at, end))
    if recorded:  # within what the record covers, a pause that only the record has is one
        whole = (min(begin for begin, _ in recorded), max(end for _, end in recorded))
        spans = [*recorded, *subtract(spans, [whole])]
    planned = [(session.starts_at, session.ends_at)]
    return Held(spans=intersect(spans, planned), end_was_told=all_told)


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """What one carer's connections prove and what they leave open, clipped to the time held."""

    certain: tuple[Span, ...]
    possible: tuple[Span, ...]
    remarks: tuple[str, ...]
    waited: bool

    @property
    def counted(self) -> tuple[Span, ...]:
        """What minutes are counted on."""
        return self.possible


def find_presence(
    found: Sequence[tuple[Instance, Connection]], held: Held, *, now: datetime, over: bool
) -> Presence:
    """Presence from all connections of one carer in one session."""
    certain: list[Span] = []
    uncertain: list[Span] = []
    remarks: list[str] = []
    live = [(i, c) for i, c in found if not c.is_record]
    record = intersect((span for _, c in found if c.is_record for span in c.spans), held.spans)
    for instance, connection in found:
        certain += connection.spans
        if record:  # it settles what the notifications left open
            continue
        if connection.orphan_left_at is not None:
            uncertain.append((instance.started_at, connection.orphan_left_at))
            remarks.append("a leave was told without its join")
        if connection.open_from is not None:
            sure, unsure, remark = _close(instance, connection, live, held, now=now, over=over)
            certain += sure
            uncertain += unsure
            if remark:
                remarks.append(remark)
    certain_held = intersect(certain, held.spans)
    if record and live:
        pushed = total(intersect((s for _, c in live for s in c.spans), held.spans))
        if abs(pushed - total(record)) > SAME:
            remarks.append(
                f"the platform's record says {minutes(total(record)):.0f} minutes, "
                f"the notifications {minutes(pushed):.0f}"
            )
    return Presence(
        certain=certain_held,
        possible=union([*certain_held, *intersect(uncertain, held.spans)]),
        remarks=tuple(dict.fromkeys(remarks)),
        waited=any(c.waited for _, c in found),
    )


def _close(
    instance: Instance,
    connection: Connection,
    live: Sequence[tuple[Instance, Connection]],
    held: Held,
    *,
    now: datetime,
    over: bool,
) -> tuple[list[Span], list[Span], str]:
    """An interval whose leave was never told: what of it is certain, what is possible."""
    joined, seen = connection.open_from or connection.began_at, connection.last_seen_at
    later = [c.began_at for _, c in live if c.ref != connection.ref and c.began_at > joined]
    if later:
        # Back on another connection: how long the first one lasted, nobody told.
        back = min(later)
        if instance.ended_at is not None:
            back = min(back, instance.ended_at)
        return (
            [(joined, seen)],
            [(seen, max(back, seen))],
            "the end of one of the connections was not told",
        )
    if not over:
        return [(joined, now)], [], ""
    if instance.ended_at is not None:
        end = max(instance.ended_at, joined)
        if not _leaves_were_told(instance, min(instance.ended_at, held.held_to or end)):
            return [(joined, end)], [], ""
        return (
            [(joined, seen)],
            [(seen, max(end, seen))],
            "the leave was not told, while those of others were",
        )
    end = held.held_to or seen
    return (
        [(joined, seen)],
        [(seen, max(end, seen))],
        "neither the leave nor the end of the session was told",
    )


def _leaves_were_told(instance: Instance, end_of_it: datetime) -> bool:
    """Whether those who stayed to the end were told to have left: not all platforms do that."""
    return any(
        end >= end_of_it - SAME
        for c in instance.connections
        if not c.is_record
        for _, end in c.spans
    )


def remarkable(found: Sequence[tuple[Instance, Connection]], presence: Presence) -> list[str]:
    """What a facilitator should know about how they were there."""
    remarks: list[str] = []
    breaks = len(presence.counted) - 1
    if breaks == 1:
        remarks.append("left and came back once")
    elif breaks > 1:
        remarks.append(f"left and came back {breaks} times")
    for is_record in (False, True):
        spans = [c.spans for _, c in found if c.is_record is is_record and c.spans]
        overlap = sum((total(s) for s in spans), timedelta()) - total(
            span for s in spans for span in s
        )
        if overlap > SAME:
            remarks.append("joined from two devices at once; the time counts once")
            break
    names = dict.fromkeys(name for _, c in found for name in c.names)
    if len(names) > 1:
        remarks.append(f"shown under {len(names)} names: {', '.join(names)}")
    if found and all(c.is_record for _, c in found):
        remarks.append("found only in the platform's own record; no notification arrived")
    return remarks
