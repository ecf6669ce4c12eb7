"""The process of `tests/nursery.py`: imports what commands import, then forks one when asked.

It has one thread and does nothing else, so that a fork of it is as good as a fresh process. Not
quite: names are hashed alike in all of them, and `ps` shows this module for each.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import app
import cli
import demo
import doctor
import sandbox.desk
import sandbox.server
import server
import web.listings
import web.subject_access

IMPORTED = {app, cli, demo, doctor, sandbox.desk, sandbox.server, server}
IMPORTED |= {web.listings, web.subject_access}
PR_SET_PDEATHSIG = 1


@dataclass
class Asked:
    """What a child is to become."""

    arguments: list[str]
    env: dict[str, str]
    cwd: str
    streams: list[int]


def _receive(control: socket.socket) -> tuple[Asked, socket.socket] | None:
    """What is asked, and where to say what became of it; None when nobody asks any more."""
    size, fds, _, _ = socket.recv_fds(control, 4, 4)
    if not size:
        return None
    wanted = int.from_bytes(size, "big")
    got = b""
    while len(got) < wanted:
        got += control.recv(wanted - len(got))
    asked: dict[str, Any] = json.loads(got)
    return Asked(**asked, streams=list(fds[:3])), socket.socket(fileno=fds[3])


def _serve(control: socket.socket) -> Asked:
    """Fork whenever asked; it returns in the child. What is left ends with whoever asks."""
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    told: dict[int, tuple[int, socket.socket]] = {}  # by the descriptor that tells of the end
    while True:
        for key, _ in selector.select():
            if key.fd in told:
                selector.unregister(key.fd)
                pid, socket_ = told.pop(key.fd)
                _, status = os.waitpid(pid, 0)
                os.close(key.fd)
                with socket_:
                    _say(socket_, str(os.waitstatus_to_exitcode(status)).encode())
                continue
            received = _receive(control)
            if received is None:
                for pid, _ in told.values():
                    os.kill(pid, signal.SIGKILL)
                os._exit(0)
            asked, socket_ = received
            parent = os.getpid()
            if (pid := os.fork()) == 0:
                _follow(parent)
                selector.close()
                for fd, (_, other) in told.items():
                    os.close(fd)
                    other.close()
                socket_.close()
                control.close()
                return asked
            for fd in asked.streams:
                os.close(fd)
            _say(socket_, pid.to_bytes(8, "big"))
            fd = os.pidfd_open(pid)
            told[fd] = (pid, socket_)
            selector.register(fd, selectors.EVENT_READ)


def _say(told: socket.socket, what: bytes) -> None:
    with contextlib.suppress(OSError):  # nobody wants to know any more
        told.sendall(what)


def _follow(parent: int) -> None:
    """Die with the nursery, however it dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _become(asked: Asked) -> None:
    """Put on what a fresh process would have been given."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for to, fd in enumerate(asked.streams):
        os.dup2(fd, to)
        os.close(fd)
    os.environ.clear()
    os.environ.update(asked.env)
    time.tzset()
    os.chdir(asked.cwd)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, "utf-8", "backslashreplace", closefd=False)  # noqa: SIM115
    for stream in ("stdin", "stdout", "stderr"):
        setattr(sys, f"__{stream}__", getattr(sys, stream))
    sys.argv = ["cli", *asked.arguments]


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asks
    threads = len(list(Path("/proc/self/task").iterdir()))
    assert threads == 1, f"{threads} threads: a fork would lose them"
    gc.collect()
    gc.freeze()
    _become(_serve(control))
    runpy.run_module("cli", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
