"""A rehearsal is held in the session's own meeting: who is seen then is tested, never attended."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from course.model import Platform
from course.store import tables
from course.store.database import Database
from tests.attendance.room import HOST_NAME, Room, at

MAYA, TOM = "Maya Patel", "Tom Becker"
FRIDAY = -16 * 60  # six in the evening before


@pytest.fixture(params=list(Platform))
def room(database: Database, request: pytest.FixtureRequest) -> Iterator[Room]:
    made = Room(database, request.param)
    made.clock.now = at(-5 * 24 * 60)
    yield made
    made.inbox.close()


def offer(room: Room, minute: float, minutes: int = 30, code: int = 201) -> Any:
    wanted = {"starts_at": at(minute).isoformat(), "minutes": minutes}
    return room.call("POST", "/rehearsal", code, json=wanted)


def rehearse(room: Room, begin: float, end: float, *, told_end: bool = True) -> None:
    """Maya tries it out with the host there."""
    room.open_page(MAYA, begin)
    room.clock.now = at(end)
    room.started(begin, instance="try")
    room.join(HOST_NAME, begin, instance="try")
    room.join(MAYA, begin + 1, instance="try")
    if told_end:
        room.leave(MAYA, end - 1, instance="try")
        room.leave(HOST_NAME, end, instance="try")
        room.ended(end, instance="try")


def hold(room: Room) -> None:
    """The session, with Tom and without Maya."""
    room.clock.now = at(130)
    room.started(0)
    room.join(HOST_NAME, 0)
    room.open_page(TOM, 0)
    room.stay(TOM, 1, 120)
    room.leave(HOST_NAME, 120)
    room.ended(120)
    room.record((HOST_NAME, 0, 120), (TOM, 1, 120), held=(0, 120))
    room.close()


def word_of(room: Room, who: str) -> Any:
    return next(c for c in room.report()["carers"] if c["id"] == room.carers[who].id)["tested"]


@pytest.mark.parametrize(
    ("begin", "end"),
    [(FRIDAY, FRIDAY + 25), (-60, -40), (-25, -10), (-40, -20)],
    ids=["on Friday", "at nine", "inside the window", "into the window"],
)
def test_who_was_at_a_rehearsal_is_tested_and_absent(room: Room, begin: int, end: int) -> None:
    offer(room, begin, end - begin)
    rehearse(room, begin, end)
    hold(room)
    week = room.week(MAYA)
    assert (week["verdict"], week["minutes_present"], week["intervals"]) == ("absent", 0, [])
    assert word_of(room, MAYA)["by"] == "rehearsal"
    assert word_of(room, TOM) is None
    assert room.week(TOM)["verdict"] in ("attended", "undetermined")  # cameras were not told
    assert room.week(TOM)["minutes_present"] > 100


def test_a_rehearsal_whose_end_was_never_told_is_nobodys_attendance(room: Room) -> None:
    offer(room, -25, 15)
    rehearse(room, -25, -10, told_end=False)
    room.clock.now = at(200)
    week = room.week(MAYA)
    assert week["verdict"] not in ("attended", "partial")


def test_who_stays_from_a_rehearsal_into_the_session_counts_from_its_start(room: Room) -> None:
    offer(room, -25, 20)
    room.open_page(MAYA, -25)
    room.open_page(TOM, -25)
    room.clock.now = at(5)
    room.started(-25)
    room.join(HOST_NAME, -25)
    room.join(MAYA, -24)
    room.stay(TOM, -23, -10)
    seats = {c["name"]: c for c in room.call("GET", "/sessions/2/board")["carers"]}
    assert seats[MAYA]["place"] == "in"
    assert seats[TOM]["place"] == "not_seen"  # he has tried it, and is missing now
    assert seats[TOM]["tested"]["by"] == "rehearsal"
    room.clock.now = at(130)
    room.leave(MAYA, 120)
    room.leave(HOST_NAME, 120)
    room.ended(120)
    assert room.week(MAYA)["minutes_present"] == 120
    assert room.week(TOM)["minutes_present"] == 0


def test_a_session_moved_to_a_rehearsals_time_is_a_session(room: Room) -> None:
    offer(room, -25, 20)
    with room.database.write() as connection:
        connection.execute(
            update(tables.session)
            .where(tables.session.c.week == 2)
            .values(starts_at=at(-30), ends_at=at(90))
        )
    rehearse(room, -30, 90)
    assert room.week(MAYA)["minutes_present"] > 100


def test_a_rehearsal_is_shown_to_the_carers_and_can_be_taken_back(room: Room) -> None:
    offer(room, FRIDAY)
    page = room.page(MAYA).text
    assert "Friday 15 January 2027, 18:00 to 18:30" in page
    assert "it does not count as a session" in page
    first = room.page(MAYA, "/calendar.ics").text
    assert first.count("BEGIN:VEVENT") == 9
    assert "-rehearsal-" in first
    offer(room, FRIDAY + 30)  # instead
    room.call("DELETE", "/rehearsal")
    assert "Rehearsal" not in room.page(MAYA).text
    assert room.page(MAYA, "/calendar.ics").text.count("STATUS:CANCELLED") == 2
    room.call("DELETE", "/rehearsal", 409)


def test_a_rehearsal_has_its_own_way_in_and_stays_once_it_has_begun(room: Room) -> None:
    offer(room, FRIDAY)
    room.clock.now = at(FRIDAY - 10)
    assert "Go to the rehearsal" in room.page(MAYA).text
    room.clock.now = at(FRIDAY + 5)
    page = room.page(MAYA).text
    assert "it began 5 minutes ago" in page
    room.call("DELETE", "/rehearsal", 409)
    room.clock.now = at(FRIDAY + 31)
    assert "Go to the rehearsal" not in room.page(MAYA).text


def test_a_rehearsal_cannot_be_offered_where_it_makes_no_sense(room: Room) -> None:
    for minute, words in (
        (-30 * 24 * 60, "still to come"),
        (-10, "session 2 is held then"),
        (60, "session 2 is held then"),
        (timedelta(weeks=8) / timedelta(minutes=1), "the last session is over"),
    ):
        refused = offer(room, minute, code=422)
        assert words in refused["errors"][0]["message"]


def test_staff_offer_it_and_see_who_has_tested(room: Room) -> None:
    page = room.staff_page("")
    assert "camera not tested" in page
    assert "Offer it" in page
    offer(room, FRIDAY)
    room.check_devices(MAYA, {"camera": True, "microphone": True})
    room.check_devices(TOM, {"camera": True, "microphone": False})
    page = room.staff_page("")
    assert "Friday 15 January 2027, 18:00 to 18:30" in page
    assert "Take it back" in page
    assert word_of(room, MAYA)["by"] == "check"
    assert word_of(room, TOM) is None
