"""The parent's page: the right words at the right time, and on only to the platform."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text, update

from course.model import EventKind, Level, Platform, SessionState
from course.store import changes, cohorts, notices, tables
from course.store import series as series_store
from course.store.evidence import read_evidence
from tests.factories import FIRST, make_cohort
from tests.web.conftest import Door
from web.notice import Notice, Practice
from web.time_words import since, until, zone_words

PAGE = "/join/join-token"


def openings(door: Door) -> int:
    with door.database.read() as connection:
        return len(read_evidence(connection, make_cohort()).events)


def test_the_page_says_when_under_which_name_and_what_is_kept(door: Door) -> None:
    page = door.client.get(PAGE)
    assert page.status_code == 200
    for words in (
        "A notice",
        "Saturday 9 January 2027",
        "10:00 to 10:30",
        "Maya Patel",
        "never record",
    ):
        assert words in page.text
    assert "zoom.us" not in page.text


def test_the_words_change_with_the_time(door: Door) -> None:
    assert "It is not time yet" in door.client.get(PAGE).text
    door.clock.now = FIRST - timedelta(minutes=5)
    assert "Join now" in door.client.get(PAGE).text
    door.clock.now = FIRST + timedelta(hours=1)
    assert "Week 2" in door.client.get(PAGE).text
    door.clock.now = FIRST + timedelta(weeks=8)
    assert "The course is over" in door.client.get(PAGE).text


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (timedelta(days=28), "It begins in 4 weeks."),
        (timedelta(days=3), "It begins in 3 days."),
        (timedelta(hours=16), "That is tomorrow."),
        (timedelta(hours=3), "That is today, in 3 hours."),
        (timedelta(minutes=20), "It begins in 20 minutes."),
        (timedelta(minutes=1), "It begins now."),
        (timedelta(0), "It began just now."),
        (-timedelta(minutes=12), "It has begun; come in now. It began 12 minutes ago."),
    ],
)
def test_the_page_says_how_far_away_the_session_is(
    door: Door, before: timedelta, words: str
) -> None:
    door.clock.now = FIRST - before
    assert words in door.client.get(PAGE).text


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (timedelta(minutes=59), "in 59 minutes"),
        (timedelta(minutes=89), "today, in 1 hour"),
        (timedelta(hours=12), "tomorrow"),
        (timedelta(days=7), "in a week"),
        (timedelta(days=26), "in 26 days"),
    ],
)
def test_days_are_those_of_the_cohort(left: timedelta, words: str) -> None:
    assert until(FIRST, now=FIRST - left, zone=ZoneInfo("Europe/London")) == words


def test_a_day_with_a_clock_change_is_still_one_day() -> None:
    london = ZoneInfo("Europe/London")
    sunday = datetime(2027, 3, 28, 9, 0, tzinfo=UTC)  # ten o'clock, an hour was lost in the night
    assert until(sunday, now=datetime(2027, 3, 27, 10, 0, tzinfo=UTC), zone=london) == "tomorrow"


def test_what_began_long_ago_is_told_in_hours() -> None:
    assert since(FIRST, now=FIRST + timedelta(minutes=61)) == "1 hour and 1 minute ago"
    assert zone_words("America/New_York") == "New York time"


def test_during_the_session_the_way_in_comes_first(door: Door) -> None:
    door.clock.now = FIRST + timedelta(minutes=12)
    page = door.client.get(PAGE).text
    assert page.index("Come in now</button>") < page.index("please use your full name")
    assert "It is not time yet" not in page


def test_a_session_that_runs_on_can_be_entered_again_for_half_an_hour(door: Door) -> None:
    ends = FIRST + timedelta(minutes=30)
    door.clock.now = ends + timedelta(minutes=5)
    page = door.client.get(PAGE).text
    assert "Week 1 should be over. Is it running on?" in page
    assert "being counted; please look again later" in page
    door.clock.now = ends + timedelta(minutes=31)
    assert "Is it running on?" not in door.client.get(PAGE).text


def test_without_a_link_the_page_says_so_and_the_way_in_leads_back(door: Door) -> None:
    with door.database.write() as connection:
        connection.execute(update(tables.invitation).values(join_url=None))
    page = door.client.get(PAGE).text
    assert "Your link is being prepared" in page
    assert '<form method="post">' not in page
    answer = door.client.post(PAGE)
    assert (answer.status_code, answer.headers["Location"]) == (303, PAGE)


def test_a_saturday_without_a_session_is_named(door: Door) -> None:
    weeks = tables.session.c.week
    with door.database.write() as connection:
        for week in range(2, 9):
            connection.execute(
                update(tables.session)
                .where(weeks == week)
                .values(
                    starts_at=FIRST + timedelta(weeks=week),
                    ends_at=FIRST + timedelta(weeks=week, hours=2),
                )
            )
    door.clock.now = FIRST + timedelta(days=5)
    page = door.client.get(PAGE).text
    assert "There is no session on Saturday 16 January." in page
    assert "Saturday 23 January 2027" in page


def test_a_cancelled_course_says_so_and_whom_to_ask(door: Door) -> None:
    def cancel(*weeks: int) -> None:
        with door.database.write() as connection:
            connection.execute(update(tables.cohort).values(cancel_requested_at=FIRST))
            connection.execute(
                update(tables.session)
                .where(tables.session.c.week.in_(weeks))
                .values(state=SessionState.CANCELLED.value)
            )

    cancel(*range(2, 9))
    door.clock.now = FIRST + timedelta(days=1)
    page = door.client.get(PAGE).text
    assert "The course has ended early" in page
    assert "please ask your facilitators" in page
    assert "Week 1</strong>" in page
    cancel(1)
    page = door.client.get(PAGE).text
    assert "The course does not take place" in page
    assert "Take the sessions out of your calendar" in page
    assert door.client.post(PAGE).headers["Location"] == PAGE


def test_a_page_that_is_closed_says_why(door: Door) -> None:
    door.clock.now = FIRST + timedelta(weeks=10)
    assert "The course ended more than two weeks ago" in door.client.get(PAGE).text
    door.clock.now = FIRST
    with door.database.write() as connection:
        connection.execute(update(tables.carer).values(withdrawn_at=FIRST))
    for path in ("", "/privacy"):
        answer = door.client.get(f"{PAGE}{path}")
        assert answer.status_code == 404
        assert "You are not enrolled here any more" in answer.text
    assert door.client.get(f"{PAGE}/calendar.ics").status_code == 200


def test_all_sessions_can_be_put_into_a_calendar(door: Door) -> None:
    assert f'href="{PAGE}/calendar.ics">Put all sessions into your calendar' in (
        door.client.get(PAGE).text
    )


@pytest.mark.both_databases
def test_the_check_is_kept_as_devices_that_exist_and_nothing_more(door: Door) -> None:
    told = {"camera": True, "microphone": True, "label": "FaceTime HD", "picture": "data:x"}
    assert door.client.post(f"{PAGE}/devices", json=told).status_code == 204
    with door.database.read() as connection:
        events = read_evidence(connection, make_cohort()).events
    assert {(e.kind, e.level) for e in events} == {
        (EventKind.CAMERA, Level.DEVICE_PRESENT),
        (EventKind.MICROPHONE, Level.DEVICE_PRESENT),
    }
    assert "FaceTime" not in repr(events)


def test_refusals_are_explained_for_each_browser_without_a_script(door: Door) -> None:
    page = door.client.get(PAGE).text
    for browser in ("Chrome or Edge", "Android", "iPhone or iPad", "Safari on a Mac", "Firefox"):
        assert browser in page


def test_the_notice_says_what_why_how_long_who_and_which_rights(door: Door) -> None:
    page = door.client.get(f"{PAGE}/privacy").text
    for words in (
        "The practice that invited you to this course",
        "camera and your microphone were on",
        "When you joined a session and when you left it",
        "Where each of these facts came from: Zoom",
        "its check found a camera and a microphone",
        "We never record",
        "30 days",
        "90 days",
        "7 years",
        "14 days",
        "Zoom Communications",
        "Complain",
        "Information Commissioner",
    ):
        assert words in page, words
    assert f'href="{PAGE}/privacy"' in door.client.get(PAGE).text


@pytest.mark.both_databases
def test_which_notice_was_shown_is_kept_once_for_each_version(door: Door) -> None:
    def shown() -> dict[str, datetime]:
        with door.database.read() as connection:
            return notices.read_shown(connection, "carer-1")

    door.client.head(PAGE)
    assert shown() == {}
    first = door.clock.now
    door.client.get(PAGE)
    door.clock.move(timedelta(days=1))
    page = door.client.get(f"{PAGE}/privacy").text
    ((version, at),) = shown().items()
    assert at == first
    assert f"Version {version}" in page


def test_another_word_is_another_version(door: Door) -> None:
    def version(practice: Practice) -> str:
        with door.app.app_context():
            return Notice(practice=practice, platform=Platform.ZOOM, has_bot=False).version()

    assert version(Practice()) == version(Practice())
    others = [Practice(), Practice(name="Ash Practice"), Practice(contact="a@example.com")]
    assert len({version(practice) for practice in others}) == 3


@pytest.mark.both_databases
def test_a_token_dies_two_weeks_after_the_course_and_with_withdrawal(door: Door) -> None:
    door.clock.now = FIRST + timedelta(weeks=10)
    assert door.client.get(PAGE).status_code == 404
    door.clock.now = FIRST
    assert door.client.get(PAGE).status_code == 200
    with door.database.write() as connection:
        connection.execute(update(tables.carer).values(withdrawn_at=FIRST))
    assert door.client.get(PAGE).status_code == 404


@pytest.mark.parametrize("token", ["nonsense", "a" * 200, "%00", "é"])
def test_an_unknown_token_gets_words_and_no_more(door: Door, token: str) -> None:
    answer = door.client.get(f"/join/{token}")
    assert answer.status_code == 404
    assert "This link does not work" in answer.text
    assert door.client.post(f"/join/{token}").status_code == 404


def test_going_on_leads_to_the_stored_link_only(door: Door) -> None:
    answer = door.client.post(PAGE)
    assert (answer.status_code, answer.headers["Location"]) == (303, "https://zoom.us/w/1?tk=x")
    for link in ("https://evil.example/", "javascript:alert(1)", "//evil.example"):
        with door.database.write() as connection:
            series_store.save_invitation(
                connection, "carer-1", Platform.ZOOM, ref="r1", join_url=link
            )
        assert door.client.post(PAGE).status_code == 404


@pytest.mark.both_databases
def test_opening_is_kept_once_a_minute_and_a_look_ahead_by_a_program_is_not(door: Door) -> None:
    door.client.head(PAGE)
    assert openings(door) == 0
    door.client.get(PAGE)
    door.client.get(PAGE)
    assert openings(door) == 1
    door.clock.move(timedelta(minutes=1))
    door.client.post(PAGE)
    assert openings(door) == 2


def test_a_name_cannot_become_markup(door: Door) -> None:
    with door.database.write() as connection:
        connection.execute(update(tables.carer).values(name="<script>alert(1)</script>"))
    assert "<script>" not in door.client.get(PAGE).text


def test_the_token_itself_is_stored_sealed(door: Door) -> None:
    with door.database.read() as connection:
        stored = connection.execute(text("SELECT join_token FROM carer")).scalar_one()
    assert "join-token" not in stored


def test_after_a_move_the_same_page_leads_to_the_other_platform_once_it_is_ready(
    door: Door,
) -> None:
    door.clock.now = FIRST - timedelta(minutes=5)
    with door.database.write() as connection:
        cohort = cohorts.read_cohort(connection, "cohort-1")
        assert cohort is not None
        changes.move_platform(
            connection, cohort, Platform.TEAMS, "host@example.org", now=door.clock.now
        )
    assert "Your link is being prepared" in door.client.get(PAGE).text
    assert door.client.post(PAGE).location == PAGE
    with door.database.write() as connection:
        series_store.save_invitation(
            connection, "carer-1", Platform.TEAMS, ref=None, join_url="https://zoom.us/other"
        )
    page = door.client.get(PAGE).text
    assert "When Teams asks for your name" in page
    assert "Join now" in page
    assert door.client.post(PAGE).location == "https://zoom.us/other"
