"""`circle cohort create` against the API over HTTP: it waits, and says how it ended."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text, update
from werkzeug.serving import make_server

import cli_opening
from cli_common import now
from course.store import tables
from integration.scheduling import Refused
from tests.cli.conftest import circle
from tests.web.conftest import Door

WsgiApp = Callable[[dict[str, Any], Any], Any]


@contextmanager
def served(app: WsgiApp) -> Iterator[str]:
    """The application on a port of its own."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def becoming(door: Door, state: str, problem: str | None) -> WsgiApp:
    """The API, of which every cohort that is looked at a second time has come to that state."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["REQUEST_METHOD"] == "GET":
            with door.database.write() as connection:
                connection.execute(update(tables.cohort).values(state=state, problem=problem))
        return door.app(environ, start_response)

    return app


def body() -> str:
    saturday = now().date() + timedelta(days=(5 - now().weekday()) % 7 + 28)
    return json.dumps({"name": "Spring", "platform": "zoom", "first_session_on": str(saturday)})


@pytest.fixture
def open_door(door: Door) -> Door:
    """The API at the time of the command, whose token it is to take."""
    door.clock.now = now()
    return door


def test_a_cohort_that_is_ready_is_shown_with_its_schedule(open_door: Door) -> None:
    with served(open_door.app) as url:
        done = circle("cohort", "create", "-", "--url", url, text=body())
    assert (done.exit_code, done.stderr) == (0, "")  # where nobody looks, no progress
    assert done.stdout.startswith("opened-1\nSpring on Zoom: ready\n")
    assert "   8  " in done.stdout


def test_what_takes_longer_than_an_answer_is_waited_for(open_door: Door) -> None:
    open_door.office.slow = True
    with served(becoming(open_door, "ready", None)) as url:
        done = circle("cohort", "create", "-", "--url", url, "--json", text=body())
    told = json.loads(done.stdout)
    assert (done.exit_code, told["id"], told["state"]) == (0, "opened-1", "ready")


@pytest.mark.parametrize("state", ["needs_attention", "failed"])
def test_what_does_not_become_ready_is_shown_and_is_an_error(open_door: Door, state: str) -> None:
    open_door.office.slow = True
    with served(becoming(open_door, state, "Zoom knows no such host.")) as url:
        done = circle("cohort", "create", "-", "--url", url, "--json", text=body())
    assert json.loads(done.stdout)["state"] == state
    assert done.exit_code == 1
    assert done.stderr == "Error: The cohort is not ready: Zoom knows no such host.\n"


def test_what_is_still_under_way_says_where_to_look(
    open_door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_opening, "LOOK_FOR", 0.0)
    open_door.office.slow = True
    with served(open_door.app) as url:
        done = circle("cohort", "create", "-", "--url", url, text=body())
    assert done.exit_code == 1
    assert done.stderr.endswith("Look again: circle cohort show opened-1\n")


def test_a_refusal_is_one_line_with_every_fault(open_door: Door) -> None:
    wrong = json.dumps({"name": "", "platform": "skype", "first_session_on": "2027-01-08"})
    with served(open_door.app) as url:
        done = circle("cohort", "create", "-", "--url", url, "--json", text=wrong)
        open_door.office.refuse = Refused("unacceptable", "No such host.", field="organiser")
        refused = circle("cohort", "create", "-", "--url", url, text=body())
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    for field in ("name:", "platform:", "first_session_on:"):
        assert field in done.stderr
    assert "organiser: No such host." in refused.stderr


def test_nobody_and_somebody_else_at_that_address_are_told_apart(open_door: Door) -> None:
    def other(environ: dict[str, Any], start_response: Any) -> Any:
        del environ
        start_response("502 Bad Gateway", [("Content-Type", "text/html")])
        return [b"<h1>no</h1>"]

    with served(other) as url:
        strange = circle("cohort", "create", "-", "--url", url, text=body())
    assert strange.stderr == (
        f"Error: What answers at {url} is not this service (502). Give its address: --url\n"
    )
    nobody = circle("cohort", "create", "-", "--url", url, text=body())
    assert nobody.stderr == f"Error: No service answers at {url}. Start it: circle serve\n"
    garbled = circle("cohort", "create", "-", text="{")
    assert (garbled.exit_code, "is not JSON" in garbled.stderr) == (1, True)
    with open_door.database.read() as connection:
        live = connection.execute(
            text("SELECT count(*) FROM access_token WHERE revoked_at IS NULL")
        ).scalar()
    assert live == 0  # the command's own token ends with the call
