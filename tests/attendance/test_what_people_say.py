"""What facilitators and carers say: ticks, rules, messages, exceptions, and what follows."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from course.store import cohorts
from tests.attendance.conftest import MakeRoom
from tests.attendance.room import Room, at
from tests.factories import make_carer, make_cohort, make_sessions

MAYA, TOM = "Maya Patel", "Tom Becker"


def present(room: Room, who: str = MAYA, begin: float = 0, end: float = 120) -> None:
    room.started(-5)
    room.stay(who, begin, end)
    room.ended(120)


def test_a_facilitators_tick_fills_what_no_platform_told(make_zoom: MakeRoom) -> None:
    room = make_zoom()
    present(room)
    assert room.week(MAYA)["verdict"] == "undetermined"
    said = room.call("PUT", "/sessions/2/ticks/carer-1", json={"camera": "on"})
    assert said["changed"] == [
        {"week": 2, "carer": "carer-1", "before": "undetermined", "after": "attended"}
    ]
    week = room.week(MAYA)
    assert week["camera_sources"][0]["source"] == "facilitator"
    assert "facilitator" in week["sources"]
    room.clock.move(timedelta(minutes=1))
    partly = room.call("PUT", "/sessions/2/ticks/carer-1", json={"camera": "partly"})
    assert partly["changed"][0]["after"] == "undetermined"
    assert room.week(MAYA)["camera"] == "partly"
    room.clock.move(timedelta(minutes=1))
    room.call("PUT", "/sessions/2/ticks/carer-1", json={"camera": None})
    assert room.week(MAYA)["camera"] == "unknown"
    room.call("PUT", "/sessions/5/ticks/carer-1", json={"camera": "on"}, code=409)


def test_what_the_platform_told_counts_before_a_tick_and_the_conflict_is_shown(
    make_zoom: MakeRoom,
) -> None:
    room = make_zoom()
    present(room)
    room.camera(MAYA, 0, 120, on=False)
    room.call("PUT", "/sessions/2/ticks/carer-1", json={"camera": "on"})
    week = room.week(MAYA)
    assert (week["camera"], week["verdict"]) == ("off", "partial")
    assert any(
        "a facilitator and the notifications disagree about the camera for 120 minutes" in reason
        for reason in week["reasons"]
    )


def test_a_changed_rule_judges_again_says_what_changed_and_can_be_tried_first(
    make_zoom: MakeRoom,
) -> None:
    room = make_zoom()
    present(room, end=70)
    room.camera(MAYA, 0, 70, on=True)
    room.record((MAYA, 0, 70))
    room.close()
    assert room.week(MAYA)["verdict"] == "partial"
    wish = {"presence": 0.5, "reason": "the practice agreed on half"}
    expected = [{"week": 2, "carer": "carer-1", "before": "partial", "after": "attended"}]
    assert room.call("PATCH", "/rule", json={**wish, "preview": True})["changed"] == expected
    assert room.report()["rule"]["presence"] == 0.8
    assert room.call("PATCH", "/rule", json=wish)["changed"] == expected
    assert room.report()["rule"]["presence"] == 0.5
    versions = room.call("GET", "/sessions/2/versions")["versions"]
    assert [v["cause"] for v in versions] == ["closed", "rule.change"]
    room.call("PATCH", "/rule", json={"presence": 1.5, "reason": "too much"}, code=422)


def test_an_absence_announced_reaches_the_facilitators_and_decides_nothing(
    make_room: MakeRoom,
) -> None:
    room = make_room()
    assert room.page(MAYA, "/weeks/2/absence", text="we are\n away").status_code == 303
    (item,) = [i for i in room.attention() if i["kind"] == "absence"]
    assert (item["week"], item["carer"]) == (2, "carer-1")
    assert item["says"] == "says that they cannot come: we are away"
    assert "we are away" in room.page(MAYA, "?sent=1").text
    week = room.week(MAYA)
    assert "told us beforehand that they could not come" in week["reasons"]
    assert [m["text"] for m in week["messages"]] == ["we are away"]
    room.call("POST", f"/messages/{item['message']}/settle")
    room.call("POST", "/messages/999/settle", code=404)
    assert [i for i in room.attention() if i["kind"] == "absence"] == []
    room.page(TOM, "/weeks/3/absence", text="a wedding")
    room.page(TOM, "/weeks/3/absence", text=" ")  # taken back
    assert [i for i in room.attention() if i["kind"] == "absence"] == []
    room.clock.now = at(200)
    assert room.page(MAYA, "/weeks/2/absence", text="too late").status_code == 404


def test_a_verdict_is_shown_to_its_carer_when_closed_and_can_be_contested(
    make_zoom: MakeRoom,
) -> None:
    room = make_zoom()
    present(room, end=30)
    room.record((MAYA, 0, 30))
    room.clock.now = at(150)
    assert "being counted" in room.page(MAYA).text
    assert room.page(MAYA, "/weeks/2/contest", text="I was there").status_code == 404
    room.close()
    assert "you were there for a part" in room.page(MAYA).text
    assert "we did not see you" in room.page(TOM).text
    assert room.page(MAYA, "/weeks/2/contest", text="I was there <b>all</b>").status_code == 303
    assert "&lt;b&gt;all&lt;/b&gt;" in room.page(MAYA).text
    (item,) = [i for i in room.attention() if i["kind"] == "contest"]
    assert item["says"].startswith("thinks that the register is wrong: I was there")
    assert room.week(MAYA)["verdict"] == "partial"


def test_the_own_check_of_camera_and_microphone_is_a_device_and_no_more(
    make_zoom: MakeRoom,
) -> None:
    room = make_zoom()
    room.clock.now = at(-5)
    found = room.check_devices(MAYA, {"camera": True, "microphone": True})
    assert found.status_code == 204
    present(room)
    week = room.week(MAYA)
    assert (week["camera"], week["microphone"]) == ("unknown", "connected")
    assert "join_page" in week["sources"]
    assert room.check_devices(MAYA, ["nonsense"]).status_code == 400


def test_a_certificate_is_for_who_attended_every_session(make_room: MakeRoom) -> None:
    room = make_room({"H1": (MAYA,)})
    refused = room.call("GET", "/carers/carer-1/certificate.pdf", code=409)
    assert "settle the open weeks first" in refused["detail"]
    for week in range(1, 9):
        said = {"verdict": "attended", "reason": "seen", "kind": "catch_up" if week == 3 else None}
        room.call(
            "PUT",
            f"/sessions/{week}/verdicts/carer-1",
            json={k: v for k, v in said.items() if v is not None},
        )
    room.clock.now = at(60 * 24 * 60)
    pdf = room.call("GET", "/carers/carer-1/certificate.pdf")
    assert pdf.startswith(b"%PDF")
    room.call("GET", "/carers/nobody/certificate.pdf", code=404)


def test_a_household_that_missed_a_week_is_shown_the_next_groups_with_room(
    make_zoom: MakeRoom,
) -> None:
    room = make_zoom()
    present(room)
    room.record((MAYA, 0, 120))
    room.close()
    later = make_sessions(at(60 * 24 * 60))
    full = tuple(
        make_carer(id=f"x{n}", household=f"F{n}", email=f"f{n}@example.com") for n in range(12)
    )
    with room.database.write() as connection:
        for number, carers in (("next", ()), ("full", full)):
            group = replace(
                make_cohort(series_ref=None, sessions=later, carers=carers),
                id=f"cohort-{number}",
                name=f"The {number} group",
            )
            cohorts.insert_cohort(connection, group, {c.id: f"t-{c.id}" for c in carers})
    households = {h["reference"]: h for h in room.report()["households"]}
    assert households["H2"]["all_sessions"] == "missed"
    assert [g["name"] for g in households["H2"]["next_cohorts"]] == ["The next group"]
    assert households["H2"]["next_cohorts"][0]["places_left"] == 12
    assert households["H1"]["next_cohorts"] == []
    (item,) = [i for i in room.attention() if i["kind"] == "absent"]
    assert "perhaps our next group will be more suitable" in item["says"]
    room.sign_in("facilitator")  # who was not given the next group, and so not told which it is
    households = {h["reference"]: h for h in room.report()["households"]}
    assert households["H2"]["next_cohorts"][0]["places_left"] == 12
    assert "The next group" not in str(room.report())


def test_an_exception_counts_as_the_cohorts_rule_says_and_is_shown_as_what_it_is(
    make_zoom: MakeRoom,
) -> None:
    room = make_zoom()
    present(room, TOM)
    room.record((TOM, 0, 120))
    room.close()
    first = {"verdict": "attended", "reason": "seen by all"}
    room.call("PUT", "/sessions/1/verdicts/carer-1", json=first)

    def standing() -> str:
        carers = {c["id"]: c for c in room.report()["carers"]}
        return str(carers["carer-1"]["all_sessions"])

    assert standing() == "missed"
    said = {"verdict": "absent", "reason": "hospital", "kind": "excused"}
    room.call("PUT", "/sessions/2/verdicts/carer-1", json=said)
    assert (standing(), room.week(MAYA)["correction"]) == ("missed", "excused")
    room.call(
        "PATCH", "/rule", json={"satisfied_by": ["catch_up", "excused"], "reason": "this once"}
    )
    assert standing() == "on_track"
    assert room.clock.now - at(600) < timedelta(days=1)


def test_in_the_rush_before_a_session_the_page_leaves_the_weeks_for_a_second_look(
    make_zoom: MakeRoom,
) -> None:
    room = make_zoom()
    room.clock.now = at(-30)
    assert "Your weeks so far" in room.page(MAYA).text
    assert "still to come" not in room.page(MAYA).text
    assert "still to come" in room.page(MAYA, "?weeks=1").text
    room.clock.now = at(-90)
    assert "still to come" in room.page(MAYA).text


def test_what_families_wrote_is_not_for_viewers(make_zoom: MakeRoom) -> None:
    room = make_zoom()
    room.page(MAYA, "/weeks/2/absence", text="an operation")
    assert "an operation" in json.dumps(room.report())
    room.sign_in("viewer")
    assert "an operation" not in json.dumps(room.report())


def test_the_own_page_says_what_was_accepted_and_what_was_before_ones_time(
    make_zoom: MakeRoom,
) -> None:
    room = make_zoom(enrolled={TOM: -60})
    present(room)
    room.record((MAYA, 0, 120))
    room.close()
    said = {"verdict": "attended", "kind": "catch_up", "reason": "on Monday"}
    room.call("PUT", f"/sessions/2/verdicts/{room.carers[TOM].id}", json=said)
    page = room.page(TOM, "?weeks=1").text
    assert "you caught up on it" in page
    assert page.count("before you joined the course") == 1
    assert page.count("you were there") == 0
