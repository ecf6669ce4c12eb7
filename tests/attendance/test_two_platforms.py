"""One register over two platforms: weeks before and after a move, and a session that was moved."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from course.model import (
    Cohort,
    EventKind,
    Evidence,
    Participant,
    ParticipantEvent,
    Platform,
    RegisterState,
    Rule,
    Source,
    Verdict,
)
from course.reports import build_report
from course.store import cohorts, evidence, registers, tables
from course.store import series as series_store
from course.store.database import Database
from integration.provider import PlatformRecord, ProviderError
from integration.reconciliation import Reconciliation
from tests.course.evidence import AFTER, at, held, record, register, stay, week, who
from tests.course.evidence import cohort as enrolled
from tests.factories import FIRST, NOW, make_carer, make_cohort
from tests.fakes import FakeClock, FakeProvider

ZOOM, TEAMS = Platform.ZOOM, Platform.TEAMS
PRESENCE = Rule(camera=0.0, microphone="any")  # cameras are another story


def household(*names: str) -> Cohort:
    return enrolled(*names, rule=PRESENCE)


def on_teams(events: list[ParticipantEvent]) -> list[ParticipantEvent]:
    """The same, told of the cohort's series on Teams: live events name no instance there."""
    return [
        replace(
            e,
            key=f"teams {e.key}",
            platform=TEAMS,
            series_ref="teams-series",
            instance_ref="report" if e.source is Source.PLATFORM_RECORD else None,
        )
        for e in events
    ]


def teams_person() -> Participant:
    return Participant(display_name="Maya Patel", email="maya@example.com")


def test_a_session_begun_on_one_platform_and_gone_on_with_on_the_other_is_one_attendance() -> None:
    zoom = [*held(0, 20), *stay(0, 20)]
    teams = on_teams([*held(25, 120), *stay(25, 120, "t1", teams_person())])
    found = week([*zoom, *teams], of=household())
    assert found.verdict is Verdict.ATTENDED
    assert found.intervals == ((at(0), at(20)), (at(25), at(120)))
    assert found.minutes_present == 115  # the pause between is held against nobody


def test_who_came_only_before_the_move_was_there_for_a_part() -> None:
    zoom = [*held(0, 20), *stay(0, 20)]
    other = who("Dev Patel", None, email="dev@example.com")
    teams = on_teams([*held(25, 120), *stay(25, 120, "t1", other)])
    found = register([*zoom, *teams], of=household("Maya Patel", "Dev Patel"))
    assert found.weeks["carer-1"].verdict is Verdict.PARTIAL
    assert (found.held_from, found.held_to) == (at(0), at(120))


def test_a_meeting_that_broke_down_without_a_word_ends_where_the_other_one_begins() -> None:
    zoom = [*held(0, None), *stay(0, None)]  # the platform went down: no leave, no end
    teams = on_teams([*held(10, 120), *stay(10, 120, "t1", teams_person())])
    found = week([*zoom, *teams], of=household())
    assert found.verdict is Verdict.ATTENDED
    assert (found.minutes_present, found.late_minutes) == (110, 0)


def test_the_record_of_one_platform_proves_nothing_about_the_part_on_the_other() -> None:
    zoom = [*held(0, 60), *stay(0, 60)]
    late = who("Dev Patel", None, email="dev@example.com")
    teams = on_teams([*held(60, 120), record(60, 120, "record:t", late)])
    found = register([*zoom, *teams], of=household("Maya Patel", "Dev Patel"), closed=True)
    assert found.weeks["carer-1"].minutes_present == 60
    assert found.weeks["carer-1"].verdict is Verdict.UNDETERMINED  # a person is asked


def test_streams_of_two_platforms_are_not_mixed_into_one() -> None:
    """While one platform's people all leave, the other's stay where they are."""
    unnamed = [replace(e, instance_ref=None) for e in [*held(0, 20), *stay(0, 20)]]
    teams = on_teams([*held(5, 120), *stay(5, 120, "t1", teams_person())])
    found = register([*unnamed, *teams], of=household())
    assert found.weeks["carer-1"].intervals == ((at(0), at(120)),)


