"""Changing the timetable of a course that has begun: what was held stays on its own Saturday."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from course.model import (
    CorrectionKind,
    EventKind,
    ParticipantEvent,
    Platform,
    RegisterEntry,
    Verdict,
)
from course.reports import AttendanceReport, build_report
from course.store import cohorts, evidence, registers, statements
from course.store import series as series_store
from course.store.database import Database
from integration.amending import Amending, Refused
from tests.course.evidence import SERIES, WEEK_2, at, cohort, event, held, stay
from tests.fakes import FakeClock

ACTOR = "facilitator Lee"
DAY_AFTER = WEEK_2 + timedelta(days=1)
LATER = WEEK_2 + timedelta(weeks=1, hours=4)  # when week 3 is over as well


class Desk:
    """A cohort of one household on Zoom, and what its staff see of it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = FakeClock(DAY_AFTER)
        self.amending = Amending(database, self.clock)
        course = cohort("Maya Patel", "Dev Patel")
        with database.write() as connection:
            cohorts.insert_cohort(connection, course, {"carer-1": "t1", "carer-2": "t2"})
            series_store.update_series(
                connection, course.id, Platform.ZOOM, series_ref=SERIES, organiser_ref="o"
            )
            for number in (1, 2):
                series_store.save_invitation(
                    connection, f"carer-{number}", Platform.ZOOM, ref=f"r{number}", join_url="u"
                )

    def told(self, events: Sequence[ParticipantEvent]) -> None:
        with self.database.write() as connection:
            numbered = [replace(fact, key=str(n)) for n, fact in enumerate(events)]
            evidence.save_events(connection, numbered)

    def report(self) -> AttendanceReport:
        with self.database.read() as connection:
            course = cohorts.read_cohort(connection, "cohort-1")
            assert course is not None
            found = evidence.read_evidence(connection, course)
        return build_report(course, found, now=LATER)

    def skip(self, week: int) -> int | None:
        return self.amending.skip_session("cohort-1", week, expected=None, actor=ACTOR)

    def refusal(self, week: int) -> str:
        """Why that week cannot be skipped; nothing has changed then."""
        before = self.report()
        with pytest.raises(Refused) as refused:
            self.skip(week)
        assert refused.value.kind == "settled"
        assert self.report() == before
        return str(refused.value)


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


@pytest.mark.parametrize("now", [DAY_AFTER, WEEK_2 - timedelta(days=1)])
def test_a_session_that_was_held_is_not_skipped_and_its_attendance_stays(
    desk: Desk, now: datetime
) -> None:
    # Facts are judged by their own times, also where the clock has not come so far.
    desk.told([*held(), *stay(0, 120)])
    desk.clock.now = now
    assert "Week 2 was held; it cannot be skipped any more" in desk.refusal(2)
    report = desk.report()
    assert report.registers[1].session.starts_at == WEEK_2
    assert report.registers[1].weeks["carer-1"].minutes_present == 120


def test_an_earlier_week_is_not_skipped_either_since_the_held_one_would_move_with_it(
    desk: Desk,
) -> None:
    desk.told([*held(), *stay(0, 120)])
    assert "Week 2 was held; so week 1 cannot be skipped" in desk.refusal(1)
    assert desk.skip(3) == 2


@pytest.mark.parametrize("is_known", [True, False])
def test_a_session_under_way_is_not_skipped_whether_anybody_was_seen_or_not(
    desk: Desk, *, is_known: bool
) -> None:
    if is_known:
        desk.told([*held(end=None), *stay(0, None)])
    desk.clock.now = at(20)
    assert "Week 2 has begun; it cannot be skipped any more" in desk.refusal(2)


def test_a_session_that_runs_over_is_not_skipped(desk: Desk) -> None:
    desk.told([*held(end=None), *stay(0, None)])
    desk.clock.now = at(125)
    assert "it cannot be skipped any more" in desk.refusal(2)


def test_what_was_moved_after_it_was_held_would_lose_its_attendance_too(desk: Desk) -> None:
    desk.told([*held(), *stay(0, 120)])
    desk.clock.now = WEEK_2 - timedelta(days=1)
    with pytest.raises(Refused, match="Week 2 was held; it cannot be moved any more"):
        desk.amending.move_session(
            "cohort-1",
            2,
            starts_at=WEEK_2 + timedelta(days=2),
            minutes=None,
            expected=None,
            actor=ACTOR,
        )
    assert desk.report().registers[1].weeks["carer-1"].minutes_present == 120


def test_a_past_week_of_which_there_is_no_sign_may_still_be_skipped(desk: Desk) -> None:
    opened = event(
        EventKind.JOIN_PAGE_OPENED, -5, None, carer_id="carer-1", series_ref=None, instance_ref=None
    )
    desk.told([opened])  # whoever came found nobody there
    assert desk.skip(2) == 2
    assert desk.report().registers[1].session.starts_at == WEEK_2 + timedelta(weeks=1)


def test_a_session_is_still_skipped_in_the_minutes_before_it(desk: Desk) -> None:
    desk.clock.now = at(-10)
    assert desk.skip(2) == 2


def test_a_past_week_on_which_a_person_gave_a_word_is_not_skipped(desk: Desk) -> None:
    with desk.database.write() as connection:
        statements.add_correction(
            connection,
            "cohort-1",
            week=2,
            carer_id="carer-1",
            verdict=Verdict.ATTENDED,
            kind=CorrectionKind.CORRECTION,
            reason="We met on the telephone",
            made_by="Dr A. Lee",
            now=DAY_AFTER,
        )
    assert "Take the corrections of week 2 back" in desk.refusal(2)


def test_a_closed_register_keeps_its_session_from_being_skipped(desk: Desk) -> None:
    with desk.database.write() as connection:
        registers.save_register(connection, "cohort-1", RegisterEntry(week=2, closed_at=DAY_AFTER))
    assert "The register of week 2 is closed" in desk.refusal(2)
