"""Changing a cohort that stands, on both stand-ins: the platform holds what staff asked for."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import requests

from course.model import (
    Cohort,
    CohortState,
    EventKind,
    Participant,
    ParticipantEvent,
    Platform,
    Source,
)
from course.reports import build_report
from course.store import cohorts, evidence
from integration.scheduling import NewCarer, NewHousehold, Refused
from tests.integration.conftest import ACTOR, Practice

BOTH = pytest.mark.parametrize("platform", list(Platform))
LONDON = ZoneInfo("Europe/London")


def opened(practice: Practice, platform: Platform, **changes: object) -> Cohort:
    settings = {"organiser": "host@practice.example", "first_session_on": date(2027, 2, 27)}
    cohort = practice.open(platform=platform, **(settings | changes))
    assert (cohort.state, cohort.problem) == (CohortState.READY, None)
    return cohort


def planned(cohort: Cohort) -> list[tuple[datetime, timedelta]]:
    return [(s.starts_at, s.length) for s in cohort.sessions]


@BOTH
def test_a_moved_session_moves_on_the_platform_and_no_other_does(
    practice: Practice, platform: Platform
) -> None:
    cohort = opened(practice, platform)
    to = datetime(2027, 3, 12, 18, 30, tzinfo=LONDON)
    practice.scheduling.move_session(
        cohort.id, 3, starts_at=to, minutes=90, expected=cohort.version, actor=ACTOR
    )
    after = practice.settled(cohort.id)
    assert (after.state, after.problem) == (CohortState.READY, None)
    assert planned(after)[2] == (to, timedelta(minutes=90))
    assert [s for s in planned(after) if s[0] != to] == [
        s for s in planned(cohort) if s != planned(cohort)[2]
    ]
    assert practice.platforms.sessions(platform) == planned(after)
    assert [s.sequence for s in after.sessions] == [0, 0, 1, 0, 0, 0, 0, 0]


@BOTH
def test_a_skipped_saturday_moves_the_later_weeks_on_and_adds_one_at_the_end(
    practice: Practice, platform: Platform
) -> None:
    cohort = opened(practice, platform)
    practice.scheduling.skip_session(cohort.id, 3, expected=cohort.version, actor=ACTOR)
    after = practice.settled(cohort.id)
    assert (after.state, after.problem) == (CohortState.READY, None)
    days = [s.starts_at.astimezone(LONDON).date() for s in after.sessions]
    assert date(2027, 3, 13) not in days
    assert days[-1] == date(2027, 4, 24)
    assert {s.starts_at.astimezone(LONDON).hour for s in after.sessions} == {10}
    assert practice.platforms.sessions(platform) == planned(after)


@BOTH
def test_skipping_week_one_makes_the_first_held_session_the_short_one(
    practice: Practice, platform: Platform
) -> None:
    cohort = opened(practice, platform)
    practice.scheduling.skip_session(cohort.id, 1, expected=None, actor=ACTOR)
    practice.scheduling.skip_session(cohort.id, 1, expected=None, actor=ACTOR)  # the same click
    after = practice.settled(cohort.id)
    lengths = [s.length for s in after.sessions]
    assert lengths == [timedelta(minutes=30)] + [timedelta(minutes=120)] * 7
    assert after.sessions[0].starts_at.astimezone(LONDON).date() == date(2027, 3, 6)
    assert practice.platforms.sessions(platform) == planned(after)


@BOTH
def test_a_skip_after_a_move_keeps_both(practice: Practice, platform: Platform) -> None:
    cohort = opened(practice, platform)
    friday = datetime(2027, 4, 16, 10, 0, tzinfo=LONDON)
    practice.scheduling.move_session(
        cohort.id, 8, starts_at=friday, minutes=None, expected=None, actor=ACTOR
    )
    practice.settled(cohort.id)
    practice.scheduling.skip_session(cohort.id, 2, expected=None, actor=ACTOR)
    after = practice.settled(cohort.id)
    assert (after.state, after.problem) == (CohortState.READY, None)
    assert after.sessions[6].starts_at == friday
    assert practice.platforms.sessions(platform) == planned(after)


@BOTH
def test_households_come_and_go(practice: Practice, platform: Platform) -> None:
    cohort = opened(practice, platform)
    new = NewHousehold(reference="H9", carers=(NewCarer(name="Ann Oak", email="ann@example.com"),))
    for _ in range(2):  # the same call again changes nothing
        practice.scheduling.enrol(cohort.id, new, expected=None, actor=ACTOR)
    maya = next(c for c in cohort.carers if c.name == "Maya Patel")
    practice.scheduling.withdraw(cohort.id, maya.id, expected=None, actor=ACTOR)
    after = practice.finished(cohort.id)
    assert (after.state, after.problem) == (CohortState.READY, None)
    assert after.version == cohort.version + 2
    assert practice.platforms.people(platform) == [
        "ann@example.com",
        "dev@example.com",
        "zoe@example.com",
    ]
    with practice.database.read() as connection:
        links = {
            e.carer.name: e.platform_join_url
            for e in cohorts.read_enrolments(connection, cohort.id)
        }
    assert links["Ann Oak"]
    assert links["Maya Patel"] is None


def test_an_address_shared_by_two_carers_stays_while_one_of_them_does(practice: Practice) -> None:
    couple = NewHousehold(
        reference="H1",
        carers=(
            NewCarer(name="Maya Patel", email="family@example.com"),
            NewCarer(name="Dev Patel", email="family@example.com"),
        ),
    )
    cohort = opened(practice, Platform.ZOOM, households=(couple,))
    practice.scheduling.withdraw(cohort.id, cohort.carers[0].id, expected=None, actor=ACTOR)
    practice.settled(cohort.id)
    assert practice.platforms.people(Platform.ZOOM) == ["family@example.com"]
    practice.scheduling.withdraw(cohort.id, cohort.carers[1].id, expected=None, actor=ACTOR)
    practice.settled(cohort.id)
    assert practice.platforms.people(Platform.ZOOM) == []


def test_a_transferred_household_leaves_one_cohort_and_joins_the_other(practice: Practice) -> None:
    here = opened(practice, Platform.ZOOM)
    there = opened(practice, Platform.TEAMS, households=())
    for _ in range(2):
        practice.scheduling.transfer(here.id, "H1", there.id, expected=None, actor=ACTOR)
    left, joined = practice.settled(here.id), practice.settled(there.id)
    assert [c.name for c in left.carers if c.withdrawn_at is None] == ["Zoë Ash"]
    assert [c.name for c in joined.carers] == ["Maya Patel", "Dev Patel"]
    before = {c.id: c.name for c in left.carers}
    assert [before[c.transferred_from or ""] for c in joined.carers] == ["Maya Patel", "Dev Patel"]
    assert practice.platforms.people(Platform.ZOOM) == ["zoe@example.com"]
    assert practice.platforms.people(Platform.TEAMS) == ["dev@example.com", "maya@example.com"]


def test_who_has_read_an_older_version_changes_nothing(practice: Practice) -> None:
    cohort = opened(practice, Platform.ZOOM)
    practice.scheduling.skip_session(cohort.id, 8, expected=cohort.version, actor=ACTOR)
    with pytest.raises(Refused) as refused:
        practice.scheduling.skip_session(cohort.id, 2, expected=cohort.version, actor="admin Bea")
    assert refused.value.kind == "stale"


@pytest.mark.parametrize(
    ("week", "change", "says"),
    [
        (3, {"starts_at": datetime(2027, 3, 20, 10, 0, tzinfo=LONDON)}, "week 4 is on"),
        (3, {"starts_at": datetime(2026, 1, 2, 10, 0, tzinfo=LONDON)}, "lies in the past"),
        (3, {"minutes": 200}, "90 to 120"),
        (9, {"minutes": 100}, "There is no week 9"),
    ],
)
def test_what_no_platform_could_keep_never_reaches_one(
    practice: Practice, week: int, change: dict[str, object], says: str
) -> None:
    cohort = opened(practice, Platform.ZOOM)
    practice.platforms.no_trouble()
    asked: dict[str, object] = {"starts_at": None, "minutes": None} | change
    with pytest.raises(Refused, match=says):
        practice.scheduling.move_session(
            cohort.id,
            week,
            expected=None,
            actor=ACTOR,
            **asked,  # type: ignore[arg-type]
        )
    assert practice.platforms.calls() == []


@BOTH
def test_cancelling_leaves_nothing_on_the_platform(practice: Practice, platform: Platform) -> None:
    cohort = opened(practice, platform)
    for _ in range(2):
        practice.scheduling.cancel_cohort(cohort.id, expected=None, actor=ACTOR)
    assert practice.settled(cohort.id).state is CohortState.CANCELLED
    assert practice.platforms.state(platform) == []


@BOTH
def test_a_removal_that_is_refused_is_kept_until_it_is_done(
    practice: Practice, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integration.scheduling.REMOVE_AGAIN", 0.5)
    cohort = opened(practice, platform)
    for method in ("DELETE", "POST"):
        practice.platforms.trouble(
            platform="zoom" if platform is Platform.ZOOM else "graph",
            do="answer",
            status=403,
            body={"code": 200, "message": "No permission."},
            method=method,
            path=r"/meetings/\d+$|/cancel$",
            times=None,
        )
    practice.scheduling.cancel_cohort(cohort.id, expected=None, actor=ACTOR)
    trouble = practice.settled(cohort.id)
    assert trouble.state is CohortState.NEEDS_ATTENTION
    assert "Still trying" in (trouble.problem or "")
    practice.platforms.no_trouble()
    assert practice.finished(cohort.id).state is CohortState.CANCELLED
    assert practice.platforms.state(platform) == []


@BOTH
def test_a_session_changed_on_the_platform_is_shown_and_put_back_by_one_call(
    practice: Practice, platform: Platform
) -> None:
    cohort = opened(practice, platform)
    right = practice.platforms.sessions(platform)
    _an_hour_later(practice, platform, week=2)
    practice.scheduling.check_cohort(cohort.id, platform, cause="test")
    drifted = practice.until(cohort.id, CohortState.NEEDS_ATTENTION)
    assert "week 2 stands there as 06 March 2027 11:00" in (drifted.problem or "")
    assert practice.platforms.sessions(platform) != right  # nobody has put it back yet
    practice.scheduling.repair(cohort.id, expected=None, actor=ACTOR)
    after = practice.settled(cohort.id)
    assert (after.state, after.problem, after.drifted_at) == (CohortState.READY, None, None)
    assert practice.platforms.sessions(platform) == right


@BOTH
def test_a_change_of_which_no_news_came_is_found_on_the_day_before_a_session(
    practice: Practice, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = opened(practice, platform)
    _an_hour_later(practice, platform, week=2)
    day_before = cohort.sessions[1].starts_at - timedelta(hours=23)
    monkeypatch.setattr(practice.platforms.clock, "now", day_before)
    practice.scheduling.check_due()
    drifted = practice.until(cohort.id, CohortState.NEEDS_ATTENTION)
    assert "week 2 stands there as 06 March 2027 11:00" in (drifted.problem or "")


@BOTH
def test_a_series_deleted_on_the_platform_is_made_again_only_when_a_person_says_so(
    practice: Practice, platform: Platform
) -> None:
    cohort = opened(practice, platform)
    token, base = _token(practice, platform)
    path = (
        f"zoom/v2/meetings/{cohort.series_ref}"
        if platform is Platform.ZOOM
        else f"graph/v1.0/users/host@practice.example/events/{cohort.series_ref}"
    )
    assert requests.delete(f"{base}/{path}", headers=token, timeout=10).ok
    practice.scheduling.check_cohort(cohort.id, platform, cause="test")
    drifted = practice.until(cohort.id, CohortState.NEEDS_ATTENTION)
    assert "was deleted on the platform" in (drifted.problem or "")
    assert practice.platforms.state(platform) == []
    practice.scheduling.repair(cohort.id, expected=None, actor=ACTOR)
    after = practice.settled(cohort.id)
    assert (after.state, after.problem) == (CohortState.READY, None)
    assert after.series_ref != cohort.series_ref
    assert practice.platforms.sessions(platform) == planned(after)
    assert len(practice.platforms.people(platform)) == 3


def test_what_was_put_right_on_the_platform_is_ready_again_without_us(practice: Practice) -> None:
    cohort = opened(practice, Platform.ZOOM)
    _an_hour_later(practice, Platform.ZOOM, week=2)
    practice.scheduling.check_cohort(cohort.id, Platform.ZOOM, cause="first")
    practice.until(cohort.id, CohortState.NEEDS_ATTENTION)
    _an_hour_later(practice, Platform.ZOOM, week=2, hour=10)
    practice.scheduling.check_cohort(cohort.id, Platform.ZOOM, cause="second")
    assert practice.until(cohort.id, CohortState.READY).problem is None


def test_news_of_our_own_changes_starts_no_comparison(practice: Practice) -> None:
    cohort = opened(practice, Platform.ZOOM)
    settled_at = practice.read(cohort.id).settled_at
    assert settled_at is not None
    practice.platforms.no_trouble()
    ref = cohort.series_ref or ""
    practice.scheduling.series_changed(Platform.ZOOM, ref, at=settled_at, cause="ours")
    practice.scheduling.series_changed(Platform.ZOOM, "unknown", at=settled_at, cause="other")
    assert practice.platforms.calls() == []


def _token(practice: Practice, platform: Platform) -> tuple[dict[str, str], str]:
    """As somebody who edits in the platform's own application."""
    config = practice.platforms.config
    if platform is Platform.ZOOM:
        told = requests.post(
            f"{config.base_url}/zoom/oauth/token",
            auth=(config.zoom_client_id, config.zoom_client_secret),
            data={"grant_type": "account_credentials", "account_id": config.zoom_account_id},
            timeout=10,
        )
    else:
        told = requests.post(
            f"{config.base_url}/login/{config.teams_tenant_id}/oauth2/v2.0/token",
            data={
                "grant_type": "client_credentials",
                "client_id": config.teams_client_id,
                "client_secret": config.teams_client_secret,
                "scope": "https://graph.microsoft.com/.default",
            },
            timeout=10,
        )
    return {"Authorization": f"Bearer {told.json()['access_token']}"}, config.base_url


