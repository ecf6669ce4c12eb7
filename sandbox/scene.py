"""A scene: who does what in one held session, in minutes from its scheduled start.

The same scene plays on the Zoom stand-in and on the Graph stand-in: each turns the acts into its
own platform's notifications and into its own record (reports, attendance records), so that the
record always knows the truth and a notification marked `lost` is missing only from the live side.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Deed = Literal["wait", "join", "leave", "camera_on", "camera_off", "mute", "unmute", "rename"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody at a device. `invitation_ref` is a Zoom registrant id; Graph knows only the name.

    `host` is the organiser, signed in. `email` is what the platform shows of an address, often
    nothing. `reports_media` False: the platform never says anything about camera or microphone.
    """

    name: str
    email: str = ""
    invitation_ref: str | None = None
    host: bool = False
    reports_media: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One deed. `person` is a key of `Scene.people`; `lost`: its notification never arrives.

    `device` tells two connections of one person apart. A `join` switches camera and microphone to
    `camera` and `microphone`. `rename` takes `name`.
    """

    at: float
    person: str
    deed: Deed
    device: str = "laptop"
    name: str | None = None
    camera: bool = True
    microphone: bool = True
    lost: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One held session of a series. The host opens at `opens` and ends it for all at `closes`.

    `opens` and `closes` are minutes from `starts_at` (the scheduled instant, aware UTC). Whoever
    has not left by `closes` is put out by the platform. `series_ref` is the meeting id (Zoom) or
    the id of the series master event (Graph).
    """

    series_ref: str
    starts_at: datetime
    opens: float
    closes: float
    people: dict[str, Person]
    acts: tuple[Act, ...]
