"""Keeps our calls below the platforms' published limits, over all workflows and processes.

A limit is met by waiting before a call, not by being refused: a 429 costs a call of the same
limit. Turns and places are rows in the database, so several processes share them.
https://developers.zoom.us/docs/api/rate-limits/ and
https://learn.microsoft.com/graph/throttling-limits#outlook-service-limits
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Protocol

from course.store import pace
from course.store.database import STORAGE_TROUBLE, Database
from integration.places import Places
from integration.provider import ProviderError

# Calls a second for the whole account, by Zoom's plan and the category of the call.
ZOOM_LIMITS = {
    "pro": {"light": 30, "medium": 20, "heavy": 10},
    "business": {"light": 80, "medium": 60, "heavy": 40},
}
MARGIN = 0.97  # calls arrive a little less evenly than they are sent
MAILBOX_PLACES = 4  # calls at a time for one app and mailbox
HELD = 40.0  # seconds after which a place of a process that died is free again
LONGEST = 10.0  # seconds to wait in line; for longer the workflow waits
LOOK = 0.01  # seconds between looks for a free place


class Pace(Protocol):
    """Lets a call begin when the limits allow it. Raises `ProviderError` when that is long off."""

    def turn(self, platform: str, account: str, category: str) -> None: ...

    def make_sure(self) -> None:
        """Asked last of all before a call."""

    def place(self, platform: str, mailbox: str) -> AbstractContextManager[None]:
        """Held while a call is under way."""


class SharedPace:
    """The limits, kept in the database. `zoom_plan` is `pro` or `business`.

    `holder` names this process, also after a restart: what it held when it died is free then.
    `is_sure`: whether nobody else can have taken up the work of this process.
    """

    def __init__(
        self,
        database: Database,
        *,
        zoom_plan: str,
        holder: str,
        is_sure: Callable[[], bool] = lambda: True,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._database = database
        self._holder = holder
        self._places = Places(database, holder=holder, wall=wall)
        self._is_sure = is_sure
        self._limits = ZOOM_LIMITS[zoom_plan]
        self._wall = wall
        self._sleep = sleep
        self._lock = threading.Lock()
        self._lines: dict[str, threading.BoundedSemaphore] = {}

    def start(self) -> None:
        """Free the places that this process held when it died."""
        with self._database.write() as connection:
            pace.give_all_back(connection, self._holder)

    def turn(self, platform: str, account: str, category: str) -> None:
        """Wait for the account's next turn in that category."""
        now = self._wall()
        interval = 1.0 / (self._limits[category] * MARGIN)
        try:
            with self._database.write() as connection:
                at = pace.take_turn(
                    connection, f"{platform} {account} {category}", interval=interval, now=now
                )
        except STORAGE_TROUBLE:
            return  # a busy database must not stop the calls: the platform's own limit still holds
        if at - now > LONGEST:
            raise ProviderError(
                "Many calls to the platform are waiting in line.",
                permanent=False,
                retry_after=timedelta(seconds=at - now),
            )
        if at > now:
            self._sleep(at - now)

    def make_sure(self) -> None:
        """Refuse while another process may have taken up the work of this one."""
        if not self._is_sure():
            raise ProviderError(
                "This process was out of touch with the database for a while; it tries again when "
                "it is certain that no other one does its work.",
                permanent=False,
            )

    @contextmanager
    def place(self, platform: str, mailbox: str) -> Iterator[None]:
        """Hold one of the mailbox's places while a call is under way."""
        bucket = f"{platform} {mailbox.casefold()}"
        with self._lock:
            line = self._lines.setdefault(bucket, threading.BoundedSemaphore(MAILBOX_PLACES))
        with line:
            place, until = self._find_place(bucket)
            try:
                yield
            finally:
                self._places.give_back(bucket, place, until)

    def _find_place(self, bucket: str) -> tuple[int, float]:
        begins = self._wall()
        while self._wall() - begins <= LONGEST:
            taken = self._places.take(bucket, of=MAILBOX_PLACES, held=HELD)
            if taken is not None:
                return taken
            self._sleep(LOOK)
        raise ProviderError("Many calls to this mailbox are waiting in line.", permanent=False)
