"""The cast of the demonstration course: eleven invented households, what each does, what to expect.

Everybody attends everything with the camera on, except where `STORY` says otherwise. The same
story plays on both platforms; `EXPECTED` is what an honest report must say at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sandbox.scene import Act, Person, Scene

HOST = "Dr Alma Lee"

HOUSEHOLDS: dict[str, tuple[str, ...]] = {
    "H01": ("Maya Patel",),
    "H02": ("Tom Becker",),
    "H03": ("Aisha Rahman",),
    "H04": ("Lena Fischer",),
    "H05": ("Owen Davies",),
    "H06": ("Grace Okafor",),
    "H07": ("Niamh Byrne",),
    "H08": ("Sofia Rossi",),
    "H09": ("Daniel Cohen", "Ruth Cohen"),
    "H10": ("Piotr Nowak",),
    "H11": ("Hana Suzuki",),
}
NEVER_REPORTED = "Grace Okafor"
STRANGER = "Galaxy Tab"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What the report must say of one carer in one week; `says` stands in one of the reasons."""

    carer: str
    week: int
    verdict: str
    why: str
    camera: str | None = None
    says: str = ""
    source: str | None = None


def address(name: str) -> str:
    """The invented e-mail address of one of the cast."""
    return f"{name.lower().replace(' ', '.')}@example.com"


def _usual(name: str, minutes: float) -> list[Act]:
    return [
        Act(at=-3, person=name, deed="wait"),
        Act(at=-1, person=name, deed="join"),
        Act(at=minutes + 1, person=name, deed="leave"),
    ]


def _story(name: str, week: int, minutes: float) -> list[Act]:
    """What one of the cast does in one week."""
    if (name, week) == ("Tom Becker", 3):
        return []
    if (name, week) == ("Aisha Rahman", 2):
        return [
            Act(at=12, person=name, deed="join"),
            Act(at=minutes, person=name, deed="leave"),
        ]
    if (name, week) == ("Lena Fischer", 4):
        return [Act(at=-1, person=name, deed="join"), Act(at=70, person=name, deed="leave")]
    if (name, week) == ("Owen Davies", 5):
        return [
            Act(at=-1, person=name, deed="join"),
            Act(at=10, person=name, deed="camera_off"),
            Act(at=minutes + 1, person=name, deed="leave"),
        ]
    if (name, week) == ("Niamh Byrne", 2):
        return [
            Act(at=-1, person=name, deed="join"),
            Act(at=40, person=name, deed="rename", name="Niamh's iPad"),
            Act(at=minutes + 1, person=name, deed="leave"),
        ]
    if (name, week) == ("Sofia Rossi", 6):
        return [
            Act(at=-2, person=name, deed="join"),
            Act(at=30, person=name, deed="join", device="telephone", camera=False),
            Act(at=80, person=name, deed="leave"),
            Act(at=minutes + 1, person=name, deed="leave", device="telephone"),
        ]
    if (name, week) == ("Ruth Cohen", 4):
        return []  # she sits beside Daniel, at his device
    if (name, week) == ("Piotr Nowak", 7):
        acts = [Act(at=-1, person=name, deed="join")]
        for n in range(1, 6):
            acts.append(Act(at=18.0 * n, person=name, deed="leave"))
            acts.append(Act(at=18.0 * n + 1.5, person=name, deed="join"))
        return [*acts, Act(at=minutes + 1, person=name, deed="leave")]
    if (name, week) == ("Hana Suzuki", 3):
        return [
            Act(at=-1, person=name, deed="join", lost=True),
            Act(at=minutes + 1, person=name, deed="leave", lost=True),
        ]
    return _usual(name, minutes)


def scene(
    *,
    week: int,
    series_ref: str,
    starts_at: datetime,
    minutes: float,
    invitation_refs: Mapping[str, str],
) -> Scene:
    """One week of the story. `invitation_refs`: Zoom's registrant id for a carer's name."""
    people = {HOST: Person(name=HOST, host=True)}
    acts: list[Act] = []
    for carers in HOUSEHOLDS.values():
        for name in carers:
            people[name] = Person(
                name=name,
                invitation_ref=invitation_refs.get(name),
                reports_media=name != NEVER_REPORTED,
            )
            acts += _story(name, week, minutes)
    if week == 2:
        people[STRANGER] = Person(name=STRANGER)
        acts += [
            Act(at=5, person=STRANGER, deed="join"),
            Act(at=25, person=STRANGER, deed="leave"),
        ]
    return Scene(
        series_ref=series_ref,
        starts_at=starts_at,
        opens=-5,
        closes=minutes + 2,
        people=people,
        acts=tuple(acts),
    )


EXPECTED: tuple[Expectation, ...] = (
    *(
        Expectation(
            carer="Maya Patel",
            week=week,
            verdict="attended",
            camera="on",
            why="attended everything",
        )
        for week in range(1, 9)
    ),
    Expectation(carer="Tom Becker", week=3, verdict="absent", why="missed week 3"),
    Expectation(
        carer="Aisha Rahman", week=2, verdict="attended", says="12 minutes late", why="came late"
    ),
    Expectation(carer="Lena Fischer", week=4, verdict="partial", says="left", why="left early"),
    Expectation(
        carer="Owen Davies",
        week=5,
        verdict="partial",
        camera="off",
        says="camera",
        why="camera off for most of week 5",
    ),
    Expectation(
        carer=NEVER_REPORTED,
        week=1,
        verdict="undetermined",
        camera="unknown",
        says="camera",
        why="camera never reported is unknown, not off",
    ),
    Expectation(carer="Niamh Byrne", week=2, verdict="attended", why="renamed mid-session"),
    Expectation(
        carer="Sofia Rossi", week=6, verdict="attended", says="two devices", why="two devices"
    ),
    Expectation(carer="Daniel Cohen", week=4, verdict="attended", why="joined for both"),
    Expectation(
        carer="Ruth Cohen",
        week=4,
        verdict="undetermined",
        says="device",
        why="two carers on one device: a person must say",
    ),
    Expectation(
        carer="Piotr Nowak", week=7, verdict="attended", says="5 times", why="rejoined five times"
    ),
    Expectation(
        carer="Hana Suzuki",
        week=3,
        verdict="attended",
        source="platform_record",
        why="her notifications were lost; the platform's record found her",
    ),
)

STANDING: dict[str, str] = {
    "Maya Patel": "completed",
    "Tom Becker": "missed",
    "Lena Fischer": "at_risk",
    NEVER_REPORTED: "undetermined",
}
