"""In which time a scene is played: all at once, or each notification at its own moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

AT_ONCE = 8  # deliveries under way together


class Timed(Protocol):
    """Something that is told at a moment."""

    @property
    def at(self) -> datetime: ...


N = TypeVar("N", bound=Timed)
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Lives with the clock. `sampled`: how often the platform looks at a camera meanwhile."""

    clock: Callable[[], datetime]
    sampled: timedelta
    wait: Callable[[float], object] = time.sleep

    def each(self, notices: Iterable[N]) -> Iterator[N]:
        """The notices in order, each when its moment has come."""
        for notice in notices:
            self.wait(max(0.0, (notice.at - self.clock()).total_seconds()))
            yield notice


def deliver(
    notices: list[N], send: Callable[[N], Answer], pace: Pace | None
) -> Iterator[tuple[N, Answer]]:
    """Send them in order of their moments; each with what it was answered."""
    in_order = sorted(notices, key=lambda notice: notice.at)
    if pace is not None:
        for notice in pace.each(in_order):
            yield notice, send(notice)
        return
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from zip(in_order, pool.map(send, in_order), strict=True)
