"""One carer's session as a drawing: time held, presence, camera, microphone, as bars. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from course.intervals import Span, intersect, subtract
from course.model import CarerWeek, SessionRegister

TICK = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One piece of a row; `begin` and `width` in percent of the drawing, `says` in words."""

    begin: float
    width: float
    kind: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the drawing."""

    label: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The drawing: rows, and the times along its foot as (percent, text)."""

    rows: tuple[Row, ...]
    ticks: tuple[tuple[float, str], ...]


def draw(register: SessionRegister, week: CarerWeek, zone: ZoneInfo) -> Timeline:
    """The drawing of one week, over the planned time."""
    begins, ends = register.session.starts_at, register.session.ends_at
    whole = ends - begins

    def percent(at: datetime) -> float:
        return round(100 * ((at - begins) / whole), 2)

    def bars(spans: Iterable[Span], kind: str, word: str) -> list[Bar]:
        return [
            Bar(
                begin=percent(a),
                width=round(percent(b) - percent(a), 2),
                kind=kind,
                says=f"{word} {a.astimezone(zone):%H:%M} to {b.astimezone(zone):%H:%M}",
            )
            for a, b in intersect(spans, [(begins, ends)])
        ]

    held: Sequence[Span] = (
        [(register.held_from, register.held_to or ends)] if register.held_from else []
    )
    unknown = subtract(week.intervals, [*week.camera_on, *week.camera_off])
    camera = [
        *bars(week.camera_on, "on", "on"),
        *bars(week.camera_off, "off", "off"),
        *bars(unknown, "unknown", "not known"),
    ]
    silent = subtract(week.intervals, [*week.microphone_on, *week.microphone_off])
    microphone = [
        *bars(week.microphone_on, "on", "open"),
        *bars(week.microphone_off, "muted", "muted"),
        *bars(silent, "unknown", "not known"),
    ]
    count = int(whole / TICK)
    step = 2 if count > 4 else 1
    return Timeline(
        rows=(
            Row(label="Held", bars=tuple(bars(held, "held", "held"))),
            Row(label="Present", bars=tuple(bars(week.intervals, "present", "present"))),
            Row(label="Camera", bars=tuple(sorted(camera, key=lambda bar: bar.begin))),
            Row(label="Microphone", bars=tuple(sorted(microphone, key=lambda bar: bar.begin))),
        ),
        ticks=tuple(
            (percent(at), f"{at.astimezone(zone):%H:%M}")
            for at in (begins + n * TICK for n in range(0, count + 1, step))
        ),
    )
