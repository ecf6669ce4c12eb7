"""Places in the database that one process holds at a time; each runs out unless it is kept."""

from __future__ import annotations

from collections.abc import Callable

from course.store import pace
from course.store.database import STORAGE_TROUBLE, Database


class Places:
    """`holder` names this process; `wall` tells the time in seconds, alike for all of them."""

    def __init__(self, database: Database, *, holder: str, wall: Callable[[], float]) -> None:
        self._database = database
        self._holder = holder
        self._wall = wall

    def take(self, bucket: str, *, of: int, held: float) -> tuple[int, float] | None:
        """A free one of so many, and until when it is ours; None where there is none, or nobody can
        say.
        """
        now = self._wall()
        until = now + held
        try:
            with self._database.write() as connection:
                place = pace.take_place(
                    connection, bucket, places=of, holder=self._holder, until=until, now=now
                )
        except STORAGE_TROUBLE:
            return None
        return None if place is None else (place, until)

    def give_back(self, bucket: str, place: int, until: float) -> None:
        """Free it, unless its time ran out and somebody else has it."""
        try:
            with self._database.write() as connection:
                pace.give_place_back(connection, bucket, place, until=until)
        except STORAGE_TROUBLE:
            return  # it runs out by itself
