"""From a first Saturday and the skipped ones to eight instants, across clock changes.

Plain `date + 7 days`, then the wall-clock time in the cohort's zone: 10:00 stays 10:00 on both
sides of a clock change, and the instant moves by an hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from course.model import Session
from course.programme import Programme

SATURDAY = 5
WEEK = timedelta(weeks=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that is wrong with what was asked for; the message says what would be right."""

    field: str
    message: str


def session_dates(
    first_session_on: date, skip_dates: Sequence[date], *, count: int
) -> tuple[date, ...]:
    """The dates that are held: weekly from the first, without the skipped ones."""
    held: list[date] = []
    day, skipped = first_session_on, set(skip_dates)
    while len(held) < count:
        if day not in skipped:
            held.append(day)
        day += WEEK
    return tuple(held)


def plan_sessions(
    programme: Programme,
    *,
    first_session_on: date,
    skip_dates: Sequence[date],
    starts_at: time,
    timezone: str,
    session_minutes: int,
    first_session_minutes: int,
) -> tuple[Session, ...]:
    """Every session of the programme; the first *held* one is the short one."""
    zone = ZoneInfo(timezone)
    dates = session_dates(first_session_on, skip_dates, count=len(programme.topics))
    sessions = []
    for week, (day, topic) in enumerate(zip(dates, programme.topics, strict=True), start=1):
        begins = datetime.combine(day, starts_at, tzinfo=zone).astimezone(UTC)
        minutes = first_session_minutes if week == 1 else session_minutes
        sessions.append(
            Session(
                week=week,
                topic=topic,
                starts_at=begins,
                ends_at=begins + timedelta(minutes=minutes),
            )
        )
    return tuple(sessions)


def nearest_saturdays(day: date) -> tuple[date, date]:
    """The Saturday before (or on) that day, and the next one."""
    before = day - timedelta(days=(day.weekday() - SATURDAY) % 7)
    return before, before + WEEK


def faults_of_plan(
    programme: Programme,
    *,
    first_session_on: date,
    skip_dates: Sequence[date],
    starts_at: time,
    timezone: str,
    session_minutes: int,
    first_session_minutes: int,
    allow_past: bool,
    now: datetime,
) -> list[Fault]:
    """Everything that is wrong with a plan, at once; empty when it can be kept."""
    faults: list[Fault] = []
    if first_session_on.weekday() != SATURDAY:
        before, after = nearest_saturdays(first_session_on)
        faults.append(
            Fault(
                field="first_session_on",
                message=f"{first_session_on:%A %d %B %Y} is not a Saturday. The nearest are "
                f"{before.isoformat()} and {after.isoformat()}.",
            )
        )
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError):
        faults.append(
            Fault(field="timezone", message=f"{timezone} is not a time zone; try Europe/London.")
        )
    else:
        begins = datetime.combine(first_session_on, starts_at, tzinfo=zone)
        if begins < now and not allow_past:
            faults.append(
                Fault(
                    field="first_session_on",
                    message="The first session lies in the past. Choose a later Saturday, or say "
                    '"allow_past": true for a course that has begun already.',
                )
            )
    faults += _faults_of_skips(programme, first_session_on, skip_dates)
    if starts_at.second or starts_at.microsecond or starts_at.tzinfo is not None:
        faults.append(Fault(field="starts_at", message="Give hours and minutes, such as 10:00."))
    shortest, longest = programme.shortest_session_minutes, programme.longest_session_minutes
    if not shortest <= session_minutes <= longest:
        faults.append(
            Fault(
                field="session_minutes",
                message=f"A session lasts {shortest} to {longest} minutes.",
            )
        )
    if not programme.shortest_first_session_minutes <= first_session_minutes <= longest:
        faults.append(
            Fault(
                field="first_session_minutes",
                message=f"The first session lasts {programme.shortest_first_session_minutes} to "
                f"{longest} minutes.",
            )
        )
    return faults


def _faults_of_skips(
    programme: Programme, first_session_on: date, skip_dates: Sequence[date]
) -> list[Fault]:
    faults: list[Fault] = []
    last = session_dates(first_session_on, skip_dates, count=len(programme.topics))[-1]
    seen: set[date] = set()
    for number, day in enumerate(skip_dates):
        field = f"skip_dates.{number}"
        if day in seen:
            faults.append(Fault(field=field, message=f"{day.isoformat()} is given twice."))
        elif (day - first_session_on).days % 7 or not first_session_on <= day <= last:
            faults.append(
                Fault(
                    field=field,
                    message=f"{day.isoformat()} is not one of the course's Saturdays "
                    f"({first_session_on.isoformat()} to {last.isoformat()}).",
                )
            )
        seen.add(day)
    return faults


def easter_sunday(year: int) -> date:
    """Easter Sunday (the anonymous Gregorian computus)."""
    golden = year % 19
    century, of_century = divmod(year, 100)
    moon = (
        19 * golden + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15
    ) % 30
    sunday = (32 + 2 * (century % 4) + 2 * (of_century // 4) - moon - of_century % 4) % 7
    shift = (golden + 11 * moon + 22 * sunday) // 451
    month, day = divmod(moon + sunday - 7 * shift + 114, 31)
    return date(year, month, day + 1)


def suggested_skips(first_session_on: date, *, weeks: int = 8) -> dict[date, str]:
    """Saturdays in the span of a course on which families are usually away."""
    found: dict[date, str] = {}
    for year in (first_session_on.year, first_session_on.year + 1):
        for day, name in (
            (date(year, 1, 1), "New Year's Day"),
            (easter_sunday(year) - timedelta(days=1), "Easter Saturday"),
            (date(year, 12, 25), "Christmas Day"),
            (date(year, 12, 26), "Boxing Day"),
        ):
            if day.weekday() == SATURDAY and first_session_on <= day:
                found[day] = name
    last = session_dates(first_session_on, list(found), count=weeks)[-1]
    return {day: name for day, name in sorted(found.items()) if day <= last}
