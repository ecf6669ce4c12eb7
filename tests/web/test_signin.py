"""Signing in and out in a browser: once by a link, or by a token; and nobody in somebody's name."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from course.store import staff_sessions
from course.store.staff_sessions import IDLE, LONGEST, Staff
from tests.factories import NOW
from tests.web.conftest import PUBLIC, Door

pytestmark = pytest.mark.both_databases

ANN = Staff(name="Ann", role="facilitator", cohort_ids=("cohort-1",))


def invited(door: Door, staff: Staff = ANN) -> str:
    now = door.clock()
    with door.database.write() as connection:
        staff_sessions.insert_link(
            connection, "the-link", staff, now=now, expires_at=now + timedelta(hours=1)
        )
    return "/signin/the-link"


def signed_in(door: Door, staff: Staff = ANN) -> str:
    """Signs in by a link; the token that pages send along."""
    assert door.client.post(invited(door, staff), base_url=PUBLIC).status_code == 303
    page = door.client.get("/", base_url=PUBLIC).text
    found = re.search(r'"X-CSRF-Token": "(\w{64})"', page)
    assert found, page
    return found[1]


def test_a_page_sends_whoever_is_not_signed_in_to_sign_in_and_back(door: Door) -> None:
    answer = door.client.get("/cohorts/cohort-1/sessions/1?x=1")
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/signin?next=/cohorts/cohort-1/sessions/1%3Fx%3D1"


def test_a_link_asks_for_a_click_and_signs_in_once(door: Door) -> None:
    link = invited(door)
    assert "Welcome, Ann" in door.client.get(link).text
    assert "Welcome, Ann" in door.client.get(link).text  # reading it uses nothing up
    answer = door.client.post(link, base_url=PUBLIC)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-circle=")
    for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert part in cookie
    assert "Ann (facilitator)" in door.client.get("/", base_url=PUBLIC).text
    assert door.app.test_client().post(link).status_code == 404
    assert "used already" in door.app.test_client().get(link).text


def test_a_link_is_dead_after_an_hour(door: Door) -> None:
    link = invited(door)
    door.clock.move(timedelta(minutes=61))
    assert door.client.post(link).status_code == 404


def test_a_token_signs_in_and_its_end_ends_the_session(door: Door) -> None:
    token = door.token("admin")["Authorization"].removeprefix("Bearer ")
    answer = door.client.post(
        "/signin", data={"token": token, "next": "/attention"}, base_url=PUBLIC
    )
    assert answer.headers["Location"] == "/attention"
    assert door.client.get("/attention", base_url=PUBLIC).status_code == 200
    with door.database.write() as connection:
        connection.exec_driver_sql("UPDATE access_token SET revoked_at = created_at")
    assert door.client.get("/attention", base_url=PUBLIC).status_code == 303


def test_a_wrong_token_is_told_so_and_guessing_is_slowed_down(door: Door) -> None:
    for _ in range(20):
        answer = door.client.post("/signin", data={"token": "guess"})
        assert (answer.status_code, "not valid" in answer.text) == (401, True)
    refused = door.client.post("/signin", data={"token": "guess"})
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
    door.clock.move(timedelta(minutes=2))
    assert door.client.post("/signin", data={"token": "guess"}).status_code == 401


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "",
        "\t//e",
    ],
)
def test_nobody_is_sent_to_another_place(door: Door, elsewhere: str) -> None:
    token = door.token("admin")["Authorization"].removeprefix("Bearer ")
    answer = door.client.post("/signin", data={"token": token, "next": elsewhere})
    assert answer.headers["Location"] == "/"


def test_signing_in_again_begins_a_new_session_and_ends_the_old_one(door: Door) -> None:
    door.client.set_cookie("__Host-circle", "planted-by-somebody", domain="circle.example")
    signed_in(door)
    planted = door.app.test_client()
    planted.set_cookie("__Host-circle", "planted-by-somebody", domain="circle.example")
    assert planted.get("/", base_url=PUBLIC).status_code == 303


def test_a_session_ends_without_use_and_after_half_a_day(door: Door) -> None:
    signed_in(door)
    door.clock.move(IDLE - timedelta(minutes=1))
    assert door.client.get("/", base_url=PUBLIC).status_code == 200  # that was use
    door.clock.move(IDLE - timedelta(minutes=1))
    assert door.client.get("/", base_url=PUBLIC).status_code == 200
    door.clock.move(IDLE)
    assert door.client.get("/", base_url=PUBLIC).status_code == 303
    door.clock.now = NOW
    begun = door.clock.now
    with door.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM signin_link")
    signed_in(door)
    while door.clock.now < begun + LONGEST - timedelta(minutes=30):
        door.clock.move(timedelta(minutes=30))
        assert door.client.get("/", base_url=PUBLIC).status_code == 200
    door.clock.move(timedelta(minutes=30))
    assert door.client.get("/", base_url=PUBLIC).status_code == 303


def test_a_change_by_cookie_needs_the_pages_own_token(door: Door) -> None:
    csrf = signed_in(door)
    path = "/api/v1/cohorts/cohort-1/sessions/1/notes/carer-1"
    body = {"text": "rang, left a message"}
    ways: list[tuple[dict[str, str], int]] = [
        ({}, 403),
        ({"X-CSRF-Token": "0" * 64}, 403),
        ({"X-CSRF-Token": csrf, "Sec-Fetch-Site": "cross-site"}, 403),
        ({"X-CSRF-Token": csrf, "Sec-Fetch-Site": "same-origin"}, 200),
        ({"X-CSRF-Token": csrf}, 200),
    ]
    for headers, code in ways:
        answer = door.client.post(path, json=body, headers=headers, base_url=PUBLIC)
        assert answer.status_code == code, (headers, answer.text)
    assert door.client.get("/api/v1/cohorts/cohort-1", base_url=PUBLIC).status_code == 200


def test_signing_out_ends_this_session_and_everywhere_all_of_them(door: Door) -> None:
    csrf = signed_in(door)
    other = door.app.test_client()
    with door.database.write() as connection:
        staff_sessions.insert_session(connection, "elsewhere", ANN, now=NOW)
    other.set_cookie("__Host-circle", "elsewhere", domain="circle.example")
    assert door.client.post("/signout", base_url=PUBLIC).status_code == 403
    said = {"csrf_token": csrf, "everywhere": "yes"}
    assert door.client.post("/signout", data=said, base_url=PUBLIC).status_code == 303
    for client in (door.client, other):
        assert client.get("/", base_url=PUBLIC).status_code == 303


def test_a_facilitator_sees_the_cohorts_given_and_no_others(door: Door) -> None:
    signed_in(door, Staff(name="Bo", role="facilitator", cohort_ids=("another",)))
    assert "There is no cohort yet" in door.client.get("/", base_url=PUBLIC).text
    answer = door.client.get("/cohorts/cohort-1", base_url=PUBLIC)
    assert (answer.status_code, "No such cohort" in answer.text) == (404, True)
    answer = door.client.get("/cohorts/new", base_url=PUBLIC)
    assert (answer.status_code, "Not for your role" in answer.text) == (403, True)
