"""What a carer may ask for, over the API: erasure, correction, restriction, refusal."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from course.model import EventKind, Participant, ParticipantEvent, Platform, RegisterEntry, Source
from course.store import cohorts, evidence, registers, revisions, tables
from course.store.retention import Periods, retain
from course.store.unmatched import forget_unmatched
from settings import Settings
from tests.factories import FIRST, make_carer, make_cohort
from tests.web.conftest import Door

pytestmark = pytest.mark.both_databases

MAYA = "/carers/carer-1"


def attends(door: Door, name: str, week: int = 1, *, email: str = "maya@example.com") -> None:
    """Somebody of that name stays for a whole session, without a personal link."""
    session = make_cohort().sessions[week - 1]
    told = ParticipantEvent(
        key=f"{name} {week}",
        platform=Platform.ZOOM,
        kind=EventKind.STAY,
        occurred_at=session.starts_at,
        until_at=session.ends_at,
        source=Source.PLATFORM_RECORD,
        series_ref="81000000001",
        instance_ref=f"instance-{week}",
        instance_started_at=session.starts_at,
        connection_ref=f"{name} {week}",
        participant=Participant(display_name=name, email=email),
    )
    entry = RegisterEntry(
        week=week, closed_at=session.ends_at + timedelta(minutes=30), record_complete=True
    )
    with door.database.write() as connection:
        evidence.save_events(connection, [told])
        registers.save_register(connection, "cohort-1", entry)
    door.clock.move(session.ends_at + timedelta(hours=1) - door.clock())


def test_an_erased_carer_is_gone_from_every_answer(door: Door) -> None:
    attends(door, "Maya Patel")
    answer = door.call("DELETE", MAYA)
    assert answer.status_code == 200
    told = answer.get_json()
    assert len(told["tombstones"]) == 1
    assert told["platform"] == "is being told"
    assert door.woken == [True]
    assert door.call("DELETE", MAYA).status_code == 404
    assert door.client.get("/join/join-token").status_code == 404
    for path in (
        *("/cohorts/cohort-1", "/cohorts/cohort-1/attendance", "/attention"),
        *("/cohorts/cohort-1/sessions/1/versions", "/cohorts/cohort-1/sessions/1/board"),
        "/cohorts/cohort-1/attendance.csv",
    ):
        text = door.call("GET", path).get_data(as_text=True)
        assert "Maya" not in text, path
        assert "carer-1" not in text, path


def test_erasing_says_who_else_has_the_address(door: Door) -> None:
    other = replace(make_cohort(), id="cohort-2", series_ref=None, carers=(make_carer(id="c2"),))
    with door.database.write() as connection:
        cohorts.insert_cohort(connection, other, {"c2": "other-token"})
    told = door.call("DELETE", MAYA, json={"reason": "asked by letter"}).get_json()
    assert told["same_address"] == [{"cohort": "cohort-2", "carer": "c2"}]


def test_a_transferred_carer_is_erased_in_both_cohorts(door: Door) -> None:
    there = make_carer(id="c2", transferred_from="carer-1")
    other = replace(make_cohort(), id="cohort-2", series_ref=None, carers=(there,))
    with door.database.write() as connection:
        cohorts.insert_cohort(connection, other, {"c2": "other-token"})
    told = door.call("DELETE", MAYA).get_json()
    assert len(told["tombstones"]) == 2
    assert told["same_address"] == []
    with door.database.read() as connection:
        assert connection.execute(select(tables.carer.c.id)).all() == []


@pytest.mark.parametrize("role", ["facilitator", "viewer"])
def test_only_an_admin_erases_restricts_and_refuses(door: Door, role: str) -> None:
    assert door.call("DELETE", MAYA, role=role).status_code == 403
    body = {"restricted": True, "reason": "asked"}
    assert door.call("PATCH", MAYA, role=role, json=body).status_code == 403
    no = {"request": "erasure", "reason": "legal claim"}
    assert door.call("POST", f"{MAYA}/refusals", role=role, json=no).status_code == 403


def test_a_corrected_name_counts_from_now_and_the_old_one_for_what_was(door: Door) -> None:
    attends(door, "Maya Patel")
    before = door.call("GET", "/cohorts/cohort-1/attendance").get_json()["carers"][0]["weeks"][0]
    answer = door.call(
        "PATCH",
        MAYA,
        role="facilitator",
        json={"name": "Maya Rao", "email": "maya.rao@example.com", "reason": "married"},
    )
    told = answer.get_json()
    assert (told["name"], told["email"]) == ("Maya Rao", "maya.rao@example.com")
    assert told["changed"] == []
    assert "keeps the earlier name" in told["platform"]
    report = door.call("GET", "/cohorts/cohort-1/attendance").get_json()
    assert report["carers"][0]["name"] == "Maya Rao"
    assert report["carers"][0]["weeks"][0] == before
    assert before["verdict"] != "absent"
    assert report["unmatched"] == []
    attends(door, "Maya Rao", week=2)
    assert door.call("GET", "/cohorts/cohort-1/attendance").get_json()["unmatched"] == []
    door.call("DELETE", MAYA)
    with door.database.read() as connection:
        assert connection.execute(select(tables.former_name)).all() == []


def test_a_telephone_number_is_put_right_or_taken_away_and_the_old_one_goes_with_the_carer(
    door: Door,
) -> None:
    reason = {"reason": "typed wrongly"}
    told = door.call("PATCH", MAYA, json={"phone": "07700 900123", **reason}).get_json()
    assert (told["phone"], told["name"], told["platform"]) == ("07700 900123", "Maya Patel", None)
    door.call("PATCH", MAYA, json={"phone": "07700 900456", **reason})
    with door.database.read() as connection:
        assert set(connection.execute(select(tables.former_name.c.phone)).scalars()) == {
            None,
            "07700 900123",
        }
    attends(door, "07700 900123", email="")  # dialled in from the number that we had
    assert door.call("PATCH", MAYA, json={"phone": None, **reason}).get_json()["phone"] is None
    assert "07700 900456" in door.call("GET", f"{MAYA}/export").get_data(as_text=True)
    door.call("DELETE", MAYA)
    with door.database.read() as connection:
        (kept,) = connection.execute(select(tables.participant_event.c.participant)).scalars()
    assert list(kept) == ["invitation_ref"]


def test_a_restricted_carer_is_kept_and_shown_to_admins_only(door: Door) -> None:
    attends(door, "Maya Patel")
    answer = door.call("PATCH", MAYA, json={"restricted": True, "reason": "contests accuracy"})
    assert answer.get_json()["restricted"] is True
    for path in (
        *("/cohorts/cohort-1", "/cohorts/cohort-1/attendance", "/attention"),
        *("/cohorts/cohort-1/sessions/2/board", "/cohorts/cohort-1/attendance.csv"),
    ):
        text = door.call("GET", path, role="facilitator").get_data(as_text=True)
        assert "Maya" not in text, path
        assert "maya@example.com" not in text, path
    for path in (
        "/cohorts/cohort-1/sessions/1/evidence?carer=carer-1",
        "/cohorts/cohort-1/carers/carer-1/certificate.pdf",
    ):
        assert door.call("GET", path, role="facilitator").status_code == 403
    carer = door.call("GET", "/cohorts/cohort-1", role="facilitator").get_json()["carers"][0]
    assert (carer["name"], carer["join_url"]) == ("restricted", None)
    (week, *_) = door.call("GET", "/cohorts/cohort-1/attendance", role="viewer").get_json()[
        "carers"
    ][0]["weeks"]
    assert week["verdict"] == "pending"
    assert "Maya Patel" in door.call("GET", "/cohorts/cohort-1/attendance").get_data(as_text=True)
    assert door.client.get("/join/join-token").status_code == 404
    door.call("PATCH", MAYA, json={"restricted": False, "reason": "settled"})
    assert door.client.get("/join/join-token").status_code == 200


def test_a_restricted_carers_verdicts_stand_nowhere_for_others(door: Door) -> None:
    attends(door, "Somebody else")
    door.clock.now = FIRST + timedelta(days=1)
    said = {"verdict": "absent", "reason": "seen by nobody", "kind": "correction"}
    door.call("PUT", "/cohorts/cohort-1/sessions/1/verdicts/carer-1", json=said)
    with door.database.write() as connection:
        cohort = cohorts.read_cohort(connection, "cohort-1")
        assert cohort is not None
        entry = RegisterEntry(week=1, closed_at=door.clock.now, record_complete=True)
        registers.save_register(connection, "cohort-1", entry)
        revisions.revise(
            connection, cohort, cause="closed", actor="system", now=door.clock.now, weeks=[1]
        )
    versions, report = "/cohorts/cohort-1/sessions/1/versions", "/cohorts/cohort-1/attendance"
    assert "absent" in door.call("GET", versions, role="viewer").text
    assert door.call("GET", report, role="viewer").json["households"][0]["missed_weeks"] == [1]
    door.call("PATCH", MAYA, json={"restricted": True, "reason": "contests accuracy"})
    for role in ("viewer", "facilitator"):
        told = door.call("GET", versions, role=role)
        assert (told.status_code, "absent" in told.text) == (200, False)
        (household,) = door.call("GET", report, role=role).json["households"]
        assert (household["all_sessions"], household["missed_weeks"]) == ("undetermined", [])
    assert "absent" in door.call("GET", versions).text


@pytest.mark.parametrize("restricted", ["carer-1", "carer-2"])
def test_nor_do_those_from_the_cohort_that_they_came_from(door: Door, restricted: str) -> None:
    attends(door, "Maya Patel")
    door.clock.now = FIRST + timedelta(days=1)
    came = make_carer(id="carer-2", transferred_from="carer-1")
    cohort = make_cohort(id="cohort-2", name="Summer 2027", series_ref=None, carers=(came,))
    with door.database.write() as connection:
        cohorts.insert_cohort(connection, cohort, {"carer-2": "token-2"})

    def earlier(role: str) -> object:
        path = "/api/v1/cohorts/cohort-2/attendance"
        answer = door.client.get(path, headers=door.token(role, "cohort-2")).get_json()
        return answer["carers"][0]["transferred_from"]

    assert all(earlier(role) for role in ("viewer", "facilitator", "admin"))
    body = {"restricted": True, "reason": "contests accuracy"}
    assert door.call("PATCH", f"/carers/{restricted}", json=body).status_code == 200
    assert [bool(earlier(role)) for role in ("viewer", "facilitator", "admin")] == [
        False,
        False,
        True,
    ]


def test_each_request_stands_in_the_audit_trail(door: Door) -> None:
    refused = door.call(
        "POST", f"{MAYA}/refusals", json={"request": "erasure", "reason": "a claim is pending"}
    )
    assert refused.status_code == 204
    door.call("PATCH", MAYA, json={"restricted": True, "reason": "meanwhile"})
    door.call("PATCH", MAYA, json={"name": "Maya Rao", "reason": "typo"})
    with door.database.read() as connection:
        lines = connection.execute(select(tables.audit).order_by(tables.audit.c.id)).all()
    assert [line.action for line in lines] == ["erasure.refuse", "carer.restrict", "carer.rectify"]
    assert {line.subject for line in lines} == {"cohort-1/carer-1"}
    assert lines[0].detail == {"reason": "a claim is pending"}
    assert "Maya" not in str([line.detail for line in lines])


def test_a_change_needs_a_reason_and_something_to_change(door: Door) -> None:
    faults = door.call("PATCH", MAYA, json={"name": "Maya Rao"}).get_json()["errors"]
    assert [fault["field"] for fault in faults] == ["reason"]
    assert door.call("PATCH", "/carers/nobody", json={"reason": "x"}).status_code == 404


def test_once_strangers_are_forgotten_that_session_is_judged_as_ever(door: Door) -> None:
    attends(door, "Maya Patel")
    attends(door, "Galaxy Tab", email="")
    assert "Galaxy Tab" in door.call("GET", "/cohorts/cohort-1/attendance").get_data(as_text=True)
    page = door.client.get("/cohorts/cohort-1", headers=door.token("admin"))
    assert "kept for 30 days after the session" in page.get_data(as_text=True)
    door.clock.move(timedelta(days=31))
    assert forget_unmatched(door.database, kept=timedelta(days=30), now=door.clock()) == 1
    report = door.call("GET", "/cohorts/cohort-1/attendance").get_json()
    assert "Galaxy Tab" not in str(report)
    assert report["carers"][0]["weeks"][0]["minutes_present"] == 30
    assert report["unmatched"] == []
    ticked = door.call("PUT", "/cohorts/cohort-1/sessions/1/ticks/carer-1", json={"camera": "on"})
    assert ticked.status_code == 200
    report = door.call("GET", "/cohorts/cohort-1/attendance").get_json()
    assert report["carers"][0]["weeks"][0]["camera"] == "on"


def test_once_the_evidence_is_gone_only_corrections_change_a_session(door: Door) -> None:
    attends(door, "Maya Patel")
    door.clock.move(timedelta(days=200))
    periods = Periods(**Settings(_env_file=None).periods())  # type: ignore[call-arg]
    assert retain(door.database, periods, now=door.clock())
    for method, path, body in (
        ("PUT", "ticks/carer-1", {"camera": "on"}),
        ("DELETE", "shared-devices/carer-1", None),
    ):
        refused = door.call(method, f"/cohorts/cohort-1/sessions/1/{path}", json=body)
        assert refused.status_code == 409
        assert "Correct the verdict instead" in refused.get_json()["detail"]
    said = {"verdict": "attended", "kind": "correction", "reason": "I saw her"}
    told = door.call("PUT", "/cohorts/cohort-1/sessions/1/verdicts/carer-1", json=said)
    assert told.get_json()["verdict"] == "attended"
