"""What reached us of a world, and what that leaves possible, worked out from seconds alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.truth.world import Mask, Person, Stay, World, judge, span
from course.model import EventKind, Level, ParticipantEvent, Source
from course.model import Platform as OurPlatform

STARTS = datetime(2027, 1, 16, 10, 0, tzinfo=UTC)


def instant(second: float) -> datetime:
    """The instant of a second of the session."""
    return STARTS + timedelta(seconds=second)


@dataclass(slots=True)
class Known:
    """What reached us of one stay. Masks are of what the deliveries prove."""

    joined: bool = False
    left: bool = False
    recorded: bool = False  # the platform's record has it, with its times
    undated: bool = False  # the record names it, without
    microphone: bool = False  # something was told of its microphone
    whole_microphone: bool = False  # and in all minutes
    last_sign: int | None = None
    on: Mask = 0
    off: Mask = 0


@dataclass(slots=True)
class Hearing:
    """Everything that reached us of one session."""

    world: World
    events: list[ParticipantEvent] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)  # the notifications as they came
    recorded: list[ParticipantEvent] = field(default_factory=list)
    known: dict[int, Known] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)  # instances whose end was told
    record: bool = False  # there is one
    whole_record: bool = False  # and it has every instance
    ticks: dict[int, Level] = field(default_factory=dict)
    first_join_told: set[int] = field(default_factory=set)  # carers, for the simplest baseline
    told_names: dict[str, float] = field(default_factory=dict)  # seconds, for the other

    def of(self, stay: Stay) -> Known:
        """What reached us of that stay."""
        return self.known.setdefault(stay.number, Known())

    def open_pages(self) -> None:
        """The join pages that were opened, to the minute, as the page notes it."""
        for person in self.world.carers:
            if person.opened_page_at is not None:
                at = instant(person.opened_page_at).replace(second=0)
                self.events.append(
                    ParticipantEvent(
                        key=f"join:{person.carer}:{at.isoformat()}",
                        platform=OurPlatform(self.world.platform),
                        kind=EventKind.JOIN_PAGE_OPENED,
                        occurred_at=at,
                        source=Source.JOIN_PAGE,
                        carer_id=f"carer-{person.carer}",
                    )
                )

    def tick(self, person: Person, level: Level) -> None:
        """A facilitator ticked that carer's camera."""
        if person.carer is None:
            return
        self.ticks[person.carer] = level
        self.events.append(
            ParticipantEvent(
                key=f"tick:{person.carer}",
                platform=OurPlatform(self.world.platform),
                kind=EventKind.CAMERA,
                occurred_at=STARTS,
                until_at=instant(self.world.length),
                source=Source.FACILITATOR,
                carer_id=f"carer-{person.carer}",
                level=level,
                received_at=instant(self.world.length),
            )
        )

    def hears(self, person: Person) -> bool:
        """Whether anything was told of this person's microphones, or of the one they sit at."""
        beside = [] if person.sits_with is None else self.world.carers[person.sits_with].stays
        return any(self.of(stay).microphone for stay in [*person.stays, *beside])

    def possible(self, person: Person, ours: set[int], nobodys: set[int], beside: bool) -> set[str]:
        """The verdicts that fit what reached us.

        `ours`: the stays known to be this carer's. `nobodys`: those that nobody has been named
        for. `beside`: a partner's presence is known, and the carer's own is not.
        """
        world = self.world
        stays = {s.number: s for p in world.people for s in p.stays}
        if beside:
            return {"absent", "partial", "attended"}
        low = high = on = off = 0
        for number in ours:
            stay_low, stay_high = self._bounds(stays[number])
            low, high = low | stay_low, high | stay_high
            on |= self.of(stays[number]).on
        for number in ours:
            inside = self._bounds(stays[number])[1]
            off |= inside & self.of(stays[number]).off & ~on
        for number in ours:  # off only when every device inside is known to be
            known = self.of(stays[number])
            off &= ~(self._bounds(stays[number])[1] & ~known.off & ~known.on)
        maybe = 0
        for number in nobodys:
            maybe |= self._bounds(stays[number])[1]
        if not self.whole_record:
            maybe |= world.held  # whole stays may never have been told
        if person.carer in self.ticks:
            ticked = self.ticks[person.carer]
            rest = high & ~on & ~off
            if ticked is Level.ON:
                on |= rest
            elif ticked is Level.OFF:
                off |= rest
        low, high = low & world.held, (high | maybe) & world.held
        held = world.held.bit_count()
        has = any(stays[n].has_microphone or stays[n].by_phone for n in ours)
        microphones = {True} if has or not ours or not self.hears(person) else {False}
        if nobodys or not all(self.of(stays[n]).whole_microphone for n in ours):
            microphones = {True, *microphones}
        found = set()
        for present in (low, high):
            for camera in (on & low, on & present, present & ~off):
                for microphone in microphones:
                    found.add(
                        judge(
                            held=held,
                            present=present.bit_count(),
                            camera=camera.bit_count(),
                            microphone=microphone,
                        )
                    )
        if high and not self.whole_record:  # of less, or more, than was held; at another device
            found |= {"partial", "attended"}
        return found

    def _bounds(self, stay: Stay) -> tuple[Mask, Mask]:
        """When that stay was certainly, and when it was possibly inside."""
        world, known = self.world, self.of(stay)
        whole = stay.inside(world.length)
        if known.recorded or (known.joined and known.left and not known.undated):
            return whole, whole
        begin, end = world.instances[stay.instance]
        if known.undated:
            sure = whole if known.joined and known.left else 0
            return sure, span(begin, end, world.length)
        if known.joined:
            return (
                span(stay.joined_at, known.last_sign or stay.joined_at, world.length),
                span(stay.joined_at, end, world.length),
            )
        if known.left:
            begin = world.instances[stay.instance][0]
            return 0, span(begin, stay.left_at, world.length)
        return 0, world.held
