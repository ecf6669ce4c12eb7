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
    """When a session was held, within its planned time; empty without any sign of it.

    `spans` is what is shown and counted by. Where a start or an end was not told, it was held for
    `least` and may have been for `most`.
    """

    spans: tuple[Span, ...]
    least: tuple[Span, ...]
    most: tuple[Span, ...]
    end_was_told: bool

    @property
    def held_from(self) -> datetime | None:
        """When it began to count."""
        return self.spans[0][0] if self.spans else None

    @property
    def held_to(self) -> datetime | None:
        """When it ended to count."""
        return self.spans[-1][1] if self.spans else None

    def share(self, certain: Sequence[Span], possible: Sequence[Span]) -> tuple[float, float]:
        """The smallest and the largest share of the session that this presence may have been."""
        sure, maybe = total(intersect(certain, self.least)), total(intersect(possible, self.most))
        away, surely_away = subtract(self.most, certain), subtract(self.least, possible)
        return _part(sure, sure + total(away)), _part(maybe, maybe + total(surely_away))


def _part(length: timedelta, whole: timedelta) -> float:
    return length / whole if whole else 0.0


def find_held(session: Session, instances: Sequence[Instance], *, now: datetime) -> Held:
    """The time that counts: the instances' spans clipped to the planned time.

    A pause between two instances is held against nobody. Where no end was told: now, while the
    session runs; when everybody has left, the last leave; else up to the next instance or the
    planned end, and at least to the last sign. Where no start was told it may have been the
    planned one.
    """
    planned = [(session.starts_at, session.ends_at)]
    recorded = [(i.started_at, i.ended_at or i.last_event_at) for i in instances if i.is_recorded]
    # Within what the record covers, a pause that only the record has is one.
    whole = [(min(b for b, _ in recorded), max(e for _, e in recorded))] if recorded else []
    likely: list[Span] = []
    least: list[Span] = []
    most: list[Span] = []
    all_told = True
    before = session.starts_at
    for instance in instances:
        ends = _ends(instance, instances, session, now=now)
        all_told = all_told and ends is not None
        soonest, usual, latest = ends or _inferred(instance, instances, session, now=now)
        first = instance.started_at
        earliest = first if instance.start_was_told else min(first, before)
        before = max(before, latest)
        if not instance.is_recorded:
            likely += subtract([(first, usual)], whole)
            least += subtract([(first, soonest)], whole)
            most += subtract([(earliest, latest)], whole)
    return Held(
        spans=intersect([*recorded, *likely], planned),
        least=intersect([*recorded, *least], planned),
        most=intersect([*recorded, *most], planned),
        end_was_told=all_told,
    )


def _ends(
    instance: Instance, instances: Sequence[Instance], session: Session, *, now: datetime
) -> tuple[datetime, datetime, datetime] | None:
    """When it ended, where that was told of it or of another telling of the same; three times."""
    told = instance.ended_at
    if told is None:
        told = max(
            (
                i.ended_at
                for i in instances
                if i.ended_at is not None
                and i.started_at <= instance.last_event_at
                and i.ended_at >= instance.last_event_at - SAME
            ),
            default=None,
        )
    if told is None and now < session.ends_at:
        still_in = any(c.open_from is not None for c in instance.connections)
        told = now if still_in else None
    return None if told is None else (told, told, told)


def _inferred(
    instance: Instance, instances: Sequence[Instance], session: Session, *, now: datetime
) -> tuple[datetime, datetime, datetime]:
    """At the soonest, as it is shown, and at the latest."""
    last = max(instance.last_event_at, instance.started_at)
    if now < session.ends_at or all(c.open_from is None for c in instance.connections):
        return last, last, last
    following = [i.started_at for i in instances if i.started_at >= last]
    latest = max(min(following, default=session.ends_at), last)
    return last, latest, latest


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """What one carer's connections prove and what they leave open.

    `certain` and `possible` are within the time that was held, `counted` is what minutes are
    counted on. `least` and `most`: the share of the session, if less or more of it was held.
    `not_in_record`: notifications tell of a stay, and the complete record of nobody like that.
    """

    certain: tuple[Span, ...]
    possible: tuple[Span, ...]
    counted: tuple[Span, ...]
    least: float
    most: float
    remarks: tuple[str, ...]
    waited: bool
    not_in_record: bool


class _Time:
    """Collects what is certain, what is possible, and why."""

    def __init__(self) -> None:
        self.certain: list[Span] = []
        self.open: list[Span] = []
        self.uncounted: list[Span] = []  # possible, and after a sign that they were elsewhere
        self.remarks: list[str] = []


