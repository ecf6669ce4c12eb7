"""Camera and microphone: observations of many kinds to on, off and unknown over time.

Missing observations are never "off". Where two sources tell of the same time, the stronger one
counts (`PRECEDENCE`) and the other fills its gaps; that they disagree is said. A camera is on when
it is on at any device, and off only when every device that was present is known off.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from course.connections import SAMPLE, Connection
from course.intervals import Span, intersect, minutes, subtract, total, union
from course.model import EventKind, Level, ParticipantEvent, Source
from course.observations import OFF_LEVELS, ON_LEVELS, known

DISAGREE = timedelta(minutes=2)  # below that, two sources only differ in their clocks
ON_SHARE, OFF_SHARE = 0.9, 0.1
LOOKED_AT = 0.9

# From the strongest: what the client itself noted, what was seen live, what was sampled minute by
# minute, what a person ticked.
PRECEDENCE = (
    Source.PLATFORM_RECORD,
    Source.CALL_BOT,
    Source.MEDIA_STREAM,
    Source.WEBHOOK,
    Source.DASHBOARD,
    Source.FACILITATOR,
)
IN_WORDS = {
    Source.PLATFORM_RECORD: "the platform's record",
    Source.CALL_BOT: "the calling bot",
    Source.MEDIA_STREAM: "the media stream",
    Source.WEBHOOK: "the notifications",
    Source.DASHBOARD: "the platform's dashboard",
    Source.FACILITATOR: "a facilitator",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What one source says: when on, when off, and how much of "on" is only to the minute."""

    source: Source
    on: tuple[Span, ...]
    off: tuple[Span, ...]
    vague: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """What is known of a camera during the time that counts as present.

    `certain` is the part of `present` that is beyond doubt. `by_source` has what each source said,
    the strongest first. `partly`: a person saw it on for a part, without saying which.
    """

    on: tuple[Span, ...]
    off: tuple[Span, ...]
    vague: tuple[Span, ...]
    present: tuple[Span, ...]
    certain: tuple[Span, ...]
    by_source: tuple[Telling, ...] = ()
    remarks: tuple[str, ...] = ()
    partly: bool = False

    @property
    def unknown(self) -> tuple[Span, ...]:
        """Time present without any report."""
        return subtract(self.present, [*self.on, *self.off])

    @property
    def share(self) -> float | None:
        """On, of the time that is known; None when nothing is."""
        on, off = total(self.on), total(self.off)
        return round(on / (on + off), 2) if on + off else None

    @property
    def label(self) -> str:
        """`on`, `off`, `partly` or `unknown`."""
        share = self.share
        if share is None:
            return "partly" if self.partly else "unknown"
        return "on" if share >= ON_SHARE else "off" if share <= OFF_SHARE else "partly"

    def meets(self, asked: float) -> bool | None:
        """Whether it was on for that share of the time present; None when it could be either."""
        if asked <= 0:
            return True
        if not self.present:
            return None
        present, certain = total(self.present), total(self.certain)
        sure = subtract(intersect(self.on, self.certain), self.vague)
        if total(sure) / present >= asked:
            return True
        maybe = subtract(self.present, self.off)
        best = total(maybe) / present
        if certain:
            best = max(best, total(intersect(maybe, self.certain)) / certain)
        return False if best < asked else None


def judge_camera(
    connections: Sequence[Connection],
    present: Sequence[Span],
    certain: Sequence[Span],
    ticks: Sequence[ParticipantEvent] = (),
) -> Camera:
    """Camera over all devices of one carer, within the time that counts as present.

    `ticks` are a facilitator's words about this carer in this session, the last one counts.
    """
    tellings: list[Telling] = []
    said = (
        max(ticks, key=lambda e: (e.received_at or e.occurred_at, e.key)).level if ticks else None
    )
    seen = said in ON_LEVELS or said is Level.PARTLY
    phones = frozenset[str]() if seen else telephones(connections)
    for source in PRECEDENCE:
        # The record tells the same devices a second time: each telling is judged by itself.
        for is_record in (True, False):
            devices = [c for c in connections if c.is_record is is_record]
            if source is Source.CALL_BOT:  # a roster of its own, maybe under other ids
                devices = [c for c in devices if any(e.source is source for e in c.events)]
            if found := _told_by(source, devices, present, phones):
                tellings.append(found)
    partly = False
    if ticks:
        partly = said is Level.PARTLY
        spans = union(present)
        if said in (*ON_LEVELS, *OFF_LEVELS) and spans:
            on = said in ON_LEVELS
            tellings.append(
                Telling(source=Source.FACILITATOR, on=spans if on else (), off=() if on else spans)
            )
    on_time, off_time, vague, remarks = _merge(tellings)
    if phones:
        remarks.append("joined by telephone, where a camera is not possible")
    return Camera(
        on=on_time,
        off=off_time,
        vague=vague,
        present=union(present),
        certain=union(certain),
        by_source=_by_source(tellings),
        remarks=tuple(remarks),
        partly=partly,
    )


