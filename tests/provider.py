"""A provider's installation for tests: several processes on one PostgreSQL, beside stand-ins."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from demo import environment, free_port
from sandbox.config import SandboxConfig
from tests import nursery
from tests.nursery import ROOT
from tests.postgresql import Cluster

START_WITHIN = 60.0
# An older release, whose workflows this one cannot carry on in the middle.
OLDER = (
    "import sys, integration.durable as d; d.WORKFLOW_VERSION = '1'; "
    "import cli; sys.argv[0] = 'circle'; cli.main()"
)


class Process:
    """One of our commands; what it says goes into a file."""

    def __init__(
        self, arguments: tuple[str, ...], env: dict[str, str], log: Path, *, code: str
    ) -> None:
        self._log = log
        self._process: nursery.Process | subprocess.Popen[bytes]
        with log.open("wb") as output:
            if code:
                command = [sys.executable, "-c", code, *arguments]
                self._process = subprocess.Popen(
                    command, cwd=ROOT, env=env, stdout=output, stderr=output
                )
            else:
                self._process = nursery.circle(*arguments, env=env, stdout=output, stderr=output)
        self.pid = self._process.pid

    def says(self, words: str) -> str:
        """Wait until it has said so; the line."""
        until = time.monotonic() + START_WITHIN
        while words not in self.said():
            assert time.monotonic() < until, self.said()
            assert self._process.poll() is None, self.said()
            time.sleep(0.05)
        return next(line for line in self.said().splitlines() if words in line)

    def said(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def ends(self, within: float = START_WITHIN) -> int:
        """Wait for its end; its exit code."""
        return self._process.wait(timeout=within)

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


class Provider:
    """Web processes and workers that share a database."""

    def __init__(self, folder: Path, server: Cluster) -> None:
        self._folder = folder
        self.database = f"p{os.getpid()}_{time.monotonic_ns()}"
        self._processes: list[Process] = []
        sandbox_port, self._port = free_port(), free_port()
        public_url = f"http://127.0.0.1:{self._port}"  # of the first web process
        self.config = SandboxConfig(
            base_url=f"http://127.0.0.1:{sandbox_port}",
            zoom_webhook_url=f"{public_url}/webhooks/zoom",
        )
        self._env = environment(self.config, public_url=public_url, data_dir=folder, clean=True)
        self._env |= {
            "DATABASE_URL": server.create(self.database),
            "ADOPT_AFTER_SECONDS": "1",
        }
        self.webs: list[str] = []
        self.web_processes: list[Process] = []
        self.workers: list[Process] = []
        self._headers: dict[str, str] = {}
        self._run("sandbox", "--port", str(sandbox_port))
        answers(self.config.base_url)

    def _run(self, *arguments: str, code: str = "", **settings: str) -> Process:
        log = self._folder / f"log-{len(self._processes)}"
        process = Process(arguments, {**self._env, **settings}, log, code=code)
        self._processes.append(process)
        return process

    def web(self, *, code: str = "") -> str:
        """Start a process that only answers requests; its address."""
        port = free_port() if self.webs else self._port
        self.web_processes.append(self._run("serve", "--web", "--port", str(port), code=code))
        self.webs.append(f"http://127.0.0.1:{port}")
        answers(f"{self.webs[-1]}/readyz")
        self.headers()
        return self.webs[-1]

    def worker(
        self, *arguments: str, code: str = "", ready: bool = True, **settings: str
    ) -> Process:
        """A process that only works."""
        process = self._run("worker", *arguments, code=code, **settings)
        self.workers.append(process)
        if ready:
            process.says("Circle works as")
        return process

    def headers(self) -> dict[str, str]:
        """Those of an administrator."""
        if not self._headers:
            made = nursery.run_circle(
                *("token", "create", "--role", "admin", "--name", "A"), env=self._env, check=True
            )
            self._headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
        return self._headers

    def open(self, name: str, platform: str = "zoom", web: int = 0) -> str:
        """Ask for a cohort, again for the same name; its id, after a while if not ready."""
        household = {"reference": "H1", "carers": [{"name": "Maya", "email": "m@example.com"}]}
        body = {
            "name": name,
            "platform": platform,
            "first_session_on": "2027-02-27",
            "households": [household],
        }
        answer = requests.post(
            f"{self.webs[web]}/api/v1/cohorts",
            json=body,
            headers=self.headers() | {"Idempotency-Key": name},
            timeout=40,
        )
        assert answer.status_code in (201, 202), answer.text
        return str(answer.json()["id"])

    def open_many(self, prefix: str, count: int) -> list[str]:
        """Ask for so many cohorts at once, on both platforms."""
        platforms = ("zoom", "teams")
        with ThreadPoolExecutor(8) as pool:
            return list(
                pool.map(lambda n: self.open(f"{prefix}-{n}", platforms[n % 2]), range(count))
            )

    def listed(self) -> list[str]:
        """The names of all cohorts."""
        url = f"{self.webs[0]}/api/v1/cohorts"
        told = requests.get(url, headers=self.headers(), timeout=20).json()
        return [str(cohort["name"]) for cohort in told["cohorts"]]

    def read(self, cohort_id: str) -> dict[str, Any]:
        url = f"{self.webs[0]}/api/v1/cohorts/{cohort_id}"
        return dict(requests.get(url, headers=self.headers(), timeout=20).json())

    def ready(self, *cohort_ids: str, within: float = 60.0) -> None:
        """Wait until they are all ready."""
        until = time.monotonic() + within
        for cohort_id in cohort_ids:
            while (cohort := self.read(cohort_id))["state"] != "ready":
                assert time.monotonic() < until, cohort
                time.sleep(0.1)

    def series(self) -> Counter[str]:
        """How many series of each name stand on both platforms."""
        state = requests.get(f"{self.config.base_url}/control/state", timeout=10).json()
        return Counter(
            str(series.get("topic") or series.get("subject"))
            for platform in ("zoom", "teams")
            for series in state[platform]["series"]
        )

    def trouble(self, **fault: Any) -> None:
        assert requests.post(f"{self.config.base_url}/control/faults", json=fault, timeout=10).ok

    def calls(self) -> list[str]:
        told = requests.get(f"{self.config.base_url}/control/calls", timeout=10).json()
        return [str(call) for call in told["calls"]]

    def asked(self, beginning: str) -> bool:
        """Whether a platform was called so."""
        return any(call.startswith(beginning) for call in self.calls())

    def fresh(self) -> None:
        """No workers, no trouble, no calls."""
        for process in self.workers:
            process.kill()
        self.workers.clear()
        requests.delete(f"{self.config.base_url}/control/faults", timeout=10)

    def end(self) -> None:
        for process in self._processes:
            process.kill()


def answers(url: str) -> None:
    """Wait until it does."""
    until = time.monotonic() + START_WITHIN
    while time.monotonic() < until:
        try:
            if requests.get(url, timeout=2).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.05)
    raise AssertionError(f"{url} does not answer")


def is_stopped(pid: int) -> bool:
    """Whether the process is stopped by a signal."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    return stat.rpartition(")")[2].split()[0] == "T"


@contextmanager
def provider(folder: Path, server: Cluster) -> Iterator[Provider]:
    """Fresh, on a database of its own."""
    made = Provider(folder, server)
    try:
        yield made
    finally:
        made.end()
