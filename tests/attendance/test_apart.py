"""What was held on the usual link and counts for no session is shown apart, and never judged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from course.model import Platform
from course.store.database import Database
from course.store.rectifying import restrict
from tests.attendance.room import HOST_NAME, Room, at
from tests.web.report_files import text
from web.tables import report_table

MAYA, TOM, NEIGHBOUR = "Maya Patel", "Tom Becker", "Nina Holt"
FRIDAY = -16 * 60  # six in the evening before


@pytest.fixture(params=list(Platform))
def room(database: Database, request: pytest.FixtureRequest) -> Iterator[Room]:
    made = Room(database, request.param, {"H1": (MAYA,), "H2": (TOM,)})
    yield made
    made.inbox.close()


def held_on_friday(room: Room, *people: str) -> None:
    room.clock.now = at(FRIDAY + 40)
    for who in people:
        if who != NEIGHBOUR:
            room.open_page(who, FRIDAY)
    room.started(FRIDAY, instance="friday")
    for who in (HOST_NAME, *people):
        more: dict[str, Any] = {"link": None} if who == NEIGHBOUR else {}
        room.stay(who, FRIDAY + 1, FRIDAY + 31, instance="friday", **more)
    room.ended(FRIDAY + 32, instance="friday")
    room.clock.now = at(150)


def test_a_meeting_on_another_day_is_shown_apart_with_who_was_there(room: Room) -> None:
    held_on_friday(room, MAYA, NEIGHBOUR)
    report = room.report()
    (meeting,) = report["apart"]
    assert meeting["from"] == "2027-01-15T18:00:00+00:00"
    assert meeting["to"] == "2027-01-15T18:32:00+00:00"
    assert (meeting["platform"], meeting["rehearsal"]) == (room.platform.value, False)
    assert meeting["carers"] == [{"id": room.carers[MAYA].id, "minutes_present": 30.0}]
    assert meeting["unmatched"] == [{"display_name": NEIGHBOUR, "minutes_present": 30.0}]
    assert report["unmatched"] == []
    assert {w["minutes_present"] for c in report["carers"] for w in c["weeks"]} == {0.0}


def test_people_find_it_on_the_cohorts_page_and_in_the_files(room: Room) -> None:
    held_on_friday(room, MAYA, NEIGHBOUR)
    files = {
        ending: room.call("GET", f"/attendance.{ending}") for ending in ("html", "pdf", "xlsx")
    }
    told = [room.staff_page(""), *(text(ending, content) for ending, content in files.items())]
    for shown in told:
        assert "Friday 15 January 2027, 18:00 to 18:32" in shown
        assert f"{MAYA} (30 min), {NEIGHBOUR} (30 min)" in shown


def test_and_in_the_terminal(room: Room) -> None:
    held_on_friday(room, MAYA, NEIGHBOUR)
    shown = " ".join(report_table(room.report(), width=80).split())
    assert "Held apart from the sessions" in shown
    assert "Friday 15 January 2027, 18:00 to 18:32" in shown
    assert NEIGHBOUR in shown


def test_a_meeting_that_nobody_entered_is_no_row(room: Room) -> None:
    held_on_friday(room)
    assert room.report()["apart"] == []
    assert "Held apart" not in room.staff_page("")


def test_of_a_restricted_carer_an_admin_alone_hears(room: Room) -> None:
    held_on_friday(room, MAYA, TOM)
    room.check_devices(MAYA, {"camera": True, "microphone": True})
    with room.database.write() as connection:
        restrict(connection, room.carers[MAYA].id, since=room.clock.now)
    (meeting,) = room.report()["apart"]
    assert len(meeting["carers"]) == 2
    room.sign_in("facilitator")
    report = room.report()
    (meeting,) = report["apart"]
    assert [c["id"] for c in meeting["carers"]] == [room.carers[TOM].id]
    assert report["carers"][0]["tested"] is None


def test_a_viewers_page_shows_no_number_and_no_address(room: Room) -> None:
    held_on_friday(room, MAYA)
    room.clock.now = at(FRIDAY + 45)
    for device, shown in (("phone", "447700900123"), ("tablet", "nina.holt@example.net")):
        room.stay(
            NEIGHBOUR,
            FRIDAY + 2,
            FRIDAY + 20,
            device=device,
            instance="friday",
            link=None,
            name=shown,
        )
    room.clock.now = at(150)
    told = room.staff_page("")
    assert "447700900123" in told
    assert "nina.holt@example.net" in told
    room.sign_in("viewer")
    told = room.staff_page("")
    assert "447700900123" not in told
    assert "nina.holt@example.net" not in told
    assert "(number not shown)" in told


def test_a_viewers_page_leads_to_no_page_that_is_not_for_viewers(room: Room) -> None:
    room.clock.now = at(60)
    room.open_page(MAYA, 0)
    room.started(0)
    room.stay(MAYA, 1, 50)
    assert "/sessions/2/carers/" in room.staff_page("")
    room.sign_in("viewer")
    told = room.staff_page("")
    assert "49 min" in told
    assert "/sessions/2" not in told


def test_a_report_on_one_carer_tells_of_nobody_else(room: Room) -> None:
    held_on_friday(room, MAYA, TOM, NEIGHBOUR)
    (meeting,) = room.report(carer=room.carers[MAYA].id)["apart"]
    assert [c["id"] for c in meeting["carers"]] == [room.carers[MAYA].id]
    assert meeting["unmatched"] == []


def test_a_report_on_one_who_was_not_there_tells_of_nothing(room: Room) -> None:
    held_on_friday(room, TOM, NEIGHBOUR)
    assert room.report(carer=room.carers[MAYA].id)["apart"] == []
