"""deploy/Caddyfile in front of two processes, where Caddy is installed: what comes through it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
import requests

from demo import free_port
from tests.postgresql import Cluster, needs_postgresql
from tests.provider import answers
from tests.test_own_trouble import join, signed
from tests.test_restart import Two

CADDYFILE = (Path(__file__).parent.parent / "deploy" / "Caddyfile").read_text(encoding="utf-8")
OLDEST = (2, 7)  # those before do not try a POST again


def _caddy() -> str | None:
    found = shutil.which("caddy")
    told = subprocess.check_output([found, "version"], text=True) if found else ""
    release = re.match(r"v?(\d+)\.(\d+)", told)
    return found if release and (int(release[1]), int(release[2])) >= OLDEST else None


CADDY = _caddy()
pytestmark = pytest.mark.slow
needs_caddy = pytest.mark.skipif(not CADDY, reason="Caddy 2.7 or newer is not installed")


def test_trouble_with_the_database_takes_no_process_out_and_no_webhook_waits_for_a_free_one() -> (
    None
):
    """A process that cannot store says so itself, at once, and counts it."""
    assert re.findall(r"health_uri (\S+)", CADDYFILE) == ["/healthz"]
    hooks, others = re.findall(r"handle ?(\S*) \{\n\t*import processes (\d+)s\n", CADDYFILE)
    assert hooks == ("/webhooks/*", "2")
    assert others[0] == ""


@pytest.fixture
def two(tmp_path: Path, postgresql_server: Cluster) -> Iterator[tuple[Two, str]]:
    """Two processes, and their address through Caddy."""
    made = Two(tmp_path, postgresql_server.create(f"caddy{time.monotonic_ns()}"))
    url = f"http://127.0.0.1:{free_port()}"
    file = tmp_path / "Caddyfile"
    file.write_text("{\n\tadmin off\n}\n" + CADDYFILE, encoding="utf-8")
    caddy = subprocess.Popen(
        [str(CADDY), "run", "--config", str(file), "--adapter", "caddyfile"],
        env=os.environ
        | {
            "PUBLIC_URL": url,
            "CIRCLE_PROCESSES": " ".join(f"127.0.0.1:{port}" for port in made.ports),
            "XDG_DATA_HOME": str(tmp_path),
            "XDG_CONFIG_HOME": str(tmp_path),
        },
        stderr=subprocess.DEVNULL,
    )
    try:
        answers(f"{url}/readyz")
        yield made, url
    finally:
        caddy.kill()
        caddy.wait()
        made.end()


def tell(url: str, number: int, *, within: float = 20.0) -> tuple[str, requests.Response]:
    connection, body = join(number)
    answer = requests.post(f"{url}/webhooks/zoom", data=body, headers=signed(body), timeout=within)
    return connection, answer


@needs_caddy
@needs_postgresql
def test_while_the_database_stands_still_everybody_hears_it_from_the_process(
    two: tuple[Two, str], postgresql_server: Cluster
) -> None:
    _, url = two
    assert tell(url, 1)[1].status_code == 204
    with postgresql_server.standing_still():
        for number in range(2, 6):
            _, answer = tell(url, number, within=5)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        ready = requests.get(f"{url}/readyz", timeout=5)
        assert "The database does not answer" in ready.text
        assert requests.get(f"{url}/healthz", timeout=5).status_code == 200
    assert tell(url, 6)[1].status_code == 204


@needs_caddy
@needs_postgresql
def test_while_each_is_restarted_everybody_is_answered(two: tuple[Two, str]) -> None:
    processes, url = two
    over, numbers = threading.Event(), count(2_000_000)
    told: list[tuple[str, int]] = []

    def keep_telling() -> None:
        while not over.is_set():
            connection, answer = tell(url, next(numbers))
            told.append((connection, answer.status_code))

    with ThreadPoolExecutor(4) as pool:
        telling = [pool.submit(keep_telling) for _ in range(4)]
        try:
            ended = [processes.restart(0), processes.restart(1)]
        finally:
            over.set()
        for one in telling:
            one.result()
    assert ended == [0, 0]
    assert {code for _, code in told} == {204}
    assert {connection for connection, _ in told} <= processes.stored()
