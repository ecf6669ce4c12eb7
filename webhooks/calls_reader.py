"""Takes in what Graph tells our bot: believed by its token, known by the call's own address."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from course.model import ParticipantEvent, Platform
from course.store import bot_calls
from course.store import series as series_store
from course.store.bot_calls import BotCall
from course.store.database import STORAGE_TROUBLE, Database
from course.store.evidence import call_events, save_events
from webhooks.evidence import SigningKeys
from webhooks.inbox import NotStored
from webhooks.rejected import Rejected
from webhooks.teams_calls import Told, facts, parse, verify_bearer
from webhooks.teams_tokens import UnknownKey


class CallsReader:
    """One snapshot after the other: the next is compared with what the last ones left."""

    def __init__(self, *, database: Database, audience: str, keys_at_hand: SigningKeys) -> None:
        self._database = database
        self._audience = audience
        self._keys_at_hand = keys_at_hand

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
            stored = series_store.find_stored(connection, Platform.TEAMS, call.series_ref)
        told = parse(body, organiser_ref=stored.organiser_ref if stored else None)
        new = self._compared(call, told, now)
        if told.is_over:
            self._end(call, now)
        return len(new)

    def _compared(self, call: BotCall, told: Told, now: datetime) -> list[ParticipantEvent]:
        """Store what is new in a snapshot; one at a time, whichever process it came to."""
        try:
            with self._database.write() as connection:
                changed_in = bot_calls.hold_call(connection, call.id)
                in_order, newest = _without_older(told, changed_in)
                if newest != changed_in:
                    bot_calls.note_rosters(connection, call.id, newest)
                known = call_events(connection, call.series_ref, since=call.asked_at)
                new = facts(in_order, known, call_id=call.id, series_ref=call.series_ref, at=now)
                save_events(connection, new)
        except STORAGE_TROUBLE as e:
            raise NotStored("the database did not take the snapshot") from e
        return new

    def _end(self, call: BotCall, now: datetime) -> None:
        with self._database.write() as connection:
            bot_calls.note_call(
                connection,
                call.id,
                call_ref=call.call_ref,
                kept_alive_at=call.kept_alive_at,
                ended_at=now,
            )
            bot_calls.note_rosters(connection, call.id, {})

    def _believe(self, authorization: str, now: datetime) -> None:
        try:
            verify_bearer(
                authorization, keys=self._keys_at_hand(), audience=self._audience, now=now
            )
        except UnknownKey as e:
            try:
                verify_bearer(
                    authorization,
                    keys=self._keys_at_hand(unknown=e.kid),
                    audience=self._audience,
                    now=now,
                )
            except UnknownKey as again:
                raise Rejected("unknown_key") from again


def _without_older(told: Told, changed_in: Mapping[str, int]) -> tuple[Told, dict[str, int]]:
    """What is told without rosters that were overtaken, and in which each last changed now.

    Snapshots may overtake each other: one in which somebody is as they were before is old. Its
    people are no news, and whoever is missing in it has not left.
    """
    newest, rosters = dict(changed_in), []
    for roster in told.rosters:
        numbers = {s.ref: s.changed_in for s in roster if s.changed_in is not None}
        if any(number < newest.get(ref, number) for ref, number in numbers.items()):
            continue
        newest.update(numbers)
        rosters.append(roster)
    return told._replace(rosters=tuple(rosters)), newest
