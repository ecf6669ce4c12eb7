"""Which side of Zoom's quality reports is "sent"? Found out with two people who know.

Zoom's own texts disagree. In a test meeting one person has the camera on and one off: the side
that has video of the first and none of the second is what a person sends.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from course.identity import normalise
from course.model import ParticipantEvent
from course.store.notifications import Notification

SIDES = ("output", "input")
LEAST = 2  # minutes of each that a finding needs
CLEAR_ON, CLEAR_OFF = 0.8, 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of the reports: minutes with video, of the minutes reported."""

    name: str
    on: tuple[int, int]
    off: tuple[int, int]

    @property
    def tells(self) -> bool:
        """Whether it has video of the one and none of the other."""
        (with_on, of_on), (with_off, of_off) = self.on, self.off
        return (
            min(of_on, of_off) >= LEAST
            and with_on / of_on >= CLEAR_ON
            and with_off / of_off <= CLEAR_OFF
        )


def compare(
    told: Iterable[Notification], events: Iterable[ParticipantEvent], *, on: str, off: str
) -> tuple[Side, ...]:
    """Both sides, from the stored quality reports of one instance.

    `on` and `off` are the names shown in the meeting. A name that nobody had has no minutes.
    """
    seats: dict[str, str] = {}
    for event in events:
        if event.seat_ref and event.participant and event.participant.display_name:
            seats[event.seat_ref] = normalise(event.participant.display_name)
    rows: dict[tuple[str, str], dict[str, bool]] = {}
    for notification in told:
        for seat, minute, kind, sends in _rows(json.loads(notification.body or "{}")):
            minutes = rows.setdefault((seats.get(seat, ""), kind), {})
            minutes[minute] = minutes.get(minute, False) or sends

    def count(name: str, side: str) -> tuple[int, int]:
        reported = {
            minute
            for (who, _), minutes in rows.items()
            if who == normalise(name)
            for minute in minutes
        }
        video = rows.get((normalise(name), f"video_{side}"), {})
        return sum(video.values()), len(reported)

    return tuple(Side(name=s, on=count(on, s), off=count(off, s)) for s in SIDES)


def _rows(kept: dict[str, Any]) -> Iterable[tuple[str, str, str, bool]]:
    participant = kept.get("participant") or {}
    for at, kind, sends in participant.get("rows") or []:
        yield str(participant.get("user_id")), str(at)[:16], str(kind), bool(sends)


def advice(sides: tuple[Side, ...], *, configured: str) -> str:
    """A sentence for the operator."""
    telling = [side.name for side in sides if side.tells]
    if len(telling) == 1:
        if telling[0] == configured:
            return f"QOS_SENT_DIRECTION={configured} is right."
        return (
            f"Set QOS_SENT_DIRECTION={telling[0]}; it is {configured} now, and verdicts on cameras "
            "would be wrong."
        )
    if any(min(side.on[1], side.off[1]) < LEAST for side in sides):
        return (
            "Too little was reported. Hold a meeting of some minutes with two people, one camera "
            "on and one off, with the names that you give here; reports come after a minute or two."
        )
    return (
        "Neither side, or both, tell the two apart: repeat the test, and see that nothing but the "
        "one camera is on."
    )
