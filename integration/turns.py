"""One round of the chores at a time, whichever process does it.

The engine's own limit over all processes counts the round of a process that died or stands still
for as long as nobody takes up its work, which may be for ever. So the turn is a place in the
database that runs out unless it is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from course.store import pace
from course.store.database import STORAGE_TROUBLE, Database
from integration.places import Places

BUCKET = "housekeeping"
HELD = 120.0  # seconds after which the turn of a process that died or stands still is over
LOOK = 1.0  # seconds between looks whether the turn is free


class GoOn(Protocol):
    """Keeps the turn; False: it is somebody else's by now."""

    def __call__(self) -> bool: ...


class Turns:
    """`holder` names this process, also after a restart: its turn from before is free then."""

    def __init__(
        self,
        database: Database,
        *,
        holder: str,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._database = database
        self._places = Places(database, holder=holder, wall=wall)
        self._wall = wall
        self._sleep = sleep

    @contextmanager
    def turn(self) -> Iterator[GoOn]:
        """Wait for the turn, and have it meanwhile."""
        place, until = self._wait()

        def go_on() -> bool:
            nonlocal until
            now = self._wall()
            try:
                with self._database.write() as connection:
                    kept = pace.keep_place(
                        connection, BUCKET, place, until=until, longer=now + HELD
                    )
            except STORAGE_TROUBLE:
                return now < until
            until = now + HELD if kept else until
            return kept

        try:
            yield go_on
        finally:
            self._places.give_back(BUCKET, place, until)

    def _wait(self) -> tuple[int, float]:
        while (taken := self._places.take(BUCKET, of=1, held=HELD)) is None:
            self._sleep(LOOK)
        return taken
