"""Who may do what: every route says it, and the answer to everybody else is the same."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.web.conftest import Door

ROUTES = [
    ("POST", "/cohorts", {"admin"}),
    ("GET", "/cohorts", {"admin", "facilitator", "viewer"}),
    ("GET", "/cohorts/cohort-1", {"admin", "facilitator", "viewer"}),
    ("DELETE", "/cohorts/cohort-1", {"admin"}),
    ("GET", "/cohorts/cohort-1/attendance", {"admin", "facilitator", "viewer"}),
    ("GET", "/cohorts/cohort-1/attendance.csv", {"admin", "facilitator", "viewer"}),
    ("GET", "/cohorts/cohort-1/attendance.xlsx", {"admin", "facilitator", "viewer"}),
    ("GET", "/cohorts/cohort-1/attendance.pdf", {"admin", "facilitator", "viewer"}),
    ("GET", "/cohorts/cohort-1/attendance.html", {"admin", "facilitator", "viewer"}),
    ("GET", "/cohorts/cohort-1/sessions/1/board", {"admin", "facilitator"}),
    ("POST", "/cohorts/cohort-1/sessions/1/notes/carer-1", {"admin", "facilitator"}),
    ("GET", "/cohorts/cohort-1/sessions/1/evidence", {"admin", "facilitator"}),
    ("PUT", "/cohorts/cohort-1/sessions/1/verdicts/carer-1", {"admin", "facilitator"}),
    ("DELETE", "/cohorts/cohort-1/sessions/1/verdicts/carer-1", {"admin", "facilitator"}),
    ("PUT", "/cohorts/cohort-1/sessions/1/participants/abc", {"admin", "facilitator"}),
    ("DELETE", "/cohorts/cohort-1/sessions/1/participants/abc", {"admin", "facilitator"}),
    ("PUT", "/cohorts/cohort-1/sessions/1/shared-devices/carer-1", {"admin", "facilitator"}),
    ("DELETE", "/cohorts/cohort-1/sessions/1/shared-devices/carer-1", {"admin", "facilitator"}),
    ("PUT", "/cohorts/cohort-1/sessions/1/ticks/carer-1", {"admin", "facilitator"}),
    ("POST", "/cohorts/cohort-1/messages/1/settle", {"admin", "facilitator"}),
    ("PATCH", "/cohorts/cohort-1/rule", {"admin", "facilitator"}),
    ("GET", "/cohorts/cohort-1/sessions/1/versions", {"admin", "facilitator", "viewer"}),
    ("GET", "/cohorts/cohort-1/carers/carer-1/certificate.pdf", {"admin", "facilitator"}),
    ("POST", "/cohorts/cohort-1/sessions/1/close", {"admin", "facilitator"}),
    ("GET", "/attention", {"admin", "facilitator"}),
    ("PATCH", "/cohorts/cohort-1/sessions/2", {"admin", "facilitator"}),
    ("DELETE", "/cohorts/cohort-1/sessions/2", {"admin", "facilitator"}),
    ("POST", "/cohorts/cohort-1/households", {"admin", "facilitator"}),
    ("DELETE", "/cohorts/cohort-1/carers/carer-1", {"admin", "facilitator"}),
    ("POST", "/cohorts/cohort-1/transfer", {"admin", "facilitator"}),
    ("POST", "/cohorts/cohort-1/platform", {"admin", "facilitator"}),
    ("POST", "/cohorts/cohort-1/repair", {"admin", "facilitator"}),
    ("GET", "/cohorts/cohort-1/rehearsal", {"admin", "facilitator", "viewer"}),
    ("POST", "/cohorts/cohort-1/rehearsal", {"admin", "facilitator"}),
    ("DELETE", "/cohorts/cohort-1/rehearsal", {"admin", "facilitator"}),
    ("GET", "/cohorts/cohort-1/calendar.ics", {"admin", "facilitator"}),
    ("GET", "/timetable", {"admin", "facilitator"}),
    ("POST", "/families", {"admin", "facilitator"}),
    ("GET", "/carers/carer-1/export", {"admin"}),
    ("GET", "/carers/carer-1/export.pdf", {"admin"}),
    ("PATCH", "/carers/carer-1", {"admin", "facilitator"}),
    ("POST", "/carers/carer-1/refusals", {"admin"}),
    ("DELETE", "/carers/carer-1", {"admin"}),
]

BODIES = {
    "participants": {"carer": None},
    "verdicts": {"verdict": "attended", "reason": "because"},
    "sessions/2": {"minutes": 100},
    "shared-devices": {"with": "carer-2", "reason": "seen together"},
    "ticks": {"camera": "on"},
    "notes": {"text": "rang, left a message"},
    "rehearsal": {"starts_at": "2027-01-08T18:00:00+00:00"},
    "rule": {"presence": 0.5, "reason": "agreed"},
    "households": {
        "reference": "H9",
        "carers": [{"name": "Ann Other", "email": "ann@example.com"}],
    },
    "refusals": {"request": "erasure", "reason": "a claim is pending"},
    "/carers/carer-1": {"name": "Maya Rao", "reason": "typed wrongly"},
    "platform": {"platform": "teams"},
    "transfer": {"household": "H1", "to_cohort": "another-cohort"},
}


def test_every_route_declares_who_may_use_it(door: Door) -> None:
    for rule in door.app.url_map.iter_rules():
        view = door.app.view_functions[rule.endpoint]
        assert hasattr(view, "circle_roles"), rule.rule


def test_the_matrix_above_knows_every_route(door: Door) -> None:
    declared = {
        (method, getattr(door.app.view_functions[rule.endpoint], "circle_roles"))  # noqa: B009
        for rule in door.app.url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    count = sum(
        len((rule.methods or set()) - {"HEAD", "OPTIONS"})
        for rule in door.app.url_map.iter_rules()
        if rule.rule.startswith("/api/")
    )
    assert count == len(ROUTES)
    assert {(m, frozenset(r)) for m, _, r in ROUTES} == {(m, frozenset(r)) for m, r in declared}


@pytest.mark.parametrize(("method", "path", "roles"), ROUTES)
def test_roles_and_ownership(door: Door, method: str, path: str, roles: set[str]) -> None:
    anonymous = door.client.open(f"/api/v1{path}", method=method, data=b"not even JSON")
    assert anonymous.status_code == 401
    assert anonymous.headers["WWW-Authenticate"] == "Bearer"
    for role in ("admin", "facilitator", "viewer"):
        answer = door.call(method, path, role)
        assert (answer.status_code == 403) is (role not in roles), (role, answer.json)
        if role in roles and role != "admin" and ("cohort-1" in path or "carer-1" in path):
            stranger = door.token(role, "another-cohort")
            body = next((b for part, b in BODIES.items() if part in path), None)
            query = {"carer": "carer-1"} if path.endswith("evidence") else None
            foreign = door.client.open(
                f"/api/v1{path}",
                method=method,
                headers=stranger,
                query_string=query,
                json=body if method in ("PUT", "PATCH", "POST") else None,
            )
            assert foreign.status_code == 404


@pytest.mark.both_databases
def test_an_expired_and_an_unknown_token_are_nobody(door: Door) -> None:
    headers = door.token()
    assert door.client.get("/api/v1/cohorts", headers=headers).status_code == 200
    door.clock.move(timedelta(days=301))
    assert door.client.get("/api/v1/cohorts", headers=headers).status_code == 401
    for value in ("Bearer nonsense", "Basic abc", "Bearer é", "Bearer " + "a" * 500, ""):
        answer = door.client.get("/api/v1/cohorts", headers={"Authorization": value})
        assert answer.status_code == 401


def test_a_viewer_sees_no_addresses_and_no_links(door: Door) -> None:
    (seen,) = door.call("GET", "/cohorts/cohort-1", "viewer").json["carers"]
    assert (seen["email"], seen["join_url"], seen["platform_join_url"]) == (None, None, None)
    (all_,) = door.call("GET", "/cohorts/cohort-1", "facilitator").json["carers"]
    assert all_["email"] == "maya@example.com"
    assert all_["join_url"] == "https://circle.example/join/join-token"
    listed = door.call("GET", "/cohorts", "viewer")
    assert "maya@example.com" not in listed.text
    assert "join-token" not in listed.text


def test_a_viewer_to_whom_no_cohort_was_given_reads_the_reports_of_all(door: Door) -> None:
    headers = door.token("viewer")
    report = door.client.get("/api/v1/cohorts/cohort-1/attendance", headers=headers)
    assert report.status_code == 200
    assert "Maya Patel" in report.text
    assert '"total":1' in door.client.get("/api/v1/cohorts", headers=headers).text
    assert door.client.get("/api/v1/attention", headers=headers).status_code == 403


def test_a_facilitator_to_whom_no_cohort_was_given_sees_none(door: Door) -> None:
    headers = door.token("facilitator")
    report = door.client.get("/api/v1/cohorts/cohort-1/attendance", headers=headers)
    assert report.status_code == 404


@pytest.mark.both_databases
def test_a_facilitator_lists_only_the_cohorts_given_to_them(door: Door) -> None:
    headers = door.token("facilitator", "another-cohort")
    assert door.client.get("/api/v1/cohorts", headers=headers).json == {
        "cohorts": [],
        "total": 0,
        "next": None,
    }
