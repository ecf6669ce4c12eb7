"""So many in so long: each caller, address or link by itself, in the memory of this process.

Webhooks are never counted: a signature is their ticket, and a whole country joins at ten.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import datetime, timedelta

from flask import request

from web.problems import Problem

KEYS = 20_000  # of whoever was longest not seen is forgotten first


class RateLimit:
    """At most `most` within `within` for each key; `told` says what there were too many of."""

    def __init__(
        self, most: int, within: timedelta, *, told: str, clock: Callable[[], datetime]
    ) -> None:
        self._most, self._within, self._told, self._clock = most, within, told, clock
        self._seen: OrderedDict[str, deque[datetime]] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, key: str) -> None:
        """Refuse when there were too many already; counts nothing."""
        with self._lock:
            self._refuse(key)

    def note(self, key: str) -> None:
        """Count one."""
        with self._lock:
            self._count(key)

    def take(self, key: str) -> None:
        """Count one, or refuse it."""
        with self._lock:
            self._refuse(key)
            self._count(key)

    def _refuse(self, key: str) -> None:
        seen = self._seen.get(key)
        if seen is None or len(seen) < self._most:
            return
        left = seen[0] + self._within - self._clock()
        if left > timedelta():
            raise too_many(self._told, left)

    def _count(self, key: str) -> None:
        self._seen.setdefault(key, deque(maxlen=self._most)).append(self._clock())
        self._seen.move_to_end(key)
        if len(self._seen) > KEYS:
            self._seen.popitem(last=False)


def too_many(told: str, left: timedelta) -> Problem:
    """429, with how long to wait."""
    seconds = max(1, -(-left // timedelta(seconds=1)))
    wait = f"{seconds} seconds" if seconds < 120 else f"{seconds // 60} minutes"
    return Problem(
        429,
        f"Too many {told}",
        f"Wait {wait}, then try again.",
        headers={"Retry-After": str(seconds)},
    )


def client_address() -> str:
    """Where the request comes from; of IPv6 the network that one household or office has."""
    try:
        found = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:
        return ""
    if found.version == 4:
        return str(found)
    return str(ipaddress.ip_network((found, 64), strict=False))
