"""Keeps where everybody stands, and what needs a person, of the newest evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import structlog

from course.store import standings
from course.store.database import Database

FIRST_LOOK = timedelta(hours=1)
LOOK_TWICE = timedelta(minutes=2)  # a commit may be seen a little after its time
BUSY_FOR = timedelta(seconds=20)  # other chores wait; what is left is done a minute later
IN_A_ROW, CHECKED = 100, 200

log = structlog.get_logger(__name__)


class Standings:
    """Two chores: what is known to have changed, and what may have been missed."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._looked_at: datetime | None = None

    def keep(self) -> int:
        """Derive anew what changed since the last minute; how many cohorts that were.

        The first look after a start reaches back an hour: deriving twice changes nothing.
        """
        began = self._clock()
        since = began - FIRST_LOOK if self._looked_at is None else self._looked_at - LOOK_TWICE
        with self._database.read() as connection:
            told = standings.with_new_facts(connection, since=since, until=began, now=began)
            waiting = standings.behind(connection, now=began, limit=IN_A_ROW)
        until, tried = began + BUSY_FOR, set[str]()
        done = 0
        found = [*dict.fromkeys([*waiting, *self._differing(told)])]
        while found:
            done += self._refresh(found, until=until)
            tried.update(found)
            if self._clock() > until:
                return done
            with self._database.read() as connection:
                waiting = standings.behind(
                    connection, now=self._clock(), limit=IN_A_ROW + len(tried)
                )
            found = [cohort_id for cohort_id in waiting if cohort_id not in tried]
        self._looked_at = began
        return done

    def check(self) -> int:
        """Compare those that were compared longest ago with their evidence; how many were behind.

        Every cohort has its turn: a change that no one noted is found in the end.
        """
        now = self._clock()
        with self._database.read() as connection:
            found = standings.longest_unchecked(connection, limit=CHECKED)
        differing = self._differing(found)
        with self._database.write() as connection:
            standings.note_checked(connection, sorted({*found} - {*differing}), now=now)
        return self._refresh(differing, until=now + BUSY_FOR)

    def _differing(self, cohort_ids: Iterable[str]) -> list[str]:
        found = []
        for cohort_id in cohort_ids:
            with self._database.read() as connection:
                if standings.has_changed(connection, cohort_id, now=self._clock()):
                    found.append(cohort_id)
        return found

    def _refresh(self, cohort_ids: Iterable[str], *, until: datetime) -> int:
        done = 0
        for cohort_id in cohort_ids:
            if self._clock() > until:
                break
            try:
                standings.refresh(self._database, cohort_id, now=self._clock())
                done += 1
            except Exception as e:  # the other cohorts do not wait for one that cannot be read
                log.exception("standings_failed", cohort=cohort_id, kind=type(e).__name__)
        return done
