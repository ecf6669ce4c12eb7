"""The Zoom stand-in is as strict as Zoom, and its record knows what its webhooks lost."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

import pytest

from sandbox.config import ZOOM_SCOPES, SandboxConfig
from sandbox.server import create_sandbox
from tests.fakes import FakeClock

CONFIG = SandboxConfig()
BODY: dict[str, Any] = {
    "topic": "Course",
    "type": 8,
    "start_time": "2027-02-27T10:00:00",
    "timezone": "Europe/London",
    "duration": 120,
    "recurrence": {"type": 2, "repeat_interval": 1, "weekly_days": "7", "end_times": 8},
    "settings": {"approval_type": 0, "registration_type": 1},
}


class Zoom:
    """The stand-in with a token in hand."""

    def __init__(self, config: SandboxConfig = CONFIG) -> None:
        self.clock = FakeClock(datetime(2027, 1, 4, 9, tzinfo=UTC))
        self.client: Any = create_sandbox(config, clock=self.clock).test_client()
        self.token = self.sign_in(config.zoom_client_secret).json["access_token"]

    def sign_in(self, secret: str) -> Any:
        return self.client.post(
            "/zoom/oauth/token",
            data={"grant_type": "account_credentials", "account_id": CONFIG.zoom_account_id},
            auth=(CONFIG.zoom_client_id, secret),
        )

    def call(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        return self.client.open(f"/zoom/v2{path}", method=method, json=body, headers=headers)

    def create(self, **changes: Any) -> Any:
        return self.call("POST", f"/users/{CONFIG.zoom_host}/meetings", BODY | changes)


def hours(answer: Any) -> list[str]:
    return [o["start_time"][11:16] for o in answer.json["occurrences"]]


def test_occurrences_keep_the_wall_clock_over_a_change() -> None:
    made = Zoom().create()
    assert made.status_code == 201
    assert hours(made) == ["10:00"] * 5 + ["09:00"] * 3


def test_a_local_time_marked_with_z_is_taken_as_utc_and_so_an_hour_off_in_summer() -> None:
    made = Zoom().create(start_time="2027-05-01T10:00:00Z")
    assert set(hours(made)) == {"10:00"}  # 11:00 in London


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"start_time": "soon"}, "start_time"),
        (
            {"recurrence": BODY["recurrence"] | {"weekly_days": "saturday"}},
            "recurrence.weekly_days",
        ),
        ({"recurrence": BODY["recurrence"] | {"end_times": 61}}, "recurrence.end_times"),
        ({"settings": {"approval_type": 7}}, "settings.approval_type"),
        ({"topic": "a" * 201}, "topic"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_wrong_fields_are_refused_in_zooms_words(change: Any, field: str) -> None:
    answer = Zoom().create(**change)
    assert (answer.status_code, answer.json["code"]) == (400, 300)
    assert [e["field"] for e in answer.json["errors"]] == [field]


def test_one_occurrence_is_changed_and_deleted_alone() -> None:
    zoom = Zoom()
    made = zoom.create().json
    first, second = (o["occurrence_id"] for o in made["occurrences"][:2])
    path = f"/meetings/{made['id']}"
    assert zoom.call("PATCH", f"{path}?occurrence_id={first}", {"duration": 30}).status_code == 204
    assert zoom.call("DELETE", f"{path}?occurrence_id={second}").status_code == 204
    left = zoom.call("GET", path).json["occurrences"]
    assert [o["duration"] for o in left] == [30] + [120] * 6
    for bad in ({"topic": "x"}, {"start_time": "soon"}, {"timezone": "Mars"}):
        assert zoom.call("PATCH", f"{path}?occurrence_id={first}", bad).status_code == 400
        if "topic" not in bad:
            assert zoom.call("PATCH", path, bad).status_code == 400
    assert zoom.call("DELETE", path).status_code == 204
    assert zoom.call("GET", path).json["code"] == 3001


def test_credentials_tokens_and_scopes_are_checked() -> None:
    zoom = Zoom()
    assert zoom.sign_in("wrong").json["error"] == "invalid_client"
    zoom.clock.move(timedelta(hours=1))
    assert (zoom.create().status_code, zoom.create().json["code"]) == (401, 124)
    fewer = tuple(s for s in ZOOM_SCOPES if s != "meeting:write:meeting:admin")
    answer = Zoom(replace(CONFIG, zoom_scopes=fewer)).create()
    assert answer.json["code"] == 4711
    assert "meeting:write:meeting:admin" in answer.json["message"]


def test_registrants_one_by_one_three_times_a_day_and_never_in_batches() -> None:
    zoom = Zoom()
    number = zoom.create().json["id"]
    person = {"email": "maya@example.com", "first_name": "Maya"}
    made = [zoom.call("POST", f"/meetings/{number}/registrants", person) for _ in range(4)]
    assert [a.status_code for a in made] == [201, 201, 201, 429]
    assert "tk=" in made[0].json["join_url"]
    batch = zoom.call("POST", f"/meetings/{number}/batch_registrants", {"registrants": [person]})
    assert batch.json["code"] == 303


@contextmanager
def listening() -> Iterator[tuple[str, list[tuple[bytes, dict[str, str]]]]]:
    """A receiver that keeps what it gets, byte for byte."""
    heard: list[tuple[bytes, dict[str, str]]] = []

    class Ear(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append((body, dict(self.headers)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Ear)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_scene_is_told_with_good_signatures_and_its_record_knows_what_was_lost() -> None:
    with listening() as (url, heard):
        zoom = Zoom(replace(CONFIG, zoom_webhook_url=url))
        number = zoom.create().json["id"]
        scene = {
            "series_ref": str(number),
            "starts_at": "2027-02-27T10:00:00+00:00",
            "opens": -5,
            "closes": 32,
            "people": {"maya": {"name": "Maya 😀", "invitation_ref": "r1"}},
            "acts": [
                {"at": -2, "person": "maya", "deed": "wait"},
                {"at": 0, "person": "maya", "deed": "join", "lost": True},
                {"at": 30, "person": "maya", "deed": "leave"},
            ],
        }
        played = zoom.client.post("/control/zoom/scenes", json=scene).json
    assert played["failed"] == []
    assert played["lost"] == 3  # leaving the waiting room, being admitted, joining
    names = [json.loads(body)["event"] for body, _ in heard]
    assert "meeting.participant_joined_waiting_room" in names
    assert "meeting.participant_qos" in names
    for body, headers in heard:
        signed = f"v0:{headers['x-zm-request-timestamp']}:".encode() + body
        secret = CONFIG.zoom_webhook_secret.encode()
        proof = hmac.new(secret, signed, hashlib.sha256).hexdigest()
        assert headers["x-zm-signature"] == f"v0={proof}"
    (held,) = zoom.call("GET", f"/past_meetings/{number}/instances").json["meetings"]
    twice = quote(quote(held["uuid"], safe=""), safe="")
    path = f"/report/meetings/{twice}/participants?page_size=1&include_fields=registrant_id"
    rows, token = [], ""
    while True:
        page = zoom.call("GET", f"{path}&next_page_token={token}").json
        rows += page["participants"]
        token = page["next_page_token"]
        if not token:
            break
    assert [(r["registrant_id"], r["status"], r["duration"]) for r in rows] == [
        ("r1", "in_meeting", 1800),
        ("r1", "in_waiting_room", 120),
    ]


def test_an_odd_scene_says_what_is_odd() -> None:
    zoom = Zoom()
    odd: list[Any] = [
        [],
        {"colour": 1},
        {"starts_at": "soon"},
        {"starts_at": "2027-01-01T10:00:00"},
    ]
    for body in odd:
        answer = zoom.client.post("/control/zoom/scenes", json=body)
        assert answer.status_code == 400
        assert answer.json["error"]
    assert "curl" in zoom.client.get("/").text