def _an_hour_later(practice: Practice, platform: Platform, *, week: int, hour: int = 11) -> None:
    token, base = _token(practice, platform)
    (series,) = practice.platforms.state(platform)
    day = date(2027, 2, 27) + timedelta(weeks=week - 1)
    if platform is Platform.ZOOM:
        ref = series["occurrences"][week - 1]["occurrence_id"]
        answer = requests.patch(
            f"{base}/zoom/v2/meetings/{series['id']}",
            params={"occurrence_id": ref},
            json={"start_time": f"{day}T{hour}:00:00", "timezone": "Europe/London"},
            headers=token,
            timeout=10,
        )
    else:
        ref = series["instances"][week - 1]["id"]
        point = {"timeZone": "GMT Standard Time"}
        answer = requests.patch(
            f"{base}/graph/v1.0/users/host@practice.example/events/{ref}",
            json={
                "start": {"dateTime": f"{day}T{hour}:00:00", **point},
                "end": {"dateTime": f"{day}T{hour + 2}:00:00", **point},
            },
            headers=token,
            timeout=10,
        )
    assert answer.ok, answer.text


def test_who_leaves_or_gets_a_new_link_keeps_what_they_attended(practice: Practice) -> None:
    cohort = opened(practice, Platform.ZOOM)
    maya = next(c for c in cohort.carers if c.name == "Maya Patel")
    dev = next(c for c in cohort.carers if c.name == "Dev Patel")
    refs = {c.id: c.invitation_ref for c in (maya, dev)}
    begins = cohort.sessions[0].starts_at
    with practice.database.write() as connection:
        evidence.save_events(
            connection,
            [
                ParticipantEvent(
                    key=f"stay {carer_id}",
                    platform=Platform.ZOOM,
                    kind=EventKind.STAY,
                    occurred_at=begins,
                    until_at=begins + timedelta(minutes=30),
                    source=Source.PLATFORM_RECORD,
                    series_ref=cohort.series_ref,
                    instance_ref="one",
                    connection_ref=carer_id,
                    participant=Participant(invitation_ref=ref, display_name="iPad"),
                )
                for carer_id, ref in refs.items()
            ],
        )

    def minutes() -> dict[str, float]:
        now = practice.read(cohort.id)
        with practice.database.read() as connection:
            found = evidence.read_evidence(connection, now)
        weeks = build_report(now, found, now=begins + timedelta(hours=4)).registers[0].weeks
        return {carer_id: weeks[carer_id].minutes_present for carer_id in refs}

    assert minutes() == {maya.id: 30, dev.id: 30}
    practice.scheduling.withdraw(cohort.id, maya.id, expected=None, actor=ACTOR)
    practice.settled(cohort.id)
    token, base = _token(practice, Platform.ZOOM)
    path = f"{base}/zoom/v2/meetings/{cohort.series_ref}"
    assert requests.delete(path, headers=token, timeout=10).ok
    practice.scheduling.repair(cohort.id, expected=None, actor=ACTOR)
    after = practice.finished(cohort.id)
    assert (after.state, after.problem) == (CohortState.READY, None)
    assert next(c for c in after.carers if c.id == dev.id).invitation_ref != refs[dev.id]
    assert minutes() == {maya.id: 30, dev.id: 30}
