"""What the parent's page says at one moment: which session, how soon, come in or not. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from course.model import Cohort, Rehearsal, Session, SessionState
from course.rehearsal import coming_rehearsal
from web import time_words

EARLY = timedelta(minutes=15)
LINGERS = timedelta(minutes=30)  # a session may run on for so long after its planned end
WEEK = timedelta(weeks=1)


class Phase(StrEnum):
    """Where the course stands for its parents."""

    CANCELLED = "cancelled"
    OVER = "over"
    EARLY = "early"
    SOON = "soon"
    RUNNING = "running"


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """A time in words. `how_far` is such as "tomorrow" or "12 minutes ago"."""

    begins: datetime
    ends: datetime
    whose: str
    zone: str
    how_far: str
    is_on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What is so now. `lingering`: the session that should be over, and may be running on.

    `free`: coming Saturdays without a session before the next one.
    """

    phase: Phase
    session: Session | None
    when: When | None
    lingering: Session | None
    has_begun: bool
    free: tuple[date, ...]
    rehearsal: When | None
    rehearsal_open: bool


def moment_of(cohort: Cohort, rehearsals: Sequence[Rehearsal], *, now: datetime) -> Moment:
    """What is so for a cohort at that time."""
    session = cohort.next_session(now)
    offered = None if cohort.cancel_requested else coming_rehearsal(rehearsals, now)
    held = [s for s in cohort.sessions if s.state is SessionState.SCHEDULED and s.ends_at <= now]
    last = max(held, key=lambda s: s.ends_at, default=None)
    lingering = last if last and now < last.ends_at + LINGERS else None
    return Moment(
        phase=_phase(cohort, session, now),
        session=session,
        when=_when(cohort, session.starts_at, session.ends_at, now) if session else None,
        lingering=lingering if session is None or now < session.starts_at - EARLY else None,
        has_begun=last is not None,
        free=_free(cohort, last, session, now),
        rehearsal=_when(cohort, offered.starts_at, offered.ends_at, now) if offered else None,
        rehearsal_open=offered is not None and now >= offered.starts_at - EARLY,
    )


def _phase(cohort: Cohort, session: Session | None, now: datetime) -> Phase:
    if session is None:
        dropped = any(s.state is SessionState.CANCELLED for s in cohort.sessions)
        return Phase.CANCELLED if dropped else Phase.OVER
    if now >= session.starts_at:
        return Phase.RUNNING
    return Phase.SOON if now >= session.starts_at - EARLY else Phase.EARLY


def _when(cohort: Cohort, begins: datetime, ends: datetime, now: datetime) -> When:
    zone = ZoneInfo(cohort.timezone)
    return When(
        begins=begins.astimezone(zone),
        ends=ends.astimezone(zone),
        whose=time_words.zone_words(cohort.timezone),
        zone=cohort.timezone,
        how_far=time_words.since(begins, now=now)
        if now >= begins
        else time_words.until(begins, now=now, zone=zone),
        is_on=begins <= now < ends,
    )


def _free(
    cohort: Cohort, last: Session | None, session: Session | None, now: datetime
) -> tuple[date, ...]:
    """The Saturdays to come on which somebody could wait in vain."""
    if last is None or session is None:
        return ()
    zone = ZoneInfo(cohort.timezone)
    today, until = now.astimezone(zone).date(), session.starts_at.astimezone(zone).date()
    day, found = last.starts_at.astimezone(zone).date() + WEEK, []
    while day < until:
        if day >= today:
            found.append(day)
        day += WEEK
    return tuple(found)
