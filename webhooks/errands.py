"""What follows from a delivery once it is stored: done beside the answer, never before it.

Nothing here must be lost for good. Each errand only brings forward what comes by itself: a series
is compared with the plan on the day before each session, the chores run every minute. So a crash,
or a queue that is full, costs time and no facts.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

import structlog

MOST = 1_000  # that wait; whoever changes more series than that is told of on the day before

log = structlog.get_logger(__name__)


class Errands:
    """Does one errand after the other in a thread of its own. Thread-safe."""

    def __init__(self, *, most: int = MOST) -> None:
        self._queue: queue.Queue[Callable[[], object] | None] = queue.Queue(most)
        self._thread = threading.Thread(target=self._work, daemon=True, name="errands")
        self._thread.start()

    def __call__(self, errand: Callable[[], object]) -> None:
        """Have it done soon. Never waits."""
        try:
            self._queue.put_nowait(errand)
        except queue.Full:
            log.warning("errand_left_out", waiting=self._queue.qsize())

    def close(self, within: float) -> None:
        """Do what waits, for so many seconds at most, and stop."""
        until = time.monotonic() + within
        try:
            self._queue.put(None, timeout=within)
        except queue.Full:
            return
        self._thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        while (errand := self._queue.get()) is not None:
            try:
                errand()
            except Exception as e:  # this thread must not die
                log.exception("errand_failed", kind=type(e).__name__)
