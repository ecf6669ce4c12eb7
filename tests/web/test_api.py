"""The staff API from outside: what goes in, what comes out, what bad input gets."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest
from sqlalchemy import text

from course.model import EventKind, Participant, ParticipantEvent, Platform, Source
from course.store import cohorts, evidence
from integration.provider import ProviderError
from integration.scheduling import Refused
from tests.factories import FIRST, make_carer, make_cohort
from tests.web.conftest import Door
from web.export_csv import inert
from web.probes import PROBES
from web.problems import Problem

SMALL = {"name": "Autumn", "platform": "zoom", "first_session_on": "2027-01-09"}


def post(door: Door, body: Any, **headers: str) -> Any:
    return door.call("POST", "/cohorts", json=body, headers=headers)


def fields(answer: Any) -> list[str]:
    return [fault["field"] for fault in answer.json["errors"]]


def test_three_fields_open_a_cohort_with_the_courses_defaults(door: Door) -> None:
    answer = post(door, SMALL)
    assert answer.status_code == 201
    assert answer.headers["Location"] == "/api/v1/cohorts/opened-1"
    ((new, key, actor),) = door.office.asked
    assert (new.session_minutes, new.first_session_minutes) == (120, 30)
    assert (key, actor) == (None, "admin Ann")
    assert set(answer.json) >= {
        *("id", "name", "platform", "state", "problem", "series_ref", "sessions", "carers"),
    }


def test_what_is_not_ready_yet_is_accepted_with_a_place_to_look(door: Door) -> None:
    door.office.slow = True
    answer = post(door, SMALL)
    assert (answer.status_code, answer.json["state"]) == (202, "opening")
    assert answer.headers["Location"] == "/api/v1/cohorts/opened-1"


def families(count: int, carers: int) -> list[dict[str, Any]]:
    return [
        {
            "reference": f"H{number}",
            "carers": [
                {"name": f"Carer {number} {one}", "email": f"carer-{number}-{one}@example.com"}
                for one in range(carers)
            ],
        }
        for number in range(count)
    ]


@pytest.mark.parametrize(("count", "carers"), [(250, 2), (500, 1), (500, 2)])
def test_five_hundred_households_open_as_one_cohort(door: Door, count: int, carers: int) -> None:
    assert post(door, SMALL | {"households": families(count, carers)}).status_code == 201
    ((new, _, _),) = door.office.asked
    assert sum(len(household.carers) for household in new.households) == count * carers


def test_more_than_five_hundred_households_are_refused_with_the_limit(door: Door) -> None:
    answer = post(door, SMALL | {"households": families(501, 1)})
    assert (answer.status_code, fields(answer)) == (422, ["households"])
    assert "500" in answer.json["errors"][0]["message"]


def test_five_faults_get_one_answer_that_names_all_five(door: Door) -> None:
    answer = post(
        door,
        {
            "name": " ",
            "platform": "webex",
            "first_session_on": "2027-01-12",
            "session_minutes": 10,
            "households": [
                {
                    "reference": "H1",
                    "carers": [
                        {"name": "A", "email": "not an address"},
                        {"name": "B", "email": "b@example.com"},
                        {"name": "C", "email": "c@example.com"},
                    ],
                },
                {"reference": "H1", "carers": []},
            ],
        },
    )
    assert answer.status_code == 422
    assert answer.mimetype == "application/problem+json"
    assert sorted(fields(answer)) == [
        "first_session_on",
        "households.0.carers",
        "households.0.carers.0.email",
        "households.1.carers",
        "households.1.reference",
        "name",
        "platform",
        "session_minutes",
    ]
    assert "2027-01-09" in answer.text
    assert door.office.asked == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"first_session_on": 20270109}, "first_session_on"),
        ({"first_session_on": "2020-01-04"}, "first_session_on"),
        ({"skip_dates": ["2027-01-10"]}, "skip_dates.0"),
        ({"skip_dates": "2027-01-16"}, "skip_dates"),
        ({"session_minutes": "120"}, "session_minutes"),
        ({"session_minutes": True}, "session_minutes"),
        ({"starts_at": "25:00"}, "starts_at"),
        ({"role": "admin"}, "role"),
        ({"state": "ready"}, "state"),
        ({"name": "a" * 201}, "name"),
        ({"name": "a\u0007b"}, "name"),
        ({"facilitators": [{"name": "Lee"}]}, "facilitators.0.email"),
        ({"household_rule": "nobody"}, "household_rule"),
    ],
)
def test_each_fault_is_named_at_its_field(door: Door, change: Any, field: str) -> None:
    answer = post(door, SMALL | change)
    assert (answer.status_code, fields(answer)) == (422, [field])


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"{", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"[]", "application/json", 422),
        (b"{}", "text/plain", 415),
        (b"{}", "", 415),
        (b'{"name": "' + b"a" * 300_000 + b'"}', "application/json", 413),
    ],
)
def test_bodies_that_are_none(door: Door, body: bytes, kind: str, code: int) -> None:
    answer = door.call("POST", "/cohorts", data=body, headers={"Content-Type": kind})
    assert answer.status_code == code
    assert answer.mimetype == "application/problem+json"
    assert set(answer.json) == {"status", "title", "detail", "errors"}
    assert answer.json["detail"]


def test_a_platform_that_is_not_configured_says_what_is_missing(door: Door) -> None:
    answer = post(door, SMALL | {"platform": "teams"})
    assert answer.status_code == 409
    assert "TEAMS_TENANT_ID" in answer.json["detail"]


@pytest.mark.parametrize(
    ("kind", "code"), [("duplicate", 409), ("key_reused", 422), ("no_organiser", 422)]
)
def test_refusals_of_the_office_keep_their_sentence(door: Door, kind: str, code: int) -> None:
    door.office.refuse = Refused(kind, "The sentence.", cohort_id="other")
    answer = post(door, SMALL)
    assert answer.status_code == code
    assert "The sentence." in answer.text


def test_an_idempotency_key_goes_to_the_office_and_odd_ones_are_refused(door: Door) -> None:
    post(door, SMALL, **{"Idempotency-Key": "spring-2027"})
    assert door.office.asked[0][1] == "spring-2027"
    for odd in ("", "a" * 256, "with space"):
        assert post(door, SMALL, **{"Idempotency-Key": odd}).status_code == 422


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/cohorts/a%00b"),
        ("GET", "/carers/a%00b/export"),
        ("DELETE", "/cohorts/cohort-1/sessions/1/participants/a%00b"),
        ("DELETE", f"/cohorts/cohort-1/sessions/1/participants/{'x' * 65}"),
        ("POST", f"/cohorts/cohort-1/messages/{2**31}/settle"),
        ("POST", f"/cohorts/cohort-1/messages/{2**80}/settle"),
    ],
)
def test_what_cannot_be_there_is_404_on_any_database(door: Door, method: str, path: str) -> None:
    assert door.call(method, path).status_code == 404


def test_unknown_things_are_404_and_wrong_methods_say_which_are_right(door: Door) -> None:
    for path in (
        "/cohorts/unknown",
        "/cohorts/unknown/attendance",
        "/cohorts/cohort-1/sessions/9/evidence?carer=carer-1",
        "/cohorts/cohort-1/sessions/1/evidence?carer=unknown",
    ):
        assert door.call("GET", path).status_code == 404
    assert door.client.get("/nothing").status_code == 404
    answer = door.call("PUT", "/cohorts")
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


@pytest.mark.both_databases
def test_the_report_has_exactly_the_shape_of_the_contract(door: Door) -> None:
    report = door.call("GET", "/cohorts/cohort-1/attendance").json
    assert set(report) == {
        *("cohort", "as_of", "rule", "sessions", "carers", "households", "unmatched", "apart"),
    }
    assert report["rule"] | {"satisfied_by": None} == {
        "presence": 0.8,
        "camera": 0.5,
        "microphone": "connected",
        "late_after_minutes": 10,
        "household": "every_carer",
        "satisfied_by": None,
    }
    (carer,) = report["carers"]
    assert carer["all_sessions"] == "on_track"
    assert set(carer["weeks"][0]) >= {
        *("week", "verdict", "minutes_present", "share_present", "late_minutes"),
        *("left_early_minutes", "camera", "camera_share", "microphone", "intervals"),
        *("sources", "reasons", "corrected"),
    }
    assert report["sessions"][0]["starts_at"] == "2027-01-09T10:00:00+00:00"
    assert report["sessions"][0]["register"] == "scheduled"


@pytest.mark.both_databases
def test_a_correction_needs_a_reason_is_kept_and_can_be_taken_back(door: Door) -> None:
    path = "/cohorts/cohort-1/sessions/1/verdicts/carer-1"
    bad = door.call("PUT", path, json={"verdict": "attended"})
    assert (bad.status_code, fields(bad)) == (422, ["reason"])
    body = {"verdict": "attended", "reason": "I saw her", "kind": "catch_up"}
    good = door.call("PUT", path, json=body)
    assert (good.json["verdict"], good.json["corrected"]) == ("attended", True)
    assert good.json["correction"] == "catch_up"
    back = door.call("DELETE", path)
    assert (back.json["verdict"], back.json["corrected"]) == ("pending", False)
    with door.database.read() as connection:
        actions = connection.execute(text("SELECT action FROM audit ORDER BY id")).scalars().all()
        rows = connection.execute(text("SELECT count(*) FROM correction")).scalar_one()
    assert list(actions)[-2:] == ["verdict.correct", "verdict.take_back"]
    assert rows == 2


def test_a_pending_verdict_cannot_be_decreed(door: Door) -> None:
    path = "/cohorts/cohort-1/sessions/1/verdicts/carer-1"
    answer = door.call("PUT", path, json={"verdict": "pending", "reason": "because"})
    assert fields(answer) == ["verdict"]


def seen(door: Door, name: str) -> None:
    with door.database.write() as connection:
        for kind, minute in ((EventKind.JOINED, 0), (EventKind.LEFT, 30)):
            event = ParticipantEvent(
                key=f"{kind}-{name}",
                platform=Platform.ZOOM,
                kind=kind,
                occurred_at=FIRST.replace(minute=minute),
                source=Source.WEBHOOK,
                series_ref="81000000001",
                instance_ref="u",
                connection_ref="c",
                participant=Participant(display_name=name),
            )
            evidence.save_events(connection, [event])
    door.clock.now = FIRST.replace(hour=13)


@pytest.mark.both_databases
def test_saying_who_a_stranger_was_and_taking_it_back(door: Door) -> None:
    seen(door, "Mum's tablet")
    (stranger,) = door.call("GET", "/cohorts/cohort-1/attendance").json["unmatched"]
    path = f"/cohorts/cohort-1/sessions/1/participants/{stranger['ref']}"
    said = door.call("PUT", path, json={"carer": "carer-1"}).json
    assert said["unmatched"] == []
    assert said["carers"][0]["weeks"][0]["minutes_present"] == 30
    facts = door.call("GET", "/cohorts/cohort-1/sessions/1/evidence?carer=carer-1").json
    assert any("Ann said so" in fact for fact in facts["facts"])
    assert any("joined as “Mum's tablet”" in fact for fact in facts["facts"])
    assert len(door.call("DELETE", path).json["unmatched"]) == 1
    assert door.call("PUT", path + "x", json={"carer": "carer-1"}).status_code == 404
    assert door.call("PUT", path, json={"carer": "unknown"}).status_code == 404


def test_closing_a_register_and_what_it_says_when_it_cannot(door: Door) -> None:
    path = "/cohorts/cohort-1/sessions/1/close"
    assert door.call("POST", path).status_code == 200
    assert door.closed == [("cohort-1", 1, "admin Ann")]
    door.on_close.append(ProviderError("Zoom does not answer.", permanent=False))
    answer = door.call("POST", path)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    assert "Zoom does not answer." in answer.json["detail"]
    door.on_close.append(Problem(409, "The register cannot be closed now", "It has not begun."))
    assert door.call("POST", path).status_code == 409


def test_cancelling_goes_to_the_office(door: Door) -> None:
    assert door.call("DELETE", "/cohorts/cohort-1").status_code == 200
    assert door.office.cancelled == ["cohort-1"]


EVIL = ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "＝1", " =1"]


@pytest.mark.parametrize("name", EVIL)
def test_a_name_is_only_ever_text_in_a_spreadsheet(door: Door, name: str) -> None:
    assert inert(name).startswith("'")
    assert inert("Maya Patel") == "Maya Patel"
    with door.database.write() as connection:
        cohort = make_cohort(
            id="cohort-2", series_ref=None, carers=(make_carer(id="carer-2", name=name),)
        )
        cohorts.insert_cohort(connection, cohort, {"carer-2": "token-2"})
    answer = door.call("GET", "/cohorts/cohort-2/attendance.csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"].endswith('"attendance-cohort-2.csv"')
    rows = list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert len(rows) == 9
    assert all(not cell.startswith(("=", "+", "@", "\t", "\r", "＝")) for r in rows for cell in r)


def test_an_accident_shows_a_number_and_nothing_else(door: Door) -> None:
    door.on_close.append(RuntimeError("secret detail about Maya Patel"))
    answer = door.call("POST", "/cohorts/cohort-1/sessions/1/close")
    assert answer.status_code == 500
    assert "Maya" not in answer.text
    assert "Traceback" not in answer.text
    assert re.search(r"under [0-9a-f]{12};", answer.json["detail"])


def test_the_document_lists_exactly_the_routes_and_every_reference_resolves(door: Door) -> None:
    document = json.loads(door.client.get("/openapi.json").data)
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in door.app.url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    listed = {(path, method) for path, item in document["paths"].items() for method in item}
    assert listed == routes | {(path, "get") for path in PROBES}
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(document))) <= known


@pytest.mark.both_databases
def test_attention_lists_what_needs_a_person(door: Door) -> None:
    seen(door, "Galaxy Tab")
    items = door.call("GET", "/attention").json["items"]
    assert {item["kind"] for item in items} == {"undetermined", "unmatched"}
    assert all(item["cohort"] == "cohort-1" and item["says"] for item in items)


@pytest.mark.parametrize("path", ["/openapi.json", "/nothing", "/join/x", "/healthz"])
def test_every_answer_is_hardened(door: Door, path: str) -> None:
    headers = door.client.get(path).headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "max-age=31536000" in headers["Strict-Transport-Security"]
    assert "Access-Control-Allow-Origin" not in headers
