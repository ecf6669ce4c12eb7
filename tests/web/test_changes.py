"""The operations that change a cohort, at the door: who, what, which version, in which words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from icalendar import Calendar

from course.model import Platform
from course.store import changes, cohorts, evidence
from integration.scheduling import NewCarer, NewHousehold
from tests.course.evidence import held, stay
from tests.factories import FIRST, make_carer, make_cohort
from tests.web.conftest import PUBLIC, Door

ADMIN = "admin Ann"


def test_each_change_reaches_the_office_as_it_was_meant(door: Door) -> None:
    moved = {"starts_at": "2027-01-17T18:30:00+01:00", "minutes": 90}
    assert door.call("PATCH", "/cohorts/cohort-1/sessions/2", json=moved).status_code == 200
    assert door.call("DELETE", "/cohorts/cohort-1/sessions/3").status_code == 200
    people = [{"name": "Ann Oak", "email": "ann@example.com"}]
    new = {"reference": "H9", "carers": people}
    assert door.call("POST", "/cohorts/cohort-1/households", json=new).status_code == 200
    assert door.call("DELETE", "/cohorts/cohort-1/carers/carer-1").status_code == 200
    to = {"household": "H1", "to_cohort": "cohort-2"}
    assert door.call("POST", "/cohorts/cohort-1/transfer", json=to).status_code == 200
    there = {"platform": "teams", "organiser": "other@practice.example"}
    assert door.call("POST", "/cohorts/cohort-1/platform", json=there).status_code == 200
    assert door.call("POST", "/cohorts/cohort-1/repair").status_code == 200
    at = datetime(2027, 1, 17, 17, 30, tzinfo=UTC)
    household = NewHousehold(
        reference="H9", carers=(NewCarer(name="Ann Oak", email="ann@example.com"),)
    )
    said = [change[:1] + change[2:-1] for change in door.office.changes]
    assert said == [
        ("move", 2, at, 90),
        ("skip", 3),
        ("enrol", household),
        ("withdraw", "carer-1"),
        ("transfer", "H1", "cohort-2"),
        ("platform", Platform.TEAMS, "other@practice.example"),
        ("repair",),
    ]


def test_a_transfer_says_what_the_household_is_called_in_the_other_cohort(door: Door) -> None:
    to = {"household": "H1", "to_cohort": "cohort-2"}
    same = door.call("POST", "/cohorts/cohort-1/transfer", json=to)
    assert same.json["transferred"]["household"] == "H1"
    door.office.called_there = "H5"
    answer = door.call("POST", "/cohorts/cohort-1/transfer", json=to)
    assert answer.json["transferred"] == {
        "to_cohort": "cohort-2",
        "household": "H5",
        "says": "Household H1 is called H5 in the other cohort.",
    }


def test_who_left_and_came_back_is_paid_for_once(door: Door) -> None:
    def fee() -> int:
        (household,) = door.call("GET", "/cohorts/cohort-1").json["households"]
        return int(household["fee"])

    before = fee()
    again = make_carer(id="carer-9", position=1)
    with door.database.write() as connection:
        changes.withdraw_carers(connection, ["carer-1"], now=FIRST)
        cohorts.insert_carers(connection, "cohort-1", [again], {"carer-9": "token-9"})
    assert fee() == before


@pytest.mark.both_databases
def test_an_older_version_is_refused_and_the_etag_names_the_newest(door: Door) -> None:
    etag = door.call("GET", "/cohorts/cohort-1").headers["ETag"]
    skip = "/cohorts/cohort-1/sessions/3"
    assert door.call("DELETE", skip, headers={"If-Match": etag}).status_code == 200
    with door.database.write() as connection:
        changes.raise_version(connection, "cohort-1")
    answer = door.call("DELETE", skip, headers={"If-Match": etag})
    assert answer.status_code == 409
    assert "changed this cohort" in answer.json["detail"]
    assert door.call("DELETE", skip, headers={"If-Match": "nonsense"}).status_code == 422
    assert len(door.office.changes) == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("PATCH", "sessions/2", {}, "starts_at"),
        ("PATCH", "sessions/2", {"starts_at": "2027-01-16T10:00:00"}, "starts_at"),
        ("PATCH", "sessions/2", {"minutes": "90"}, "minutes"),
        ("PATCH", "sessions/2", {"topic": "x"}, "topic"),
        ("POST", "households", {"reference": "H9", "carers": []}, "carers"),
        (
            "POST",
            "households",
            {"reference": "H9", "carers": [{"name": "A", "email": "no address"}]},
            "carers.0.email",
        ),
        ("POST", "transfer", {"household": "H1"}, "to_cohort"),
    ],
)
def test_bad_input_is_named_and_nothing_is_done(
    door: Door, method: str, path: str, body: dict[str, Any], field: str
) -> None:
    answer = door.call(method, f"/cohorts/cohort-1/{path}", json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json["errors"]] == [field]
    assert door.office.changes == []


def test_a_timetable_can_be_looked_at_before_a_cohort_is_opened(door: Door) -> None:
    answer = door.call("GET", "/timetable?first_session_on=2027-11-20&skip_dates=2027-12-25")
    assert answer.status_code == 200
    days = [s["starts_at"][:10] for s in answer.json["sessions"]]
    assert len(days) == 8
    assert "2027-12-25" not in days
    assert [(s["date"], s["why"]) for s in answer.json["suggested_skips"]] == [
        ("2028-01-01", "New Year's Day")
    ]
    wrong = door.call("GET", "/timetable?first_session_on=2027-11-21")
    assert wrong.status_code == 422
    assert "2027-11-20 and 2027-11-27" in wrong.json["errors"][0]["message"]
    assert (
        door.call("GET", "/timetable?first_session_on=2027-11-20&skip_dates=x").status_code == 422
    )


@pytest.mark.both_databases
def test_the_past_of_a_transferred_carer_is_shown_and_not_counted(door: Door) -> None:
    carer = make_carer(id="carer-9", transferred_from="carer-1", enrolled_at=FIRST)
    other = make_cohort(id="cohort-9", platform=Platform.TEAMS, series_ref=None, carers=(carer,))
    with door.database.write() as connection:
        cohorts.insert_cohort(connection, other, {"carer-9": "token-9"})
        facts = [*held(0, 30), *stay(0, 30)]
        evidence.save_events(
            connection, [replace(fact, key=str(n)) for n, fact in enumerate(facts)]
        )
    door.clock.move(timedelta(days=6))
    report = door.call("GET", "/cohorts/cohort-9/attendance").json
    (shown,) = report["carers"]
    assert shown["transferred_from"]["cohort"] == "cohort-1"
    assert [w["week"] for w in shown["transferred_from"]["weeks"]] == [1, 2]
    assert shown["weeks"][0]["verdict"] == "undetermined"  # here nobody has told of week 1


@pytest.mark.both_databases
def test_the_calendar_file_follows_the_cohort(door: Door) -> None:
    def calendar() -> list[Any]:
        answer = door.client.get("/join/join-token/calendar.ics")
        assert answer.status_code == 200
        assert answer.content_type.startswith("text/calendar")
        return list(Calendar.from_ical(answer.data).walk("VEVENT"))

    first = calendar()
    assert len({str(e["UID"]) for e in first}) == 8
    with door.database.write() as connection:
        session = make_cohort().sessions[2]
        changes.save_session(
            connection,
            "cohort-1",
            replace(session, starts_at=session.starts_at + timedelta(hours=1), sequence=1),
        )
    moved = calendar()
    assert [str(e["UID"]) for e in moved] == [str(e["UID"]) for e in first]
    assert [e["SEQUENCE"] for e in moved] == [0, 0, 1, 0, 0, 0, 0, 0]
    with door.database.write() as connection:
        changes.withdraw_carers(connection, ["carer-1"], now=FIRST)
    gone = calendar()
    assert {str(e["STATUS"]) for e in gone} == {"CANCELLED"}
    assert [e["SEQUENCE"] for e in gone] == [1, 1, 2, 1, 1, 1, 1, 1]
    assert door.client.get("/join/unknown/calendar.ics").status_code == 404


def test_who_runs_the_sessions_has_them_in_a_calendar_that_names_nobody(door: Door) -> None:
    answer = door.call("GET", "/cohorts/cohort-1/calendar.ics", "facilitator")
    assert answer.content_type == "text/calendar; charset=utf-8"
    found = Calendar.from_ical(answer.data).walk("VEVENT")
    assert [str(e["summary"]) for e in found] == [f"Spring 2027, week {n}" for n in range(1, 9)]
    assert str(found[1]["description"]).endswith("/cohorts/cohort-1/sessions/2")
    assert "Maya" not in answer.text


def test_the_page_of_a_cohort_offers_the_other_platform_where_it_is_configured(
    door: Door,
) -> None:
    staff = door.token("facilitator", "cohort-1")
    page = "/cohorts/cohort-1"

    def text() -> str:
        return door.client.get(page, headers=staff, base_url=PUBLIC).text

    assert "is down? Move to" not in text()
    door.missing[Platform.TEAMS] = []
    assert "Zoom is down? Move to Teams" in text()
    assert 'hx-post="/api/v1/cohorts/cohort-1/platform"' in text()
    viewer = door.token("viewer", "cohort-1")
    assert "Move to" not in door.client.get(page, headers=viewer, base_url=PUBLIC).text
    with door.database.write() as connection:
        cohort = cohorts.read_cohort(connection, "cohort-1")
        assert cohort is not None
        now = FIRST + timedelta(days=1)
        changes.move_platform(connection, cohort, Platform.TEAMS, "host@example.org", now=now)
    door.clock.now = FIRST + timedelta(days=1)
    assert "on Zoom; " in text()  # week 1 stays where it was held
    assert "Teams is down? Move to Zoom" in text()
    told = door.call("GET", page).json
    assert told["platform"] == "teams"
    assert [s["platforms"] for s in told["sessions"]] == [["zoom"]] + [["teams"]] * 7
