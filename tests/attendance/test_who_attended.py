"""Who attended, fault by fault: from webhooks to report, on each platform that can say it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from course.model import Platform
from integration.reconciliation import Reconciliation
from tests.attendance.conftest import MakeRoom
from tests.attendance.room import HOST_NAME, Room

MAYA, TOM = "Maya Patel", "Tom Becker"


def come(room: Room, who: str, begin: float, end: float | None, **more: str) -> None:
    """Somebody comes by the own join page and stays; `end` None: no leave is told."""
    room.open_page(who, begin - 3)
    room.join(who, begin, **more)
    if end is not None:
        room.leave(who, end, **more)


def held(room: Room) -> None:
    room.started(-5)
    room.ended(120)


def test_a_rename_changes_nothing_and_gives_the_other_nothing(make_room: MakeRoom) -> None:
    room = make_room()
    held(room)
    room.open_page(MAYA, -4)
    room.join(MAYA, -1)
    room.leave(MAYA, 121, name=TOM)
    room.record((MAYA, -1, 121))
    assert room.week(MAYA)["minutes_present"] == 120
    assert room.week(TOM)["minutes_present"] == 0
    assert room.week(TOM)["verdict"] != "attended"


def test_two_devices_are_one_person_and_any_camera_counts(make_zoom: MakeRoom) -> None:
    room = make_zoom()
    held(room)
    room.stay(MAYA, 0, 80)
    room.stay(MAYA, 30, 120, "telephone")
    room.camera(MAYA, 0, 80, on=True)
    room.camera(MAYA, 30, 120, on=False, device="telephone")
    week = room.week(MAYA)
    assert (week["minutes_present"], week["verdict"]) == (120, "attended")
    assert any("two devices" in reason for reason in week["reasons"])


def test_a_telephone_is_presence_without_a_possible_camera(make_zoom: MakeRoom) -> None:
    room = make_zoom()
    held(room)
    room.stay(MAYA, 0, 120, name="+44 7700 900123", phone="447700900123")
    week = room.week(MAYA)
    assert (week["minutes_present"], week["camera"], week["verdict"]) == (120, "off", "partial")
    assert week["microphone"] == "connected"
    assert any("camera is not possible" in reason for reason in week["reasons"])


def test_a_number_typed_as_a_name_on_the_own_link_says_nothing_of_a_camera(
    make_zoom: MakeRoom,
) -> None:
    room = make_zoom()
    held(room)
    room.stay(MAYA, 0, 120, name="07700 900123")
    week = room.week(MAYA)
    assert (week["camera"], week["verdict"]) == ("unknown", "undetermined")


def test_an_unknown_number_asks_a_person(make_teams: MakeRoom) -> None:
    room = make_teams()
    held(room)
    room.stay(
        "+44 7700 900123", 0, 120, identity={"phone": {"id": "1", "displayName": "+447700900123"}}
    )
    room.record(("+447700900123", 0, 120))
    room.close()
    (seen,) = room.report()["unmatched"]
    assert seen["minutes_present"] == 120
    assert room.week(MAYA)["verdict"] == "undetermined"
    said = room.call(
        "PUT", f"/sessions/2/participants/{seen['ref']}", json={"carer": room.carers[MAYA].id}
    )
    assert {c["carer"] for c in said["changed"]} == {room.carers[MAYA].id, room.carers[TOM].id}
    assert room.week(TOM)["verdict"] == "absent"  # now that everybody is known


@pytest.mark.parametrize("attested", [False, True])
def test_two_carers_at_one_device_need_a_persons_word(make_room: MakeRoom, attested: bool) -> None:
    room = make_room({"H1": (MAYA, "Dev Patel")})
    held(room)
    come(room, MAYA, 0, 120)
    room.record((MAYA, 0, 120))
    room.close()
    if not attested:
        assert room.week("Dev Patel")["verdict"] == "undetermined"
        assert "shared one device" in room.week("Dev Patel")["reasons"][0]
        return
    maya, dev = room.carers[MAYA].id, room.carers["Dev Patel"].id
    path = f"/sessions/2/shared-devices/{dev}"
    room.call("PUT", path, json={"with": dev, "reason": "himself"}, code=422)
    room.call("PUT", path, json={"with": maya, "reason": "both waved"})
    week = room.week("Dev Patel")
    assert week["minutes_present"] == 120
    assert any("Ann attested" in r and "both waved" in r for r in week["reasons"])
    assert "facilitator" in week["sources"]
    room.call("DELETE", path)
    assert room.week("Dev Patel")["minutes_present"] == 0


def test_a_shared_device_is_offered_in_the_other_weeks_and_never_assumed(
    make_zoom: MakeRoom,
) -> None:
    room = make_zoom({"H1": (MAYA, "Dev Patel")})
    held(room)
    room.stay(MAYA, 0, 120)
    maya, dev = room.carers[MAYA].id, room.carers["Dev Patel"].id
    said = {"with": maya, "reason": "they told us"}
    room.call("PUT", f"/sessions/3/shared-devices/{dev}", json=said)
    week = room.week("Dev Patel")
    assert (week["verdict"], week["offered_with"]) == ("undetermined", maya)
    assert "Ann said so for week 3" in week["reasons"][0]


def test_coming_back_twenty_times_counts_the_union(make_room: MakeRoom) -> None:
    room = make_room()
    held(room)
    room.open_page(MAYA, -2)
    for n in range(20):
        room.stay(MAYA, n * 6, n * 6 + 5)
    room.record(*((MAYA, n * 6, n * 6 + 5) for n in range(20)))
    week = room.week(MAYA)
    assert week["minutes_present"] == 100
    assert any("left and came back 19 times" in reason for reason in week["reasons"])


def test_waiting_is_not_attending(make_room: MakeRoom) -> None:
    room = make_room()
    held(room)
    room.open_page(MAYA, -6)
    room.wait(MAYA, -4)
    room.join(MAYA, 20)
    room.leave(MAYA, 120)
    assert room.week(MAYA)["minutes_present"] == 100


def test_who_was_never_let_in_is_shown_as_waiting_and_not_called_absent(
    make_room: MakeRoom,
) -> None:
    room = make_room()
    held(room)
    room.open_page(MAYA, -6)
    room.wait(MAYA, -4)
    room.record((HOST_NAME, -5, 120))
    room.close()
    week = room.week(MAYA)
    assert (week["verdict"], week["minutes_present"]) == ("undetermined", 0)
    assert "waiting room" in week["reasons"][0]


def test_moves_between_rooms_are_continuous_and_leaving_from_one_ends_there(
    make_zoom: MakeRoom,
) -> None:
    room = make_zoom()
    held(room)
    room.join(MAYA, 0)
    room.change_room(MAYA, 40)
    room.change_room(MAYA, 60)
    room.leave(MAYA, 70)
    week = room.week(MAYA)
    assert week["minutes_present"] == 70
    assert len(week["intervals"]) == 1


def test_rooms_that_the_host_closed_without_a_word_leave_nobody_out(make_zoom: MakeRoom) -> None:
    room = make_zoom()
    held(room)
    room.join(MAYA, 0)
    room.change_room(MAYA, 40)
    room.leave(MAYA, 120)
    assert room.week(MAYA)["minutes_present"] == 120


def test_a_restart_is_one_session_and_the_pause_is_held_against_nobody(
    make_room: MakeRoom,
) -> None:
    room = make_room()
    room.started(-5)
    come(room, MAYA, 0, 50)
    room.ended(50)
    room.started(60, instance="two")
    come(room, MAYA, 60, 120, instance="two")
    room.ended(120, instance="two")
    week = room.week(MAYA)
    assert (week["minutes_present"], week["share_present"]) == (110, 1.0)


def test_an_overrun_never_counts_more_than_the_plan(make_room: MakeRoom) -> None:
    room = make_room()
    room.started(-5)
    come(room, MAYA, 0, 160)
    room.ended(160)
    week = room.week(MAYA)
    assert (week["minutes_present"], week["share_present"]) == (120, 1.0)


def test_a_late_host_costs_nobody_anything(make_room: MakeRoom) -> None:
    room = make_room()
    room.started(15)
    come(room, MAYA, 15, 120)
    room.ended(120)
    week = room.week(MAYA)
    assert (week["share_present"], week["late_minutes"]) == (1.0, 0)
    assert room.session()["held_from"].endswith("10:15:00+00:00")


def test_an_end_without_leaves_closes_what_is_open(make_room: MakeRoom) -> None:
    room = make_room()
    held(room)
    come(room, MAYA, 0, None)
    week = room.week(MAYA)
    assert week["minutes_present"] == 120
    assert week["intervals"][0][1].endswith("12:00:00+00:00")


def test_a_lost_end_is_inferred_and_said(make_room: MakeRoom) -> None:
    room = make_room()
    room.started(-5)
    come(room, MAYA, 0, 118)
    assert any("end of the session was not reported" in note for note in room.session()["notes"])
    room.record((MAYA, 0, 118), held=(-5, 120))
    room.close()
    assert room.session()["notes"] == []
    assert room.session()["held_to"].endswith("12:00:00+00:00")


def test_a_leave_that_never_comes_is_closed_by_its_own_evidence(make_room: MakeRoom) -> None:
    room = make_room()
    held(room)
    come(room, MAYA, 0, None)
    come(room, MAYA, 60, 120)
    week = room.week(MAYA)
    assert week["verdict"] == "undetermined"
    assert week["reasons"][0].startswith("present for at least 60 and at most 120 of 120 minutes")


def test_a_join_of_no_length_is_not_a_stay(make_room: MakeRoom) -> None:
    room = make_room()
    held(room)
    come(room, MAYA, 10, 10)
    room.record((HOST_NAME, -5, 120))
    room.close()
    assert room.week(MAYA)["minutes_present"] == 0
    assert room.week(MAYA)["verdict"] == "absent"


def test_a_stranger_is_listed_and_whoever_it_could_be_is_not_called_absent(
    make_room: MakeRoom,
) -> None:
    room = make_room()
    held(room)
    come(room, MAYA, 0, 120)
    room.stay("Galaxy Tab", 5, 115)
    room.record((MAYA, 0, 120), ("Galaxy Tab", 5, 115))
    room.close()
    (seen,) = room.report()["unmatched"]
    assert (seen["display_name"], seen["minutes_present"]) == ("Galaxy Tab", 110)
    assert room.week(TOM)["verdict"] == "undetermined"
    assert "“Galaxy Tab” was there" in room.week(TOM)["reasons"][0]
    said = room.call("PUT", f"/sessions/2/participants/{seen['ref']}", json={"carer": None})
    assert said["changed"] == [
        {"week": 2, "carer": "carer-2", "before": "undetermined", "after": "absent"}
    ]
    back = room.call("DELETE", f"/sessions/2/participants/{seen['ref']}")
    assert [c["after"] for c in back["changed"]] == ["undetermined"]


def test_a_link_that_was_passed_on_is_flagged_and_counted_once(make_zoom: MakeRoom) -> None:
    room = make_zoom()
    held(room)
    room.stay(MAYA, 0, 120)
    room.stay("Aunt Rosalind", 10, 100, link=MAYA)
    week = room.week(MAYA)
    assert week["minutes_present"] == 120
    assert week["flags"] == [
        "the personal link was used under the name “Aunt Rosalind” as well; "
        "it may have been passed on"
    ]
    assert any(i["kind"] == "identity" and i["says"] == week["flags"][0] for i in room.attention())
    assert room.report()["unmatched"] == []


def test_facilitators_and_note_takers_are_nobody_to_the_register(make_room: MakeRoom) -> None:
    room = make_room()
    held(room)
    room.stay(HOST_NAME, -5, 120)
    room.stay("Otter.ai Notetaker", 0, 120)
    come(room, MAYA, 0, 120)
    room.record((MAYA, 0, 120), (HOST_NAME, -5, 120))
    room.close()
    assert room.report()["unmatched"] == []
    assert room.week(TOM)["verdict"] == "absent"


def test_fifty_switches_of_a_camera_are_summed_and_nothing_is_said_of_what_nobody_told(
    make_teams: MakeRoom,
) -> None:
    room = make_teams()
    held(room)
    come(room, MAYA, 0, 120)
    room.record((MAYA, 0, 120), engagements={MAYA: [(2 * n, n % 2 == 0) for n in range(1, 51)]})
    room.close()
    week = room.week(MAYA)
    assert week["camera"] == "partly"
    assert week["camera_minutes"] == {"on": 70, "present": 120, "unknown": 0}
    assert week["camera_sources"] == [
        {"source": "platform_record", "on_minutes": 70, "off_minutes": 50}
    ]
    assert room.week(TOM)["camera"] == "unknown"


def test_a_microphone_that_never_sent_and_a_camera_on_is_the_rules_to_decide(
    make_zoom: MakeRoom,
) -> None:
    room = make_zoom()
    held(room)
    room.stay(MAYA, 0, 120)
    room.camera(MAYA, 0, 120, on=True)
    assert room.week(MAYA)["verdict"] == "attended"
    assert room.week(MAYA)["microphone"] == "connected"
    assert room.report()["rule"]["microphone"] == "connected"


def test_the_week_is_drawn_with_camera_and_microphone_and_what_nobody_told(
    make_zoom: MakeRoom,
) -> None:
    room = make_zoom()
    held(room)
    room.stay(MAYA, 0, 120)
    room.camera(MAYA, 0, 30, on=True)
    room.camera(MAYA, 30, 60, on=True, sound=False)
    page = room.staff_page("/sessions/2/carers/carer-1")
    assert "Camera: on 10:00 to 11:00, not known 11:00 to 12:00." in page
    assert (
        "Microphone: open 10:00 to 10:30, muted 10:30 to 11:00, not known 11:00 to 12:00." in page
    )
    times = room.week(MAYA)["microphone_intervals"]
    assert [[b[11:16], e[11:16]] for b, e in times["off"]] == [["10:30", "11:00"]]


def test_where_notifications_and_record_disagree_both_are_kept_and_it_is_said(
    make_room: MakeRoom,
) -> None:
    room = make_room()
    held(room)
    come(room, MAYA, 0, 120)
    room.record((MAYA, 0, 60))
    room.close()
    week = room.week(MAYA)
    assert set(week["sources"]) >= {"webhook", "platform_record"}
    assert any(
        "the platform's record says 60 minutes, the notifications 120" in r for r in week["reasons"]
    )


def test_late_evidence_makes_a_new_version_and_the_old_one_stays(make_room: MakeRoom) -> None:
    room = make_room()
    held(room)
    come(room, MAYA, 0, 60)
    room.record((MAYA, 0, 60))
    room.close()
    assert room.session()["version"] == 1
    first = room.call("GET", "/sessions/2/versions")["versions"]
    come(room, MAYA, 61, 120)  # delivered hours late
    assert room.reconciliation.note_late_evidence() == 1
    assert room.reconciliation.note_late_evidence() == 0
    versions = room.call("GET", "/sessions/2/versions")["versions"]
    assert versions[0] == first[0]
    assert [v["cause"] for v in versions] == ["closed", "later evidence"]
    (change,) = [c for c in versions[1]["changed"] if c["carer"] == "carer-1"]
    assert change["minutes"] == {"before": 60, "after": 119}
    assert change["new_facts"] == 2
    assert room.session()["version"] == 2


def test_evidence_that_came_while_the_worker_was_away_for_hours_makes_a_new_version(
    make_room: MakeRoom,
) -> None:
    room = make_room()
    held(room)
    come(room, MAYA, 0, 60)
    room.record((MAYA, 0, 60))
    room.close()
    assert room.reconciliation.note_late_evidence() == 0
    come(room, MAYA, 61, 120)  # the web process took it; the worker is being moved
    room.clock.move(timedelta(hours=30))
    started_again = Reconciliation(database=room.database, providers={}, clock=room.clock)
    assert started_again.note_late_evidence() == 1
    assert started_again.note_late_evidence() == 0
    assert room.session()["version"] == 2


def test_a_persons_word_survives_later_evidence_and_is_audited(make_zoom: MakeRoom) -> None:
    room = make_zoom()
    held(room)
    room.stay(MAYA, 0, 30)
    room.record((MAYA, 0, 30))
    room.close()
    said = {"verdict": "attended", "reason": "she watched it with Dr Lee", "kind": "catch_up"}
    room.call("PUT", "/sessions/2/verdicts/carer-1", json=said)
    room.stay(MAYA, 40, 60)
    room.reconciliation.note_late_evidence()
    week = room.week(MAYA)
    assert (week["verdict"], week["correction"]) == ("attended", "catch_up")
    assert "evidence: partial" in week["reasons"][0]
    causes = [v["cause"] for v in room.call("GET", "/sessions/2/versions")["versions"]]
    assert causes == ["closed", "verdict.correct", "later evidence"]


def test_an_empty_record_proves_nobodys_absence(make_room: MakeRoom) -> None:
    room = make_room()
    held(room)
    come(room, MAYA, 0, 120)
    room.close()
    assert room.week(TOM)["verdict"] == "undetermined"
    assert "no record of this session" in room.week(TOM)["reasons"][0]


def test_seven_weeks_attended_and_one_unknown_is_undetermined_never_failed(
    make_room: MakeRoom,
) -> None:
    room = make_room({"H1": (MAYA,)})
    for week in (1, 3, 4, 5, 6, 7, 8):
        room.call(
            "PUT",
            f"/sessions/{week}/verdicts/carer-1",
            json={"verdict": "attended", "reason": "seen by all"},
        )
    from_now = room.clock.now
    room.clock.now = from_now.replace(month=4)
    (carer,) = room.report()["carers"]
    assert (carer["all_sessions"], carer["missed_weeks"]) == ("undetermined", [])


def test_a_trial_meeting_earlier_that_day_is_not_the_session(make_room: MakeRoom) -> None:
    room = make_room()
    room.started(-240, instance="trial")
    come(room, MAYA, -240, -200, instance="trial")
    room.ended(-200, instance="trial")
    held(room)
    come(room, TOM, 0, 120)
    room.record((TOM, 0, 120))
    room.close()
    assert room.week(MAYA)["verdict"] == "absent"
    assert room.week(MAYA)["minutes_present"] == 0


def test_the_same_name_twice_at_once_is_doubled_nowhere(make_teams: MakeRoom) -> None:
    room = make_teams()
    assert room.platform is Platform.TEAMS
    held(room)
    room.open_page(MAYA, -2)
    room.stay(MAYA, 0, 120)
    room.stay(MAYA, 1, 119, "another")
    week = room.week(MAYA)
    assert week["minutes_present"] == 120
    assert any("two devices at once" in reason for reason in week["reasons"])
