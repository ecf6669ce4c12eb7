"""Subscriptions to a series' live notifications: made, renewed, made again, ended.

A subscription is stored with its secret before the platform is asked for it, because the platform
calls our endpoint, with that secret, before it answers. One lives per series; renewal comes at two
thirds of its life, so that one missed round never lets it run out.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from course.model import Platform
from course.store import registers, watches
from course.store import series as series_store
from course.store.database import Database
from course.store.watches import StoredWatch
from integration.provider import (
    Certificate,
    MeetingProvider,
    ProviderError,
    Series,
    WatchRequest,
)

log = structlog.get_logger(__name__)
LIFE = timedelta(hours=71)  # Graph allows 4,320 minutes for what we watch
AFTER_COURSE = timedelta(hours=48)  # late facts are still welcome for so long


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """Where the platform shall call us, and the certificate it shall encrypt to."""

    notification_url: str
    lifecycle_url: str
    certificate: Certificate

    @property
    def certificate_ref(self) -> str:
        """The certificate's name."""
        return self.certificate.ref


def _due(now: datetime, expires_at: datetime) -> datetime:
    """Two thirds of the way to its end."""
    return now + (expires_at - now) * 2 / 3


class Subscriptions:
    """Keeps one live subscription per series."""

    def __init__(
        self,
        *,
        database: Database,
        providers: Mapping[Platform, MeetingProvider],
        callbacks: Mapping[Platform, Callbacks],
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._providers = providers
        self._callbacks = callbacks
        self._clock = clock

    def ensure(self, cohort_id: str, platform: Platform, series: Series) -> None:
        """Make the cohort's subscription unless a live one is confirmed. Raises `ProviderError`."""
        now = self._clock()
        with self._database.read() as connection:
            live = [
                w for w in watches.live_watches(connection, cohort_id) if w.platform is platform
            ]
        if any(w.watch_ref and w.expires_at and w.expires_at > now for w in live):
            return
        callbacks = self._callbacks[platform]
        watch = StoredWatch(
            id=uuid.uuid4().hex,
            cohort_id=cohort_id,
            platform=platform,
            series_ref=series.ref,
            client_state=secrets.token_urlsafe(32),
            certificate_ref=callbacks.certificate_ref,
            made_at=now,
        )
        with self._database.write() as connection:
            for stale in live:
                watches.update_watch(connection, stale.id, ended_at=now)
            watches.insert_watch(connection, watch)
        try:
            made = self._providers[platform].start_watch(
                WatchRequest(
                    series=series,
                    notification_url=callbacks.notification_url,
                    lifecycle_url=callbacks.lifecycle_url,
                    client_state=watch.client_state,
                    certificate=callbacks.certificate,
                    expires_at=now + LIFE,
                )
            )
        except ProviderError as e:
            with self._database.write() as connection:
                watches.update_watch(connection, watch.id, problem=str(e))
            raise
        with self._database.write() as connection:
            watches.update_watch(
                connection,
                watch.id,
                watch_ref=made.ref,
                expires_at=made.expires_at,
                renewal_due_at=_due(now, made.expires_at),
                problem=None,
            )

    def renew_due(self) -> int:
        """Renew what has used two thirds of its life, make again what is gone, end what outlived
        its course; how many were done.

        Trouble with one never stops the others: it is noted on the subscription.
        """
        now = self._clock()
        with self._database.read() as connection:
            live = watches.live_watches(connection)
            over = watches.outlived_watches(connection, since=now - AFTER_COURSE)
        done, let_go = sum(self._let_go(watch, now) for watch in over), {w.id for w in over}
        for watch in live:
            if watch.id in let_go or watch.platform not in self._providers:
                continue
            if (
                watch.renewal_due_at is None
                or now >= watch.renewal_due_at
                or watch.certificate_ref != self._callbacks[watch.platform].certificate_ref
            ):
                done += self._renew(watch, now)
        return done

    def end(self, cohort_id: str, platform: Platform, series_ref: str | None = None) -> None:
        """End a cohort's subscriptions on that platform, or to that one series there.

        Raises `ProviderError`.
        """
        with self._database.read() as connection:
            live = watches.live_watches(connection, cohort_id)
        for watch in live:
            if watch.platform is not platform or series_ref not in (None, watch.series_ref):
                continue
            if watch.watch_ref is not None and watch.platform in self._providers:
                self._providers[watch.platform].stop_watch(watch.watch_ref)
            with self._database.write() as connection:
                watches.update_watch(connection, watch.id, ended_at=self._clock())

    def _let_go(self, watch: StoredWatch, now: datetime) -> bool:
        """End it, on the platform too while it lives there; where that refuses, it runs out."""
        lives = watch.expires_at is not None and watch.expires_at > now
        try:
            if watch.watch_ref is not None and lives and watch.platform in self._providers:
                self._providers[watch.platform].stop_watch(watch.watch_ref)
        except ProviderError as e:
            if not e.permanent:
                with self._database.write() as connection:
                    watches.update_watch(connection, watch.id, problem=str(e))
                return False
        with self._database.write() as connection:
            watches.update_watch(connection, watch.id, ended_at=now)
        return True

    def _renew(self, watch: StoredWatch, now: datetime) -> bool:
        if watch.watch_ref is None:
            return self._make_again(watch, now)
        callbacks = self._callbacks[watch.platform]
        changed = watch.certificate_ref != callbacks.certificate_ref
        try:
            renewed = self._providers[watch.platform].renew_watch(
                watch.watch_ref, now + LIFE, callbacks.certificate if changed else None
            )
        except ProviderError as e:
            if e.gone:
                self._want_records(watch, now)
                return self._make_again(watch, now)
            with self._database.write() as connection:
                watches.update_watch(connection, watch.id, problem=str(e))
            return False
        with self._database.write() as connection:
            watches.update_watch(
                connection,
                watch.id,
                expires_at=renewed.expires_at,
                renewal_due_at=_due(now, renewed.expires_at),
                renewed_at=now,
                certificate_ref=callbacks.certificate_ref,
                problem=None,
            )
        return True

    def _want_records(self, watch: StoredWatch, now: datetime) -> None:
        """It died unseen: what was said meanwhile is in the platform's own record."""
        with self._database.write() as connection:
            weeks = registers.want_records(
                connection, watch.cohort_id, since=watch.last_sure_at, until=now
            )
        log.warning("subscription_was_gone", cohort=watch.cohort_id, weeks=weeks)

    def _make_again(self, watch: StoredWatch, now: datetime) -> bool:
        with self._database.write() as connection:
            watches.update_watch(connection, watch.id, ended_at=now)
            stored = series_store.read_series(connection, watch.cohort_id, watch.platform)
        if stored is None or stored.series_ref is None:
            return False
        try:
            self.ensure(
                watch.cohort_id,
                watch.platform,
                Series(
                    ref=stored.series_ref,
                    organiser_ref=stored.organiser_ref or "",
                    meeting_ref=stored.meeting_ref,
                    join_url=stored.join_url or "",
                ),
            )
        except ProviderError:
            return False  # noted on the new row, which the next round takes up
        return True