def _merge(
    tellings: Iterable[Telling],
) -> tuple[tuple[Span, ...], tuple[Span, ...], tuple[Span, ...], list[str]]:
    """The stronger first, each weaker one only where nothing is known yet."""
    on: tuple[Span, ...] = ()
    off: tuple[Span, ...] = ()
    vague: tuple[Span, ...] = ()
    remarks: list[str] = []
    counted: list[Source] = []
    for telling in tellings:
        against = total(intersect(telling.on, off)) + total(intersect(telling.off, on))
        vague_here = total(intersect(telling.vague, off))
        if against - vague_here > DISAGREE and telling.source not in counted:
            stronger = " and ".join(IN_WORDS[source] for source in counted)
            remarks.append(
                f"{IN_WORDS[telling.source]} and {stronger} disagree about the camera for "
                f"{minutes(against):.0f} minutes; {stronger} counts"
            )
        known = [*on, *off]
        new_on, new_off = subtract(telling.on, known), subtract(telling.off, known)
        vague = union([*vague, *intersect(telling.vague, new_on)])
        on, off = union([*on, *new_on]), union([*off, *new_off])
        if telling.source not in counted:
            counted.append(telling.source)
    return on, off, vague, remarks


def _by_source(tellings: Sequence[Telling]) -> tuple[Telling, ...]:
    found = []
    for source in PRECEDENCE:
        same = [t for t in tellings if t.source is source]
        if same:
            on = union(span for t in same for span in t.on)
            off = subtract((span for t in same for span in t.off), on)
            found.append(Telling(source=source, on=on, off=off))
    return tuple(found)


def telephones(connections: Sequence[Connection]) -> frozenset[str]:
    """Which of these dialled in. A number may also be typed as a name: who sends video did not,
    nor whoever came by a personal link under it.
    """
    typed = {
        name
        for c in connections
        if not (c.by_phone or c.is_record)
        or any(e.kind is EventKind.CAMERA and e.level in ON_LEVELS for e in c.media)
        for name in c.names
    }
    return frozenset(c.ref for c in connections if c.by_phone and not typed & set(c.names))


def _told_by(
    source: Source,
    devices: Sequence[Connection],
    present: Sequence[Span],
    phones: frozenset[str],
) -> Telling | None:
    """What one source says of these devices together; None when it says nothing."""
    on: list[Span] = []
    off: list[Span] = []
    vague: list[Span] = []
    silent: list[Span] = []
    speaks = any(
        e.kind is EventKind.CAMERA and e.source is source for d in devices for e in d.media
    )
    if devices and all(device.ref in phones for device in devices):
        speaks = source is (Source.PLATFORM_RECORD if devices[0].is_record else Source.WEBHOOK)
    if not speaks:
        return None
    for device in devices:
        stay = _stay(device, present)
        told = known(device, source, stay)
        if device.ref in phones:  # a camera is not possible there: known off, whoever tells of it
            told = (), stay, ()
        d_on, d_off, d_vague = told
        on += d_on
        off += d_off
        vague += d_vague
        silent += subtract(stay, [*d_on, *d_off])
    if not on and not off:
        return None
    sure = subtract(on, vague)  # sharp at one device is sharp, whatever another one says
    on_time = union(on)
    return Telling(
        source=source,
        on=on_time,
        off=subtract(off, [*silent, *on_time]),
        vague=subtract(vague, sure),
    )


def judge_microphone(
    connections: Sequence[Connection],
    present: Sequence[Span],
    ticks: Sequence[ParticipantEvent] = (),
) -> str:
    """`connected` on any sign of one (a muted one is connected), `absent`, or `unknown`.

    Absent only where nearly all of the time present was looked at: a minute in which nothing was
    sent happens to everybody.
    """
    told = [e for c in connections for e in c.media if e.kind is EventKind.MICROPHONE and e.level]
    if any(e.level is not Level.NOT_SENDING for e in told) or telephones(connections):
        return "connected"
    if (said := _last_said(ticks)) is not None:
        return "absent" if said in OFF_LEVELS and not told else "connected"
    looked = union((e.occurred_at - SAMPLE, (e.until_at or e.occurred_at) + SAMPLE) for e in told)
    length = total(present)
    if not length or total(intersect(looked, present)) / length < LOOKED_AT:
        return "unknown"
    return "absent"


def microphone_times(
    connections: Sequence[Connection], present: Sequence[Span]
) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """When a microphone was open and when it was muted or silent, as far as anybody told; open
    when it was at any device. It decides nothing: whoever is muted has a microphone.
    """
    on: list[Span] = []
    off: list[Span] = []
    for device in connections:
        stay = _stay(device, present)
        for source in {e.source for e in device.media if e.kind is EventKind.MICROPHONE}:
            device_on, device_off, _ = known(device, source, stay, EventKind.MICROPHONE)
            on += device_on
            off += device_off
    return union(on), subtract(off, on)


def _last_said(ticks: Sequence[ParticipantEvent]) -> Level | None:
    if not ticks:
        return None
    return max(ticks, key=lambda e: (e.received_at or e.occurred_at, e.key)).level


def only_silence(connections: Sequence[Connection]) -> bool:
    """Whether all that was told of microphones are minutes in which nothing was sent."""
    levels = {e.level for c in connections for e in c.media if e.kind is EventKind.MICROPHONE}
    return levels - {None} == {Level.NOT_SENDING}


def _stay(connection: Connection, present: Sequence[Span]) -> tuple[Span, ...]:
    """The time that this device was in, as far as it counts as present."""
    spans = list(connection.spans)
    if connection.open_from is not None:
        last = max((end for _, end in present), default=connection.open_from)
        spans.append((connection.open_from, connection.open_until or last))
    if connection.orphan_left_at is not None:  # its join was lost: from its first sign on
        spans.append((connection.events[0].occurred_at, connection.orphan_left_at))
    return intersect(spans, present)
