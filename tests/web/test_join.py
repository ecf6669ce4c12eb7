"""The parent's page: the right words at the right time, and on only to the platform."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text, update

from course.model import Platform
from course.store import series as series_store
from course.store import tables
from course.store.evidence import read_evidence
from tests.factories import FIRST, make_cohort
from tests.web.conftest import Door

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
