"""Notification to participant events: what each platform's delivery becomes before it is stored.

Zoom's are read at once: reading is pure and quick. Graph's need keys to be believed and opened; if
a key is not at hand the item is stored as it came, as `waiting`, and read later: it is never
believed unchecked and never lost.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Protocol

import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from course.model import Platform
from course.store import mailboxes, registers, watches
from course.store import series as series_store
from course.store.database import STORAGE_TROUBLE, Database
from course.store.notifications import Notification
from course.store.watches import StoredWatch
from integration.provider import CALL_RECORDS, CallRecord, ProviderError
from webhooks import teams, zoom
from webhooks.inbox import Delivery
from webhooks.rejected import Malformed, Rejected
from webhooks.rereading import Dropped
from webhooks.teams_content import UnknownCertificate, open_content
from webhooks.teams_tokens import UnknownKey, verify_tokens

CALL_RECORD = "call record"
LARGEST_KEPT = 16_384  # characters of a body that could not be read

log = structlog.get_logger(__name__)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def parked(body: bytes, why: Exception, *, received_at: datetime) -> Delivery:
    """A delivery of Zoom's that our reader fails on: kept whole, and read again later.

    Zoom would repeat it three times and then forget it, and it would fail each time.
    """
    return Delivery(
        notification=Notification(
            id=hashlib.sha256(body).hexdigest()[:32],
            platform=Platform.ZOOM,
            received_at=received_at,
            kind="not read yet",
            body=body.decode(errors="replace"),
            state="waiting",
            reason=type(why).__name__,
        )
    )


def quarantined(platform: Platform, body: bytes, *, reason: str, received_at: datetime) -> Delivery:
    """A delivery that is the platform's own and yet not readable: kept for a person to look at."""
    return Delivery(
        notification=Notification(
            id=hashlib.sha256(body).hexdigest()[:32],
            platform=platform,
            received_at=received_at,
            kind="unreadable",
            body=body.decode(errors="replace")[:LARGEST_KEPT],
            state="quarantined",
            reason=reason,
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoomReader:
    """Reads what Zoom sent; knows the secrets that prove it is Zoom's."""

    secrets: Sequence[str]
    account_id: str
    sent_direction: str
    client_id: str = ""

    def verify(self, headers: zoom.Headers, body: bytes, *, now: datetime) -> str:
        """The secret that proves the bytes to be Zoom's. Raises `webhooks.rejected.Rejected`."""
        return zoom.verify(headers, body, secrets=self.secrets, now=now)

    def handshake(self, body: bytes, *, secret: str) -> dict[str, str] | None:
        """The answer to Zoom's check of our address, or None when it is not that.

        `secret` is the one that the check was signed with: during a change of secrets Zoom may
        still be using the old one, and expects the proof from that.
        """
        return zoom.handshake(body, secret=secret)

    def read(self, body: bytes, *, received_at: datetime) -> Delivery | None:
        """The delivery to store; None when it is about another account. Raises `Malformed`."""
        parsed = zoom.parse(body, received_at=received_at, sent_direction=self.sent_direction)
        if parsed.account_ref is not None and not hmac.compare_digest(
            parsed.account_ref.encode(), self.account_id.encode()
        ):
            return None
        if parsed.kept is None:
            return Delivery(notification=None, events=parsed.events)
        notification = Notification(
            id=parsed.delivery_key,
            platform=Platform.ZOOM,
            received_at=received_at,
            kind=parsed.event_name,
            body=parsed.kept,
            series_ref=parsed.series_ref,
            instance_ref=parsed.instance_ref,
            state="flagged" if self._is_farewell(parsed) else "done",
            reason=None if parsed.known else "unknown kind",
        )
        return Delivery(
            notification=notification,
            events=parsed.events,
            changed=(parsed.series_ref, parsed.changed_at)
            if parsed.changed_at is not None and parsed.series_ref is not None
            else None,
        )

    def _is_farewell(self, parsed: zoom.Parsed) -> bool:
        """Whether our app was taken out of the account."""
        return parsed.event_name == "app_deauthorized" and parsed.client_ref in (
            None,
            self.client_id,
        )

    def read_again(self, notification: Notification) -> Delivery:
        """Read a stored delivery once more. Raises `Malformed` and `Dropped`."""
        found = self.read(
            (notification.body or "").encode(),
            received_at=notification.received_at,
        )
        if found is None:
            raise Dropped("other_account")
        return found


def _pointer(record_ref: str, received_at: datetime) -> Delivery:
    """A call was noted: to be fetched later. Many tellings of one minute are one piece of news."""
    minute = int(received_at.timestamp()) // 60
    return Delivery(
        notification=Notification(
            id=_hash(CALL_RECORD, record_ref, str(minute)),
            platform=Platform.TEAMS,
            received_at=received_at,
            kind=CALL_RECORD,
            body=json.dumps({"record": record_ref[:200]}),
            state="waiting",
            reason="to be fetched",
        )
    )


def _kept_whole(
    item: Mapping[str, Any], tokens: Sequence[str], why: Exception, received_at: datetime
) -> Delivery:
    """An item to be read later, as it came."""
    body = json.dumps({"item": item, "tokens": list(tokens)}, sort_keys=True)
    return Delivery(
        notification=Notification(
            id=_hash("whole", json.dumps(item, sort_keys=True)),
            platform=Platform.TEAMS,
            received_at=received_at,
            kind="meetingCallEvents",
            body=body,
            state="waiting",
            reason=type(why).__name__,
        )
    )


class SigningKeys(Protocol):
    """Key id to public key; `unknown` is an id that was not among them. Raises `ProviderError`."""

    def __call__(self, *, unknown: str | None = None) -> Mapping[str, Any]: ...


class FetchCallRecord(Protocol):
    """Asks the platform for a call that it noted. Raises `ProviderError`."""

    def __call__(self, record_ref: str, *, with_events: bool) -> CallRecord: ...


class TeamsReader:
    """Reads what Graph sent, item by item: a bad one never takes a good one with it.

    Whoever waits for an answer gets it by the keys that are at hand; `signing_keys` may fetch some,
    for what is read later.
    """

    def __init__(
        self,
        *,
        database: Database,
        audience: str,
        tenant_id: str,
        keys_at_hand: SigningKeys,
        signing_keys: SigningKeys,
        private_keys: Mapping[str, RSAPrivateKey],
        fetch_call_record: FetchCallRecord,
    ) -> None:
        self._database = database
        self._audience = audience
        self._tenant_id = tenant_id
        self._keys_at_hand = keys_at_hand
        self._signing_keys = signing_keys
        self._private_keys = private_keys
        self._fetch_call_record = fetch_call_record

    def read(self, body: bytes, *, received_at: datetime) -> tuple[list[Delivery], list[str]]:
        """The deliveries to store, and why items were dropped. Raises `Malformed`."""
        batch = teams.split(body)
        deliveries, dropped = [], ["malformed"] * batch.malformed
        for item in batch.items:
            try:
                deliveries.append(
                    self._read_item(
                        item, batch.tokens, received_at=received_at, keys=self._keys_at_hand
                    )
                )
            except Dropped as e:
                dropped.append(str(e))
            except STORAGE_TROUBLE:
                raise
            except Exception as e:
                # A fault of ours must not lose it, nor the others: it is kept and tried again.
                log.exception("item_not_read", kind=type(e).__name__)
                if self._knows_our_secret(item):
                    deliveries.append(_kept_whole(item, batch.tokens, e, received_at))
                else:
                    dropped.append("malformed")
        return deliveries, dropped

    def _knows_our_secret(self, item: Mapping[str, Any]) -> bool:
        """Whether an item that we could not read is at least from somebody we subscribed with."""
        try:
            self.watch_of(item)
        except Dropped:
            return False
        return True

    def watch_of(self, item: Mapping[str, Any]) -> StoredWatch:
        """The subscription that an item belongs to. Raises `Dropped` when it proves none."""
        client_state, ref = item.get("clientState"), item.get("subscriptionId")
        if not isinstance(client_state, str):
            raise Dropped("no_client_state")
        with self._database.read() as connection:
            watch = watches.find_watch(connection, client_state)
        if watch is None:
            raise Dropped("wrong_client_state")
        # Not confirmed yet: the item overtook the answer to our own create call.
        if watch.watch_ref is not None and watch.watch_ref != ref:
            raise Dropped("other_subscription")
        return watch

    def lifecycle(self, body: bytes, *, now: datetime) -> list[str]:
        """Note what the platform says of our subscriptions; the kinds. Raises `Malformed`.

        Noted before the answer, so that a renewal asked for is made even after a kill: the chore
        renews what is due and makes again what has lost its `watch_ref`.
        """
        kinds = []
        for item in teams.split(body).items:
            try:
                kind = teams.lifecycle(item).kind
                if self._calendar_renewal(item, kind):
                    kinds.append(kind)
                    continue
                watch = self.watch_of(item)
            except (Dropped, Malformed):
                log.info("lifecycle_dropped")
                continue
            self._note_lifecycle(watch, kind, now)
            kinds.append(kind)
        return kinds

    def _note_lifecycle(self, watch: StoredWatch, kind: str, now: datetime) -> None:
        changes: dict[str, datetime | None] = {"renewal_due_at": now}
        if kind == "subscriptionRemoved":
            changes["watch_ref"] = None
        with self._database.write() as connection:
            watches.update_watch(connection, watch.id, **changes)
            if kind in ("missed", "subscriptionRemoved"):
                # Nobody says what was missed: the record tells of everything since it was sure.
                weeks = registers.want_records(
                    connection, watch.cohort_id, since=watch.last_sure_at, until=now
                )
                log.warning("notifications_lost", cohort=watch.cohort_id, kind=kind, weeks=weeks)

    def _calendar_renewal(self, item: Mapping[str, Any], kind: str) -> bool:
        """Whether that is said of a calendar's subscription; noted, and the chore sees to it."""
        client_state = item.get("clientState")
        if not isinstance(client_state, str):
            return False
        with self._database.write() as connection:
            watch = mailboxes.find_mailbox_watch(connection, client_state)
            if watch is None:
                return False
            mailboxes.note_mailbox_watch(
                connection,
                watch,
                watch_ref=None if kind == "subscriptionRemoved" else watch.watch_ref,
                expires_at=watch.expires_at,
                renewal_due_at=None,
                problem=None,
            )
        return True

    def read_again(self, notification: Notification) -> Delivery:
        """Read a stored item once more. Raises `Dropped`."""
        kept = json.loads(notification.body or "{}")
        if notification.kind == CALL_RECORD:
            return self._read_call_record(notification, str(kept["record"]))
        return self._read_item(
            kept["item"],
            kept["tokens"],
            received_at=notification.received_at,
            keys=self._signing_keys,
        )

    def _read_call_record(self, notification: Notification, record_ref: str) -> Delivery:
        """Fetch what a notification only points to. Raises `Dropped` when the call is not ours."""
        record = self._fetch_call_record(record_ref, with_events=False)
        with self._database.read() as connection:
            near = series_store.series_around(
                connection, Platform.TEAMS, begins=record.begins_at, ends=record.ends_at
            )
        ours = next((s for s in near if s.join_url and s.join_url == record.join_url), None)
        if ours is None or ours.series_ref is None:
            raise Dropped("other_call")
        record = self._fetch_call_record(record_ref, with_events=True)
        with self._database.write() as connection:
            # Noted calls are over: their attendance report may be there as well, or again.
            registers.want_records(
                connection, ours.cohort_id, since=record.begins_at, until=record.ends_at
            )
        return Delivery(
            notification=replace(notification, state="done", reason=None),
            events=tuple(
                replace(e, series_ref=ours.series_ref, notification_id=notification.id)
                for e in record.events
            ),
        )

    def _read_item(
        self,
        item: Mapping[str, Any],
        tokens: Sequence[str],
        *,
        received_at: datetime,
        keys: SigningKeys,
    ) -> Delivery:
        encrypted = item.get("encryptedContent")
        if encrypted is None and (news := self._calendar_news(item, received_at)) is not None:
            return news
        watch = self.watch_of(item)
        if not isinstance(encrypted, Mapping):
            raise Dropped("no_content")
        key = _hash(watch.id, str(encrypted.get("dataSignature")), str(encrypted.get("data")))
        notification = Notification(
            id=key,
            platform=Platform.TEAMS,
            received_at=received_at,
            kind="meetingCallEvents",
            body="",
            series_ref=watch.series_ref,
        )
        try:
            self._believe(tokens, keys, now=received_at)
            resource = open_content(encrypted, private_keys=self._private_keys)
        except (UnknownKey, UnknownCertificate, ProviderError) as e:
            whole = _kept_whole(item, tokens, e, received_at).notification
            return Delivery(notification=replace(whole, id=key) if whole else None)
        except Rejected as e:
            raise Dropped(e.reason) from e
        with self._database.read() as connection:
            stored = series_store.find_stored(connection, Platform.TEAMS, watch.series_ref)
        try:
            events = teams.parse(
                resource,
                series_ref=watch.series_ref,
                received_at=received_at,
                organiser_ref=stored.organiser_ref if stored else None,
            )
        except Malformed as e:
            return Delivery(
                notification=replace(
                    notification, state="quarantined", reason=str(e), kind="unreadable"
                )
            )
        notification = replace(
            notification, body=json.dumps(teams.minimise(resource), ensure_ascii=False)
        )
        return Delivery(
            notification=notification,
            events=tuple(replace(e, notification_id=notification.id) for e in events),
        )

    def _calendar_news(self, item: Mapping[str, Any], received_at: datetime) -> Delivery | None:
        """An event of a watched calendar was changed: only its id is told, and by whom is not."""
        client_state, named = item.get("clientState"), item.get("resourceData")
        if not isinstance(client_state, str) or not isinstance(named, Mapping):
            return None
        with self._database.read() as connection:
            watch = mailboxes.find_mailbox_watch(connection, client_state)
        event_ref = named.get("id")
        if watch is None or not isinstance(event_ref, str) or not event_ref:
            return None
        if watch.mailbox_ref == CALL_RECORDS:
            return _pointer(event_ref, received_at)
        # Many changes of one event are one piece of news for half a minute: they are compared once.
        moment = int(received_at.timestamp()) // 30
        return Delivery(
            notification=Notification(
                id=_hash("calendar", event_ref, str(moment)),
                platform=Platform.TEAMS,
                received_at=received_at,
                kind="calendar event",
                body=json.dumps({"changeType": str(item.get("changeType"))[:40]}),
                series_ref=event_ref,
            ),
            changed=(event_ref, received_at),
        )

    def _believe(self, tokens: Sequence[str], keys: SigningKeys, *, now: datetime) -> None:
        """Check the tokens that came with the batch, with fresh keys if one is unknown."""
        if not tokens:
            raise Rejected("no_token")
        believe = partial(
            verify_tokens, tokens, audience=self._audience, tenant_id=self._tenant_id, now=now
        )
        try:
            believe(keys=keys())
        except UnknownKey as e:
            believe(keys=keys(unknown=e.kid))
