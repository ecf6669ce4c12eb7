"""The same promises kept by Zoom, by Teams and by the fake; the first two over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import pytest

from course.programme import COURSE
from course.timetable import plan_sessions
from integration.arrangement import arrange
from integration.provider import Invitee, MeetingProvider, Series, SeriesPlan, Slot
from tests.fakes import FakeProvider
from tests.stand_ins import stand_ins

LONDON = "Europe/London"
HOST = "host@practice.example"


@dataclass
class Case:
    """One platform with the plan of a course over the spring clock change, one week skipped."""

    provider: MeetingProvider

    def __post_init__(self) -> None:
        self.sessions = plan_sessions(
            COURSE,
            first_session_on=date(2027, 2, 27),
            skip_dates=[date(2027, 3, 13)],
            starts_at=time(10, 0),
            timezone=LONDON,
            session_minutes=120,
            first_session_minutes=30,
        )
        self.plan = SeriesPlan(
            marker="cohort-1",
            name="Spring 2027's course",
            organiser=HOST,
            timezone=LONDON,
            slots=tuple(Slot(starts_at=s.starts_at, length=s.length) for s in self.sessions),
            usual_length=timedelta(minutes=120),
            invitees=(Invitee(marker="c1", name="Maya Patel", email="maya@example.com"),),
        )

    def arranged(self, series: Series) -> Series:
        """Mend the fresh series until it is what was planned."""
        found = arrange(
            self.sessions, self.provider.list_occurrences(series, self.plan), timezone=LONDON
        )
        slots = {s.week: Slot(starts_at=s.starts_at, length=s.length) for s in self.sessions}
        for occurrence in found.drops:
            self.provider.drop_occurrence(series, occurrence.ref)
        for week, occurrence in found.adjustments:
            self.provider.adjust_occurrence(
                series, occurrence.ref, slots[week], timezone=LONDON, current=occurrence
            )
        return series


@pytest.fixture(params=["zoom", "teams", "fake"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    """Each platform in turn."""
    if request.param == "fake":
        yield Case(FakeProvider())
        return
    with stand_ins() as running:
        yield Case(running.zoom() if request.param == "zoom" else running.teams())


def test_the_series_can_be_made_exactly_as_planned_over_a_clock_change(case: Case) -> None:
    series = case.arranged(case.provider.create_series(case.plan))
    held = case.provider.list_occurrences(series, case.plan)
    assert [(o.starts_at, o.length) for o in held] == [
        (s.starts_at, s.length) for s in case.sessions
    ]
    assert {o.starts_at.astimezone(UTC).hour for o in held} == {9, 10}


def test_a_fresh_series_needs_only_the_short_week_and_the_skipped_one_mended(case: Case) -> None:
    series = case.provider.create_series(case.plan)
    found = arrange(
        case.sessions, case.provider.list_occurrences(series, case.plan), timezone=LONDON
    )
    assert [week for week, _ in found.adjustments] == [1]
    assert [o.starts_at.date() for o in found.drops] == [date(2027, 3, 13)]


def test_a_series_is_found_again_by_its_marker_only(case: Case) -> None:
    assert case.provider.find_series(case.plan) is None
    made = case.provider.create_series(case.plan)
    found = case.provider.find_series(case.plan)
    assert found is not None
    assert found.ref == made.ref
    other = SeriesPlan(**{f: getattr(case.plan, f) for f in case.plan.__slots__} | {"marker": "x"})
    assert case.provider.find_series(other) is None


def test_changing_one_occurrence_leaves_the_others_alone(case: Case) -> None:
    series = case.arranged(case.provider.create_series(case.plan))
    before = case.provider.list_occurrences(series, case.plan)
    moved = Slot(starts_at=before[3].starts_at + timedelta(hours=2), length=timedelta(minutes=90))
    case.provider.adjust_occurrence(series, before[3].ref, moved, timezone=LONDON)
    after = case.provider.list_occurrences(series, case.plan)
    assert (after[3].starts_at, after[3].length) == (moved.starts_at, moved.length)
    assert [o for i, o in enumerate(after) if i != 3] == [o for i, o in enumerate(before) if i != 3]


def test_cancelling_twice_is_as_good_as_once(case: Case) -> None:
    series = case.provider.create_series(case.plan)
    case.provider.cancel_series(series)
    case.provider.cancel_series(series)
    assert case.provider.find_series(case.plan) is None


def test_inviting_again_gives_the_same_link(case: Case) -> None:
    series = case.provider.resolve_meeting(case.provider.create_series(case.plan))
    zoe = Invitee(marker="c2", name="Zoë Ash", email="zoe@example.com")
    first = case.provider.invite(series, zoe, tried=False)
    again = case.provider.invite(series, zoe, tried=True)
    assert first == again
    assert first.join_url.startswith("http")
    case.provider.withdraw(series, zoe, first.ref)
    case.provider.withdraw(series, zoe, first.ref)


def test_a_session_that_was_never_held_has_no_complete_record(case: Case) -> None:
    series = case.provider.resolve_meeting(case.provider.create_series(case.plan))
    record = case.provider.fetch_record(
        series,
        window_from=datetime(2027, 2, 27, 9, tzinfo=UTC),
        window_to=datetime(2027, 2, 27, 14, tzinfo=UTC),
        known_instances=(),
    )
    assert (record.events, record.complete) == ((), False)
