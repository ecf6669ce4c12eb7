"""The platform stand-ins as a real HTTP server for tests, with a clock that a test moves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from werkzeug.serving import make_server

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

    def zoom(self, **changes: str) -> ZoomProvider:
        """The product's own Zoom provider, pointed at the stand-in."""
        asked: dict[str, Any] = {
            "account_id": self.config.zoom_account_id,
            "client_id": self.config.zoom_client_id,
            "client_secret": self.config.zoom_client_secret,
            "api_url": f"{self.config.base_url}/zoom/v2",
            "oauth_url": f"{self.config.base_url}/zoom/oauth/token",
        } | changes
        return ZoomProvider(clock=self.clock, **asked)

    def teams(self, **changes: str) -> TeamsProvider:
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
def stand_ins(config: SandboxConfig | None = None) -> Iterator[StandIns]:
    """Run the sandbox in this process on a free loopback port."""
    clock = FakeClock(datetime.now(UTC))
    server = make_server("127.0.0.1", 0, lambda *_: [], threaded=True)  # the port comes first
    made = replace(config or SandboxConfig(), base_url=f"http://127.0.0.1:{server.server_port}")
    server.app = create_sandbox(made, clock=clock)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield StandIns(made, clock)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
