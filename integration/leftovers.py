"""What a cohort left behind where it met before: removed there, whenever that platform answers.

Moving to the other platform never waits for the first one, which may be down: its series is kept on
a list and removed later. Not while it is needed: a session that was begun in it is let end, and the
platform's own record of the weeks that were held in it is fetched first. So it is with the series
of a cohort that was cancelled shortly after a session.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from course.model import Cohort, CohortState, Platform, RegisterEntry, Session, SessionState
from course.store import cohorts, registers
from course.store import series as series_store
from course.store.database import Database
from course.store.registers import WINDOW_AFTER, WINDOW_BEFORE
from course.store.series import Leftover, StoredSeries
from integration.holdings import plan_of
from integration.provider import MeetingProvider, ProviderError, Series
from integration.reconciliation import TRIES
from integration.subscriptions import Subscriptions

AGAIN_AFTER = timedelta(minutes=15)
MAY_BE_UNDER_WAY = timedelta(minutes=5)  # a call of an older try that nobody has answered yet

log = structlog.get_logger(__name__)


class Leftovers:
    """Removes the series that no cohort meets in any more."""

    def __init__(
        self,
        *,
        database: Database,
        providers: Mapping[Platform, MeetingProvider],
        subscriptions: Subscriptions,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._providers = providers
        self._subscriptions = subscriptions
        self._clock = clock

    def clear(self, cohort_id: str | None = None) -> int:
        """Remove what is due, of one cohort or of all; how many series went.

        Trouble is noted on the series, and tried again later; with one platform in trouble, its
        other series are not tried now.
        """
        now = self._clock()
        with self._database.read() as connection:
            behind = series_store.left_behind(connection, cohort_id)
        for left, platform in behind:
            if platform in self._providers:
                self._let_go(left, platform, now)
        with self._database.read() as connection:
            waiting = series_store.left_over(connection, cohort_id)
        done, troubled = 0, set[Platform]()
        for leftover in waiting:
            platform = leftover.series.platform
            if platform not in self._providers or platform in troubled:
                continue
            if leftover.tried_at is not None and now - leftover.tried_at < AGAIN_AFTER:
                continue
            try:
                self._remove(leftover, now)
                done += 1
            except ProviderError as e:
                if not e.permanent:
                    troubled.add(platform)
                log.warning(
                    "leftover_not_removed", cohort=leftover.series.cohort_id, platform=platform
                )
                self._note(leftover.series, tried_at=now, problem=str(e))
        return done

    def _let_go(self, cohort_id: str, platform: Platform, now: datetime) -> None:
        """Make the series a former one, to be removed, unless it is still needed."""
        with self._database.read() as connection:
            cohort = cohorts.read_cohort(connection, cohort_id)
            stored = series_store.read_series(connection, cohort_id, platform)
            entries = registers.read_registers(connection, cohort_id)
        if cohort is None or stored is None:
            return
        if is_needed(cohort, platform, entries, now):
            return
        found: Series | None = None
        if stored.series_ref is None:
            # A create call went out and nobody knows what became of it.
            if stored.attempted_at and now - stored.attempted_at < MAY_BE_UNDER_WAY:
                return
            try:
                found = self._find(cohort, stored)
            except ProviderError as e:
                log.warning("leftover_not_found", cohort=cohort_id, reason=str(e))
                return
        with self._database.write() as connection:
            meets_here = cohorts.read_platform(connection, cohort_id) is platform
            if meets_here and cohort.state is not CohortState.CANCELLED:
                return  # it has come back in the meantime
            if found is not None:
                series_store.update_series(
                    connection,
                    cohort_id,
                    platform,
                    series_ref=found.ref,
                    organiser_ref=found.organiser_ref,
                    meeting_ref=found.meeting_ref,
                    join_url=found.join_url or None,
                )
            series_store.retire_series(connection, cohort_id, platform, now=now, removed_at=None)
            series_store.update_series(connection, cohort_id, platform, attempted_at=None)

    def _find(self, cohort: Cohort, stored: StoredSeries) -> Series | None:
        with self._database.read() as connection:
            known = series_store.all_series(connection, cohort.id)
        former = sum(s.ended_at is not None and s.platform is stored.platform for s in known)
        plan = plan_of(
            cohort, cohort.sessions, organiser=stored.organiser or cohort.organiser, former=former
        )
        return self._providers[stored.platform].find_series(plan)

    def _remove(self, leftover: Leftover, now: datetime) -> None:
        stored = leftover.series
        with self._database.read() as connection:
            cohort = cohorts.read_cohort(connection, stored.cohort_id)
        is_off = cohort is not None and cohort.cancel_requested
        met_here = cohort is not None and cohort.platform is stored.platform
        self._subscriptions.end(stored.cohort_id, stored.platform, stored.series_ref)
        self._providers[stored.platform].cancel_series(
            Series(
                ref=stored.series_ref or "",
                organiser_ref=stored.organiser_ref or "",
                meeting_ref=stored.meeting_ref,
                join_url=stored.join_url or "",
            ),
            moved_on=not (is_off and met_here),
        )
        self._note(stored, tried_at=now, problem=None, removed_at=now)

    def _note(self, stored: StoredSeries, **changes: datetime | str | None) -> None:
        with self._database.write() as connection:
            series_store.update_leftover(connection, stored, **changes)


def is_needed(
    cohort: Cohort, platform: Platform, entries: Sequence[RegisterEntry], now: datetime
) -> bool:
    """Whether a session may still be going on there, or its record has not been fetched yet."""
    # A person may close a register before the record is there, which is read all the same then.
    settled = {
        entry.week
        for entry in entries
        if entry.closed_at is not None and entry.record_complete and entry.resync_at is None
    }
    return any(
        platform in cohort.held_on(session)
        and session.state is SessionState.SCHEDULED
        and _may_have_begun(cohort, session, now)
        and (
            now < session.ends_at + WINDOW_AFTER
            or (session.week not in settled and now < session.ends_at + TRIES[-1])
        )
        for session in cohort.sessions
    )


def _may_have_begun(cohort: Cohort, session: Session, now: datetime) -> bool:
    """Of what is no longer held there, a session to come was left only if people were in it: when a
    cohort is cancelled all others are dropped, and when it moves only that one keeps its platform.
    """
    was_left = cohort.cancel_requested or bool(session.platforms)
    return session.starts_at <= (now + WINDOW_BEFORE if was_left else now)
