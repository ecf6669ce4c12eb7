"""The eight Saturdays: 10:00 on the wall clock, whatever the clocks do."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from course.programme import COURSE
from course.timetable import easter_sunday, faults_of_plan, plan_sessions, suggested_skips

NOW = datetime(2026, 11, 23, tzinfo=UTC)
LONDON = ZoneInfo("Europe/London")


def plan(first: date, *skips: date, **changes: Any) -> list[datetime]:
    asked: dict[str, Any] = {
        "starts_at": time(10, 0),
        "timezone": "Europe/London",
        "session_minutes": 120,
        "first_session_minutes": 30,
    } | changes
    return [
        s.starts_at
        for s in plan_sessions(COURSE, first_session_on=first, skip_dates=skips, **asked)
    ]


def faults(first: date, *skips: date, **changes: Any) -> list[tuple[str, str]]:
    asked: dict[str, Any] = {
        "starts_at": time(10, 0),
        "timezone": "Europe/London",
        "session_minutes": 120,
        "first_session_minutes": 30,
        "allow_past": False,
        "now": NOW,
    } | changes
    found = faults_of_plan(COURSE, first_session_on=first, skip_dates=skips, **asked)
    return [(fault.field, fault.message) for fault in found]


def test_the_spring_change_moves_the_instant_and_not_the_wall_clock() -> None:
    hours = [at.hour for at in plan(date(2027, 2, 27))]
    assert hours == [10] * 5 + [9] * 3


def test_the_autumn_change_as_well() -> None:
    hours = [at.hour for at in plan(date(2027, 10, 2))]
    assert hours == [9] * 5 + [10] * 3


def test_a_leap_year_does_not_slip() -> None:
    days = [at.date() for at in plan(date(2028, 1, 29))]
    assert days[4:6] == [date(2028, 2, 26), date(2028, 3, 4)]


def test_eight_are_held_when_two_saturdays_are_skipped() -> None:
    days = [at.date() for at in plan(date(2027, 11, 20), date(2027, 12, 25), date(2028, 1, 1))]
    assert len(days) == 8
    assert days[-1] == date(2028, 1, 22)


def test_the_first_held_session_is_the_short_one_even_when_week_one_is_skipped() -> None:
    sessions = plan_sessions(
        COURSE,
        first_session_on=date(2027, 1, 9),
        skip_dates=[date(2027, 1, 9)],
        starts_at=time(10, 0),
        timezone="Europe/London",
        session_minutes=90,
        first_session_minutes=30,
    )
    assert sessions[0].starts_at.date() == date(2027, 1, 16)
    assert [s.length.total_seconds() / 60 for s in sessions] == [30] + [90] * 7
    assert [s.topic for s in sessions] == list(COURSE.topics)


def test_a_day_that_is_no_saturday_is_told_with_the_nearest_two() -> None:
    ((field, message),) = faults(date(2027, 1, 12))
    assert field == "first_session_on"
    assert "2027-01-09" in message
    assert "2027-01-16" in message


def test_every_fault_is_named_at_once() -> None:
    found = faults(
        date(2026, 1, 13),
        date(2026, 1, 14),
        session_minutes=30,
        first_session_minutes=500,
        timezone="Mars/Olympus",
        starts_at=time(10, 0, 30),
    )
    assert [field for field, _ in found] == [
        "first_session_on",
        "timezone",
        "skip_dates.0",
        "starts_at",
        "session_minutes",
        "first_session_minutes",
    ]


def test_the_past_is_refused_unless_it_is_meant() -> None:
    assert [field for field, _ in faults(date(2026, 11, 21))] == ["first_session_on"]
    assert faults(date(2026, 11, 21), allow_past=True) == []


def test_bank_holidays_on_saturdays_are_suggested() -> None:
    assert suggested_skips(date(2027, 11, 20)) == {
        date(2027, 12, 25): "Christmas Day",
        date(2028, 1, 1): "New Year's Day",
    }
    assert suggested_skips(date(2027, 3, 6)) == {date(2027, 3, 27): "Easter Saturday"}


def test_easter_is_where_the_almanac_has_it() -> None:
    known = {2024: (3, 31), 2025: (4, 20), 2026: (4, 5), 2027: (3, 28), 2038: (4, 25)}
    assert {y: (easter_sunday(y).month, easter_sunday(y).day) for y in known} == known


@given(st.integers(0, 520), st.sets(st.integers(0, 10), max_size=4))
def test_eight_saturdays_at_ten_in_london_always(weeks: int, skipped: set[int]) -> None:
    first = date.fromordinal(date(2026, 1, 3).toordinal() + 7 * weeks)
    skips = [date.fromordinal(first.toordinal() + 7 * n) for n in sorted(skipped)]
    from_zone = [at.astimezone(LONDON) for at in plan(first, *skips)]
    assert len(from_zone) == 8
    assert all((at.weekday(), at.hour, at.minute) == (5, 10, 0) for at in from_zone)
    assert not {at.date() for at in from_zone} & set(skips)
