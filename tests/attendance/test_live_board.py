"""The live board at five past ten: who is in, who is not, and who needs a call."""

from __future__ import annotations

from typing import Any

import pytest

from tests.attendance.conftest import MakeRoom
from tests.attendance.room import HOST_NAME, Room, at

MAYA, DEV, TOM, RUTH = "Maya Patel", "Dev Patel", "Tom Becker", "Ruth Cohen"
FAMILIES = {"H1": (MAYA, DEV), "H2": (TOM,), "H3": (RUTH,)}


def board(room: Room, minute: float) -> dict[str, Any]:
    room.clock.now = at(minute)
    found: dict[str, Any] = room.call("GET", "/sessions/2/board")
    return found


def seats(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {c["name"]: c for c in found["carers"]}


def test_it_says_who_is_in_who_waits_and_who_is_missing(make_room: MakeRoom) -> None:
    room = make_room(FAMILIES)
    room.started(-5)
    for who in (MAYA, TOM, RUTH):
        room.open_page(who, -6)
    room.join(MAYA, -2)
    room.wait(TOM, -1)
    room.join(RUTH, -3)
    room.leave(RUTH, 4)
    found = board(room, 5)
    told = seats(found)
    assert {name: (c["place"], c["calls_for"]) for name, c in told.items()} == {
        MAYA: ("in", "camera not reported"),
        DEV: ("not_seen", "missing"),
        TOM: ("waiting", "waiting"),
        RUTH: ("left", "left"),
    }
    assert found["counts"] == {"in": 1, "waiting": 1, "left": 1, "not_seen": 1}
    assert [c["name"] for c in found["carers"]] == [DEV, TOM, RUTH, MAYA]  # who needs a call
    page = room.staff_page("/sessions/2")
    for words in (
        "Needs you",
        "not seen",
        "let them in",
        "Sits beside Maya Patel",
        "left at 10:04",
    ):
        assert words in page


def test_nobody_is_missing_before_the_start_nor_who_told_us(make_room: MakeRoom) -> None:
    room = make_room(FAMILIES)
    room.clock.now = at(-60 * 24)
    room.page(RUTH, "/weeks/2/absence", text="A wedding")
    room.started(-5)
    assert {c["calls_for"] for c in board(room, -1)["carers"]} == {None}
    last = board(room, 5)["carers"][-1]
    assert (last["name"], last["absence"]) == (RUTH, "A wedding")
    assert "Told us that they would not come" in room.staff_page("/sessions/2")


@pytest.mark.parametrize(
    ("on", "shown", "calls"), [(True, "on", None), (False, "off", "camera off")]
)
def test_a_camera_is_told_by_the_minute_and_forgotten_when_no_more_is_heard(
    make_zoom: MakeRoom, *, on: bool, shown: str, calls: str | None
) -> None:
    room = make_zoom()
    room.started(-5)
    room.join(MAYA, 0)
    room.camera(MAYA, 0, 4, on=on)
    seat = seats(board(room, 5))[MAYA]
    assert (seat["camera"], seat["calls_for"], seat["microphone"]) == (shown, calls, "on")
    assert seats(board(room, 30))[MAYA]["camera"] == "unknown"


def test_a_tick_a_note_and_a_stranger_named_are_on_the_board_at_once(make_zoom: MakeRoom) -> None:
    room = make_zoom(FAMILIES)
    room.started(-5)
    room.join(MAYA, 0)
    room.join("Ruth C", 0, link="nobody")
    found = board(room, 5)
    (stranger,) = found["strangers"]
    assert (stranger["display_name"], stranger["place"]) == ("Ruth C", "in")
    ids = {name: carer.id for name, carer in room.carers.items()}
    room.call("PUT", f"/sessions/2/ticks/{ids[MAYA]}", json={"camera": "on"})
    room.call("POST", f"/sessions/2/notes/{ids[TOM]}", json={"text": "rang, left a message"})
    room.call("PUT", f"/sessions/2/participants/{stranger['ref']}", json={"carer": ids[RUTH]})
    attested = {"with": ids[MAYA], "reason": "both waved"}
    room.call("PUT", f"/sessions/2/shared-devices/{ids[DEV]}", json=attested)
    found = board(room, 6)
    told = seats(found)
    assert found["strangers"] == []
    assert (told[MAYA]["ticked"], told[MAYA]["calls_for"]) == ("on", None)
    assert [(n["text"], n["by"]) for n in told[TOM]["notes"]] == [("rang, left a message", "Ann")]
    assert told[RUTH]["place"] == "in"
    assert (told[DEV]["place"], told[DEV]["shared_with"]) == ("in", ids[MAYA])
    assert "rang" not in room.page(TOM).text  # a note is not for the carer
    assert not [i for i in room.attention() if i["kind"] == "note"]


def test_asking_again_is_answered_with_nothing_until_something_happens(make_zoom: MakeRoom) -> None:
    room = make_zoom()
    room.started(-5)
    room.clock.now = at(5)
    first = room.open("GET", "/sessions/2/board")
    same = {"If-None-Match": first.headers["ETag"]}
    assert room.open("GET", "/sessions/2/board", headers=same).status_code == 304
    room.join(HOST_NAME, 5, link="nobody")
    assert room.open("GET", "/sessions/2/board", headers=same).status_code == 200
    room.clock.now = at(6)  # since when is told in minutes
    again = {"If-None-Match": room.open("GET", "/sessions/2/board").headers["ETag"]}
    assert room.open("GET", "/sessions/2/board", headers=again).status_code == 304
    mark = again["If-None-Match"].strip('"')
    assert room.staff_page(f"/sessions/2?seen={mark}", 204) == ""
    assert room.staff_page("/sessions/2?seen=older").startswith('<input type="hidden" id="mark"')


def test_a_board_that_was_shared_is_made_anew_when_the_register_is_closed(
    make_zoom: MakeRoom,
) -> None:
    room = make_zoom()
    room.started(-5)
    room.join(TOM, 0)
    room.leave(TOM, 120)
    room.ended(120)
    room.clock.now = at(600)
    first = room.open("GET", "/sessions/2/board")
    again = room.open("GET", "/sessions/2/board")  # another viewer of the same minute
    assert again.json == first.json
    assert '"register":"provisional"' in first.text.replace(": ", ":")
    room.close()
    after = room.open("GET", "/sessions/2/board", headers={"If-None-Match": first.headers["ETag"]})
    assert '"register":"closed"' in after.text.replace(": ", ":")


def test_a_mark_opens_no_board_of_a_cohort_that_is_not_ones_own(make_zoom: MakeRoom) -> None:
    room = make_zoom()
    mark = room.open("GET", "/sessions/2/board").headers["ETag"].strip('"')
    assert room.staff_page(f"/sessions/2?seen={mark}", 204) == ""
    ours, room.cohort_id = room.cohort_id, "another"
    room.sign_in("facilitator")  # of the other one
    room.cohort_id = ours
    assert "No such cohort" in room.staff_page(f"/sessions/2?seen={mark}", 404)


def test_the_register_and_the_evidence_are_readable_without_colour(make_zoom: MakeRoom) -> None:
    room = make_zoom()
    room.started(-5)
    room.stay(MAYA, 0, 120)
    room.camera(MAYA, 0, 120, on=True)
    room.ended(120)
    room.record((MAYA, 0, 120), (HOST_NAME, -5, 120))
    room.close()
    grid = room.staff_page("")
    for words in ("✓", "attended", "✗", "absent", "120 min", "Present for 80%"):
        assert words in grid
    week = room.staff_page(f"/sessions/2/carers/{room.carers[MAYA].id}")
    for words in (
        "✓ attended",
        "present 10:00 to 12:00",
        "on 10:00 to 12:00",
        "joined as",
        "Say so",
    ):
        assert words in week
    room.sign_in("viewer")
    assert "maya" not in room.staff_page("").lower().replace("maya patel", "")
    room.staff_page("/sessions/2", 403)
