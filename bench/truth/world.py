"""Invents held sessions whose truth is known: who was there when, at which device, camera or not.

All times are whole seconds from the planned start. Time spent somewhere is a `Mask`: an integer
whose bit n is set when second n of the planned session was spent there. Nothing here knows the
product; its verdict is worked out from seconds alone.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Literal

Mask = int
Platform = Literal["zoom", "teams"]

FIRST_NAMES = (
    *("Maya", "Tomasz", "Aisha", "Léna", "Owen", "Grace", "Niamh", "Sofía", "Daniel", "Ruth"),
    *("Piotr", "Hana", "William", "Robert", "Elizabeth", "Katarzyna", "Mohamed", "Björn", "Chloë"),
    *("Yusuf", "Ngozi", "Siân", "Rhys", "Eilidh", "Anaïs", "Zoltán", "Ping", "Deepa", "Margaret"),
)
LAST_NAMES = (
    *("Patel", "Becker", "Rahman", "Fischer", "Davies", "Okafor", "Byrne", "Rossi", "Cohen"),
    *("Nowak", "Suzuki", "Ó Briain", "Smith", "Jones", "Al-Amin", "Müller", "García", "Nguyen"),
    *("Macdonald", "Evans", "Achebe", "Lund", "Ferreira", "Kowalska", "Singh", "Hughes"),
)
DEVICES = ("iPad", "Galaxy Tab A9", "Mum's laptop", "DESKTOP-4K2J", "Living room", "iPhone (2)")
SWITCHED_APART = 120  # seconds
SHORT = {"William": "Bill", "Robert": "Bob", "Elizabeth": "Liz", "Margaret": "Peggy"}


def span(begin: float, end: float, length: int) -> Mask:
    """The seconds from `begin` to before `end`, within the planned session."""
    first, last = max(0, int(begin)), min(length, int(end))
    return ((1 << last) - 1) ^ ((1 << first) - 1) if first < last else 0


@dataclass(slots=True)
class Stay:
    """One connection of one device. `camera`: when it was switched and to what, in order."""

    number: int
    instance: int
    joined_at: int
    left_at: int
    names: list[str]
    device: int
    camera: list[tuple[int, bool]]
    has_microphone: bool = True
    by_phone: bool = False
    by_link: bool = True
    waited_from: int | None = None
    rooms: list[int] = field(default_factory=list)

    def camera_on(self, length: int) -> Mask:
        """When its camera was on."""
        mask = 0
        for n, (at, is_on) in enumerate(self.camera):
            until = self.camera[n + 1][0] if n + 1 < len(self.camera) else self.left_at
            if is_on:
                mask |= span(max(at, self.joined_at), until, length)
        return mask

    def inside(self, length: int) -> Mask:
        """When it was connected."""
        return span(self.joined_at, self.left_at, length)


@dataclass(slots=True)
class Person:
    """Somebody in the session. `carer`: their place in the roster, None for anybody else."""

    name: str
    role: Literal["carer", "host", "stranger", "bot"]
    carer: int | None = None
    household: int = 0
    stays: list[Stay] = field(default_factory=list)
    sits_with: int | None = None  # the carer at whose device this one sits
    only_waited: bool = False
    opened_page_at: int | None = None
    link_of: int | None = None  # the carer whose personal link is used; None: the own


@dataclass(slots=True)
class World:
    """One held session."""

    platform: Platform
    length: int
    instances: list[tuple[int, int]]
    people: list[Person]
    rehearsal: tuple[int, int] | None

    @property
    def carers(self) -> list[Person]:
        """In the order of the roster."""
        return [p for p in self.people if p.role == "carer"]

    @property
    def held(self) -> Mask:
        """When it was really held, within its plan."""
        mask = 0
        for begin, end in self.instances:
            mask |= span(begin, end, self.length)
        return mask

    def present(self, person: Person) -> Mask:
        """When that person was in the session, at whosever device."""
        mask = 0
        for stay in self._stays(person):
            mask |= stay.inside(self.length)
        return mask & self.held

    def camera(self, person: Person) -> Mask:
        """When a camera showed that person."""
        mask = 0
        for stay in self._stays(person):
            mask |= stay.camera_on(self.length)
        return mask & self.held

    def _stays(self, person: Person) -> list[Stay]:
        beside = self.carers[person.sits_with].stays if person.sits_with is not None else []
        return [*person.stays, *beside]

    def verdict(self, person: Person, *, hears_microphones: bool) -> str:
        """What an all-knowing register would say, of microphones where anybody reports them."""
        stays = self._stays(person)
        return judge(
            held=self.held.bit_count(),
            present=self.present(person).bit_count(),
            camera=self.camera(person).bit_count(),
            microphone=not hears_microphones or any(s.has_microphone or s.by_phone for s in stays),
        )


def judge(*, held: float, present: float, camera: float, microphone: bool) -> str:
    """The course's rule in seconds."""
    if not present:
        return "absent"
    if present / held < 0.8 or camera / present < 0.5 or not microphone:
        return "partial"
    return "attended"


