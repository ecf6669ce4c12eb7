"""The platform stand-ins as a real HTTP server for tests, with a clock that a test moves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import requests
from werkzeug.serving import make_server

from course.model import Platform
from integration.teams import TeamsProvider
from integration.zoom import ZoomProvider
from sandbox.config import SandboxConfig
from sandbox.server import create_sandbox
from tests.fakes import FakeClock


@dataclass
class StandIns:
    """A running sandbox and what is needed to talk to it."""

    config: SandboxConfig
    clock: FakeClock

    def zoom(self, **changes: Any) -> ZoomProvider:
        """The product's own Zoom provider, pointed at the stand-in."""
        asked: dict[str, Any] = {
            "account_id": self.config.zoom_account_id,
            "client_id": self.config.zoom_client_id,
            "client_secret": self.config.zoom_client_secret,
            "api_url": f"{self.config.base_url}/zoom/v2",
            "oauth_url": f"{self.config.base_url}/zoom/oauth/token",
        } | changes
        return ZoomProvider(clock=self.clock, **asked)

    def teams(self, **changes: Any) -> TeamsProvider:
        """The product's own Teams provider, pointed at the stand-in."""
        asked: dict[str, Any] = {
            "tenant_id": self.config.teams_tenant_id,
            "client_id": self.config.teams_client_id,
            "client_secret": self.config.teams_client_secret,
            "graph_url": f"{self.config.base_url}/graph",
            "login_url": f"{self.config.base_url}/login",
            "engagements_version": "beta",
        } | changes
        return TeamsProvider(clock=self.clock, client_certificate=None, **asked)

    @contextmanager
    def receiver(self) -> Iterator[str]:
        """An address that answers the handshake and takes every notification."""

        def answer(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            token = parse_qs(environ["QUERY_STRING"]).get("validationToken", [""])[0]
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [token.encode()]

        server = make_server("127.0.0.1", 0, answer, threaded=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/webhooks/teams"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    @contextmanager
    def listener(self, heard: list[tuple[str, bytes]]) -> Iterator[str]:
        """An address that notes each request's authorization and body, and answers 202."""

        def answer(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            heard.append((environ.get("HTTP_AUTHORIZATION", ""), body))
            start_response("202 Accepted", [])
            return []

        server = make_server("127.0.0.1", 0, answer, threaded=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/calls/secret"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def play(self, platform: Platform, scene: dict[str, Any]) -> dict[str, Any]:
        """Play one held session; what became of its notifications."""
        told = requests.post(
            f"{self.config.base_url}/control/{platform.value}/scenes", json=scene, timeout=60
        )
        assert told.ok, told.text
        return dict(told.json())

    def trouble(self, **fault: Any) -> None:
        """Switch a fault on; the fields are those of `sandbox/faults.py`."""
        told = requests.post(f"{self.config.base_url}/control/faults", json=fault, timeout=10)
        assert told.ok, told.text

    def no_trouble(self) -> None:
        """Switch every fault off and forget the calls."""
        requests.delete(f"{self.config.base_url}/control/faults", timeout=10)

    def fresh(self) -> None:
        """Nothing stands, nothing fails, nothing was called; tokens stay valid."""
        self.no_trouble()
        requests.delete(f"{self.config.base_url}/control/state", timeout=10)

    def calls(self) -> list[str]:
        """Every call to a platform since the last `no_trouble`."""
        told = requests.get(f"{self.config.base_url}/control/calls", timeout=10)
        return list(told.json()["calls"])

    def refused(self) -> int:
        """How many calls were too many."""
        told = requests.get(f"{self.config.base_url}/control/calls", timeout=10)
        return int(told.json()["refused"])

    def state(self, platform: Platform) -> list[dict[str, Any]]:
        """The series that stand on a platform."""
        told = requests.get(f"{self.config.base_url}/control/state", timeout=10)
        return list(told.json()[platform.value]["series"])

    def sessions(self, platform: Platform) -> list[tuple[datetime, timedelta]]:
        """Starts and lengths of the only series that stands on a platform, in order."""
        (series,) = self.state(platform)
        if platform is Platform.ZOOM:
            found = [
                (datetime.fromisoformat(o["start_time"]), timedelta(minutes=o["duration"]))
                for o in series["occurrences"]
            ]
        else:
            found = []
            for instance in series["instances"]:
                begins, ends = (
                    datetime.fromisoformat(instance[k]["dateTime"][:19]).replace(tzinfo=UTC)
                    for k in ("start", "end")
                )
                found.append((begins, ends - begins))
        return sorted(found)

    def people(self, platform: Platform) -> list[str]:
        """Addresses of whoever is invited to the only series on a platform."""
        (series,) = self.state(platform)
        if platform is Platform.ZOOM:
            return sorted(r["email"] for r in series["registrants"] if r["approved"])
        return sorted(a["emailAddress"]["address"] for a in series["attendees"])


@contextmanager
def stand_ins(config: SandboxConfig | None = None) -> Iterator[StandIns]:
    """Run the sandbox in this process on a free loopback port."""
    clock = FakeClock(datetime.now(UTC))
    server = make_server("127.0.0.1", 0, lambda *_: [], threaded=True)  # the port comes first
    made = replace(
        config or SandboxConfig(zoom_plan="none"), base_url=f"http://127.0.0.1:{server.server_port}"
    )
    server.app = create_sandbox(made, clock=clock)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield StandIns(made, clock)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
