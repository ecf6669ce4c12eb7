"""Moving a cohort to the other platform mid-course, on both stand-ins and with either one down."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from course.model import Cohort, CohortState, Platform
from course.store import cohorts, watches
from course.store import series as series_store
from integration.leftovers import AGAIN_AFTER, Leftovers
from integration.scheduling import NewCarer, NewHousehold, Refused
from tests.integration.conftest import ACTOR, Office, Practice

BOTH = pytest.mark.parametrize("platform", list(Platform))
LONDON = ZoneInfo("Europe/London")
HOST = "host@practice.example"
SERVER = {Platform.ZOOM: "zoom", Platform.TEAMS: "graph"}
AFTER_WEEK_3 = datetime(2027, 3, 18, 9, 0, tzinfo=LONDON)


def other(platform: Platform) -> Platform:
    return next(p for p in Platform if p is not platform)


@pytest.fixture
def desk(practice: Practice) -> Iterator[Practice]:
    """The practice, whose clock is put back afterwards."""
    before = practice.platforms.clock.now
    yield practice
    practice.platforms.clock.now = before


def opened(desk: Practice, platform: Platform) -> Cohort:
    cohort = desk.open(platform=platform, organiser=HOST, first_session_on=date(2027, 2, 27))
    assert (cohort.state, cohort.problem) == (CohortState.READY, None)
    return cohort


def move(desk: Practice, cohort_id: str, platform: Platform) -> Cohort:
    desk.scheduling.move_platform(cohort_id, platform, organiser=HOST, expected=None, actor=ACTOR)
    return desk.settled(cohort_id)


def leftovers(desk: Practice) -> Leftovers:
    """What housekeeping does."""
    return Leftovers(
        database=desk.database,
        providers={
            Platform.ZOOM: desk.platforms.zoom(),
            Platform.TEAMS: desk.platforms.teams(),
        },
        subscriptions=desk.subscriptions,
        clock=desk.platforms.clock,
    )


def until_gone(desk: Practice, platform: Platform) -> None:
    """The try that the move itself makes comes just after the cohort is ready."""
    leftovers(desk).clear()
    assert desk.platforms.state(platform) == []


def links(desk: Practice, cohort_id: str) -> dict[str, tuple[str, str | None]]:
    with desk.database.read() as connection:
        found = cohorts.read_enrolments(connection, cohort_id)
    return {e.carer.name: (e.join_token, e.platform_join_url) for e in found}


@BOTH
def test_the_remaining_sessions_move_and_the_carers_own_pages_stay(
    desk: Practice, platform: Platform
) -> None:
    cohort = opened(desk, platform)
    before = links(desk, cohort.id)
    desk.platforms.clock.now = AFTER_WEEK_3
    after = move(desk, cohort.id, other(platform))
    assert (after.state, after.problem) == (CohortState.READY, None)
    assert after.platform is other(platform)
    there = desk.platforms.sessions(other(platform))
    assert there == [(s.starts_at, s.length) for s in after.sessions[3:]]
    assert len(desk.platforms.people(other(platform))) == 3
    assert [after.held_on(s) for s in after.sessions] == [(platform,)] * 3 + [
        (other(platform),)
    ] * 5
    now = links(desk, cohort.id)
    assert {name: token for name, (token, _) in now.items()} == {
        name: token for name, (token, _) in before.items()
    }
    assert all(now[name][1] not in (None, before[name][1]) for name in now)
    assert [(s.starts_at, s.sequence) for s in after.sessions] == [
        (s.starts_at, s.sequence) for s in cohort.sessions
    ]
    until_gone(desk, platform)
    with desk.database.read() as connection:
        live = watches.live_watches(connection, cohort.id)
    assert [w.platform for w in live] == ([Platform.TEAMS] if platform is Platform.ZOOM else [])


@BOTH
def test_a_platform_that_is_down_keeps_nobody_from_moving_and_is_cleared_later(
    desk: Practice, platform: Platform
) -> None:
    cohort = opened(desk, platform)
    desk.platforms.clock.now = AFTER_WEEK_3
    desk.platforms.trouble(platform=SERVER[platform], do="answer", status=503, times=None)
    after = move(desk, cohort.id, other(platform))
    assert (after.state, after.problem) == (CohortState.READY, None)
    desk.finished(cohort.id)
    chore = leftovers(desk)
    chore.clear()
    with desk.database.read() as connection:
        (left,) = series_store.left_over(connection)
    assert left.series.series_ref == cohort.series_ref
    assert left.problem
    assert len(desk.platforms.state(platform)) == 1
    desk.platforms.no_trouble()
    assert chore.clear() == 0  # not every minute
    desk.platforms.clock.move(AGAIN_AFTER)
    assert chore.clear() == 1
    assert desk.platforms.state(platform) == []
    with desk.database.read() as connection:
        assert series_store.left_over(connection) == []
    assert len(desk.platforms.state(other(platform))) == 1


@BOTH
@pytest.mark.parametrize("is_cleared", [True, False])
def test_a_cohort_that_moves_back_has_one_series_there_again(
    desk: Practice, platform: Platform, *, is_cleared: bool
) -> None:
    cohort = opened(desk, platform)
    desk.platforms.clock.now = AFTER_WEEK_3
    if not is_cleared:
        desk.platforms.trouble(platform=SERVER[platform], do="answer", status=503, times=None)
    move(desk, cohort.id, other(platform))
    if is_cleared:
        until_gone(desk, platform)
    desk.platforms.no_trouble()
    desk.platforms.clock.move(AGAIN_AFTER)
    back = move(desk, cohort.id, platform)
    assert (back.state, back.problem) == (CohortState.READY, None)
    until_gone(desk, other(platform))
    there = [s for s in desk.platforms.sessions(platform) if s[0] > AFTER_WEEK_3]
    assert there == [(s.starts_at, s.length) for s in back.sessions[3:]]
    assert len(desk.platforms.people(platform)) == 3


def test_a_session_under_way_belongs_to_both_and_its_old_meeting_is_let_end(
    desk: Practice,
) -> None:
    cohort = opened(desk, Platform.ZOOM)
    week = cohort.sessions[3]
    desk.platforms.clock.now = week.starts_at + timedelta(minutes=20)
    after = move(desk, cohort.id, Platform.TEAMS)
    assert after.state is CohortState.READY
    assert after.sessions[3].platforms == (Platform.ZOOM, Platform.TEAMS)
    assert leftovers(desk).clear() == 0
    assert len(desk.platforms.state(Platform.ZOOM)) == 1
    desk.platforms.clock.now = week.ends_at + timedelta(days=3)
    assert leftovers(desk).clear() == 1
    assert desk.platforms.state(Platform.ZOOM) == []


def test_who_enrols_after_a_move_is_invited_where_the_cohort_meets_now(desk: Practice) -> None:
    cohort = opened(desk, Platform.ZOOM)
    move(desk, cohort.id, Platform.TEAMS)
    new = NewHousehold(reference="H9", carers=(NewCarer(name="Ann Oak", email="ann@example.com"),))
    desk.scheduling.enrol(cohort.id, new, expected=None, actor=ACTOR)
    after = desk.finished(cohort.id)
    assert (after.state, after.problem) == (CohortState.READY, None)
    assert "ann@example.com" in desk.platforms.people(Platform.TEAMS)


def test_a_cancelled_cohort_leaves_nothing_on_either_platform(desk: Practice) -> None:
    cohort = opened(desk, Platform.ZOOM)
    desk.platforms.clock.now = cohort.sessions[3].starts_at + timedelta(minutes=20)
    move(desk, cohort.id, Platform.TEAMS)
    desk.scheduling.cancel_cohort(cohort.id, expected=None, actor=ACTOR)
    assert desk.settled(cohort.id).state is CohortState.CANCELLED
    # The session that had begun is let end, and its record fetched, before anything goes.
    desk.platforms.clock.now = cohort.sessions[3].ends_at + timedelta(days=3)
    leftovers(desk).clear()
    assert [desk.platforms.state(p) for p in Platform] == [[], []]


def test_a_cohort_that_never_came_to_stand_is_opened_on_the_other_platform(
    desk: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integration.durable.PATIENCE", 0.1)
    desk.platforms.trouble(platform="zoom", do="answer", status=503, times=None)
    cohort = desk.open(platform=Platform.ZOOM, organiser=HOST, first_session_on=date(2027, 2, 27))
    assert cohort.state is CohortState.NEEDS_ATTENTION
    after = move(desk, cohort.id, Platform.TEAMS)
    assert (after.state, after.problem) == (CohortState.READY, None)
    assert len(desk.platforms.sessions(Platform.TEAMS)) == 8
    desk.platforms.no_trouble()
    desk.platforms.clock.move(AGAIN_AFTER)
    until_gone(desk, Platform.ZOOM)


def test_a_create_whose_answer_was_lost_leaves_no_orphan_when_the_cohort_moves(
    desk: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integration.durable.PATIENCE", 0.1)
    desk.platforms.trouble(
        platform="zoom", do="lose_reply", method="POST", path=r"/meetings$", times=1
    )
    desk.platforms.trouble(
        platform="zoom", do="answer", status=503, method="GET", path="/meetings", times=None
    )
    cohort = desk.open(platform=Platform.ZOOM, organiser=HOST, first_session_on=date(2027, 2, 27))
    assert cohort.series_ref is None
    assert len(desk.platforms.state(Platform.ZOOM)) == 1
    after = move(desk, cohort.id, Platform.TEAMS)
    assert after.state is CohortState.READY
    desk.platforms.no_trouble()
    desk.platforms.clock.move(AGAIN_AFTER)
    until_gone(desk, Platform.ZOOM)


def test_a_move_that_is_refused_keeps_the_old_series_and_can_be_taken_back(
    desk: Practice,
) -> None:
    cohort = opened(desk, Platform.ZOOM)
    desk.platforms.trouble(
        platform="graph", do="answer", status=403, method="POST", path="/events$", times=None
    )
    after = move(desk, cohort.id, Platform.TEAMS)
    assert after.state is CohortState.NEEDS_ATTENTION
    leftovers(desk).clear()
    assert len(desk.platforms.state(Platform.ZOOM)) == 1
    desk.platforms.no_trouble()
    back = move(desk, cohort.id, Platform.ZOOM)
    assert (back.state, back.problem) == (CohortState.READY, None)
    assert back.series_ref == cohort.series_ref
    assert desk.platforms.sessions(Platform.ZOOM) == [
        (s.starts_at, s.length) for s in cohort.sessions
    ]


def test_moving_to_where_it_meets_changes_nothing(office: Office) -> None:
    cohort = office.open()
    office.scheduling.move_platform(
        cohort.id, Platform.ZOOM, organiser="x@example.org", expected=None, actor=ACTOR
    )
    assert office.read(cohort.id) == cohort


def test_a_move_is_refused_with_an_older_version_and_when_no_session_is_to_come(
    office: Office,
) -> None:
    cohort = office.open()

    def refusal(expected: int | None) -> str:
        with pytest.raises(Refused) as refused:
            office.scheduling.move_platform(
                cohort.id, Platform.TEAMS, organiser=None, expected=expected, actor=ACTOR
            )
        return refused.value.kind

    assert refusal(cohort.version + 1) == "stale"
    office.clock.now = cohort.sessions[-1].starts_at
    assert refusal(cohort.version) == "settled"
    assert office.read(cohort.id) == cohort


def test_who_hosted_there_before_hosts_there_again(office: Office) -> None:
    cohort = office.open(organiser="lee@practice.example")
    for platform in (Platform.TEAMS, Platform.ZOOM):
        office.scheduling.move_platform(
            cohort.id, platform, organiser=None, expected=None, actor=ACTOR
        )
        office.finished(cohort.id)
    after = office.read(cohort.id)
    assert after.organiser == "lee@practice.example"
    assert after.former_organisers == ("host@example.org",)
