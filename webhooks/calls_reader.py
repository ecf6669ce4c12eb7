"""Takes in what Graph tells our bot: believed by its token, known by the call's own address."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from course.model import Platform
from course.store import bot_calls
from course.store import series as series_store
from course.store.bot_calls import BotCall
from course.store.database import Database
from course.store.evidence import call_events
from webhooks.inbox import Delivery, Inbox
from webhooks.rejected import Rejected
from webhooks.teams_calls import facts, parse, verify_bearer
from webhooks.teams_tokens import UnknownKey


class SigningKeys(Protocol):
    """Key id to public key; may fetch them once. Raises `ProviderError`."""

    def __call__(self, *, unknown: str | None = None) -> Mapping[str, Any]: ...


class CallsReader:
    """One snapshot after the other: the next is compared with what the last ones left."""

    def __init__(
        self, *, database: Database, inbox: Inbox, audience: str, signing_keys: SigningKeys
    ) -> None:
        self._database = database
        self._inbox = inbox
        self._audience = audience
        self._signing_keys = signing_keys
        self._line = threading.Lock()

    def take(self, secret: str, authorization: str, body: bytes, *, now: datetime) -> int:
        """Store what a delivery tells; how many facts were new.

        Raises `Rejected`, `Malformed`, `NotStored`, and `ProviderError` when the keys cannot be
        had: nothing is stored then, and Graph sends it again.
        """
        self._believe(authorization, now)
        with self._database.read() as connection:
            call = bot_calls.find_call(connection, secret)
            if call is None:
                raise Rejected("unknown_call")
            stored = series_store.read_series(connection, call.cohort_id, Platform.TEAMS)
        told = parse(body, organiser_ref=stored.organiser_ref if stored else None)
        with self._line:
            with self._database.read() as connection:
                known = call_events(connection, call.series_ref, since=call.asked_at)
            new = facts(told, known, call_id=call.id, series_ref=call.series_ref, at=now)
            if new:
                self._inbox.accept([Delivery(notification=None, events=(e,)) for e in new])
        if told.is_over:
            self._end(call, now)
        return len(new)

    def _end(self, call: BotCall, now: datetime) -> None:
        with self._database.write() as connection:
            bot_calls.note_call(
                connection,
                call.id,
                call_ref=call.call_ref,
                kept_alive_at=call.kept_alive_at,
                ended_at=now,
            )

    def _believe(self, authorization: str, now: datetime) -> None:
        try:
            verify_bearer(
                authorization, keys=self._signing_keys(), audience=self._audience, now=now
            )
        except UnknownKey as e:
            try:
                verify_bearer(
                    authorization,
                    keys=self._signing_keys(unknown=e.kid),
                    audience=self._audience,
                    now=now,
                )
            except UnknownKey as again:
                raise Rejected("unknown_key") from again
