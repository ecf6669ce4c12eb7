"""What the platform holds against what was planned: pure comparison of instants and lengths.

The platform's ordinals are not trusted: an occurrence is a week's session when it was so before
(its ref) or lies on the same local day. Everything else follows from comparing instants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from course.model import Session, SessionState
from integration.provider import Occurrence

NEAR = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """`refs`: week to occurrence ref. `drops`: occurrences nobody planned. `adjustments`: week and
    occurrence where start or length differ. `missing`: weeks without an occurrence.
    """

    refs: dict[int, str]
    drops: tuple[Occurrence, ...]
    adjustments: tuple[tuple[int, Occurrence], ...]
    missing: tuple[int, ...]

    @property
    def exact(self) -> bool:
        """The platform holds exactly what was planned."""
        return not (self.drops or self.adjustments or self.missing)


def arrange(
    sessions: Sequence[Session],
    occurrences: Sequence[Occurrence],
    *,
    timezone: str,
    since: datetime | None = None,
) -> Arrangement:
    """Compare planned sessions with the platform's occurrences.

    `since`: what began before is history, on both sides, and is left alone.
    """
    zone = ZoneInfo(timezone)
    free = sorted(
        (o for o in occurrences if since is None or o.starts_at >= since),
        key=lambda o: (o.starts_at, o.ref),
    )
    planned = [
        s
        for s in sessions
        if s.state is SessionState.SCHEDULED and (since is None or s.starts_at >= since)
    ]
    found: dict[int, Occurrence] = {}

    def take(session: Session, candidates: list[Occurrence]) -> None:
        if session.week not in found and candidates:
            found[session.week] = candidates[0]
            free.remove(candidates[0])

    for session in planned:
        if session.occurrence_ref is not None:
            take(session, [o for o in free if o.ref == session.occurrence_ref])
    for session in planned:
        day = session.starts_at.astimezone(zone).date()
        take(session, [o for o in free if o.starts_at.astimezone(zone).date() == day])
    for session in planned:  # moved to another day: the nearest that nobody else has
        near = [o for o in free if abs(o.starts_at - session.starts_at) < NEAR]
        take(session, sorted(near, key=lambda o: abs(o.starts_at - session.starts_at)))
    return Arrangement(
        refs={week: occurrence.ref for week, occurrence in found.items()},
        drops=tuple(free),
        adjustments=tuple(
            (s.week, found[s.week])
            for s in planned
            if s.week in found
            and (found[s.week].starts_at != s.starts_at or found[s.week].length != s.length)
        ),
        missing=tuple(s.week for s in planned if s.week not in found),
    )


def is_as_made(
    arrangement: Arrangement,
    sessions: Sequence[Session],
    *,
    timezone: str,
    usual_length: timedelta,
) -> bool:
    """Whether all that differs is what a weekly series cannot say: gaps and other lengths.

    Then the platform understood us, and what is mended need not be read back again.
    """
    zone = ZoneInfo(timezone)
    planned = {s.week: s for s in sessions}
    days = {s.starts_at.astimezone(zone).date() for s in sessions}
    walls = {s.starts_at.astimezone(zone).time() for s in sessions}
    return (
        not arrangement.missing
        and all(
            o.starts_at == planned[week].starts_at and o.length == usual_length
            for week, o in arrangement.adjustments
        )
        and all(
            (at := o.starts_at.astimezone(zone)).time() in walls
            and min(days) < at.date() < max(days)
            and (at.date() - min(days)).days % 7 == 0
            for o in arrangement.drops
        )
    )


def describe(arrangement: Arrangement, sessions: Sequence[Session], *, timezone: str) -> str:
    """The difference as a sentence for staff."""
    zone = ZoneInfo(timezone)
    planned = {s.week: s for s in sessions}
    parts = [f"week {week} is missing on the platform" for week in arrangement.missing]
    for week, occurrence in arrangement.adjustments:
        asked = planned[week]
        parts.append(
            f"week {week} stands there as {occurrence.starts_at.astimezone(zone):%d %B %Y %H:%M}"
            f" for {occurrence.length.total_seconds() / 60:.0f} minutes instead of"
            f" {asked.starts_at.astimezone(zone):%d %B %Y %H:%M}"
            f" for {asked.length.total_seconds() / 60:.0f}"
        )
    parts += [
        f"there is a session on {o.starts_at.astimezone(zone):%d %B %Y} that nobody planned"
        for o in arrangement.drops
    ]
    return "; ".join(parts)
