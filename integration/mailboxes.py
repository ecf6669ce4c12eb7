"""Subscriptions that serve many cohorts: one for each mailbox's calendar, in which somebody may
change a series, and one for the calls that the platform has noted.

Not part of an opening: a chore makes it within a minute, renews it at two thirds of its life, makes
it again when it is gone and ends it after the last course that needs it. Until it is made the
comparison on the day before a session stands in.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from course.model import Platform
from course.store import mailboxes
from course.store.database import Database
from course.store.mailboxes import StoredMailboxWatch
from integration.provider import CALL_RECORDS, MeetingProvider, ProviderError
from integration.subscriptions import AFTER_COURSE, Callbacks

LIFE = timedelta(days=6)  # Graph allows 10,080 minutes for a calendar
CALLS_LIFE = timedelta(hours=70)  # and 4,230 minutes for call records
TAKEN_FOR = timedelta(minutes=2)  # whoever died over it leaves it to another
AFTER_REFUSAL = timedelta(hours=1)


class MailboxWatches:
    """Keeps one live subscription for each mailbox in use, and one for the call records."""

    def __init__(
        self,
        *,
        database: Database,
        providers: Mapping[Platform, MeetingProvider],
        callbacks: Mapping[Platform, Callbacks],
        clock: Callable[[], datetime],
        call_records: bool = True,
    ) -> None:
        self._database = database
        self._providers = providers
        self._callbacks = callbacks
        self._clock = clock
        self._call_records = call_records

    def keep(self) -> int:
        """Make, renew and make again what is due, end what no course needs; how many were done."""
        done = 0
        for platform, provider in self._providers.items():
            if not provider.watches:
                continue
            since = self._clock() - AFTER_COURSE
            with self._database.read() as connection:
                used = mailboxes.mailboxes_in_use(connection, platform, since=since)
            if used and self._call_records:
                used.append(CALL_RECORDS)
            for mailbox_ref in used:
                now = self._clock()
                with self._database.write() as connection:
                    watch = mailboxes.read_mailbox_watch(
                        connection, platform, mailbox_ref, fresh_state=secrets.token_urlsafe(32)
                    )
                    mine = mailboxes.take_mailbox_watch(
                        connection, watch, until=now + TAKEN_FOR, now=now
                    )
                if mine:
                    done += self._make_or_renew(provider, watch, now)
            with self._database.read() as connection:
                stored = mailboxes.all_mailbox_watches(connection)
            done += sum(
                self._let_go(provider, watch)
                for watch in stored
                if watch.platform is platform and watch.mailbox_ref not in used
            )
        return done

    def _let_go(self, provider: MeetingProvider, watch: StoredMailboxWatch) -> bool:
        """End it, on the platform too while it lives there; where that refuses, it runs out."""
        lives = watch.expires_at is not None and watch.expires_at > self._clock()
        try:
            if watch.watch_ref is not None and lives:
                provider.stop_watch(watch.watch_ref)
        except ProviderError as e:
            if not e.permanent:
                self._note(watch, watch.watch_ref, watch.expires_at, None, str(e))
                return False
        with self._database.write() as connection:
            mailboxes.forget_mailbox_watch(connection, watch)
        return True

    def _make_or_renew(
        self, provider: MeetingProvider, watch: StoredMailboxWatch, now: datetime
    ) -> bool:
        life = CALLS_LIFE if watch.mailbox_ref == CALL_RECORDS else LIFE
        expires_at, callbacks = now + life, self._callbacks[watch.platform]
        try:
            if watch.watch_ref is not None:
                try:
                    made = provider.renew_watch(watch.watch_ref, expires_at)
                except ProviderError as e:
                    if not e.gone:
                        raise
                    return self._make_or_renew(provider, replace(watch, watch_ref=None), now)
            else:
                made = provider.start_change_watch(
                    watch.mailbox_ref,
                    notification_url=callbacks.notification_url,
                    lifecycle_url=callbacks.lifecycle_url,
                    client_state=watch.client_state,
                    expires_at=expires_at,
                )
        except ProviderError as e:
            again = now + AFTER_REFUSAL if e.permanent else None
            self._note(watch, watch.watch_ref, watch.expires_at, again, str(e))
            return False
        self._note(watch, made.ref, made.expires_at, now + (made.expires_at - now) * 2 / 3, None)
        return True

    def _note(
        self,
        watch: StoredMailboxWatch,
        watch_ref: str | None,
        expires_at: datetime | None,
        renewal_due_at: datetime | None,
        problem: str | None,
    ) -> None:
        with self._database.write() as connection:
            mailboxes.note_mailbox_watch(
                connection,
                watch,
                watch_ref=watch_ref,
                expires_at=expires_at,
                renewal_due_at=renewal_due_at,
                problem=problem,
            )
