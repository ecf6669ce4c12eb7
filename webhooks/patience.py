"""Many waits of the same patience for the price of one timer.

An event loop's own timers are made for a few; one for each request, nearly always cancelled again,
was a tenth of a webhook's cost when a whole country joins at 10:00.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Wait:
    """One wait. `expire` is called unless `over` was set before."""

    __slots__ = ("expire", "over", "until")

    def __init__(self, until: float, expire: Callable[[], object]) -> None:
        self.until = until
        self.expire = expire
        self.over = False


class Patience:
    """Calls `expire` of every wait that lasts longer than `seconds`. For one event loop."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waits: deque[Wait] = deque()  # in the order of their ends, as all last as long

    def begin(self, expire: Callable[[], object]) -> Wait:
        """Begin a wait; the caller sets `over` at its end."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._waits = loop, deque()
        wait = Wait(loop.time() + self._seconds, expire)
        self._waits.append(wait)
        if len(self._waits) == 1:
            loop.call_at(wait.until, self._look, loop)
        return wait

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now, waits = loop.time(), self._waits
        while waits and (waits[0].over or waits[0].until <= now):
            wait = waits.popleft()
            if not wait.over:
                wait.expire()
        if waits:
            loop.call_at(waits[0].until, self._look, loop)
