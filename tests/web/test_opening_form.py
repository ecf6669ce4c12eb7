"""The form that opens a cohort, as a browser without JavaScript sends it."""

from __future__ import annotations

import io
import re
from datetime import UTC, date, datetime
from typing import Any

from course.model import CohortState
from course.store import cohorts
from course.store.staff_sessions import Staff
from tests.factories import make_cohort
from tests.web.conftest import PUBLIC, Door
from tests.web.test_signin import signed_in

ADMIN = Staff(name="Ann", role="admin", cohort_ids=())
GOOD = {
    "name": "Spring 2027",
    "platform": "zoom",
    "first_session_on": "2027-02-06",
    "skip": ["2027-03-27"],
    "starts_at": "10:00",
    "first_session_minutes": "30",
    "session_minutes": "120",
    "household_rule": "every_carer",
    "organiser": "",
    "facilitators": "Dr Alma Lee, lee@practice.example",
    "households": "H1, Maya Patel, maya@example.com, 07700 900123",
}


def send(door: Door, **changed: Any) -> Any:
    form = {**GOOD, **changed, "csrf_token": signed_in(door, ADMIN)}
    return door.client.post("/cohorts/new", data=form, base_url=PUBLIC)


def test_one_form_opens_a_cohort_and_leads_to_it(door: Door) -> None:
    answer = send(door, key="once")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/cohorts/opened-1")
    new, key, actor = door.office.asked[0]
    assert (new.name, key, actor) == ("Spring 2027", "once", "admin Ann")
    assert (new.first_session_on, new.skip_dates) == (date(2027, 2, 6), (date(2027, 3, 27),))
    carer = new.households[0].carers[0]
    assert (carer.name, carer.phone) == ("Maya Patel", "07700 900123")
    assert new.facilitators[0].email == "lee@practice.example"


def test_every_fault_is_told_at_once_and_nothing_typed_is_lost(door: Door) -> None:
    answer = send(
        door,
        name="",
        first_session_on="2027-02-07",
        session_minutes="a lot",
        households="H1, <b>Maya</b>\nH2, Tom, tom@example.com",
    )
    assert answer.status_code == 422
    assert door.office.asked == []
    for told in (
        '<a href="#name">Name</a>: it is missing',
        "is not a Saturday",
        '<a href="#session_minutes">Minutes of the other weeks</a>: Input should be a valid',
        "line 1: e-mail is missing",
        "H1, &lt;b&gt;Maya&lt;/b&gt;\nH2, Tom, tom@example.com",
        'value="a lot"',
    ):
        assert told in answer.text
    assert "5 things to put right" in answer.text


def test_a_workbook_that_was_chosen_counts_instead_of_the_lines(door: Door) -> None:
    file = (io.BytesIO("H9;Zoë Ash;zoe@example.com".encode("cp1252")), "families.csv")
    assert send(door, file=file).status_code == 303
    assert [h.reference for h in door.office.asked[0][0].households] == ["H9"]


def test_a_torn_workbook_is_told_on_the_form(door: Door) -> None:
    torn = send(door, file=(io.BytesIO(b"PK\x03\x04"), "families.xlsx"))
    assert "This workbook cannot be read" in torn.text
    assert door.office.asked == []


def test_what_a_platform_lacks_is_told_on_the_form(door: Door) -> None:
    answer = send(door, platform="teams")
    assert answer.status_code == 422
    assert "Teams is not configured. Set TEAMS_TENANT_ID" in answer.text


def test_the_dates_are_shown_with_those_left_out(door: Door) -> None:
    signed_in(door, ADMIN)
    asked = "first_session_on=2027-02-06&skip=2027-02-13&skip=2031-01-04&skip=never"
    assert door.client.get(f"/cohorts/new/plan?{asked}", base_url=PUBLIC).text == ""
    asked = asked.removesuffix("&skip=never")
    rows = re.findall(
        r'<tr.*?<td>(\d|–)</td><th scope="row">(\d+ \w+ \d+)',
        door.client.get(f"/cohorts/new/plan?{asked}", base_url=PUBLIC).text,
    )
    assert rows[:3] == [
        ("1", "6 February 2027"),
        ("–", "13 February 2027"),
        ("2", "20 February 2027"),
    ]
    assert len(rows) == 9


def test_the_steps_of_an_opening_are_shown_until_it_is_over(door: Door) -> None:
    signed_in(door, ADMIN)
    with door.database.write() as connection:
        cohorts.insert_cohort(
            connection,
            make_cohort(id="slow", state=CohortState.OPENING, carers=()),
            {},
        )
    page = door.client.get("/cohorts/slow", base_url=PUBLIC).text
    assert 'hx-get="/cohorts/slow/opening"' in page
    part = door.client.get("/cohorts/slow/opening", base_url=PUBLIC)
    assert "The meetings on Zoom" in part.text
    over = door.client.get("/cohorts/cohort-1/opening", base_url=PUBLIC)
    assert (over.text, over.headers["HX-Refresh"]) == ("", "true")
    told = door.call("GET", "/cohorts/cohort-1").json["progress"]
    assert told[-1] == {"says": "A link of their own for every carer", "done": 1, "of": 1}


def test_a_part_of_a_page_sends_the_page_to_sign_in(door: Door) -> None:
    answer = door.client.get(
        "/cohorts/cohort-1/sessions/1?seen=x", headers={"HX-Request": "true"}, base_url=PUBLIC
    )
    assert answer.headers["HX-Redirect"] == "/signin?next=/cohorts/cohort-1/sessions/1"
    assert answer.text == ""


def test_the_form_needs_the_pages_own_token(door: Door) -> None:
    signed_in(door, ADMIN)
    assert door.client.post("/cohorts/new", data=GOOD, base_url=PUBLIC).status_code == 403
    assert door.office.asked == []


def test_a_form_that_was_sent_before_its_first_session_leads_to_the_cohort_after_it(
    door: Door,
) -> None:
    door.clock.now = datetime(2027, 2, 6, 9, 59, tzinfo=UTC)
    form = {**GOOD, "csrf_token": signed_in(door, ADMIN)}

    def click(key: str) -> Any:
        return door.client.post("/cohorts/new", data={**form, "key": key}, base_url=PUBLIC)

    first = click("once")
    door.clock.now = datetime(2027, 2, 6, 10, 1, tzinfo=UTC)
    again = click("once")
    assert (again.status_code, again.headers["Location"]) == (303, first.headers["Location"])
    other = click("another")
    assert (other.status_code, "lies in the past" in other.text) == (422, True)


def test_the_past_is_told_together_with_a_family_that_cannot_be_read(door: Door) -> None:
    answer = send(door, key="once", first_session_on="2027-01-02", skip=[], households="H1")
    assert "lies in the past" in answer.text
    assert "line 1: name is missing" in answer.text
