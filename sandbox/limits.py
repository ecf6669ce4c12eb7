"""The published limits, enforced: calls a second for Zoom, calls at a time for a Graph mailbox.

https://developers.zoom.us/docs/api/rate-limits/ and
https://learn.microsoft.com/graph/throttling-limits#outlook-service-limits
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any

from sandbox.faults import Application

# A second, for the whole account.
ZOOM_PLANS = {
    "pro": {"light": 30, "medium": 20, "heavy": 10},
    "business": {"light": 80, "medium": 60, "heavy": 40},
}
_MEDIUM = re.compile(
    r"POST /zoom/v2/users/[^/]+/meetings$|GET /zoom/v2/users/[^/]+/meetings$"
    r"|GET /zoom/v2/meetings/\d+/registrants$|PUT /zoom/v2/meetings/\d+/registrants/status$"
    r"|GET /zoom/v2/past_meetings/"
)
_HEAVY = re.compile(r"GET /zoom/v2/(report|metrics)/")
_MAILBOX = re.compile(r"/graph/[^/]+/users/([^/]+)/(?:events|calendar)")
AT_A_TIME = 4
WINDOW = 1.0


def zoom_category(method: str, path: str) -> str:
    """The published category of a Zoom call."""
    call = f"{method} {path}"
    if _HEAVY.match(call):
        return "heavy"
    return "medium" if _MEDIUM.match(call) else "light"


class Limits:
    """Refuses what is too much; `latency` seconds pass before each answer of a platform."""

    def __init__(self, application: Application, *, plan: str, latency: float) -> None:
        self._application = application
        self._allowed = ZOOM_PLANS.get(plan)
        self._latency = latency
        self._lock = threading.Lock()
        self._lately: dict[str, deque[float]] = {
            name: deque() for name in ("light", "medium", "heavy")
        }
        self._busy: Counter[str] = Counter()
        self.refused = 0

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path.startswith("/zoom/v2/"):
            if self._too_fast(zoom_category(method, path)):
                return self._refuse(
                    environ, start_response, _ZOOM_SAYS, {"X-RateLimit-Type": "QPS"}
                )
            time.sleep(self._latency)
            return self._application(environ, start_response)
        if path.startswith("/graph/"):
            return self._graph(path, environ, start_response)
        return self._application(environ, start_response)

    def _too_fast(self, category: str) -> bool:
        if self._allowed is None:
            return False
        now = time.monotonic()
        with self._lock:
            lately = self._lately[category]
            while lately and lately[0] <= now - WINDOW:
                lately.popleft()
            if len(lately) >= self._allowed[category]:
                return True
            lately.append(now)
            return False

    def _graph(
        self, path: str, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        found = _MAILBOX.match(path)
        mailbox = found[1].lower() if found else ""
        if found:
            with self._lock:
                busy = self._busy[mailbox] >= AT_A_TIME
                if not busy:
                    self._busy[mailbox] += 1
            if busy:
                return self._refuse(environ, start_response, _GRAPH_SAYS, {"Retry-After": "1"})
        try:
            time.sleep(self._latency)
            return [b"".join(self._application(environ, start_response))]
        finally:
            if found:
                with self._lock:
                    self._busy[mailbox] -= 1

    def _refuse(
        self,
        environ: dict[str, Any],
        start_response: Callable[..., Any],
        says: dict[str, Any],
        headers: dict[str, str],
    ) -> Iterable[bytes]:
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        with self._lock:
            self.refused += 1
        told = {"Content-Type": "application/json", **headers}
        start_response("429 Too Many Requests", list(told.items()))
        return [json.dumps(says).encode()]


_ZOOM_SAYS = {
    "code": 429,
    "message": "You have reached the maximum per-second rate limit for this API. Try again later.",
}
_GRAPH_SAYS = {
    "error": {
        "code": "ApplicationThrottled",
        "message": "Application is over its MailboxConcurrency limit.",
        "innerError": {},
    }
}
