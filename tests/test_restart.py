"""A new release without an interruption: two processes, one restarted, nobody sent away.

What Caddy does in deploy/Caddyfile is done here by a client of few lines: turn by turn, and to the
other process when one does not take the connection.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import psycopg
import pytest
import requests

from demo import environment, free_port
from sandbox.config import SandboxConfig
from tests.nursery import Process, circle
from tests.postgresql import Cluster, needs_postgresql
from tests.test_own_trouble import join, signed

STOPS_WITHIN = 10.0  # seconds; what a unit and a container are given is longer
pytestmark = pytest.mark.slow


class Two:
    """Two processes of the service on one PostgreSQL, each at a port of its own."""

    def __init__(self, folder: Path, database_url: str) -> None:
        config = SandboxConfig(base_url="http://127.0.0.1:9")  # nobody is there
        self.database_url = database_url
        self.ports = [free_port(), free_port()]
        self.env = environment(config, public_url="http://127.0.0.1", data_dir=folder, clean=True)
        self.env["DATABASE_URL"] = database_url
        self.processes = [self._begin(port) for port in self.ports]
        for port in self.ports:
            self._await(port)

    def _begin(self, port: int) -> Process:
        return circle("serve", "--port", str(port), env=self.env)

    def _await(self, port: int) -> None:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with contextlib.suppress(requests.RequestException):
                if requests.get(f"http://127.0.0.1:{port}/readyz", timeout=1).ok:
                    return
            time.sleep(0.05)
        raise AssertionError("a process did not become ready")

    def restart(self, number: int) -> int:
        """Ask it to stop, and start another at the same port; what the old one ended with."""
        self.processes[number].send_signal(signal.SIGTERM)
        code = self.processes[number].wait(timeout=STOPS_WITHIN)
        self.processes[number] = self._begin(self.ports[number])
        self._await(self.ports[number])
        return code

    def tell(self, number: int) -> tuple[str, int]:
        """Tell of a join, turn by turn; the connection, and the code that came back."""
        connection, body = join(number)
        for attempt in count(number):
            port = self.ports[attempt % 2]
            try:
                answer = requests.post(
                    f"http://127.0.0.1:{port}/webhooks/zoom",
                    data=body,
                    headers=signed(body),
                    timeout=10,
                )
            except requests.ConnectionError:
                assert attempt < number + 20, "neither takes it"
                continue
            return connection, answer.status_code
        raise AssertionError("unreachable")

    def stored(self) -> set[str]:
        with psycopg.connect(self.database_url) as connection:
            rows = connection.execute("SELECT connection_ref FROM participant_event").fetchall()
        return {row[0] for row in rows}

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def two(tmp_path: Path, postgresql_server: Cluster) -> Iterator[Two]:
    made = Two(tmp_path, postgresql_server.create("restart"))
    try:
        yield made
    finally:
        made.end()


@needs_postgresql
def test_while_each_of_two_is_restarted_everybody_is_answered_and_nothing_is_lost(
    two: Two,
) -> None:
    over = threading.Event()
    numbers = count(1_000_000)
    told: list[tuple[str, int]] = []

    def keep_telling() -> None:
        while not over.is_set():
            told.append(two.tell(next(numbers)))

    with ThreadPoolExecutor(6) as pool:
        telling = [pool.submit(keep_telling) for _ in range(6)]
        try:
            ended = [two.restart(0), two.restart(1)]
        finally:
            over.set()
        for one in telling:
            one.result()
    assert ended == [0, 0]
    assert len(told) > 100
    assert {code for _, code in told} == {204}
    assert {connection for connection, _ in told} <= two.stored()
