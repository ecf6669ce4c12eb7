"""After an erasure: take the carer off the platform, and the bytes out of the files.

What is left to do stands in the tombstone, so a kill at any point is taken up by the next round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog

from course.model import Platform
from course.store import cohorts, registers
from course.store import series as series_store
from course.store.database import Database
from course.store.erasures import Erasures
from course.store.tombstones import Tombstone, note_tombstone, unfinished
from integration.provider import Invitee, MeetingProvider, ProviderError, Series

AGAIN = (1, 5, 15, 60, 360, 1440)  # minutes between tries; the last one from then on
GIVE_UP_WAITING = timedelta(hours=1)  # for work on an older version of the cohort
QUIET = timedelta(hours=3)  # around a session the files are left alone: many write then

log = structlog.get_logger(__name__)


class Forgetting:
    """The chore that finishes erasures."""

    def __init__(
        self,
        *,
        database: Database,
        erasures: Erasures,
        providers: Mapping[Platform, MeetingProvider],
        clock: Callable[[], datetime],
        noted: Callable[[], None] = lambda: None,
    ) -> None:
        """`noted` is called each round: what is kept in memory of the erased is read anew."""
        self._database = database
        self._erasures = erasures
        self._providers = providers
        self._clock = clock
        self._noted = noted

    def finish(self) -> int:
        """One round; how many erasures came further."""
        self._noted()
        done = self._erasures.forget_late()
        with self._database.read() as connection:
            waiting = unfinished(connection)
        now = self._clock()
        for stone in waiting:
            if stone.to_tell is not None and (stone.tell_at is None or stone.tell_at <= now):
                done += self._tell(stone, now)
        return done + self._compact(now)

    def _tell(self, stone: Tombstone, now: datetime) -> bool:
        """Take one carer off their platforms; the name and address kept for that go with it."""
        with self._database.read() as connection:
            cohort = cohorts.read_cohort(connection, stone.cohort_id)
        if (
            cohort is not None
            and cohort.settled_version < stone.version
            and now < stone.erased_at + GIVE_UP_WAITING
        ):
            return False  # a step that began before the erasure may still be inviting them
        try:
            for person in stone.to_tell or ():
                self._withdraw(stone.cohort_id, person)
        except ProviderError as e:
            wait = AGAIN[min(stone.tries, len(AGAIN) - 1)]
            self._note(
                stone,
                tries=stone.tries + 1,
                tell_at=now + timedelta(minutes=wait),
                problem=f"The platform still knows somebody who was erased. {e}",
            )
            return False
        # From here on it is not known any more who it was; the bytes go with the next compaction.
        self._note(stone, to_tell=None, tell_at=None, problem=None, compacted_at=None)
        log.info("erased_on_platform", tombstone=stone.id)
        return True

    def _withdraw(self, cohort_id: str, person: Mapping[str, Any]) -> None:
        platform = Platform(person["platform"])
        with self._database.read() as connection:
            stored = series_store.read_series(connection, cohort_id, platform)
            cohort = cohorts.read_cohort(connection, cohort_id)
        if stored is None or stored.series_ref is None or stored.cancelled_at is not None:
            return
        back = {c.email.casefold() for c in cohort.carers if not c.withdrawn_at} if cohort else ()
        if person["email"].casefold() in back:
            return  # enrolled again since, or somebody else's address as well
        if platform not in self._providers:
            raise ProviderError(
                f"{platform.value} is not configured any more: put its settings back, or take "
                "them off by hand.",
                permanent=False,
            )
        self._providers[platform].withdraw(
            Series(
                ref=stored.series_ref,
                organiser_ref=stored.organiser_ref or "",
                meeting_ref=stored.meeting_ref,
                join_url=stored.join_url or "",
            ),
            Invitee(marker=person["carer"], name=person["name"], email=person["email"]),
            person["ref"],
        )

    def _compact(self, now: datetime) -> int:
        """Clear the files when no session is near."""
        with self._database.read() as connection:
            waiting = [s for s in unfinished(connection) if s.compacted_at is None]
            near = registers.sessions_between(connection, since=now - QUIET, until=now + QUIET)
        if not waiting or near or not self._database.compact():
            return 0
        for stone in waiting:
            self._note(stone, compacted_at=now)
        return len(waiting)

    def _note(self, stone: Tombstone, **changes: Any) -> None:
        with self._database.write() as connection:
            note_tombstone(connection, stone.id, **changes)
