"""The same Idempotency-Key and body get the same answer, whatever the clock says by then."""

from __future__ import annotations

import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from course.model import Platform
from course.store import access
from course.store.erasures import Erasures
from tests.factories import FIRST
from tests.integration.conftest import Office
from web.api import create_api
from web.problems import install_problems
from web.quotas import Quotas

BODY = {
    "name": "Spring 2027",
    "platform": "zoom",
    "first_session_on": "2027-01-09",
    "organiser": "host@example.org",
}


class Staff:
    """Somebody of the practice who opens one cohort a day at most, and sends some things twice."""

    def __init__(self, office: Office, folder: Path) -> None:
        self.office = office
        self.missing: dict[Platform, list[str]] = {p: [] for p in Platform}
        app = Flask("test", static_folder=None)
        install_problems(app)
        app.register_blueprint(
            create_api(
                database=office.database,
                office=office.scheduling,
                close_register=lambda _cohort, _week, _actor: None,
                configured=lambda: self.missing,
                clock=office.clock,
                public_url="https://circle.example",
                default_timezone="Europe/London",
                erasures=Erasures(office.database, data_dir=folder, clock=office.clock),
                wake=lambda: None,
                quotas=Quotas(cohorts_per_day=1),
            )
        )
        self.client = app.test_client()
        self.token = secrets.token_urlsafe(16)
        with office.database.write() as connection:
            access.insert_token(
                connection,
                token_id="1",
                token=self.token,
                name="Ann",
                role="admin",
                cohort_ids=(),
                now=office.clock(),
                expires_at=office.clock() + timedelta(days=90),
            )

    def opens(self, key: str | None = "k", **changed: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        return self.client.post("/api/v1/cohorts", json=BODY | changed, headers=headers)


@pytest.fixture
def staff(office: Office, tmp_path: Path) -> Staff:
    return Staff(office, tmp_path)


def test_what_was_opened_before_its_first_session_is_answered_the_same_after_it(
    staff: Staff,
) -> None:
    staff.office.clock.now = FIRST - timedelta(seconds=65)
    first = staff.opens()
    assert first.status_code == 201
    staff.office.clock.move(timedelta(seconds=75))
    again = staff.opens()
    assert (again.status_code, again.json["id"]) == (201, first.json["id"])


def test_the_last_cohort_of_the_day_is_answered_again_and_another_is_refused(staff: Staff) -> None:
    first, again = staff.opens(), staff.opens()
    assert [answer.status_code for answer in (first, again)] == [201, 201]
    assert again.json["id"] == first.json["id"]
    assert staff.opens(key="other", name="Another").status_code == 429


def test_a_platform_that_was_taken_away_since_changes_no_answer(staff: Staff) -> None:
    first = staff.opens()
    staff.missing[Platform.ZOOM] = ["ZOOM_ACCOUNT_ID"]
    assert staff.opens().json["id"] == first.json["id"]
    assert staff.opens(key="other").status_code in (409, 429)


def test_another_body_under_the_key_is_told_so_before_anything_else(staff: Staff) -> None:
    staff.opens()
    staff.office.clock.now = FIRST + timedelta(days=1)
    answer = staff.opens(name="Another")
    assert (answer.status_code, answer.json["title"]) == (422, "The key was used before")


@pytest.mark.parametrize("key", ["k", None])
def test_a_first_session_in_the_past_is_refused_under_a_new_key_and_without_one(
    staff: Staff, key: str | None
) -> None:
    staff.office.clock.now = FIRST + timedelta(minutes=1)
    answer = staff.opens(key=key)
    assert answer.status_code == 422
    ((field, says),) = [(e["field"], e["message"]) for e in answer.json["errors"]]
    assert (field, "lies in the past" in says) == ("first_session_on", True)
    assert answer.json["title"] == "1 thing to put right"
    assert staff.opens(key=key, allow_past=True).status_code == 201


def test_the_past_is_named_together_with_everything_else_that_is_wrong(staff: Staff) -> None:
    staff.office.clock.now = FIRST + timedelta(minutes=1)
    twice = {"reference": "H1", "carers": [{"name": "Ann Oak", "email": "ann@example.com"}]}
    answer = staff.opens(session_minutes=5, households=[twice, twice])
    assert {e["field"] for e in answer.json["errors"]} == {
        *("first_session_on", "session_minutes", "households.1.reference"),
    }
