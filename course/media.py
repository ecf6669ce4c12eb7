"""Camera and microphone: observations of many kinds to on, off and unknown over time.

Missing observations are never "off". A sample covers its span; a state holds until the next one.
The platform's record tells of switching, so its first tells the opposite of what was before. Exact
states beat samples. A camera is on when it is on at any device, and off only when every device
that was present is known off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from course.connections import Connection
from course.intervals import Span, intersect, subtract, total, union
from course.model import EventKind, Level, ParticipantEvent, Source

GAP = timedelta(seconds=90)  # samples come every minute, and not to the second
ON_SHARE, OFF_SHARE = 0.9, 0.1
_ON = (Level.ON, Level.SENDING)
_OFF = (Level.OFF, Level.NOT_SENDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """What is known of a camera during the time present."""

    on: timedelta
    off: timedelta
    present: timedelta

    @property
    def unknown(self) -> timedelta:
        """Time present without any report."""
        return self.present - self.on - self.off

    @property
    def share(self) -> float | None:
        """On, of the time that is known; None when nothing is."""
        known = self.on + self.off
        return round(self.on / known, 2) if known else None

    @property
    def label(self) -> str:
        """`on`, `off`, `partly` or `unknown`."""
        share = self.share
        if share is None:
            return "unknown"
        return "on" if share >= ON_SHARE else "off" if share <= OFF_SHARE else "partly"

    def meets(self, asked: float) -> bool | None:
        """Whether it was on for that share of the time present; None when it could be either."""
        if asked <= 0:
            return True
        if not self.present:
            return None
        if self.on / self.present >= asked:
            return True
        if (self.on + self.unknown) / self.present < asked:
            return False
        return None


def judge_camera(connections: Sequence[Connection], present: Sequence[Span]) -> Camera:
    """Camera over all devices of one carer, within the time that counts as present."""
    on_spans: list[Span] = []
    off_spans: list[Span] = []
    # The record tells the same devices a second time: each telling is judged by itself.
    for is_record in (False, True):
        telling = [c for c in connections if c.is_record is is_record]
        on: list[Span] = []
        off: list[Span] = []
        silent: list[Span] = []
        for connection in telling:
            stay = _stay(connection, present)
            c_on, c_off = _known(connection, EventKind.CAMERA, stay)
            on += c_on
            off += c_off
            silent += subtract(stay, [*c_on, *c_off])
        on_spans += on
        off_spans += subtract(off, silent)
    on_time = intersect(on_spans, present)
    off_time = subtract(intersect(off_spans, present), on_time)
    return Camera(on=total(on_time), off=total(off_time), present=total(present))


def judge_microphone(connections: Sequence[Connection]) -> str:
    """`connected` on any sign of one (a muted one is connected), `absent`, or `unknown`."""
    levels = {
        e.level for c in connections for e in c.media if e.kind is EventKind.MICROPHONE and e.level
    }
    if levels - {Level.NOT_SENDING}:
        return "connected"
    return "absent" if levels else "unknown"


def _stay(connection: Connection, present: Sequence[Span]) -> tuple[Span, ...]:
    """The time that this device was in, as far as it counts as present."""
    spans = list(connection.spans)
    if connection.open_from is not None:
        spans += [(max(connection.open_from, begin), end) for begin, end in present]
    return intersect(spans, present)


def _known(
    connection: Connection, kind: EventKind, stay: Sequence[Span]
) -> tuple[list[Span], list[Span]]:
    """When one device is known to be on, and known to be off."""
    told = [e for e in connection.media if e.kind is kind and e.level in (*_ON, *_OFF, None)]
    exact_on, exact_off = _changes([e for e in told if e.until_at is None], stay)
    sample_on, sample_off = _samples([e for e in told if e.until_at is not None])
    exact = [*exact_on, *exact_off]
    on = [*exact_on, *subtract(sample_on, exact)]
    off = [*exact_off, *subtract(sample_off, [*exact, *sample_on])]
    return list(intersect(on, stay)), list(intersect(off, stay))


def _changes(
    changes: Sequence[ParticipantEvent], stay: Sequence[Span]
) -> tuple[list[Span], list[Span]]:
    if not changes or not stay:
        return [], []
    first, last = stay[0][0], stay[-1][1]
    ordered = sorted(changes, key=lambda e: (e.occurred_at, e.level or "", e.key))
    states: list[tuple[datetime, bool | None]] = [
        (e.occurred_at, None if e.level is None else e.level in _ON) for e in ordered
    ]
    if ordered[0].source is Source.PLATFORM_RECORD and states[0][1] is not None:
        # The record tells of switching: what is switched on was off. The others tell what is.
        states.insert(0, (min(first, states[0][0]), not states[0][1]))
    on: list[Span] = []
    off: list[Span] = []
    for number, (at, is_on) in enumerate(states):
        until = states[number + 1][0] if number + 1 < len(states) else max(last, at)
        if is_on is not None:  # None: from here on nobody knows
            (on if is_on else off).append((at, until))
    return list(union(on)), list(union(off))


def _samples(samples: Sequence[ParticipantEvent]) -> tuple[list[Span], list[Span]]:
    on: list[Span] = []
    off: list[Span] = []
    ordered = sorted(samples, key=lambda e: (e.occurred_at, e.key))
    for number, sample in enumerate(ordered):
        until = sample.until_at or sample.occurred_at
        if number + 1 < len(ordered):
            following = ordered[number + 1].occurred_at
            if until < following <= until + GAP:
                until = following
        (on if sample.level in _ON else off).append((sample.occurred_at, until))
    return list(union(on)), list(union(off))
