"""What must be in the audit trail is there, with who did it, and nothing can be done without it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from cli import main
from course.store import audit_trail, tables
from course.store.database import Database, open_sealed
from settings import Settings
from tests.whole_app import PUBLIC, WholeApp, whole_app
from web.access import csrf_token

WEEK = "/api/v1/cohorts/cohort-1/sessions/1"
ABOUT = f"{WEEK}/verdicts/carer-1"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[WholeApp]:
    made = whole_app(tmp_path)
    yield made
    made.service.database.close()


def lines(database: Database) -> list[tuple[str, str, str]]:
    table = tables.audit
    with database.read() as connection:
        assert audit_trail.check(connection).broken_at is None
        found = connection.execute(
            select(table.c.actor, table.c.action, table.c.subject).order_by(table.c.id)
        )
        return [(row[0], row[1], row[2]) for row in found]


@pytest.mark.parametrize(
    ("method", "path", "body", "action", "subject"),
    [
        ("GET", "/cohorts/cohort-1", None, "cohort.view", "cohort-1"),
        ("GET", "/api/v1/cohorts", None, "cohorts.view", "cohorts"),
        ("GET", "/attention", None, "attention.view", "attention"),
        ("GET", "/api/v1/attention", None, "attention.view", "attention"),
        ("GET", "/cohorts/cohort-1/sessions/1", None, "cohort.view", "cohort-1"),
        ("GET", "/api/v1/cohorts/cohort-1", None, "cohort.view", "cohort-1"),
        ("GET", f"{WEEK}/board", None, "cohort.view", "cohort-1"),
        ("GET", "/api/v1/cohorts/cohort-1/attendance", None, "cohort.view", "cohort-1"),
        (
            *("GET", f"{WEEK}/evidence?carer=carer-1", None),
            *("evidence.view", "cohort-1/1/carer-1"),
        ),
        (
            *("GET", "/cohorts/cohort-1/sessions/1/carers/carer-1", None),
            *("evidence.view", "cohort-1/1/carer-1"),
        ),
        ("GET", "/api/v1/cohorts/cohort-1/attendance.csv", None, "report.export", "cohort-1"),
        ("GET", "/api/v1/cohorts/cohort-1/attendance.html", None, "report.export", "cohort-1"),
        (
            *("PUT", ABOUT, {"verdict": "attended", "reason": "seen"}),
            *("verdict.correct", "cohort-1/1/carer-1"),
        ),
        ("DELETE", ABOUT, None, "verdict.take_back", "cohort-1/1/carer-1"),
        (
            *("PATCH", "/api/v1/cohorts/cohort-1/rule", {"presence": 0.5, "reason": "agreed"}),
            *("rule.change", "cohort-1/rule"),
        ),
        (
            *("POST", f"{WEEK}/notes/carer-1", {"text": "rang"}),
            *("carer.note", "cohort-1/1/carer-1"),
        ),
    ],
)
def test_whoever_looks_at_people_or_changes_what_is_said_of_them_is_named(
    app: WholeApp, method: str, path: str, body: object, action: str, subject: str
) -> None:
    headers = app.bearer("facilitator", "cohort-1", name="Ann")
    client = app.flask.test_client(use_cookies=False)
    answer = client.open(path, method=method, json=body, headers=headers, base_url=PUBLIC)
    assert answer.status_code == 200, answer.text
    assert ("facilitator Ann", action, subject) in lines(app.service.database)


def test_looking_again_within_the_hour_is_the_same_look(app: WholeApp) -> None:
    headers = app.bearer("viewer", "cohort-1", name="Ann")
    client = app.flask.test_client(use_cookies=False)
    for wait in (0, 30, 31):
        app.clock.move(timedelta(minutes=wait))
        assert client.get("/cohorts/cohort-1", headers=headers, base_url=PUBLIC).status_code == 200
    assert [line[1] for line in lines(app.service.database)] == ["cohort.view"] * 2


def test_signing_in_failing_to_and_signing_out_are_there(app: WholeApp) -> None:
    token = app.bearer("admin", name="Ann")["Authorization"].removeprefix("Bearer ")
    client = app.flask.test_client()
    assert client.post("/signin", data={"token": "no"}, base_url=PUBLIC).status_code == 401
    assert client.post("/signin/no", base_url=PUBLIC).status_code == 404
    assert client.post("/signin", data={"token": token}, base_url=PUBLIC).status_code == 303
    cookie = client.get_cookie("__Host-circle", domain="circle.example")
    assert cookie is not None
    csrf = csrf_token(cookie.value)
    assert client.post("/signout", data={"csrf_token": csrf}, base_url=PUBLIC).status_code == 303
    assert lines(app.service.database) == [
        ("nobody known", "staff.refused", ""),
        ("nobody known", "staff.refused", ""),
        ("admin Ann", "staff.signin", "Ann"),
        ("admin Ann", "staff.signout", "Ann"),
    ]


def test_giving_and_taking_roles_by_command_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    run = CliRunner()

    def circle(line: str) -> str:
        done = run.invoke(main, line.split())
        assert done.exit_code == 0, done.output
        return done.output

    made = json.loads(circle("token create --role admin --name Bo --json"))
    circle(f"token revoke {made['id']}")
    circle("signin --role admin --name Cy")
    database = open_sealed(**Settings.load().storage())
    assert lines(database) == [
        ("operator", "token.create", made["id"]),
        ("operator", "token.revoke", made["id"]),
        ("operator", "staff.invite", "Cy"),
    ]
    with database.read() as connection:
        details = connection.execute(select(tables.audit.c.detail).order_by(tables.audit.c.id))
        assert details.scalars().all() == [
            {"name": "Bo", "role": "admin", "cohorts": []},
            None,
            {"role": "admin", "cohorts": []},
        ]
    database.close()
