"""Cancelling a course that has begun: what was held keeps its evidence, and then all of it goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from course.model import (
    Cohort,
    CohortState,
    EventKind,
    Participant,
    ParticipantEvent,
    Platform,
    RegisterState,
    SessionRegister,
    Source,
)
from course.reports import build_report
from course.store import evidence, watches
from course.store.registers import WINDOW_AFTER
from integration.amending import Refused
from integration.leftovers import AGAIN_AFTER, Leftovers
from integration.provider import MeetingProvider, PlatformRecord, ProviderError
from integration.reconciliation import TRIES, Reconciliation
from tests.integration.conftest import ACTOR, Desk, Office, Practice

BOTH = pytest.mark.parametrize("platform", list(Platform))
JUST_AFTER = timedelta(minutes=2)


@pytest.fixture
def desk(practice: Practice) -> Iterator[Practice]:
    """The practice, whose clock is put back afterwards."""
    before = practice.platforms.clock.now
    yield practice
    practice.platforms.clock.now = before


def opened(desk: Desk, platform: Platform) -> Cohort:
    cohort = desk.open(
        platform=platform, organiser="host@practice.example", first_session_on=date(2027, 2, 27)
    )
    assert (cohort.state, cohort.problem) == (CohortState.READY, None)
    return cohort


def cancelled(desk: Desk, cohort: Cohort) -> Cohort:
    desk.scheduling.cancel_cohort(cohort.id, expected=None, actor=ACTOR)
    after = desk.finished(cohort.id)
    assert (after.state, after.problem) == (CohortState.CANCELLED, None)
    return after


def first_register(desk: Desk, cohort: Cohort) -> SessionRegister:
    now = desk.read(cohort.id)
    with desk.database.read() as connection:
        found = evidence.read_evidence(connection, now)
    return build_report(now, found, now=now.sessions[0].ends_at + timedelta(days=9)).registers[0]


def play(desk: Practice, platform: Platform, cohort: Cohort) -> None:
    """Maya comes to week 1 for the whole of it."""
    maya = next(c for c in cohort.carers if c.name == "Maya Patel")
    desk.platforms.play(
        platform,
        {
            "series_ref": cohort.series_ref,
            "starts_at": cohort.sessions[0].starts_at.isoformat(),
            "opens": 0,
            "closes": 30,
            "people": {
                "maya": {
                    "name": maya.name,
                    "email": maya.email,
                    "invitation_ref": maya.invitation_ref,
                }
            },
            "acts": [{"at": 0, "person": "maya", "deed": "join"}],
        },
    )


def chores(desk: Practice) -> tuple[Reconciliation, Leftovers]:
    """What housekeeping does."""
    clock = desk.platforms.clock
    providers: dict[Platform, MeetingProvider] = {
        Platform.ZOOM: desk.platforms.zoom(),
        Platform.TEAMS: desk.platforms.teams(),
    }
    return (
        Reconciliation(database=desk.database, providers=providers, clock=clock),
        Leftovers(
            database=desk.database,
            providers=providers,
            subscriptions=desk.subscriptions,
            clock=clock,
        ),
    )


@BOTH
def test_the_record_of_a_session_held_just_before_is_fetched_and_then_the_series_goes(
    desk: Practice, platform: Platform
) -> None:
    cohort = opened(desk, platform)
    week_1 = cohort.sessions[0]
    desk.platforms.clock.now = week_1.ends_at + JUST_AFTER
    play(desk, platform, cohort)
    cancelled(desk, cohort)
    reconciliation, leftovers = chores(desk)
    # What was held is still in the platform's books. On Teams each session that goes by itself
    # would send everybody a message: they go together.
    still = cohort.sessions if platform is Platform.TEAMS else (week_1,)
    assert desk.platforms.sessions(platform) == [(s.starts_at, s.length) for s in still]
    for after in TRIES:
        desk.platforms.clock.now = week_1.ends_at + after
        reconciliation.reconcile_due()
        leftovers.clear()
    register = first_register(desk, cohort)
    maya = next(c for c in cohort.carers if c.name == "Maya Patel")
    assert register.state is RegisterState.CLOSED
    assert register.weeks[maya.id].minutes_present == 30
    assert desk.platforms.state(platform) == []
    with desk.database.read() as connection:
        assert watches.live_watches(connection, cohort.id) == []


@BOTH
def test_a_platform_that_is_down_when_the_series_is_to_go_is_asked_again(
    desk: Practice, platform: Platform
) -> None:
    cohort = opened(desk, platform)
    desk.platforms.clock.now = cohort.sessions[0].ends_at + JUST_AFTER
    cancelled(desk, cohort)
    server = "zoom" if platform is Platform.ZOOM else "graph"
    desk.platforms.clock.now = cohort.sessions[0].ends_at + TRIES[-1]
    desk.platforms.trouble(platform=server, do="answer", status=503, times=None)
    _, leftovers = chores(desk)
    assert leftovers.clear() == 0
    desk.platforms.no_trouble()
    desk.platforms.clock.move(AGAIN_AFTER)
    assert leftovers.clear() == 1
    assert desk.platforms.state(platform) == []
    assert leftovers.clear() == 0


def test_a_session_under_way_is_let_end_before_its_series_goes(office: Office) -> None:
    cohort = opened(office, Platform.ZOOM)
    week_1 = cohort.sessions[0]
    office.clock.now = week_1.starts_at + timedelta(minutes=10)
    cancelled(office, cohort)
    (left,) = office.zoom.occurrences.values()
    assert [o.starts_at for o in left] == [week_1.starts_at]
    leftovers = clearing(office)
    office.clock.now = week_1.ends_at + timedelta(minutes=20)  # it runs on
    assert leftovers.clear() == 0
    office.clock.now = week_1.ends_at + TRIES[-1]  # no record has come of it
    assert leftovers.clear() == 1
    assert office.zoom.plans == {}
    assert office.zoom.moved_on == []  # who was invited is told that it is off


def test_a_record_that_comes_on_the_platform_left_before_is_waited_for_as_well(
    office: Office,
) -> None:
    cohort = opened(office, Platform.ZOOM)
    office.clock.now = cohort.sessions[0].ends_at + JUST_AFTER
    office.scheduling.move_platform(
        cohort.id, Platform.TEAMS, organiser=None, expected=None, actor=ACTOR
    )
    office.finished(cohort.id)
    cancelled(office, cohort)
    leftovers = clearing(office)
    leftovers.clear()
    assert (len(office.zoom.plans), len(office.teams.plans)) == (1, 0)
    reconciliation = reading(office)
    office.clock.move(timedelta(minutes=30))
    reconciliation.reconcile_due()
    assert office.zoom.calls.count("fetch_record") == 1
    office.clock.move(TRIES[-1])
    leftovers.clear()
    assert office.zoom.plans == {}


def test_a_course_that_has_not_begun_or_is_long_closed_goes_at_once(office: Office) -> None:
    early = opened(office, Platform.ZOOM)
    cancelled(office, early)
    late = opened(office, Platform.TEAMS)
    office.clock.now = late.sessions[3].ends_at + timedelta(days=3)
    cancelled(office, late)
    assert (office.zoom.plans, office.teams.plans) == ({}, {})
    asked = office.teams.calls.count("fetch_record")
    Reconciliation(
        database=office.database, providers={Platform.TEAMS: office.teams}, clock=office.clock
    ).reconcile_due()
    assert office.teams.calls.count("fetch_record") == asked  # there is nothing left to ask


def test_an_answer_that_is_lost_on_the_way_out_cancels_all_the_same(office: Office) -> None:
    cohort = opened(office, Platform.ZOOM)
    office.clock.now = cohort.sessions[0].ends_at + JUST_AFTER
    office.zoom.trouble.append(
        ("drop_occurrence", ProviderError("Zoom does not answer.", permanent=False))
    )
    cancelled(office, cohort)
    (left,) = office.zoom.occurrences.values()
    assert len(left) == 1


def test_a_series_deleted_on_the_platform_itself_keeps_nobody_from_cancelling(
    office: Office,
) -> None:
    cohort = opened(office, Platform.ZOOM)
    office.zoom.plans.clear()
    office.clock.now = cohort.sessions[0].ends_at + JUST_AFTER
    cancelled(office, cohort)
    office.clock.now = cohort.sessions[0].ends_at + TRIES[-1]
    assert clearing(office).clear() == 1


def test_what_was_held_by_its_own_times_is_not_dropped_with_the_sessions_to_come(
    office: Office,
) -> None:
    cohort = opened(office, Platform.ZOOM)
    with office.database.write() as connection:
        evidence.save_events(connection, attended(cohort))
    cancelled(office, cohort)
    week = first_register(office, cohort).weeks[cohort.carers[0].id]
    assert week.minutes_present == 30


@BOTH
def test_a_session_that_people_came_to_before_its_start_is_let_go_on(
    office: Office, platform: Platform
) -> None:
    cohort = opened(office, platform)
    week_1 = cohort.sessions[0]
    maya_is_in(office, cohort, week_1.starts_at - timedelta(minutes=8))
    office.clock.now = week_1.starts_at - timedelta(minutes=5)
    cancelled(office, cohort)
    fake = office.zoom if platform is Platform.ZOOM else office.teams
    (left,) = fake.occurrences.values()
    assert left[0].starts_at == week_1.starts_at
    leftovers = clearing(office)
    assert leftovers.clear() == 0
    office.clock.now = week_1.ends_at + JUST_AFTER  # its record is still to come
    assert leftovers.clear() == 0
    office.clock.now = week_1.ends_at + TRIES[-1]
    assert leftovers.clear() == 1
    assert fake.plans == {}


def test_moving_away_in_the_minutes_before_a_session_leaves_those_who_came_their_meeting(
    office: Office,
) -> None:
    cohort = opened(office, Platform.ZOOM)
    week_1 = cohort.sessions[0]
    maya_is_in(office, cohort, week_1.starts_at - timedelta(minutes=8))
    office.clock.now = week_1.starts_at - timedelta(minutes=5)
    office.scheduling.move_platform(
        cohort.id, Platform.TEAMS, organiser=None, expected=None, actor=ACTOR
    )
    after = office.finished(cohort.id)
    assert (after.state, after.problem) == (CohortState.READY, None)
    (made,) = office.teams.occurrences.values()
    assert {s.occurrence_ref for s in after.sessions} == {o.ref for o in made}
    leftovers = clearing(office)
    assert leftovers.clear() == 0
    assert len(office.zoom.plans) == 1
    office.clock.now = week_1.ends_at + TRIES[-1]
    assert leftovers.clear() == 1
    assert office.zoom.plans == {}


def test_a_last_session_that_people_came_to_is_not_moved_away(office: Office) -> None:
    cohort = opened(office, Platform.ZOOM)
    week_8 = cohort.sessions[-1]
    maya_is_in(office, cohort, week_8.starts_at - timedelta(minutes=8))
    office.clock.now = week_8.starts_at - timedelta(minutes=5)
    with pytest.raises(Refused, match="No session is still to come"):
        office.scheduling.move_platform(
            cohort.id, Platform.TEAMS, organiser=None, expected=None, actor=ACTOR
        )


@pytest.mark.parametrize("moves", [True, False])
def test_a_register_that_was_closed_early_does_not_cost_the_record_that_is_still_to_come(
    office: Office, *, moves: bool
) -> None:
    cohort = opened(office, Platform.TEAMS)
    week_1, maya = cohort.sessions[0], cohort.carers[0]
    reconciliation, leftovers = reading(office), clearing(office)
    office.clock.now = week_1.ends_at + timedelta(minutes=31)
    office.teams.record = PlatformRecord(events=(), complete=False)
    reconciliation.close(cohort.id, 1, actor=ACTOR)
    if moves:
        office.scheduling.move_platform(
            cohort.id, Platform.ZOOM, organiser=None, expected=None, actor=ACTOR
        )
        office.finished(cohort.id)
    else:
        cancelled(office, cohort)
    office.clock.now = week_1.ends_at + WINDOW_AFTER
    assert leftovers.clear() == 0
    row = replace(
        attended(cohort)[0],
        key="row",
        kind=EventKind.STAY,
        until_at=week_1.ends_at,
        source=Source.PLATFORM_RECORD,
    )
    office.teams.record = PlatformRecord(events=(row,), complete=True)
    for after in TRIES[5:8]:
        office.clock.now = week_1.ends_at + after
        reconciliation.reconcile_due()
        leftovers.clear()
    register = first_register(office, cohort)
    assert register.weeks[maya.id].minutes_present == 30
    assert office.teams.plans == {}  # two readings agreed: nothing is left to ask for


def test_a_record_that_never_comes_keeps_the_series_of_a_register_closed_early_for_two_days(
    office: Office,
) -> None:
    cohort = opened(office, Platform.TEAMS)
    week_1 = cohort.sessions[0]
    reconciliation, leftovers = reading(office), clearing(office)
    office.clock.now = week_1.ends_at + timedelta(minutes=31)
    office.teams.record = PlatformRecord(events=(), complete=False)
    reconciliation.close(cohort.id, 1, actor=ACTOR)
    cancelled(office, cohort)
    office.clock.now = week_1.ends_at + TRIES[-2]
    reconciliation.reconcile_due()
    assert leftovers.clear() == 0
    office.clock.now = week_1.ends_at + TRIES[-1]
    reconciliation.reconcile_due()
    assert leftovers.clear() == 1


def reading(office: Office) -> Reconciliation:
    return Reconciliation(
        database=office.database,
        providers={Platform.ZOOM: office.zoom, Platform.TEAMS: office.teams},
        clock=office.clock,
    )


def maya_is_in(office: Office, cohort: Cohort, since: datetime) -> None:
    joined, _ = attended(cohort)
    with office.database.write() as connection:
        evidence.save_events(connection, [replace(joined, occurred_at=since)])


def attended(cohort: Cohort) -> list[ParticipantEvent]:
    """The first carer was in week 1 from its start to its end."""
    week_1, carer = cohort.sessions[0], cohort.carers[0]
    return [
        ParticipantEvent(
            key=kind,
            platform=cohort.platform,
            kind=kind,
            occurred_at=at,
            source=Source.WEBHOOK,
            series_ref=cohort.series_ref,
            instance_ref="one",
            connection_ref="c1",
            participant=Participant(
                invitation_ref=carer.invitation_ref, display_name=carer.name, email=carer.email
            ),
        )
        for kind, at in (
            (EventKind.JOINED, week_1.starts_at),
            (EventKind.LEFT, week_1.ends_at),
        )
    ]


def clearing(office: Office) -> Leftovers:
    return Leftovers(
        database=office.database,
        providers={Platform.ZOOM: office.zoom, Platform.TEAMS: office.teams},
        subscriptions=office.subscriptions,
        clock=office.clock,
    )
