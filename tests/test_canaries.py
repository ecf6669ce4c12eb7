"""Twelve secrets and personal values are put into every input; none is found where it must not be.

A real service process, spoken to over sockets as anybody, as staff, as carers and as the platforms.
Afterwards its log, what it answered, its figures, the process list and the files of its databases
are searched, as they are and as base64 would hide them.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import requests

from course.model import Platform
from course.store import access, cohorts, staff_sessions, watches
from course.store.database import open_sealed
from course.store.staff_sessions import Staff
from course.store.watches import StoredWatch
from demo import environment, free_port
from sandbox.config import SandboxConfig
from settings import Settings
from tests.factories import make_carer, make_cohort
from web.access import csrf_token

ROOT = Path(__file__).parent.parent
pytestmark = [pytest.mark.slow, pytest.mark.together]
MARK = secrets.token_hex(4)

CANARIES = {
    "name": f"Quillon Canary{MARK}",
    "e-mail": f"canary.{MARK}@quillon.example",
    "telephone": f"+44 7700 {int(MARK, 16) % 900000 + 100000}",
    "join token": f"join-{MARK}-{secrets.token_urlsafe(18)}",
    "access token": f"access-{MARK}-{secrets.token_urlsafe(18)}",
    "session cookie": f"session-{MARK}-{secrets.token_urlsafe(18)}",
    "webhook secret": f"hook-{MARK}-{secrets.token_urlsafe(12)}",
    "client secret": f"client-{MARK}-{secrets.token_urlsafe(12)}",
    "reason": f"because of what happened at home {MARK}",
    "stranger": f"Zinnia Unknown{MARK}",
    "validation token": f"Validation: {MARK}-{secrets.token_hex(8)}",
    "client state": f"state-{MARK}-{secrets.token_urlsafe(18)}",
}
STAFF = f"Bartholomew Staff{MARK}"
HIDDEN = {**CANARIES, "name of staff": STAFF}


PASSED_ON = ("X-CSRF-Token", "If-Match", "Idempotency-Key", "X-Forwarded-For", "Origin")


def disguises(canary: str) -> set[bytes]:
    """The value as it may stand in a file: plain, in an address, in JSON, or within base64."""
    raw = canary.encode()
    found = {raw, quote(canary).encode(), quote_plus(canary).encode()}
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + raw)
        # Without the ends, which depend on what stands beside it.
        found.add(coded[4 if before else 0 : -4])
    return found


def found_in(text: bytes) -> list[str]:
    """Which values stand in it."""
    return [
        name for name, canary in HIDDEN.items() if any(each in text for each in disguises(canary))
    ]


@dataclass
class Told:
    """The service, and what it said to people who may not know."""

    folder: Path
    url: str
    pid: int
    log: Path
    answers: list[tuple[str, bytes]] = field(default_factory=list)

    def ask(self, method: str, path: str, *, keep: bool = True, **more: Any) -> requests.Response:
        answer = requests.request(
            method, f"{self.url}{path}", timeout=20, allow_redirects=False, **more
        )
        assert answer.status_code != 500, (method, path, answer.text)
        if keep:
            said = str(dict(answer.headers)).encode() + answer.content
            self.answers.append((f"{method} {path} {answer.status_code}", said))
        return answer


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    folder, port = tmp_path_factory.mktemp("canaries"), free_port()
    url = f"http://127.0.0.1:{port}"
    config = SandboxConfig(
        base_url="http://127.0.0.1:9",  # nobody is there: nothing is asked of it
        zoom_client_secret=CANARIES["client secret"],
        zoom_webhook_secret=CANARIES["webhook secret"],
        teams_client_secret=CANARIES["client secret"],
    )
    env = environment(config, public_url=url, data_dir=folder, clean=True)
    env["LOG_LEVEL"] = "DEBUG"
    _fill(folder)
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "serve", "--port", str(port)],
            cwd=ROOT,
            env=env,
            stdout=output,
            stderr=output,
        )
        try:
            until = time.monotonic() + 60
            while time.monotonic() < until:
                with contextlib.suppress(requests.RequestException):
                    if requests.get(f"{url}/readyz", timeout=1).ok:
                        break
                time.sleep(0.05)
            made = Told(folder, url, process.pid, log)
            _as_anybody(made)
            _as_zoom(made, config)
            _as_staff(made)
            _as_carer(made)
            yield made
        finally:
            process.kill()
            process.wait()


def _fill(folder: Path) -> None:
    """A cohort that holds what is personal, and ways in for staff."""
    settings = Settings.load(_env_file=None, data_dir=folder)
    database = open_sealed(**settings.storage())
    database.migrate()
    now = datetime.now(UTC)
    carer = make_carer(name=CANARIES["name"], email=CANARIES["e-mail"], phone=CANARIES["telephone"])
    with database.write() as connection:
        cohort = make_cohort(carers=(carer,), name=f"Course of {CANARIES['name']}")
        cohorts.insert_cohort(connection, cohort, {carer.id: CANARIES["join token"]})
        access.insert_token(
            connection,
            token_id="token-1",
            token=CANARIES["access token"],
            name=STAFF,
            role="admin",
            cohort_ids=(),
            now=now,
            expires_at=now + timedelta(days=1),
        )
        staff = Staff(name=STAFF, role="admin", cohort_ids=())
        staff_sessions.insert_session(connection, CANARIES["session cookie"], staff, now=now)
        watch = StoredWatch(
            id="watch-1",
            cohort_id="cohort-1",
            platform=Platform.TEAMS,
            series_ref="series",
            client_state=CANARIES["client state"],
            certificate_ref="certificate-1",
            made_at=now,
        )
        watches.insert_watch(connection, watch)
    database.close()


def _as_anybody(told: Told) -> None:
    """Every value in every part of requests that prove nothing."""
    for canary in HIDDEN.values():
        coded = quote(canary, safe="")
        for path in (
            f"/api/v1/cohorts/{coded}",
            f"/api/v1/cohorts?state={coded}&{coded}=1",
            f"/static/{coded}",
            f"/{coded}",
            f"/webhooks/{coded}",
            f"/webhooks/teams/calls/{coded}",
            f"/signin/microsoft/answer?code={coded}&state={coded}&error_description={coded}",
        ):
            told.ask("GET", path)
            told.ask("POST", path, data=canary.encode())
        if canary != CANARIES["join token"]:
            told.ask("GET", f"/join/{coded}")
            told.ask("POST", f"/join/{coded}/weeks/1/contest", data={"text": canary})
        told.ask("GET", f"/signin/{coded}")
        told.ask("GET", "/cohorts", headers={"User-Agent": coded, "Referer": coded})
        headers = dict.fromkeys(PASSED_ON, coded)
        told.ask("POST", "/api/v1/cohorts", headers=headers, json={"name": canary, canary: 1})
        wrong = {"Authorization": f"Bearer x{coded}"}
        told.ask("GET", "/api/v1/cohorts", headers=wrong)
        told.ask("GET", "/api/v1/cohorts", headers={"Cookie": f"__Host-circle=x{coded}"})
        told.ask("GET", "/signin/microsoft/answer", headers={"Cookie": f"circle-flow={coded}"})
        forged = {"x-zm-signature": f"v0={coded}", "x-zm-request-timestamp": str(int(time.time()))}
        told.ask("POST", "/webhooks/zoom", headers=forged, json={"event": canary})
        told.ask("POST", "/webhooks/teams", json={"value": [{"clientState": canary}]})
        told.ask("POST", "/webhooks/teams/lifecycle", json={"value": [{"clientState": canary}]})
        # The one answer that is an echo, as Graph wants it.
        for hook in ("teams", "teams/lifecycle"):
            echo = told.ask("POST", f"/webhooks/{hook}?validationToken={coded}", keep=False)
            assert echo.headers["Content-Type"] == "text/plain; charset=utf-8"
    for _ in range(3):
        told.ask("POST", "/signin", data={"token": f"x{CANARIES['access token']}", "next": "/"})


def _as_zoom(told: Told, config: SandboxConfig) -> None:
    """Signed deliveries: somebody unknown joined, one that cannot be read, one of another kind."""
    participant = {
        "user_id": "16778240",
        "user_name": CANARIES["stranger"],
        "email": CANARIES["e-mail"],
        "phone_number": CANARIES["telephone"],
        "participant_uuid": "p1",
        "join_time": "2027-01-09T10:00:01Z",
        "leave_time": "2027-01-09T10:20:01Z",
        "leave_reason": CANARIES["reason"],
    }
    about = {"id": "81000000001", "uuid": "u==", "topic": CANARIES["name"]}
    for body in (
        *(
            {
                "event": event,
                "event_ts": 1799488801000,
                "payload": {
                    "account_id": config.zoom_account_id,
                    "object": {**about, "participant": participant},
                },
            }
            for event in ("meeting.participant_joined", "meeting.participant_left")
        ),
        {"event": "meeting.participant_joined", "payload": CANARIES["stranger"]},
        {"event": CANARIES["reason"], "event_ts": 1, "payload": {"account_id": "other"}},
        {
            "event": CANARIES["reason"],
            "event_ts": 1,
            "payload": {"account_id": config.zoom_account_id, "object": about},
        },
    ):
        raw = json.dumps(body).encode()
        stamp = str(int(time.time()))
        signed = b"v0:" + stamp.encode() + b":" + raw
        made = hmac.new(CANARIES["webhook secret"].encode(), signed, hashlib.sha256).hexdigest()
        headers = {"x-zm-signature": f"v0={made}", "x-zm-request-timestamp": stamp}
        told.ask("POST", "/webhooks/zoom", data=raw, headers=headers)


def _as_staff(told: Told) -> None:
    """What staff write and look at; their own answers may name people."""
    bearer = {"Authorization": f"Bearer {CANARIES['access token']}"}
    session = CANARIES["session cookie"]
    cookie = {"Cookie": f"circle={session}", "X-CSRF-Token": csrf_token(session)}
    api, reason = "/api/v1/cohorts/cohort-1", CANARIES["reason"]
    for headers in (bearer, cookie):
        for method, path, body in (
            (*("PUT", f"{api}/sessions/1/verdicts/carer-1"), {"verdict": "attended"}),
            ("PATCH", f"{api}/rule", {"presence": 0.5}),
        ):
            said = {**body, "reason": reason}
            assert told.ask(method, path, json=said, headers=headers, keep=False).ok
        note = {"text": f"{reason} {CANARIES['telephone']}"}
        path = f"{api}/sessions/1/notes/carer-1"
        assert told.ask("POST", path, json=note, headers=headers, keep=False).ok
        for path in ("", "/attendance", "/attendance.csv", "/sessions/1/evidence?carer=carer-1"):
            assert told.ask("GET", f"{api}{path}", headers=headers, keep=False).ok, path
        for path in ("/", "/cohorts/cohort-1", "/attention"):
            assert told.ask("GET", path, headers=headers, keep=False).ok, path
        carer = {
            "name": CANARIES["name"],
            "email": CANARIES["e-mail"],
            "phone": CANARIES["telephone"],
        }
        new = {
            "name": f"Course of {CANARIES['name']}",
            "platform": "zoom",
            "first_session_on": "2027-02-27",
            "facilitators": [{"name": CANARIES["name"], "email": CANARIES["e-mail"]}],
            "households": [
                {
                    "reference": "H7",
                    "carers": [carer],
                }
            ],
        }
        # Its opening begins and is left alone: nobody answers at the platform.
        with contextlib.suppress(requests.Timeout):
            requests.post(f"{told.url}/api/v1/cohorts", json=new, headers=headers, timeout=2)
    told.ask("POST", "/signin", data={"token": CANARIES["access token"], "next": "/"}, keep=False)


def _as_carer(told: Told) -> None:
    link = f"/join/{CANARIES['join token']}"
    assert told.ask("GET", link, keep=False).ok
    said = {"text": f"{CANARIES['reason']} {CANARIES['telephone']}"}
    told.ask("POST", f"{link}/weeks/1/contest", data=said, keep=False)
    told.ask("POST", f"{link}/weeks/2/absence", data=said, keep=False)
    assert told.ask("GET", f"{link}/calendar.ics", keep=False).ok


def test_a_search_finds_them_where_they_are(tmp_path: Path) -> None:
    """The search itself works, or finding nothing would say nothing."""
    for name, canary in HIDDEN.items():
        file = tmp_path / "file.sqlite"
        with contextlib.closing(sqlite3.connect(file)) as connection:
            connection.execute("CREATE TABLE t (v TEXT)")
            connection.execute("INSERT INTO t VALUES (?)", [f"a{canary}b"])
            connection.commit()
        assert found_in(file.read_bytes()) == [name]
        file.unlink()
        for before in (b"", b"a", b"ab"):
            assert name in found_in(base64.b64encode(before + canary.encode() + b"after"))
        assert found_in(f"/x?y={quote(canary, safe='')}".encode())


def test_no_log_line_holds_one(told: Told) -> None:
    lines = told.log.read_bytes().splitlines()
    assert lines
    for line in lines:
        assert not found_in(line), line


def test_no_answer_to_somebody_unknown_holds_one(told: Told) -> None:
    assert len(told.answers) > 300
    for asked, said in told.answers:
        # What the asker's own request held may stand in the way back to it after signing in.
        assert not found_in(said), (asked, said)


def test_no_figure_holds_one(told: Told) -> None:
    figures = requests.get(f"{told.url}/metrics", timeout=20).content
    assert b"circle_notifications_total" in figures
    assert not found_in(figures)
    assert not found_in(requests.get(f"{told.url}/readyz", timeout=20).content)
    assert not found_in(requests.get(f"{told.url}/openapi.json", timeout=20).content)


def test_no_process_shows_one(told: Told) -> None:
    lines = [
        (folder / "cmdline").read_bytes()
        for folder in Path("/proc").iterdir()
        if folder.name.isdigit() and (folder / "cmdline").exists()
    ]
    assert (Path("/proc") / str(told.pid) / "cmdline").read_bytes() in lines
    assert not [line for line in lines if found_in(line)]


def test_no_file_of_a_database_holds_one_in_clear(told: Told) -> None:
    files = {
        file.name: file.read_bytes()
        for file in told.folder.iterdir()
        if file.is_file() and file.name != "log"
    }
    assert {"circle.sqlite", "circle.sqlite-wal", "circle-workflows.sqlite"} <= set(files)
    for name, content in files.items():
        assert not found_in(content), name
    with contextlib.closing(sqlite3.connect(told.folder / "circle.sqlite")) as connection:
        for table in ("participant_event", "correction", "message", "rule_change", "audit"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0], table
