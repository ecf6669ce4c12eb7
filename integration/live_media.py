"""Polls the platform's dashboard for cameras while sessions are held, where it does not push them.

The dashboard's calls are the platform's dearest: every few minutes, only while a session is live,
and not at all for an instance of which quality reports are being pushed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from course.model import Platform, Source
from course.store import cohorts, evidence, pace, registers
from course.store.database import Database
from integration.provider import MeetingProvider, ProviderError

EVERY = timedelta(minutes=3)
AFTER_END = timedelta(minutes=8)  # once more when it is over: the last minutes come late
PUSHED_WITHIN = timedelta(minutes=10)

log = structlog.get_logger(__name__)


class LiveMedia:
    """Asks for the media of live sessions, at most every few minutes each."""

    def __init__(
        self,
        *,
        database: Database,
        providers: Mapping[Platform, MeetingProvider],
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._providers = providers
        self._clock = clock

    def poll(self) -> int:
        """How many new facts were found."""
        now, found = self._clock(), 0
        with self._database.read() as connection:
            live = [
                (platform, *place)
                for platform in self._providers
                for place in registers.sessions_around(
                    connection, platform, begins=now, ends=now - AFTER_END
                )
            ]
        for platform, cohort_id, week in live:
            if not self._is_due(cohort_id, now):
                continue
            try:
                found += self._ask(platform, cohort_id, week, now)
            except ProviderError as e:
                log.warning("media_not_polled", cohort=cohort_id, week=week, reason=str(e))
        return found

    def _is_due(self, cohort_id: str, now: datetime) -> bool:
        """Whether nobody has asked lately, in whichever process; it counts as asked then."""
        with self._database.write() as connection:
            place = pace.take_place(
                connection,
                f"media {cohort_id}",
                places=1,
                holder="media",
                until=(now + EVERY).timestamp(),
                now=now.timestamp(),
            )
        return place is not None

    def _ask(self, platform: Platform, cohort_id: str, week: int, now: datetime) -> int:
        with self._database.read() as connection:
            cohort = cohorts.read_cohort(connection, cohort_id)
            session = cohort.session(week) if cohort is not None else None
            if cohort is None or session is None:
                return 0
            silent = [
                ref
                for ref in evidence.known_instances(connection, cohort, session, platform)
                if not any(
                    e.source is Source.WEBHOOK and e.occurred_at >= now - PUSHED_WITHIN
                    for e in evidence.instance_media(connection, platform.value, ref)
                )
            ]
        events = self._providers[platform].live_media(tuple(silent)) if silent else ()
        if not events:
            return 0
        told = [replace(event, received_at=now) for event in events]
        with self._database.write() as connection:
            return evidence.save_events(connection, told)