def find_presence(
    found: Sequence[tuple[Instance, Connection]],
    held: Held,
    *,
    now: datetime,
    over: bool,
    record_complete: bool,
) -> Presence:
    """Presence from all connections of one carer in one session."""
    time = _Time()
    live = [(i, c) for i, c in found if not c.is_record]
    recorded = [(i, c) for i, c in found if c.is_record]
    for instance, connection in recorded:
        time.certain += connection.spans
        if connection.undated:
            time.open.append(instance.span)
            time.remarks.append("the platform's record names them without saying when")
    for instance, connection in live:
        rows = union(span for i, c in recorded if _same(i, instance) for span in c.spans)
        _told_live(time, connection, rows if record_complete else ())
        _left_open(time, instance, connection, rows, live, held, now=now, over=over)
    record = intersect((s for _, c in recorded for s in c.spans), held.spans)
    if record and live:
        pushed = total(intersect((s for _, c in live for s in c.spans), held.spans))
        if abs(pushed - total(record)) > SAME:
            time.remarks.append(
                f"the platform's record says {minutes(total(record)):.0f} minutes, "
                f"the notifications {minutes(pushed):.0f}"
            )
    certain = union(time.certain)
    counted = union([*certain, *time.open])
    possible = union([*counted, *time.uncounted])
    least, most = held.share(certain, possible)
    return Presence(
        certain=intersect(certain, held.spans),
        possible=intersect(possible, held.spans),
        counted=intersect(counted, held.spans),
        least=least,
        most=most,
        remarks=tuple(dict.fromkeys(time.remarks)),
        waited=any(c.waited for _, c in found),
        not_in_record=record_complete
        and any(
            c.was_present and not any(_same(i, instance) for i, _ in recorded)
            for instance, c in live
        ),
    )


def _same(recorded: Instance, live: Instance) -> bool:
    """Whether the two tell of one held meeting; not every platform names them alike."""
    if recorded is live:
        return True
    begin, end = live.span
    return recorded.span[0] <= end + SAME and recorded.span[1] >= begin - SAME


def _told_live(time: _Time, connection: Connection, rows: Sequence[Span]) -> None:
    """Time from a join to a leave; where the complete record has them and not then, it may be."""
    spans = connection.spans
    wide = [(begin - SAME, end + SAME) for begin, end in rows]
    doubtful = subtract(spans, wide) if rows else ()
    if total(doubtful):
        doubtful = subtract(spans, rows)
    time.certain += subtract(spans, doubtful)
    time.open += doubtful


def _left_open(
    time: _Time,
    instance: Instance,
    connection: Connection,
    rows: Sequence[Span],
    live: Sequence[tuple[Instance, Connection]],
    held: Held,
    *,
    now: datetime,
    over: bool,
) -> None:
    """What joins without leaves and leaves without joins leave open, unless the record has it."""

    def settled(at: datetime) -> bool:
        return any(begin - SAME <= at <= end + SAME for begin, end in rows)

    orphans = list(connection.orphan_spans)
    if connection.orphan_left_at is not None:
        orphans.append((instance.started_at, connection.orphan_left_at))
    for begin, left in orphans:
        if not settled(left):
            time.open.append((begin, left))
            time.remarks.append("a leave was told without its join")
    joined = connection.open_from
    if joined is not None and not settled(joined):
        later = any(c.began_at > joined for _, c in live if c.ref != connection.ref)
        sure, unsure, remark = _close(instance, connection, held, later=later, now=now, over=over)
        time.certain += sure
        # Back on another device: the first may have stayed on, but nobody counts on it.
        (time.uncounted if later else time.open).extend(unsure)
        if remark:
            time.remarks.append(remark)


def _close(
    instance: Instance,
    connection: Connection,
    held: Held,
    *,
    later: bool,
    now: datetime,
    over: bool,
) -> tuple[list[Span], list[Span], str]:
    """An interval whose leave was never told: what of it is certain, what is possible."""
    joined, seen = connection.open_from or connection.began_at, connection.last_seen_at
    ended = instance.ended_at
    if later:
        remark = "the end of one of the connections was not told"
    elif not over:
        return [(joined, now)], [], ""
    elif ended is None:
        remark = "neither the leave nor the end of the session was told"
    elif _leaves_were_told(instance, min(ended, held.held_to or ended)):
        remark = "the leave was not told, while those of others were"
    else:
        return [(joined, max(ended, joined))], [], ""
    if ended is not None:
        end = ended
    elif over:
        end = max((to for _, to in held.most), default=seen)
    else:
        end = now
    return [(joined, seen)], [(seen, max(end, seen))], remark


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
