"""What needs a person across many cohorts, and the cohorts by where their households stand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from course.model import CohortState, MessageKind
from course.store import cohorts, statements
from integration.standings import Standings
from tests.factories import FIRST, NOW, make_carer, make_cohort
from tests.web.conftest import PUBLIC, Door

MANY = 25


def open_many(door: Door, how_many: int = MANY) -> None:
    """Cohorts that each need a person, the first of them longest."""
    with door.database.write() as connection:
        for number in range(how_many):
            cohort = make_cohort(
                id=f"many-{number:03}",
                name=f"Group {number}",
                state=CohortState.NEEDS_ATTENTION,
                problem=f"Week {number} was moved on the platform.",
                created_at=NOW + timedelta(minutes=number),
                carers=(make_carer(id=f"carer-of-{number}"),),
            )
            cohorts.insert_cohort(connection, cohort, {f"carer-of-{number}": f"token-{number}"})


def a_minute_passes(door: Door) -> None:
    Standings(door.database, door.clock).keep()


def follow(door: Door, path: str) -> Any:
    """The rest of a list, by the address that its first part gave."""
    return door.client.get(path, headers=door.token()).get_json()


def attention(door: Door, path: str = "", role: str = "admin") -> Any:
    answer = door.call("GET", f"/attention{path}", role)
    assert answer.status_code == 200, answer.text
    return answer.json


@pytest.mark.both_databases
def test_no_cohort_is_left_out_however_many_there_are(door: Door) -> None:
    open_many(door)
    a_minute_passes(door)
    first = attention(door, "?limit=20")
    assert (len(first["items"]), first["total"], first["behind"]) == (20, MANY, 0)
    rest = follow(door, first["next"])
    assert (len(rest["items"]), rest["next"]) == (MANY - 20, None)
    listed = [item["cohort"] for item in first["items"] + rest["items"]]
    assert listed == [f"many-{number:03}" for number in range(MANY)]


def test_the_page_shows_how_many_more_there_are_and_leads_to_them(door: Door) -> None:
    open_many(door, 103)
    a_minute_passes(door)
    headers = door.token()
    first = door.client.get("/attention", headers=headers, base_url=PUBLIC).text
    assert (first.count("<li>"), "3 more" in first) == (100, True)
    assert "Group 99<" in first
    assert "Group 100<" not in first
    assert 'href="/attention?offset=100"' in first
    last = door.client.get("/attention?offset=100", headers=headers, base_url=PUBLIC).text
    assert (last.count("<li>"), "Group 102<" in last, "more" in last) == (3, True, False)
    odd = door.client.get("/attention?offset=-1", headers=headers, base_url=PUBLIC)
    assert odd.status_code == 200


@pytest.mark.both_databases
def test_a_reader_brings_few_cohorts_up_to_date_and_says_how_many_are_left(door: Door) -> None:
    open_many(door, 15)
    found = attention(door)
    assert found["total"] + found["behind"] >= 15
    assert found["behind"] == 6  # of sixteen, ten were looked at
    page = door.client.get("/attention", headers=door.token(), base_url=PUBLIC).text
    assert "looked at within minutes" not in page
    assert (attention(door)["total"], attention(door)["behind"]) == (15, 0)


@pytest.mark.both_databases
def test_a_facilitator_sees_what_waits_in_their_own_cohorts_alone(door: Door) -> None:
    open_many(door, 3)
    a_minute_passes(door)
    door.clock.now = FIRST + timedelta(days=1)
    theirs = attention(door, role="facilitator")
    assert {item["cohort"] for item in theirs["items"]} == {"cohort-1"}
    assert theirs["total"] == len(theirs["items"])
    assert door.call("GET", "/attention", "viewer").status_code == 403
    listed = door.call("GET", "/cohorts?rule=undetermined", "viewer").json
    assert listed["total"] == 0


def test_what_staff_say_shows_at_once(door: Door) -> None:
    open_many(door)  # so many that a reader does not get to all of them
    door.clock.now = FIRST + timedelta(days=1)
    with door.database.write() as connection:
        statements.add_message(
            connection,
            "cohort-1",
            week=2,
            carer_id="carer-1",
            kind=MessageKind.ABSENCE,
            text="at a wedding",
            now=NOW,
        )
    assert door.call("GET", "/cohorts/cohort-1/attendance").status_code == 200
    (item,) = [i for i in attention(door, "?limit=1000")["items"] if "message" in i]
    assert item["says"] == "says that they cannot come: at a wedding"
    settle = f"/cohorts/cohort-1/messages/{item['message']}/settle"
    assert door.call("POST", settle).status_code == 200
    assert [i for i in attention(door, "?limit=1000")["items"] if "message" in i] == []


@pytest.mark.both_databases
def test_cohorts_are_listed_by_where_their_households_stand(door: Door) -> None:
    with door.database.write() as connection:
        other = make_cohort(id="cohort-2", carers=(make_carer(id="carer-2"),))
        later = replace(
            other,
            sessions=tuple(
                replace(
                    s,
                    starts_at=s.starts_at + timedelta(weeks=20),
                    ends_at=s.ends_at + timedelta(weeks=20),
                )
                for s in other.sessions
            ),
        )
        cohorts.insert_cohort(connection, later, {"carer-2": "token-2"})
    door.clock.now = FIRST + timedelta(days=1)
    correction = {"verdict": "absent", "kind": "correction", "reason": "did not come"}
    said = door.call("PUT", "/cohorts/cohort-1/sessions/1/verdicts/carer-1", json=correction)
    assert said.status_code == 200

    def listed(rule: str) -> list[str]:
        answer = door.call("GET", f"/cohorts?rule={rule}&platform=zoom&state=ready")
        return [cohort["id"] for cohort in answer.json["cohorts"]]

    assert (listed("missed"), listed("on_track")) == (["cohort-1"], ["cohort-2"])
    assert listed("completed") == []
    door.call("DELETE", "/cohorts/cohort-1/sessions/1/verdicts/carer-1")
    assert listed("missed") == []
    assert door.call("GET", "/cohorts?rule=broken").status_code == 422


def test_the_next_page_of_cohorts_keeps_what_was_asked_for(door: Door) -> None:
    open_many(door, 3)
    first = door.call("GET", "/cohorts?state=needs_attention&limit=2").json
    rest = follow(door, first["next"])
    assert [cohort["state"] for cohort in rest["cohorts"]] == ["needs_attention"]
