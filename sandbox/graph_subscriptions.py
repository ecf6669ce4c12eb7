"""Subscriptions of the Graph stand-in: the handshake, notifications, and life and end.

https://learn.microsoft.com/graph/api/subscription-post-subscriptions and
https://learn.microsoft.com/graph/change-notifications-lifecycle-events
"""

from __future__ import annotations

import json
import secrets
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import requests

from sandbox.config import SandboxConfig
from sandbox.delivery import Courier
from sandbox.graph_encryption import Seal, read_seal
from sandbox.graph_errors import GraphError, utc
from sandbox.graph_subscription_rules import (
    CHANGEABLE,
    check_request,
    invalid,
    link_of,
    mailbox_of,
    read_expiry,
)
from sandbox.login import LoginStandIn

HANDSHAKE_WITHIN = 10.0
LIFECYCLE = ("reauthorizationRequired", "subscriptionRemoved", "missed")


@dataclass(slots=True)
class Subscription:
    """One subscription. `seal` is None for basic notifications, `link` for call records."""

    id: str
    application_id: str
    asked: dict[str, Any]
    expires_at: datetime
    link: str | None
    seal: Seal | None

    def body(self) -> dict[str, Any]:
        """As Graph shows it to the application that made it: all but the certificate itself."""
        shown = {k: v for k, v in self.asked.items() if k != "encryptionCertificate"}
        return {
            "latestSupportedTlsVersion": "v1_2",
            **shown,
            "id": self.id,
            "applicationId": self.application_id,
            "creatorId": self.application_id,
            "notificationQueryOptions": None,
            "expirationDateTime": utc(self.expires_at),
        }


