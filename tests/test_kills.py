"""kill -9 at every remote call, before the platform acts and after it: one series, nothing twice.

The stand-ins kill the service themselves, so each kill falls exactly where it is meant to.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from demo import environment, free_port
from sandbox.config import SandboxConfig
from tests.nursery import Process, circle, run_circle
from tests.postgresql import Cluster, needs_postgresql

SERVER = {"zoom": "zoom", "teams": "graph"}
HOUSEHOLDS: list[dict[str, Any]] = [
    {"reference": "H1", "carers": [{"name": "Maya Patel", "email": "maya@example.com"}]},
    {"reference": "H2", "carers": [{"name": "Dev Okoro", "email": "dev@example.com"}]},
]
pytestmark = pytest.mark.slow


class Service:
    """The service and its stand-ins as processes; the service is started again when it is dead."""

    def __init__(self, folder: Path, database_url: str | None) -> None:
        self.sandbox_port, self.port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        config = SandboxConfig(
            base_url=f"http://127.0.0.1:{self.sandbox_port}",
            zoom_webhook_url=f"{self.url}/webhooks/zoom",
        )
        self.stand_ins = config.base_url
        self.env = environment(config, public_url=self.url, data_dir=folder, clean=True)
        if database_url is not None:
            self.env["DATABASE_URL"] = database_url
        self.process: Process | None = None
        # One carer is enough where only the database differs.
        self.households = HOUSEHOLDS[:1] if database_url else HOUSEHOLDS
        self.headers: dict[str, str] = {}

    def circle(self, *arguments: str) -> Process:
        return circle(*arguments, env=self.env)

    def start(self) -> int:
        """Start the service and wait until it is ready; its process id."""
        self.process = self.circle("serve", "--port", str(self.port))
        _await(f"{self.url}/readyz")
        return self.process.pid

    def await_death(self) -> None:
        assert self.process is not None
        assert self.process.wait(timeout=30) == -signal.SIGKILL

    def trouble(self, **fault: Any) -> None:
        assert requests.post(f"{self.stand_ins}/control/faults", json=fault, timeout=10).ok

    def fresh(self) -> None:
        requests.delete(f"{self.stand_ins}/control/faults", timeout=10)
        requests.delete(f"{self.stand_ins}/control/state", timeout=10)

    def calls(self, platform: str) -> list[str]:
        told = requests.get(f"{self.stand_ins}/control/calls", timeout=10).json()["calls"]
        return [c for c in told if f" /{SERVER[platform]}/" in c]

    def open(self, platform: str, name: str) -> dict[str, Any] | None:
        """Open a cohort under a key of its own; None when the service died meanwhile."""
        body = {
            "name": name,
            "platform": platform,
            "first_session_on": "2027-02-27",
            "households": self.households,
        }
        try:
            answer = requests.post(
                f"{self.url}/api/v1/cohorts",
                json=body,
                headers=self.headers | {"Idempotency-Key": name},
                timeout=40,
            )
        except requests.RequestException:
            return None
        assert answer.status_code in (201, 202), answer.text
        return dict(answer.json())

    def move(self, cohort_id: str, platform: str) -> dict[str, Any] | None:
        """Move the cohort to that platform; None when the service died meanwhile."""
        try:
            answer = requests.post(
                f"{self.url}/api/v1/cohorts/{cohort_id}/platform",
                json={"platform": platform},
                headers=self.headers,
                timeout=40,
            )
        except requests.RequestException:
            return None
        assert answer.status_code in (200, 202), answer.text
        return dict(answer.json())

    def is_cleared(self, platform: str) -> None:
        """Nothing stands there any more, soon."""
        until = time.monotonic() + 90
        while time.monotonic() < until:
            state = requests.get(f"{self.stand_ins}/control/state", timeout=10).json()
            if not state[platform]["series"]:
                return
            time.sleep(0.2)
        raise AssertionError(f"a series still stands on {platform}")

    def is_exact(self, platform: str) -> None:
        """One series with eight right sessions, everybody invited once, one subscription."""
        state = requests.get(f"{self.stand_ins}/control/state", timeout=10).json()[platform]
        (series,) = state["series"]
        if platform == "zoom":
            hours = [o["start_time"][11:16] for o in series["occurrences"]]
            lengths = [o["duration"] for o in series["occurrences"]]
            people = [r["email"] for r in series["registrants"]]
        else:
            hours = [i["start"]["dateTime"][11:16] for i in series["instances"]]
            ends = [i["end"]["dateTime"][11:16] for i in series["instances"]]
            lengths = [30 if end.endswith("30") else 120 for end in ends]
            people = [a["emailAddress"]["address"] for a in series["attendees"]]
            calls = [s for s in state["subscriptions"] if "meetingCallEvents" in s["resource"]]
            assert len(calls) == 1
        assert hours == ["10:00"] * 5 + ["09:00"] * 3
        assert lengths == [30] + [120] * 7
        asked = [c["email"] for h in self.households for c in h["carers"]]
        assert sorted(people) == sorted(asked)


def _await(url: str) -> None:
    until = time.monotonic() + 40
    while time.monotonic() < until:
        try:
            if requests.get(url, timeout=2).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.03)
    raise AssertionError(f"{url} does not answer")


@contextmanager
def running(folder: Path, database_url: str | None) -> Iterator[Service]:
    service = Service(folder, database_url)
    stand_ins = service.circle(
        "sandbox", "--port", str(service.sandbox_port), "--service", service.url
    )
    try:
        _await(service.stand_ins)
        service.start()
        made = run_circle(
            *("token", "create", "--role", "admin", "--name", "Ann"), env=service.env, check=True
        )
        service.headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
        yield service
    finally:
        for process in (service.process, stand_ins):
            if process is not None:
                process.kill()
                process.wait()


def kill_everywhere(service: Service, platform: str, *, when: Sequence[str], step: int = 1) -> None:
    service.fresh()
    cohort = service.open(platform, "unharmed")
    assert cohort is not None
    assert cohort["state"] == "ready", cohort
    service.is_exact(platform)
    calls = len(service.calls(platform))
    assert calls >= 4
    pid = service.process.pid if service.process else 0
    for do in when:
        # A kill before a call leaves what the kill after the call before left: some will do.
        for nth in range(1, calls + 1, 2 if do == "kill_before" else step):
            name = f"{do}-{nth}"
            service.fresh()
            service.trouble(platform=SERVER[platform], do=do, nth=nth, pid=pid)
            cohort = service.open(platform, name)
            if cohort is None:
                service.await_death()
                pid = service.start()
                cohort = service.open(platform, name)  # the same key: the same cohort
            assert cohort is not None, name
            assert (cohort["state"], cohort["problem"]) == ("ready", None), name
            service.is_exact(platform)


# A kill before the platform acts leaves there what the kill after the call before left: what
# differs, that a call was begun, differs alike on both platforms, so one of them is enough for it.
BEFORE_AND_AFTER, AFTER = ("kill_before", "kill_after"), ("kill_after",)


@pytest.mark.parametrize(("platform", "when"), [("zoom", BEFORE_AND_AFTER), ("teams", AFTER)])
def test_a_kill_at_every_call_of_an_opening_leaves_one_exact_series(
    tmp_path: Path, platform: str, when: Sequence[str]
) -> None:
    with running(tmp_path, None) as service:
        kill_everywhere(service, platform, when=when)


@pytest.mark.parametrize(("here", "there"), [("zoom", "teams"), ("teams", "zoom")])
def test_a_kill_in_the_middle_of_a_move_leaves_one_exact_series_and_none_behind(
    tmp_path: Path, here: str, there: str
) -> None:
    with running(tmp_path, None) as service:
        pid = service.process.pid if service.process else 0
        # At the making of the series, at the mending, at the invitations or the subscription, and
        # at the removal of what was left behind.
        for platform, nth in ((there, 1), (there, 3), (there, 5), (here, 1)):
            name = f"{platform}-{nth}"
            service.fresh()
            cohort = service.open(here, name)
            assert cohort is not None
            service.trouble(platform=SERVER[platform], do="kill_after", nth=nth, pid=pid)
            moved = service.move(cohort["id"], there)
            if moved is None or platform == here:
                service.await_death()
                pid = service.start()
                moved = service.move(cohort["id"], there)  # the same call: nothing more to do
            assert moved is not None, name
            assert (moved["state"], moved["problem"]) == ("ready", None), name
            service.is_exact(there)
            service.is_cleared(here)
            assert [c["join_url"] for c in moved["carers"]] == [
                c["join_url"] for c in cohort["carers"]
            ]


@needs_postgresql
def test_a_kill_at_every_second_call_of_an_opening_with_postgresql(
    tmp_path: Path, postgresql_server: Cluster
) -> None:
    with running(tmp_path, postgresql_server.create("kills")) as service:
        # Teams' opening has every kind of step that Zoom's has; the steps are the same as above.
        kill_everywhere(service, "teams", when=AFTER, step=2)
