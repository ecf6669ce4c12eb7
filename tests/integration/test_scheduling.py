"""Opening and cancelling a cohort through the real workflow engine, against a fake platform."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import date, timedelta

import pytest

from course.model import Cohort, CohortState, Platform
from course.store import cohorts, watches
from integration.provider import Occurrence, ProviderError
from integration.scheduling import NewCarer, NewHousehold, Refused
from tests.factories import make_cohort, make_new_cohort
from tests.integration.conftest import Office

LOST = ProviderError("No answer came.", permanent=False, outcome_unknown=True)


def opened(office: Office, cohort_id: str) -> Cohort:
    return office.settled(cohort_id)


def open_one(office: Office, **changes: object) -> Cohort:
    return office.open(**changes)


def test_one_call_makes_one_series_with_eight_exact_sessions_and_a_link_for_each_carer(
    office: Office,
) -> None:
    cohort = open_one(office)
    assert (cohort.state, cohort.problem) == (CohortState.READY, None)
    assert list(office.zoom.plans) == [cohort.series_ref]
    held = office.zoom.occurrences[cohort.series_ref or ""]
    assert [(o.starts_at, o.length) for o in held] == [
        (s.starts_at, s.length) for s in cohort.sessions
    ]
    assert {s.occurrence_ref for s in cohort.sessions} == {o.ref for o in held}
    assert all(carer.invitation_ref for carer in cohort.carers)


def test_opening_makes_no_call_that_is_not_needed(office: Office) -> None:
    open_one(office)
    assert office.zoom.calls == [
        "create_series",
        "adjust_occurrence",
        *["invite"] * 3,
    ]


def test_a_platform_that_invites_with_the_series_and_needs_a_subscription(office: Office) -> None:
    cohort = open_one(office, platform=Platform.TEAMS)
    assert cohort.state is CohortState.READY
    assert "invite" not in office.teams.calls
    assert len(office.teams.subscriptions) == 1
    with office.database.read() as connection:
        links = [e.platform_join_url for e in cohorts.read_enrolments(connection, cohort.id)]
        (watch,) = watches.live_watches(connection, cohort.id)
    assert set(links) == {f"https://zoom.us/j/{cohort.series_ref}"}
    assert watch.watch_ref in office.teams.subscriptions


def test_a_reply_that_got_lost_does_not_make_a_second_series(office: Office) -> None:
    office.zoom.after.append(("create_series", LOST))
    cohort = open_one(office)
    assert cohort.state is CohortState.READY
    assert len(office.zoom.plans) == 1
    assert office.zoom.calls[:2] == ["create_series", "find_series"]


def test_a_refused_create_leaves_nothing_and_says_why(office: Office) -> None:
    refusal = ProviderError("The organiser has no licence.", permanent=True)
    office.zoom.trouble.append(("create_series", refusal))
    cohort = open_one(office)
    assert (cohort.state, cohort.problem) == (CohortState.FAILED, "The organiser has no licence.")
    assert office.zoom.plans == {}


def test_passing_trouble_at_every_step_ends_in_a_ready_cohort(office: Office) -> None:
    passing = ProviderError("Busy.", permanent=False, retry_after=timedelta(seconds=0.05))
    for call in ("create_series", "adjust_occurrence", "invite"):
        office.zoom.trouble.append((call, passing))
    cohort = open_one(office)
    assert cohort.state is CohortState.READY
    assert len(office.zoom.plans) == 1
    assert len(office.zoom.invited[cohort.series_ref or ""]) == 3


def test_one_carer_who_cannot_be_invited_does_not_keep_the_others_out(office: Office) -> None:
    bad = ProviderError("Zoom does not accept what we sent (email).", permanent=True)
    office.zoom.trouble.append(("invite", bad))
    cohort = open_one(office)
    assert cohort.state is CohortState.NEEDS_ATTENTION
    assert "1 carers could not be invited" in (cohort.problem or "")
    with office.database.read() as connection:
        enrolments = cohorts.read_enrolments(connection, cohort.id)
    assert sorted(e.platform_join_url is not None for e in enrolments) == [False, True, True]


def test_a_platform_that_gets_the_hour_wrong_is_repaired_week_by_week(office: Office) -> None:
    wrong: set[str] = set()

    def an_hour_late_at_first(occurrence: Occurrence) -> Occurrence:
        if occurrence.ref in wrong:
            return occurrence
        wrong.add(occurrence.ref)
        return replace(occurrence, starts_at=occurrence.starts_at + timedelta(hours=1))

    office.zoom.shift = an_hour_late_at_first
    cohort = open_one(office)
    assert cohort.state is CohortState.READY
    assert office.zoom.calls.count("adjust_occurrence") == 8


def test_a_platform_that_keeps_the_wrong_hour_is_named_and_never_called_ready(
    office: Office,
) -> None:
    office.zoom.shift = lambda o: replace(o, starts_at=o.starts_at + timedelta(hours=1))
    cohort = open_one(office)
    assert cohort.state is CohortState.NEEDS_ATTENTION
    assert "week 1 stands there as" in (cohort.problem or "")


def test_a_skipped_saturday_is_dropped_and_eight_are_still_held(office: Office) -> None:
    cohort = open_one(office, skip_dates=(date(2027, 1, 23),))
    assert cohort.state is CohortState.READY
    held = [o.starts_at.date() for o in office.zoom.occurrences[cohort.series_ref or ""]]
    assert len(held) == 8
    assert date(2027, 1, 23) not in held
    assert held[-1] == date(2027, 3, 6)


def test_the_same_key_and_body_give_the_same_cohort(office: Office) -> None:
    first = office.scheduling.open_cohort(make_new_cohort(), key="k", actor="admin Ann")
    again = office.scheduling.open_cohort(make_new_cohort(), key="k", actor="admin Ann")
    assert first == again
    opened(office, first)
    assert len(office.zoom.plans) == 1


def test_the_same_key_with_another_body_is_refused(office: Office) -> None:
    office.scheduling.open_cohort(make_new_cohort(), key="k", actor="admin Ann")
    with pytest.raises(Refused) as refused:
        office.scheduling.open_cohort(make_new_cohort(name="Other"), key="k", actor="admin Ann")
    assert refused.value.kind == "key_reused"


def test_a_double_click_without_a_key_is_refused_and_names_the_first(office: Office) -> None:
    first = office.scheduling.open_cohort(make_new_cohort(), key=None, actor="admin Ann")
    with pytest.raises(Refused) as refused:
        office.scheduling.open_cohort(make_new_cohort(), key=None, actor="admin Ann")
    assert (refused.value.kind, refused.value.cohort_id) == ("duplicate", first)


def test_two_carers_with_one_address_are_one_registrant_and_share_its_link(office: Office) -> None:
    couple = NewHousehold(
        reference="H1",
        carers=(
            NewCarer(name="Maya Patel", email="family@example.com"),
            NewCarer(name="Dev Patel", email="Family@example.com"),
        ),
    )
    cohort = open_one(office, households=(couple,))
    assert office.zoom.calls.count("invite") == 1
    assert len({carer.invitation_ref for carer in cohort.carers}) == 1


def test_cancelling_takes_everything_off_the_platform_and_keeps_the_cohort(office: Office) -> None:
    cohort = open_one(office, platform=Platform.TEAMS)
    office.scheduling.cancel_cohort(cohort.id, expected=None, actor="admin Ann")
    until = time.monotonic() + 20
    state = None
    while state is not CohortState.CANCELLED and time.monotonic() < until:
        with office.database.read() as connection:
            state = cohorts.read_state(connection, cohort.id)
        time.sleep(0.05)
    assert state is CohortState.CANCELLED
    assert office.teams.plans == {}
    assert office.teams.subscriptions == {}


def test_a_cohort_whose_workflow_never_began_is_taken_up(office: Office) -> None:
    with office.database.write() as connection:
        cohorts.insert_cohort(
            connection, make_cohort(state=CohortState.OPENING, series_ref=None), {"carer-1": "t"}
        )
    assert office.scheduling.take_up() == 1
    assert office.finished("cohort-1").state is CohortState.READY
    assert office.scheduling.take_up() == 0
