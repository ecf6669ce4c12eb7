"""One device by one source: from switches and samples to when its camera is known on and off.

The same for a microphone. A state holds until the next one or until the device leaves; the
platform's record tells of switching, so its first tells the opposite of what was before. A sample
covers its minute; a minute "with video" may have had but a second of it, so both ends of a stretch
are vague.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from course.connections import SAMPLE, Connection
from course.intervals import Span, intersect, subtract, union
from course.model import EventKind, Level, ParticipantEvent, Source

GAP = timedelta(seconds=90)  # samples come every minute, and not to the second
ON_LEVELS = (Level.ON, Level.SENDING)
OFF_LEVELS = (Level.OFF, Level.NOT_SENDING)
SAID_AGAIN_WITHIN = timedelta(minutes=6)  # of the media streams, every five
EARLY = timedelta(minutes=1)  # what tells of cameras may see somebody before the other does

Known = tuple[tuple[Span, ...], tuple[Span, ...], tuple[Span, ...]]


def known(
    connection: Connection,
    source: Source,
    stay: Sequence[Span],
    kind: EventKind = EventKind.CAMERA,
) -> Known:
    """When one device is known to be on and off by one source; and the vague part of on."""
    told = [
        e
        for e in connection.media
        if e.kind is kind and e.source is source and e.level in (*ON_LEVELS, *OFF_LEVELS, None)
    ]
    switches = [e for e in told if e.until_at is None]
    exact_on, exact_off = _changes(switches, _visits(connection, source, stay))
    sample_on, sample_off, vague = _samples([e for e in told if e.until_at is not None])
    exact = [*exact_on, *exact_off]
    on = [*exact_on, *subtract(sample_on, exact)]
    off = [*exact_off, *subtract(sample_off, [*exact, *sample_on])]
    vague = list(subtract(vague, exact))
    if connection.open_from is not None and stay:
        # No leave was told: the device may have been gone since its last sign.
        vague.append((connection.last_seen_at, max(stay[-1][1], connection.last_seen_at)))
    return intersect(on, stay), intersect(off, stay), intersect(vague, stay)


def _visits(connection: Connection, source: Source, stay: Sequence[Span]) -> tuple[Span, ...]:
    """From each coming in to the going out; a state does not outlast it."""
    visits = [*connection.spans, *connection.orphan_spans]
    if connection.orphan_left_at is not None:
        visits.append((connection.events[0].occurred_at, connection.orphan_left_at))
    if connection.open_from is not None:
        last = max([connection.last_seen_at, *(end for _, end in stay)])
        visits.append((connection.open_from, max(connection.open_until or last, last)))
    visits = list(union(visits))
    if source is Source.PLATFORM_RECORD:
        # Two devices of one account are one row, and which of them was switched it does not say.
        both = _overlaps(connection)
        visits = [visit for visit in visits if not intersect([visit], both)]
    if source is Source.MEDIA_STREAM:  # it does not follow anybody into a breakout room
        moves = [e.occurred_at for e in connection.events if e.kind is EventKind.JOINED]
        edges = sorted({at for visit in visits for at in visit} | set(moves))
        pieces = [(a, b) for a, b in pairwise(edges) if intersect([(a, b)], visits)]
        return tuple(pieces)
    return tuple(visits)


def _overlaps(connection: Connection) -> list[Span]:
    """When one row of the record tells of two stays at once."""
    stays = sorted(
        (e.occurred_at, e.until_at)
        for e in connection.events
        if e.kind is EventKind.STAY and e.until_at is not None
    )
    found: list[Span] = []
    latest: datetime | None = None
    for begin, end in stays:
        if latest is not None and begin < latest:
            found.append((begin, min(end, latest)))
        latest = end if latest is None else max(latest, end)
    return found


def _changes(
    changes: Sequence[ParticipantEvent], visits: Sequence[Span]
) -> tuple[list[Span], list[Span]]:
    """When the camera was on and off by its switches; from a new visit on only by its own."""
    on: list[Span] = []
    off: list[Span] = []
    ordered = sorted(changes, key=lambda e: (e.occurred_at, e.level or "", e.key))
    gone_at: datetime | None = None
    # Whoever hears the streams says again what holds; when that ends, so does what is known.
    is_said_again = any(e.source is Source.MEDIA_STREAM for e in changes)
    for begin, end in visits:
        inside = [
            e
            for e in ordered
            if begin - EARLY <= e.occurred_at <= end
            and (gone_at is None or e.occurred_at >= begin or e.occurred_at > gone_at)
        ]
        gone_at = end
        states = [
            (e.occurred_at, None if e.level is None else e.level in ON_LEVELS) for e in inside
        ]
        if inside and inside[0].source is Source.PLATFORM_RECORD and states[0][1] is not None:
            # The record tells of switching: what is switched on was off. The others tell what is.
            states.insert(0, (min(begin, states[0][0]), not states[0][1]))
        for number, (at, is_on) in enumerate(states):
            until = states[number + 1][0] if number + 1 < len(states) else end
            if is_said_again:
                until = min(until, at + SAID_AGAIN_WITHIN)
            if is_on is not None:  # None: from here on nobody knows
                (on if is_on else off).append((at, max(until, at)))
    return list(union(on)), list(union(off))


def _samples(samples: Sequence[ParticipantEvent]) -> tuple[list[Span], list[Span], list[Span]]:
    """On, off, and what of "on" is vague: the minutes at both ends of a stretch, and gaps in it."""
    on: list[Span] = []
    off: list[Span] = []
    vague: list[Span] = []
    ordered = sorted(samples, key=lambda e: (e.occurred_at, e.key))
    for number, sample in enumerate(ordered):
        is_on = sample.level in ON_LEVELS
        until = sample.until_at or sample.occurred_at
        (on if is_on else off).append((sample.occurred_at, until))
        if number + 1 < len(ordered):
            following = ordered[number + 1]
            bridged = until < following.occurred_at <= until + GAP
            if bridged and (following.level in ON_LEVELS) is is_on:
                (on if is_on else off).append((until, following.occurred_at))
                if is_on:
                    vague.append((until, following.occurred_at))
    for begin, end in union(on):  # a minute "with video" may have had but a second of it
        vague += [(begin, min(begin + SAMPLE, end)), (max(end - SAMPLE, begin), end)]
    return list(union(on)), list(union(off)), list(union(vague))
