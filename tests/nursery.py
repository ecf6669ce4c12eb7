"""Our commands as real processes that need not import everything anew: forks of one that has.

Importing is nearly all that the start of a command costs (two seconds of a core), and the tests
start more than a hundred. `tests/nursery_process.py` imports once for each worker of pytest; what
it forks runs `cli` as `python -m cli` does, under an id of its own, to be killed or stopped like
any process. That the command also starts from nothing is for `tests/test_main_job.py`.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

ROOT = Path(__file__).parent.parent
READY_WITHIN = 60.0  # seconds


class Process:
    """One command under way; as much of `subprocess.Popen` as tests use."""

    def __init__(self, arguments: tuple[str, ...], told: socket.socket) -> None:
        """`told` tells its id first, and its exit code when it has ended."""
        self.args = arguments
        self.returncode: int | None = None
        self._told = told
        self._lock = threading.Lock()
        told.settimeout(READY_WITHIN)  # the first one waits for the imports
        self.pid = int.from_bytes(told.recv(8), "big")

    def poll(self) -> int | None:
        """Its exit code if it has ended, below zero for a signal."""
        return self._look(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, when it has ended."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(list(self.args), timeout or 0.0)
        return code

    def _look(self, within: float | None) -> int | None:
        if self.returncode is None and select.select([self._told], [], [], within)[0]:
            with self._lock:
                if self.returncode is None:
                    said = self._told.recv(64)
                    self.returncode = int(said) if said else -signal.SIGKILL  # with the nursery
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __del__(self) -> None:
        self._told.close()


class Nursery:
    """The process that forks, and the socket over which it is asked to."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.nursery_process", str(theirs.fileno())],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def born(
        self,
        arguments: tuple[str, ...],
        *,
        env: Mapping[str, str],
        cwd: Path,
        streams: tuple[int, int, int],
    ) -> Process:
        """Have a command begun."""
        ours, theirs = socket.socketpair()
        asked = json.dumps({"arguments": arguments, "env": dict(env), "cwd": str(cwd)}).encode()
        with theirs, self._lock:
            # The length goes with the descriptors; the rest may come in pieces.
            size = len(asked).to_bytes(4, "big")
            socket.send_fds(self._control, [size], [*streams, theirs.fileno()])
            self._control.sendall(asked)
        process = Process(arguments, ours)
        assert process.pid, "the nursery is dead; standard error says why"
        return process

    def close(self) -> None:
        """Let it go, and with it whatever it forked."""
        self._control.close()
        self._process.wait()


@functools.cache
def _nursery() -> Nursery:
    made = Nursery()
    atexit.register(made.close)
    return made


_first = threading.Lock()


def circle(
    *arguments: str,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    stdin: int = -1,
    stdout: int | IO[bytes] = 1,
    stderr: int | IO[bytes] = 2,
) -> Process:
    """Begin `python -m cli` with these arguments; its standard input is empty unless given."""
    with _first:
        nursery = _nursery()
    with Path(os.devnull).open("rb") as nothing:
        return nursery.born(
            arguments,
            env=os.environ if env is None else env,
            cwd=cwd,
            streams=(
                nothing.fileno() if stdin == -1 else stdin,
                stdout if isinstance(stdout, int) else stdout.fileno(),
                stderr if isinstance(stderr, int) else stderr.fileno(),
            ),
        )


def run_circle(
    *arguments: str,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    stdout: int | None = None,
    timeout: float = 150.0,
    check: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run it to its end; what it said, also on `stdout` unless that is given."""
    with TemporaryFile() as out, TemporaryFile() as err:
        process = circle(
            *arguments, env=env, cwd=cwd, stdout=out if stdout is None else stdout, stderr=err
        )
        try:
            process.wait(timeout)
        finally:
            process.kill()
        out.seek(0)
        err.seek(0)
        done = subprocess.CompletedProcess(
            list(arguments), process.wait(), out.read().decode(), err.read().decode()
        )
    if check:
        done.check_returncode()
    return done
