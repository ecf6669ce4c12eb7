"""People come before the planned start: from then on the session has begun, and keeps its day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from course.model import Platform
from course.store.database import Database
from integration.amending import Amending, Refused
from tests.attendance.room import HOST_NAME, Room, at

MAYA, ACTOR = "Maya Patel", "facilitator Lee"


@pytest.fixture(params=list(Platform))
def room(database: Database, request: pytest.FixtureRequest) -> Iterator[Room]:
    made = Room(database, request.param)
    yield made
    made.inbox.close()


def open_early(room: Room, *, now: float = -5, opened: float = -12) -> None:
    """The host opens the meeting and Maya is in it."""
    room.open_page(MAYA, opened + 3)
    room.clock.now = at(now)
    room.started(opened)
    room.join(HOST_NAME, opened)
    room.join(MAYA, opened + 4)


def everybody_leaves(room: Room, minute: float) -> None:
    room.clock.now = at(minute)
    room.leave(MAYA, minute)
    room.leave(HOST_NAME, minute)
    room.ended(minute)


def skip(room: Room, week: int = 2) -> int | None:
    amending = Amending(room.database, room.clock)
    return amending.skip_session(room.cohort_id, week, expected=None, actor=ACTOR)


def move(room: Room) -> int | None:
    return Amending(room.database, room.clock).move_session(
        room.cohort_id,
        2,
        starts_at=at(0) + timedelta(days=1),
        minutes=None,
        expected=None,
        actor=ACTOR,
    )


def cancel(room: Room) -> None:
    Amending(room.database, room.clock).cancel(room.cohort_id, expected=None, actor=ACTOR)


def test_a_session_with_people_in_it_is_not_skipped_before_its_start_and_their_time_counts(
    room: Room,
) -> None:
    open_early(room)
    with pytest.raises(Refused, match="Week 2 has begun; it cannot be skipped") as refused:
        skip(room)
    assert refused.value.kind == "settled"
    everybody_leaves(room, 120)
    assert room.week(MAYA)["minutes_present"] == 120
    assert room.report()["apart"] == []


def test_nor_is_an_earlier_week_which_would_move_it_along(room: Room) -> None:
    open_early(room)
    with pytest.raises(Refused, match="Week 2 has begun; so week 1 cannot be skipped"):
        skip(room, 1)


def test_nor_is_it_moved_to_another_day(room: Room) -> None:
    open_early(room)
    with pytest.raises(Refused, match="Week 2 has begun; it cannot be moved"):
        move(room)


def test_who_came_before_a_cohort_was_cancelled_keeps_the_time_of_that_session(room: Room) -> None:
    open_early(room)
    cancel(room)
    everybody_leaves(room, 120)
    assert room.week(MAYA)["minutes_present"] == 120
    shown = [s["state"] for s in room.call("GET", "")["sessions"]]
    assert shown == ["scheduled"] * 2 + ["cancelled"] * 6


def test_a_host_who_opened_before_the_window_and_waits_is_in_the_session(room: Room) -> None:
    room.clock.now = at(-8)
    room.started(-45)
    room.join(HOST_NAME, -45)
    with pytest.raises(Refused, match="Week 2 has begun"):
        skip(room)


def test_long_before_its_time_an_open_meeting_is_no_session(room: Room) -> None:
    open_early(room, now=-50, opened=-60)
    assert skip(room) is not None


def test_a_meeting_whose_end_was_never_told_is_no_session_of_the_next_day(room: Room) -> None:
    open_early(room, now=-10, opened=-16 * 60)
    assert skip(room) is not None


def test_a_room_that_was_only_tried_before_the_start_does_not_keep_the_session(room: Room) -> None:
    room.clock.now = at(-10)
    room.started(-25)
    room.stay(HOST_NAME, -25, -20)
    room.ended(-20)
    assert skip(room) is not None


def test_who_waits_to_be_let_in_is_not_in_the_session_yet(room: Room) -> None:
    room.clock.now = at(-5)
    room.wait(MAYA, -8)
    assert skip(room) is not None


def test_a_rehearsal_just_before_is_none_of_it_until_people_stay_on(room: Room) -> None:
    room.clock.now = at(-60)
    starts_at = at(-29).isoformat()
    room.call("POST", "/rehearsal", 201, json={"starts_at": starts_at, "minutes": 15})
    open_early(room, now=-20, opened=-29)
    room.clock.now = at(-10)
    with pytest.raises(Refused, match="Week 2 has begun"):
        skip(room)
    room.clock.now = at(-20)
    assert skip(room) is not None
