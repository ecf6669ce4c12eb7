"""Trouble on demand: the stand-ins refuse, hang, lose replies, or kill the service that calls them.

A fault is switched on over `/control/faults` and strikes at the chosen calls of one platform,
before the platform has acted or after. The platforms themselves know nothing of it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

Deed = Literal[
    "answer",  # the given status, headers and body, without acting
    "refuse",  # the connection breaks before anything was done
    "hang",  # nothing is done and nothing answered for `seconds`
    "lose_reply",  # done, but the connection breaks before the answer
    "cut_reply",  # done, but the answer ends in the middle
    "garble_reply",  # done, but something in between answers with a page
    "empty_reply",  # done, with the code and nothing else
    "drip_reply",  # done, answered one byte each half second
    "spoil_reply",  # done, with one occurrence too few or every one an hour late (`trick`)
    "kill_before",  # the process `pid` is killed, nothing is done
    "kill_after",  # done, then the process `pid` is killed
    "stop_after",  # done, then the process `pid` is stopped before it can read the answer
]
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
PAGE = b"<!doctype html><title>502 Bad Gateway</title><h1>Bad Gateway</h1>"


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault. It strikes from the `nth` matching call on, `times` times (None: always).

    `platform` is the first part of the path: zoom, graph or login. `path` is a regular expression
    that must be found in the path.
    """

    platform: str
    do: Deed
    method: str = ""
    path: str = ""
    nth: int = 1
    times: int | None = 1
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    seconds: float = 60.0
    trick: str = ""
    pid: int = 0
    seen: int = 0

    def strikes(self, method: str, path: str) -> bool:
        """Whether this call is one of those; counts it."""
        if not path.startswith(f"/{self.platform}/") or self.method not in ("", method):
            return False
        if re.search(self.path, path) is None:
            return False
        self.seen += 1
        return self.nth <= self.seen and (self.times is None or self.seen < self.nth + self.times)


class BadFault(Exception):
    """The fault cannot be read; the message says why."""


def read_fault(asked: Any) -> Fault:
    """A fault from JSON; an unknown field is an error."""
    names = set(Fault.__dataclass_fields__) - {"seen"}
    if not isinstance(asked, dict) or set(asked) - names:
        raise BadFault(f"a fault is an object with some of {', '.join(sorted(names))}")
    try:
        fault = Fault(**asked)
        re.compile(fault.path)
    except (TypeError, re.error) as e:
        raise BadFault(str(e)) from e
    if fault.do not in get_args(Deed):
        raise BadFault(f"do is one of {', '.join(get_args(Deed))}")
    if fault.do.startswith(("kill", "stop")) and fault.pid <= 1:
        raise BadFault("kill and stop need the pid of the service")
    return fault


class Faults:
    """Stands in front of the stand-ins; keeps a list of the calls that came."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._lock = threading.Lock()
        self.active: list[Fault] = []
        self.calls: list[str] = []

    def reset(self) -> None:
        """No faults, no calls."""
        with self._lock:
            self.active, self.calls = [], []

    def add(self, fault: Fault) -> None:
        """Switch a fault on."""
        with self._lock:
            self.active.append(fault)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if not path.startswith(("/zoom/", "/graph/", "/login/")):
            return self._application(environ, start_response)
        with self._lock:
            self.calls.append(f"{method} {path}")
            striking = [fault for fault in self.active if fault.strikes(method, path)]
        if not striking:
            return self._application(environ, start_response)
        return self._strike(striking[0], environ, start_response)

    def _strike(
        self, fault: Fault, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if fault.do == "kill_before":
            os.kill(fault.pid, signal.SIGKILL)
        if fault.do == "hang":
            time.sleep(fault.seconds)
        if fault.do in ("refuse", "hang", "kill_before"):
            return _break(environ)
        if fault.do == "answer":
            # Unread, it would be taken for the next request on this connection.
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            body = b"" if fault.body is None else json.dumps(fault.body).encode()
            told = {"Content-Type": "application/json", **fault.headers}
            start_response(f"{fault.status} Trouble", list(told.items()))
            return [body]
        status, headers, body = self._acted(environ)
        if fault.do == "kill_after":
            os.kill(fault.pid, signal.SIGKILL)
        if fault.do == "stop_after":
            os.kill(fault.pid, signal.SIGSTOP)
        if fault.do in ("lose_reply", "kill_after"):
            return _break(environ)
        if fault.do == "garble_reply":
            start_response("200 OK", [("Content-Type", "text/html")])
            return [PAGE]
        if fault.do == "empty_reply":
            start_response(status, [("Content-Type", "application/json")])
            return [b""]
        if fault.do == "spoil_reply":
            body = _spoilt(body, fault.trick)
            headers = [h for h in headers if h[0].lower() != "content-length"]
        start_response(status, headers)
        if fault.do == "drip_reply":
            return _drip(body)
        return [body[: len(body) // 2]] if fault.do == "cut_reply" else [body]

    def _acted(self, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
        """Let the platform act; what it would answer."""
        told: list[Any] = []

        def remember(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
            told.extend([status, headers])

        body = b"".join(self._application(environ, remember))
        return told[0], told[1], body


def _break(environ: dict[str, Any]) -> Iterable[bytes]:
    """End the connection without an answer."""
    connection: socket.socket | None = environ.get("werkzeug.socket")
    if connection is not None:
        connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError


def _drip(body: bytes) -> Iterator[bytes]:
    for number in range(len(body)):
        yield body[number : number + 1]
        time.sleep(0.5)


def _spoilt(body: bytes, trick: str) -> bytes:
    """An answer that is not true: the platform did what was asked and says something else."""
    found = json.loads(body)
    rows = found.get("occurrences")
    if isinstance(rows, list) and trick == "one_fewer":
        found["occurrences"] = rows[:-1]
    elif isinstance(rows, list) and trick == "an_hour_late":
        for row in rows:
            at = datetime.fromisoformat(row["start_time"]) + timedelta(hours=1)
            row["start_time"] = f"{at:%Y-%m-%dT%H:%M:%SZ}"
    else:
        raise BadFault(f"the trick {trick!r} does not fit this answer")
    return json.dumps(found).encode()
