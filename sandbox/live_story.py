"""One session as families really come to it, to be watched while it happens. Pure.

Everybody presses the button of their own join page first, as families do. People wait to be let in,
come late, switch the camera off, leave early, come on somebody's tablet under its name, or sit
beside their partner. Played faster, everything is closer together and the session ends sooner: no
clock is moved and no instant invented.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import cycle
from typing import NamedTuple

from sandbox.cast import HOST, address
from sandbox.scene import Act, Person, Scene

OPENS = -3.0  # minutes before the start that the host opens the room
TABLET = "iPad"
EXAMPLE: dict[str, tuple[str, ...]] = {
    "H1": ("Maya Patel", "Dev Patel"),
    "H2": ("Daniel Cohen", "Ruth Cohen"),
    "H3": ("Owen Davies",),
    "H4": ("Lena Fischer",),
    "H5": ("Niamh Byrne",),
}
# What whoever books first does, family after family; and then the second of a family.
FIRST = ("prompt", "prompt", "camera_off", "leaves_early", "tablet")
SECOND = ("late", "beside")


@dataclass(frozen=True, slots=True, kw_only=True)
class Invited:
    """A carer as the service knows them. `invitation_ref` is Zoom's registrant id."""

    name: str
    household: str
    join_page: str
    invitation_ref: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """Somebody presses the button of their own join page; `both`: their partner sits beside."""

    at: datetime
    join_page: str
    both: bool


class Story(NamedTuple):
    """What happens on the platform, and before that on our own pages."""

    scene: Scene
    presses: tuple[Press, ...]


def example_cohort(*, name: str, platform: str, first_session_on: str) -> dict[str, object]:
    """What opens a cohort with five invented families."""
    return {
        "name": name,
        "platform": platform,
        "first_session_on": first_session_on,
        "facilitators": [{"name": HOST, "email": address(HOST)}],
        "households": [
            {
                "reference": reference,
                "carers": [
                    {"name": name, "email": address(name), "phone": "07700 900123"}
                    for name in carers
                ],
            }
            for reference, carers in EXAMPLE.items()
        ],
    }


def begins_at(now: datetime, *, speed: float, ready_in: timedelta) -> datetime:
    """The soonest start, to the second, before which the host still opens the room in time."""
    soonest = now + ready_in + timedelta(minutes=-OPENS / speed)
    whole = soonest.replace(microsecond=0)
    return whole if whole == soonest else whole + timedelta(seconds=1)


def live_story(
    carers: Sequence[Invited],
    *,
    series_ref: str,
    starts_at: datetime,
    minutes: float,
    speed: float,
) -> Story:
    """The session that takes `minutes` in real time, played so many times faster."""
    people = {"host": Person(name=HOST, host=True)}
    acts: list[Act] = []
    presses: list[Press] = []
    roles = _roles(carers)
    accompanied = {c.household for c, role in zip(carers, roles, strict=True) if role == "beside"}
    for number, (carer, role) in enumerate(zip(carers, roles, strict=True)):
        if role == "beside":
            continue
        key = f"carer {number}"
        deeds = _deeds(role, key, comes_at=OPENS + 0.3 + 0.35 * (number % 6), minutes=minutes)
        acts += deeds
        if role == "tablet":  # with a link that somebody passed on
            people[key] = Person(name=TABLET)
            continue
        people[key] = Person(name=carer.name, invitation_ref=carer.invitation_ref)
        presses.append(
            Press(
                at=starts_at + timedelta(minutes=(deeds[0].at - 0.2) / speed),
                join_page=carer.join_page,
                both=carer.household in accompanied,
            )
        )
    scene = Scene(
        series_ref=series_ref,
        starts_at=starts_at,
        opens=OPENS / speed,
        closes=minutes / speed,
        people=people,
        acts=tuple(replace(act, at=act.at / speed) for act in acts),
    )
    return Story(scene, tuple(sorted(presses, key=lambda press: press.at)))


def _roles(carers: Sequence[Invited]) -> list[str]:
    first, second, seen = cycle(FIRST), cycle(SECOND), set[str]()
    roles = []
    for carer in carers:
        roles.append(next(second if carer.household in seen else first))
        seen.add(carer.household)
    return roles


def _deeds(role: str, person: str, *, comes_at: float, minutes: float) -> list[Act]:
    """What one of them does, in minutes from the start, in real time."""
    if role == "late":
        return [Act(at=0.4 * min(minutes, 30.0), person=person, deed="join")]
    if role == "tablet":
        return [Act(at=1.0, person=person, deed="wait"), Act(at=2.0, person=person, deed="join")]
    let_in = [
        Act(at=comes_at, person=person, deed="wait"),
        Act(at=comes_at + 0.8, person=person, deed="join"),
    ]
    if role == "camera_off":
        return [*let_in, Act(at=0.15 * minutes, person=person, deed="camera_off")]
    if role == "leaves_early":
        return [*let_in, Act(at=0.6 * minutes, person=person, deed="leave")]
    return let_in
