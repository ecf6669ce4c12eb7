"""Subscriptions of the Graph stand-in: the handshake, encrypted notifications, lifecycle.

https://learn.microsoft.com/graph/api/subscription-post-subscriptions and
https://learn.microsoft.com/graph/change-notifications-with-resource-data
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import requests
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.padding import PKCS7

from sandbox.config import SandboxConfig
from sandbox.delivery import Courier
from sandbox.graph_errors import GraphError, read_utc, utc
from sandbox.login import LoginStandIn

HANDSHAKE_WITHIN = 10.0
LONGEST_LIFE = timedelta(minutes=4320)
SHORTEST_LIFE = timedelta(minutes=45)


@dataclass(slots=True)
class Subscription:
    """One live subscription."""

    id: str
    asked: dict[str, Any]
    expires_at: datetime
    key: RSAPublicKey | None

    def body(self) -> dict[str, Any]:
        """As Graph shows it; the clientState is shown to its creator only at creation."""
        shown = {k: v for k, v in self.asked.items() if k != "encryptionCertificate"}
        return {**shown, "id": self.id, "expirationDateTime": utc(self.expires_at)}


class Subscriptions:
    """The application's subscriptions."""

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
        self._all: dict[str, Subscription] = {}

    def live(self) -> list[Subscription]:
        """Those that have not expired."""
        return [s for s in self._all.values() if s.expires_at > self._clock()]

    def create(self, asked: dict[str, Any], *, version: str) -> Subscription:
        """Check the request, shake hands with both addresses, and only then answer."""
        resource = str(asked.get("resource") or "")
        is_call = resource.endswith("/meetingCallEvents")
        if is_call and version != "beta":
            raise GraphError(400, "BadRequest", "meetingCallEvents is not supported in v1.0.")
        if not is_call and "callRecords" not in resource:
            raise GraphError(400, "ExtensionError", "The stand-in knows no such resource.")
        for name in ("changeType", "notificationUrl", "expirationDateTime"):
            if not isinstance(asked.get(name), str):
                raise GraphError(400, "InvalidRequest", f"{name} is required.")
        if len(str(asked.get("clientState") or "")) > 128:
            raise GraphError(400, "InvalidRequest", "clientState is longer than 128 characters.")
        expires_at = self._expiry(asked["expirationDateTime"])
        beyond_an_hour = expires_at > self._clock() + timedelta(hours=1)
        if beyond_an_hour and not asked.get("lifecycleNotificationUrl"):
            raise GraphError(
                400,
                "InvalidRequest",
                "lifecycleNotificationUrl is a required property for subscription creation on this "
                "resource when the expirationDateTime value is set to greater than 1 hour.",
            )
        key = self._certificate(asked) if asked.get("includeResourceData") else None
        if is_call and key is None:
            raise GraphError(400, "InvalidRequest", "meetingCallEvents needs includeResourceData.")
        if is_call and any(s.asked.get("resource") == resource for s in self.live()):
            raise GraphError(409, "Conflict", "The application has a subscription to this meeting.")
        for name in ("notificationUrl", "lifecycleNotificationUrl"):
            if asked.get(name):
                self._shake_hands(str(asked[name]))
        made = Subscription(id=str(uuid.uuid4()), asked=asked, expires_at=expires_at, key=key)
        self._all[made.id] = made
        return made

    def _expiry(self, value: object) -> datetime:
        at, now = read_utc(value), self._clock()
        if at > now + LONGEST_LIFE:
            raise GraphError(
                400, "ExtensionError", "Subscription expiration can only be 4320 minutes ahead."
            )
        return max(at, now + SHORTEST_LIFE)

    def _certificate(self, asked: dict[str, Any]) -> RSAPublicKey:
        try:
            raw = base64.b64decode(str(asked.get("encryptionCertificate")), validate=True)
            key = x509.load_der_x509_certificate(raw).public_key()
        except ValueError as e:
            raise GraphError(400, "InvalidRequest", "encryptionCertificate is not valid.") from e
        if not isinstance(key, RSAPublicKey) or not 2048 <= key.key_size <= 4096:
            raise GraphError(400, "InvalidRequest", "The certificate's key must be RSA 2048-4096.")
        if not asked.get("encryptionCertificateId"):
            raise GraphError(400, "InvalidRequest", "encryptionCertificateId is required.")
        return key

    def _shake_hands(self, url: str) -> None:
        token = f"Validation: Testing client application reachability {secrets.token_hex(8)}"
        try:
            answer = requests.post(
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
        kind = answer.headers.get("Content-Type", "").split(";")[0]
        if answer.status_code != 200 or kind != "text/plain" or answer.text != token:
            raise GraphError(
                400,
                "ValidationError",
                "Subscription validation request failed. Notification endpoint must respond with "
                "200 OK to validation request.",
            )

    def find(self, ref: str) -> Subscription:
        """A live subscription."""
        for found in self.live():
            if found.id == ref:
                return found
        raise GraphError(404, "ResourceNotFound", "The object was not found.")

    def renew(self, ref: str, asked: dict[str, Any]) -> Subscription:
        """Prolong it."""
        found = self.find(ref)
        found.expires_at = self._expiry(asked.get("expirationDateTime"))
        return found

    def delete(self, ref: str) -> None:
        """End it."""
        del self._all[self.find(ref).id]

    def _item(self, subscription: Subscription) -> dict[str, Any]:
        return {
            "subscriptionId": subscription.id,
            "subscriptionExpirationDateTime": utc(subscription.expires_at),
            "clientState": subscription.asked.get("clientState"),
            "tenantId": self._config.teams_tenant_id,
        }

    def notify(self, subscription: Subscription, resource: dict[str, Any]) -> int:
        """Send one rich notification, encrypted to the subscriber's certificate; the last code."""
        if subscription.key is None:
            raise GraphError(400, "InvalidRequest", "This subscription has no certificate.")
        item = {
            **self._item(subscription),
            "changeType": "updated",
            "resource": subscription.asked["resource"],
            "organizationId": self._config.teams_tenant_id,
            "encryptedContent": encrypt(
                resource, subscription.key, str(subscription.asked["encryptionCertificateId"])
            ),
        }
        body = {"value": [item], "validationTokens": [self._login.validation_token()]}
        return self._send(str(subscription.asked["notificationUrl"]), body)

    def notify_record(self, subscription: Subscription, record_id: str) -> int:
        """Tell that a call record was made; only its id."""
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

    def lifecycle(self, ref: str, kind: str) -> int:
        """Tell something about the subscription itself; a removed one is removed first."""
        found = self.find(ref)
        if kind == "subscriptionRemoved":
            del self._all[found.id]
        item = {**self._item(found), "lifecycleEvent": kind}
        return self._send(str(found.asked["lifecycleNotificationUrl"]), {"value": [item]})

    def _send(self, url: str, body: dict[str, Any]) -> int:
        raw = json.dumps(body).encode()
        return self._courier.deliver(url, raw, {"Content-Type": "application/json"})


def encrypt(resource: dict[str, Any], key: RSAPublicKey, certificate_id: str) -> dict[str, str]:
    """Graph's recipe: a fresh key, AES-CBC with its first half as vector, HMAC over the result."""
    symmetric = os.urandom(32)
    padder = PKCS7(128).padder()
    padded = padder.update(json.dumps(resource).encode()) + padder.finalize()
    encryptor = Cipher(AES(symmetric), CBC(symmetric[:16])).encryptor()
    data = encryptor.update(padded) + encryptor.finalize()
    padding = OAEP(mgf=MGF1(SHA1()), algorithm=SHA1(), label=None)
    der = key.public_numbers().n.to_bytes(key.key_size // 8, "big")
    return {
        "data": base64.b64encode(data).decode(),
        "dataSignature": base64.b64encode(hmac.digest(symmetric, data, "sha256")).decode(),
        "dataKey": base64.b64encode(key.encrypt(symmetric, padding)).decode(),
        "encryptionCertificateId": certificate_id,
        "encryptionCertificateThumbprint": hashlib.sha256(der).hexdigest()[:40].upper(),
    }