class Subscriptions:
    """The application's subscriptions. No lock is held while the subscriber is asked or told."""

    def __init__(
        self,
        *,
        config: SandboxConfig,
        login: LoginStandIn,
        courier: Courier,
        clock: Callable[[], datetime],
    ) -> None:
        self._config = config
        self._login = login
        self._courier = courier
        self._clock = clock
        self._lock = threading.Lock()
        self._all: dict[str, Subscription] = {}

    def live(self) -> list[Subscription]:
        """Those that have not expired."""
        now = self._clock()
        return [s for s in list(self._all.values()) if s.expires_at > now]

    def clear(self) -> None:
        """Forget every subscription, without telling anybody."""
        self._all.clear()

    def create(self, asked: dict[str, Any], *, version: str) -> Subscription:
        """Check the request, shake hands with both addresses, and only then answer."""
        check_request(asked, version=version)
        made = Subscription(
            id=str(uuid.uuid4()),
            application_id=self._config.teams_client_id,
            asked=asked,
            expires_at=self._expiry(asked, asked["expirationDateTime"]),
            link=link_of(asked["resource"]),
            seal=read_seal(asked) if asked.get("includeResourceData") else None,
        )
        self._check_only_one(made)
        for name in ("notificationUrl", "lifecycleNotificationUrl"):
            if asked.get(name):
                _shake_hands(str(asked[name]))
        with self._lock:
            self._check_only_one(made)  # another one may have come meanwhile
            self._all[made.id] = made
        return made

    def _expiry(self, subscription: dict[str, Any], value: object) -> datetime:
        return read_expiry(
            value,
            resource=subscription["resource"],
            has_lifecycle=bool(subscription.get("lifecycleNotificationUrl")),
            now=self._clock(),
        )

    def _check_only_one(self, made: Subscription) -> None:
        if made.link is not None and any(s.link == made.link for s in self.live()):
            raise GraphError(409, "Conflict", "The application has a subscription to this meeting.")

    def find(self, ref: str) -> Subscription:
        """A live subscription."""
        for found in self.live():
            if found.id == ref:
                return found
        raise GraphError(404, "ResourceNotFound", "The object was not found.")

    def change(self, ref: str, asked: dict[str, Any], *, version: str) -> Subscription:
        """Prolong it, move it to another address, or give it another certificate."""
        found = self.find(ref)
        if found.link is not None and version != "beta":
            raise GraphError(400, "BadRequest", "meetingCallEvents is not supported in v1.0.")
        if not asked or set(asked) - CHANGEABLE:
            raise invalid(f"PATCH takes only: {', '.join(sorted(CHANGEABLE))}.")
        expires_at, seal = found.expires_at, found.seal
        if "expirationDateTime" in asked:
            expires_at = self._expiry(found.asked, asked["expirationDateTime"])
        if "encryptionCertificate" in asked or "encryptionCertificateId" in asked:
            seal = read_seal(asked)
        if "notificationUrl" in asked:
            _shake_hands(str(asked["notificationUrl"]))
        with self._lock:
            found.asked = {**found.asked, **asked}
            found.expires_at, found.seal = expires_at, seal
        return found

    def delete(self, ref: str) -> None:
        """End it."""
        found = self.find(ref)
        with self._lock:
            self._all.pop(found.id, None)

    def _item(self, subscription: Subscription) -> dict[str, Any]:
        return {
            "subscriptionId": subscription.id,
            "subscriptionExpirationDateTime": utc(subscription.expires_at),
            "clientState": subscription.asked.get("clientState"),
            "tenantId": self._config.teams_tenant_id,
        }

    def notify(self, subscription: Subscription, resource: dict[str, Any]) -> int:
        """Send one rich notification, encrypted to the subscriber's certificate; the last code."""
        if subscription.seal is None:
            raise invalid("This subscription has no certificate.")
        item = {
            **self._item(subscription),
            "changeType": "updated",
            "resource": subscription.asked["resource"],
            "organizationId": self._config.teams_tenant_id,
            "encryptedContent": subscription.seal.encrypt(resource),
        }
        body = {"value": [item], "validationTokens": [self._login.validation_token()]}
        return self._send(str(subscription.asked["notificationUrl"]), body)

    def notify_record(self, subscription: Subscription, record_id: str) -> int:
        """Tell that a call record was made; only its id. The last code."""
        resource = f"communications/callRecords/{record_id}"
        item = {
            **self._item(subscription),
            "changeType": "created",
            "resource": resource,
            "resourceData": {
                "@odata.type": "#Microsoft.Graph.callRecord",
                "@odata.id": resource,
                "id": record_id,
            },
        }
        return self._send(str(subscription.asked["notificationUrl"]), {"value": [item]})

    def notify_event(self, mailboxes: set[str], event_id: str, change: str) -> None:
        """Tell whoever watches one of these names of a mailbox that an event changed; later."""
        watching = [s for s in self.live() if (mailbox_of(s.asked["resource"]) or "") in mailboxes]
        for subscription in watching:
            resource = f"Users/{min(mailboxes)}/Events/{event_id}"
            item = {
                **self._item(subscription),
                "changeType": change,
                "resource": resource,
                "resourceData": {
                    "@odata.type": "#Microsoft.Graph.Event",
                    "@odata.id": resource,
                    "id": event_id,
                },
            }
            threading.Thread(
                target=self._send,
                args=(str(subscription.asked["notificationUrl"]), {"value": [item]}),
                daemon=True,
            ).start()

    def lifecycle(self, ref: str, kind: str) -> int:
        """Tell something about the subscription itself; a removed one is removed first."""
        found = self.find(ref)
        if kind not in LIFECYCLE:
            raise invalid(f"A lifecycle event is one of {', '.join(LIFECYCLE)}.")
        url = found.asked.get("lifecycleNotificationUrl")
        if not url:
            raise invalid("This subscription has no lifecycleNotificationUrl.")
        if kind == "subscriptionRemoved":
            self.delete(ref)
        item = {**self._item(found), "lifecycleEvent": kind}
        return self._send(str(url), {"value": [item]})

    def _send(self, url: str, body: dict[str, Any]) -> int:
        raw = json.dumps(body).encode()
        return self._courier.deliver(url, raw, {"Content-Type": "application/json"})


def _shake_hands(url: str) -> None:
    """POST a token; the address must answer with it, decoded, as plain text."""
    token = f"Validation: Testing client application reachability {secrets.token_hex(8)}"
    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.post(
                url,
                params={"validationToken": token},
                data=b"",
                headers={"Content-Type": "text/plain; charset=utf-8"},
                timeout=HANDSHAKE_WITHIN,
                allow_redirects=False,
            )
        except requests.RequestException as e:
            raise GraphError(
                400, "ValidationError", "Subscription validation request timed out."
            ) from e
    kind = answer.headers.get("Content-Type", "").split(";")[0].strip().lower()
    if answer.status_code != 200 or kind != "text/plain" or answer.text != token:
        raise GraphError(
            400,
            "ValidationError",
            "Subscription validation request failed. Notification endpoint must respond with "
            "200 OK to validation request.",
        )
