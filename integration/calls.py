"""Keeps our bot in every session that is being held, and out of all others."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import structlog

from course.model import Platform
from course.store import bot_calls, registers
from course.store import series as series_store
from course.store.bot_calls import BotCall
from course.store.database import Database
from course.store.hashing import token_hash
from course.store.holding import hold_cohorts
from integration.provider import MeetingProvider, ProviderError, Series

EARLY, LATE = timedelta(minutes=5), timedelta(minutes=40)  # around the planned time
KEEP_EVERY = timedelta(minutes=10)
AGAIN_AFTER = timedelta(minutes=2)  # a call that could not be joined, or was ended

log = structlog.get_logger(__name__)


class CallBot:
    """One call for each session on a platform that has calls to join."""

    def __init__(
        self,
        *,
        database: Database,
        providers: Mapping[Platform, MeetingProvider],
        public_url: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._providers = providers
        self._public_url = public_url
        self._clock = clock

    def keep(self) -> int:
        """Join what begins, keep what goes on, leave what is over; how many were done."""
        now, done = self._clock(), 0
        with self._database.read() as connection:
            due = registers.sessions_around(
                connection, Platform.TEAMS, begins=now + EARLY, ends=now - LATE
            )
            live = bot_calls.live_calls(connection)
        for call in live:
            done += self._look_after(call, now, wanted=(call.cohort_id, call.week) in due)
        joined = {(call.cohort_id, call.week) for call in live}
        for cohort_id, week in due:
            if (cohort_id, week) not in joined:
                done += self._join(cohort_id, week, now)
        return done

    def _join(self, cohort_id: str, week: int, now: datetime) -> bool:
        with self._database.read() as connection:
            stored = series_store.read_series(connection, cohort_id, Platform.TEAMS)
        if stored is None or stored.series_ref is None:
            return False
        secret = secrets.token_urlsafe(32)
        call = BotCall(
            id=uuid.uuid4().hex,
            cohort_id=cohort_id,
            week=week,
            platform=Platform.TEAMS,
            series_ref=stored.series_ref,
            secret_hash=token_hash(secret),
            asked_at=now,
        )
        with self._database.write() as connection:
            hold_cohorts(connection, cohort_id)
            if bot_calls.is_called(connection, cohort_id, week):
                return False  # another process was quicker
            bot_calls.insert_call(connection, call)
        series = Series(
            ref=stored.series_ref,
            organiser_ref=stored.organiser_ref or "",
            meeting_ref=stored.meeting_ref,
            join_url=stored.join_url or "",
        )
        address = f"{self._public_url}/webhooks/teams/calls/{secret}"
        try:
            ref = self._providers[Platform.TEAMS].join_call(series, address)
        except ProviderError as e:
            log.warning("call_not_joined", cohort=cohort_id, week=week, reason=str(e))
            self._note(call, None, None, problem=str(e))
            return False
        self._note(call, ref, now)
        return True

    def _look_after(self, call: BotCall, now: datetime, *, wanted: bool) -> bool:
        provider = self._providers[call.platform]
        if call.call_ref is None:
            # Refused, or its answer was lost: asked anew by the next round, at a new address.
            if now - call.asked_at >= AGAIN_AFTER:
                self._note(call, None, None, ended_at=now, problem=call.problem)
            return False
        try:
            if not wanted:
                provider.leave_call(call.call_ref)
                self._note(call, call.call_ref, call.kept_alive_at, ended_at=now)
                return True
            if now - (call.kept_alive_at or call.asked_at) < KEEP_EVERY:
                return False
            provider.keep_call(call.call_ref)
        except ProviderError as e:
            ended_at = now if e.gone else None
            self._note(call, call.call_ref, call.kept_alive_at, ended_at=ended_at, problem=str(e))
            return False
        self._note(call, call.call_ref, now)
        return True

    def _note(
        self,
        call: BotCall,
        call_ref: str | None,
        kept_alive_at: datetime | None,
        *,
        ended_at: datetime | None = None,
        problem: str | None = None,
    ) -> None:
        with self._database.write() as connection:
            bot_calls.note_call(
                connection,
                call.id,
                call_ref=call_ref,
                kept_alive_at=kept_alive_at,
                ended_at=ended_at,
                problem=problem,
            )