class Desk:
    """A cohort that met on Zoom for three weeks and meets on Teams now."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.zoom, self.teams = FakeProvider(ZOOM), FakeProvider(TEAMS)
        self.clock = FakeClock(NOW)
        self.reconciliation = Reconciliation(
            database=database,
            providers={ZOOM: self.zoom, TEAMS: self.teams},
            clock=self.clock,
        )
        cohort = make_cohort(series_ref=None, platform=TEAMS, carers=(make_carer(),), rule=PRESENCE)
        with database.write() as connection:
            cohorts.insert_cohort(connection, cohort, {"carer-1": "t1"})
            series_store.insert_series(connection, cohort.id, ZOOM)
            for platform, ref in ((ZOOM, "9"), (TEAMS, "teams-series")):
                series_store.update_series(
                    connection, cohort.id, platform, series_ref=ref, organiser_ref="host"
                )
            series_store.save_invitation(
                connection, "carer-1", ZOOM, ref="r1", join_url="https://zoom.us/w/1"
            )

    def held_on(self, weeks: dict[int, str]) -> None:
        with self.database.write() as connection:
            for number, platforms in weeks.items():
                connection.execute(
                    update(tables.session)
                    .where(tables.session.c.week == number)
                    .values(platforms=platforms)
                )

    def told(self, events: list[ParticipantEvent]) -> None:
        with self.database.write() as connection:
            evidence.save_events(connection, events)

    def read(self) -> tuple[Cohort, Evidence]:
        with self.database.read() as connection:
            cohort = cohorts.read_cohort(connection, "cohort-1")
            assert cohort is not None
            return cohort, evidence.read_evidence(connection, cohort)


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def stay_of(
    platform: Platform, number: int, begin: float = 0, end: float = 120
) -> ParticipantEvent:
    """A row of a platform's record of that week."""
    begins = FIRST + timedelta(weeks=number - 1)
    return ParticipantEvent(
        key=f"{platform}-{number}-{begin}",
        platform=platform,
        kind=EventKind.STAY,
        occurred_at=begins + timedelta(minutes=begin),
        until_at=begins + timedelta(minutes=end),
        source=Source.PLATFORM_RECORD,
        series_ref="9" if platform is ZOOM else "teams-series",
        instance_ref=f"{platform} {number}",
        connection_ref="row",
        participant=Participant(invitation_ref="r1")
        if platform is ZOOM
        else Participant(email="maya@example.com"),
    )


def test_weeks_on_both_platforms_stand_in_one_register(desk: Desk) -> None:
    desk.held_on(dict.fromkeys((1, 2, 3), "zoom"))
    desk.told([stay_of(ZOOM, n) for n in (1, 2, 3)] + [stay_of(TEAMS, n) for n in range(4, 9)])
    cohort, found = desk.read()
    report = build_report(cohort, found, now=AFTER)
    assert [r.weeks["carer-1"].verdict for r in report.registers] == [Verdict.ATTENDED] * 8
    assert [cohort.held_on(r.session)[0] for r in report.registers] == [ZOOM] * 3 + [TEAMS] * 5


def test_evidence_of_a_series_that_was_removed_still_counts(desk: Desk) -> None:
    desk.held_on({1: "zoom"})
    desk.told([stay_of(ZOOM, 1, 0, 30)])
    with desk.database.write() as connection:
        series_store.retire_series(connection, "cohort-1", ZOOM, now=AFTER, removed_at=AFTER)
    cohort, found = desk.read()
    first = build_report(cohort, found, now=AFTER).registers[0]
    assert first.weeks["carer-1"].verdict is Verdict.ATTENDED


def test_the_record_of_a_week_is_fetched_where_that_week_was_held(desk: Desk) -> None:
    desk.held_on({1: "zoom"})
    desk.zoom.record = PlatformRecord(events=(stay_of(ZOOM, 1, 0, 30),), complete=True)
    desk.clock.now = FIRST + timedelta(hours=1)
    desk.reconciliation.close("cohort-1", 1, actor="Ann")
    assert (desk.zoom.calls, desk.teams.calls) == (["fetch_record"], [])
    desk.teams.record = PlatformRecord(events=(stay_of(TEAMS, 4),), complete=True)
    desk.clock.now = FIRST + timedelta(weeks=3, hours=3)
    desk.reconciliation.close("cohort-1", 4, actor="Ann")
    assert (desk.zoom.calls, desk.teams.calls) == (["fetch_record"], ["fetch_record"])


def test_both_records_of_a_moved_session_are_fetched_and_one_that_is_down_is_asked_again(
    desk: Desk,
) -> None:
    desk.held_on({4: "zoom teams"})
    desk.zoom.trouble.append(("fetch_record", ProviderError("Zoom is down.", permanent=False)))
    desk.zoom.record = PlatformRecord(events=(stay_of(ZOOM, 4, 0, 20),), complete=True)
    desk.teams.record = PlatformRecord(events=(stay_of(TEAMS, 4, 25, 120),), complete=True)
    over = FIRST + timedelta(weeks=3, hours=2)
    desk.clock.now = over + timedelta(minutes=6)
    assert desk.reconciliation.reconcile_due() == 0
    with desk.database.read() as connection:
        entry = registers.read_register(connection, "cohort-1", 4)
    assert (entry.closed_at, entry.problem) == (None, "Zoom is down.")
    for minutes in (11, 21):
        desk.clock.now = over + timedelta(minutes=minutes)
        desk.reconciliation.reconcile_due()
    cohort, found = desk.read()
    report = build_report(cohort, found, now=desk.clock.now).registers[3]
    assert report.state is RegisterState.CLOSED
    assert report.weeks["carer-1"].minutes_present == 115