def invent(luck: random.Random, platform: Platform) -> World:
    """One session nobody has heard of."""
    length = 1800 if luck.random() < 0.12 else luck.choice((5400, 6300, 7200))
    opens = luck.randint(-900, 0) if luck.random() < 0.95 else luck.randint(60, 1200)
    closes = length + luck.randint(-120, 2400) if luck.random() < 0.9 else int(length * 0.75)
    instances = [(opens, closes)]
    if luck.random() < 0.04 and opens < 0:
        cut = luck.randint(length // 4, length // 2)
        instances = [(opens, cut), (cut + luck.randint(30, 400), closes)]
    world = World(
        platform=platform,
        length=length,
        instances=instances,
        people=[],
        rehearsal=(-4 * 3600, -3 * 3600) if luck.random() < 0.04 else None,
    )
    _Casting(luck, world).cast()
    return world


class _Casting:
    """Fills a session with people and what they do."""

    def __init__(self, luck: random.Random, world: World) -> None:
        self._luck = luck
        self._world = world
        self._number = 0
        self._names: set[str] = set()

    def cast(self) -> None:
        luck, people = self._luck, self._world.people
        host = Person(name="Dr Alma Lee", role="host")
        for n, (begin, end) in enumerate(self._world.instances):
            host.stays.append(self._stay(host.name, n, begin, end, camera=[(begin, True)]))
        carers: list[Person] = []
        for household in range(luck.randint(3, 7)):
            for _ in range(2 if luck.random() < 0.35 else 1):
                name = self._name(carers[-1] if carers else None, household)
                person = Person(name=name, role="carer", carer=len(carers), household=household)
                carers.append(person)
        for person in carers:
            self._act(person, carers)
        people += [host, *carers]
        if luck.random() < 0.12:
            stranger = Person(name=luck.choice([self._name(None, 0), *DEVICES]), role="stranger")
            self._attend(stranger, [stranger.name], by_link=False)
            people.append(stranger)
        self._pass_a_link_on(carers)
        if luck.random() < 0.05:
            bot = Person(name="Otter.ai Notetaker", role="bot")
            self._attend(bot, [bot.name], by_link=False)
            people.append(bot)

    def _pass_a_link_on(self, carers: list[Person]) -> None:
        """Somebody comes under their own name on the link of a carer who does not come."""
        away = [p for p in carers if not p.stays and p.sits_with is None and not p.only_waited]
        if self._world.platform != "zoom" or not away or self._luck.random() > 0.2:
            return
        guest = Person(name=self._name(None, 0), role="stranger", link_of=away[0].carer)
        self._attend(guest, [guest.name], by_link=True)
        if any(stay.by_phone for stay in guest.stays):
            guest.stays.clear()
        self._world.people.append(guest)

    def _name(self, partner: Person | None, household: int) -> str:
        for _ in range(100):
            last = self._luck.choice(LAST_NAMES)
            if partner and partner.household == household and self._luck.random() < 0.7:
                last = partner.name.split(" ", 1)[1]
            name = f"{self._luck.choice(FIRST_NAMES)} {last}"
            if name not in self._names:
                self._names.add(name)
                return name
        return f"Nobody Else{len(self._names)}"

    def _act(self, person: Person, carers: list[Person]) -> None:
        luck = self._luck
        story = luck.random()
        partner = next(
            (p for p in carers if p.household == person.household and p is not person and p.stays),
            None,
        )
        if partner is not None and story < 0.3:
            person.sits_with = partner.carer
            return
        if story < 0.08:
            return  # did not come
        if story < 0.09:
            person.only_waited = True
            return
        self._attend(person, self._shown(person, carers), by_link=luck.random() < 0.95)
        if self._world.platform == "teams" and luck.random() < 0.9 and person.stays:
            person.opened_page_at = person.stays[0].joined_at - luck.randint(5, 500)

    def _shown(self, person: Person, carers: list[Person]) -> list[str]:
        """The names that others see, one after the other."""
        luck, chance = self._luck, self._luck.random()
        first, last = person.name.split(" ", 1)
        if chance < 0.86:
            return [person.name]
        if chance < 0.90:
            return [luck.choice((person.name.upper(), f"  {first}  {last} "))]
        if chance < 0.905:
            return [f"07700 900{luck.randint(100, 999)}"]  # typed, not dialled
        if chance < 0.92:
            return [person.name, luck.choice([f"{first}'s iPad", luck.choice(carers).name])]
        return [luck.choice((first, f"{SHORT.get(first, first[:3])} {last}", luck.choice(DEVICES)))]

    def _attend(self, person: Person, names: list[str], *, by_link: bool) -> None:
        luck, length = self._luck, self._world.length
        begin = luck.randint(-600, 120)
        end = length + luck.randint(-60, 600)
        chance = luck.random()
        if chance < 0.08:
            begin = luck.randint(300, int(length * 0.6))
        elif chance < 0.16:
            end = luck.randint(int(length * 0.3), int(length * 0.97))
        elif chance < 0.18:
            begin = luck.randint(0, length)
            end = begin + luck.randint(20, 900)
        pieces = [(begin, end)]
        if luck.random() < 0.15:
            pieces = self._cut(begin, end)
        device, by_phone = 0, luck.random() < 0.01
        has_microphone = luck.random() < 0.985
        for n, (start, stop) in enumerate(pieces):
            for instance, (opens, closes) in enumerate(self._world.instances):
                joined, left = max(start, opens), min(stop, closes)
                if joined >= left:
                    continue
                stay = self._stay(
                    names[0], instance, joined, left, camera=self._camera(joined, left)
                )
                # Who comes back under another carer's name alone is that carer to all the world.
                again = names[-1:] if by_link and self._world.platform == "zoom" else names[:1]
                stay.names = names if n == 0 and instance == 0 else again
                stay.by_link, stay.by_phone, stay.device = by_link, by_phone, device
                stay.has_microphone = has_microphone
                if start < opens or luck.random() < 0.3:
                    stay.waited_from = max(start, joined - luck.randint(5, 200))
                if by_phone:
                    stay.camera, stay.names = [(joined, False)], ["+44 7700 900123"]
                if luck.random() < 0.05 and left - joined > 900:
                    stay.rooms = sorted(luck.sample(range(joined + 60, left - 60), 2))
                person.stays.append(stay)
        if person.stays and luck.random() < 0.06:
            first = person.stays[0]
            joined = luck.randint(first.joined_at, first.left_at - 1)
            left = min(joined + luck.randint(60, 5000), self._world.instances[first.instance][1])
            extra = self._stay(names[0], first.instance, joined, left, camera=[])
            extra.camera = self._camera(joined, left)
            extra.by_link, extra.device = by_link, 1
            extra.has_microphone = has_microphone
            person.stays.append(extra)

    def _cut(self, begin: int, end: int) -> list[tuple[int, int]]:
        """The same time with breaks in it."""
        breaks = self._luck.choice((1, 1, 2, 3, 20))
        points = sorted(self._luck.randint(begin, end) for _ in range(2 * breaks))
        edges = [begin, *points, end]
        return [
            (edges[n], edges[n + 1]) for n in range(0, len(edges), 2) if edges[n + 1] > edges[n]
        ]

    def _camera(self, joined: int, left: int) -> list[tuple[int, bool]]:
        luck, chance = self._luck, self._luck.random()
        if chance < 0.75:
            return [(joined, True)]
        if chance < 0.85:
            return [(joined, False)]
        count = luck.choice((1, 1, 2, 3, 6, 12))
        wanted = sorted({luck.randint(joined + 1, max(left - 1, joined + 2)) for _ in range(count)})
        points: list[int] = []
        for (
            at
        ) in wanted:  # what is switched twice within a minute, no sample by the minute can tell
            if at - (points[-1] if points else joined) >= SWITCHED_APART:
                points.append(at)
        state = luck.random() < 0.7
        switched = [(joined, state)]
        for at in points:
            state = not state
            switched.append((at, state))
        return switched

    def _stay(
        self, name: str, instance: int, joined: int, left: int, *, camera: list[tuple[int, bool]]
    ) -> Stay:
        self._number += 1
        return Stay(
            number=self._number,
            instance=instance,
            joined_at=joined,
            left_at=left,
            names=[name],
            device=0,
            camera=camera,
        )
