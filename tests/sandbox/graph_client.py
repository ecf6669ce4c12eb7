"""The Graph stand-in with a token in hand, and requests that it accepts, for tests to vary."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import responses
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sandbox.config import SandboxConfig
from sandbox.server import create_sandbox
from tests.fakes import FakeClock
from webhooks.teams_content import make_certificate

CONFIG = SandboxConfig()
NOW = datetime(2027, 1, 4, 9, tzinfo=UTC)
HOOK, LIFE = "https://circle.example/webhooks/teams", "https://circle.example/lifecycle"
PRIVATE, CERTIFICATE = make_certificate(NOW)
DER = base64.b64encode(
    x509.load_pem_x509_certificate(CERTIFICATE).public_bytes(Encoding.DER)
).decode()
YEAR = "?startDateTime=2027-01-01T00:00:00Z&endDateTime=2027-12-31T00:00:00Z"
# What makes of a subscription to call events one to call records.
RECORDS: Mapping[str, Any] = {
    "resource": "/communications/callRecords",
    "changeType": "created",
    "includeResourceData": None,
    "encryptionCertificate": None,
    "encryptionCertificateId": None,
}
Changes = Mapping[str, Any] | None


class GraphClient:
    """One application of the tenant; its clock stands until a test moves it."""

    def __init__(self, config: SandboxConfig = CONFIG) -> None:
        self.config = config
        self.clock = FakeClock(NOW)
        self.client: Any = create_sandbox(config, clock=self.clock).test_client()
        self.user = f"/users/{config.teams_host_id}"
        self.headers = {"Authorization": f"Bearer {self.sign_in().json['access_token']}"}

    def sign_in(self, changes: Changes = None, *, tenant: str | None = None) -> Any:
        """Ask for a token; a change to None leaves the field out."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self.config.teams_client_id,
            "client_secret": self.config.teams_client_secret,
            "scope": "https://graph.microsoft.com/.default",
            **(changes or {}),
        }
        return self.client.post(
            f"/login/{tenant or self.config.teams_tenant_id}/oauth2/v2.0/token",
            data={name: value for name, value in form.items() if value is not None},
        )

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        version: str = "v1.0",
        prefer: str | None = None,
    ) -> Any:
        """One call with the token."""
        headers = self.headers | ({"Prefer": prefer} if prefer else {})
        return self.client.open(
            f"/graph/{version}{path}", method=method, json=body, headers=headers
        )

    def create(self, changes: Changes = None) -> Any:
        """Ask for a series of twelve Saturdays over the spring clock change."""
        return self.call("POST", f"{self.user}/events", event(changes))

    def instances(self, ref: str, *, prefer: str | None = None) -> list[dict[str, Any]]:
        """All instances of a series, page by page."""
        path, found = f"{self.user}/events/{ref}/instances{YEAR}", []
        while path:
            answer = self.call("GET", path, prefer=prefer).json
            found += answer["value"]
            path = answer.get("@odata.nextLink", "").removeprefix(
                f"{self.config.base_url}/graph/v1.0"
            )
        return found

    def meeting(self, link: str, *, user: str | None = None) -> Any:
        """Look for an online meeting by its link, encoded once and whole."""
        return self.call(
            "GET",
            f"/users/{user or self.config.teams_host_id}/onlineMeetings"
            f"?$filter=JoinWebUrl%20eq%20'{quote(link, safe='')}'",
        )

    def subscribe(self, link: str, changes: Changes = None, *, version: str = "beta") -> Any:
        """Ask for a subscription to a meeting's call events."""
        return self.call("POST", "/subscriptions", subscription(link, changes), version=version)

    def play(self, ref: str, people: Mapping[str, Any], acts: list[dict[str, Any]]) -> Any:
        """Play thirty minutes of a session."""
        scene = {
            "series_ref": ref,
            "starts_at": "2027-02-27T10:00:00+00:00",
            "opens": 0,
            "closes": 30,
            "people": people,
            "acts": acts,
        }
        return self.client.post("/control/teams/scenes", json=scene)


def event(changes: Changes = None) -> dict[str, Any]:
    """A series as Graph accepts it."""
    return {
        "subject": "Course",
        "start": {"dateTime": "2027-02-27T10:00:00", "timeZone": "Europe/London"},
        "end": {"dateTime": "2027-02-27T12:00:00", "timeZone": "Europe/London"},
        "recurrence": recurrence(),
        "isOnlineMeeting": True,
        "transactionId": "t-1",
        **(changes or {}),
    }


def recurrence(pattern: Changes = None, span: Changes = None) -> dict[str, Any]:
    """Twelve weeks from the last Saturday of February."""
    return {
        "pattern": {
            "type": "weekly",
            "interval": 1,
            "daysOfWeek": ["saturday"],
            **(pattern or {}),
        },
        "range": {
            "type": "numbered",
            "startDate": "2027-02-27",
            "numberOfOccurrences": 12,
            **(span or {}),
        },
    }


def subscription(link: str, changes: Changes = None) -> dict[str, Any]:
    """A subscription to a meeting's call events as Graph accepts it; None leaves a field out."""
    asked = {
        "changeType": "updated",
        "notificationUrl": HOOK,
        "lifecycleNotificationUrl": LIFE,
        "resource": f"communications/onlineMeetings(joinWebUrl='{quote(link, safe='')}')"
        "/meetingCallEvents",
        "expirationDateTime": in_minutes(180),
        "clientState": "our secret",
        "includeResourceData": True,
        "encryptionCertificate": DER,
        "encryptionCertificateId": "c1",
        **(changes or {}),
    }
    return {name: value for name, value in asked.items() if value is not None}


def in_minutes(minutes: float) -> str:
    """An instant as a subscription names it."""
    return f"{NOW + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%S}Z"


def shake(request: Any) -> tuple[int, dict[str, str], str]:
    """Answer a handshake as Graph wants it, and anything else with 202."""
    token = request.params.get("validationToken")
    return (202, {}, "") if token is None else (200, {}, token)


def answer_everything() -> None:
    """Both of the subscriber's addresses answer well."""
    for url in (HOOK, LIFE):
        responses.add_callback(responses.POST, url, shake, content_type="text/plain")


def refusal(answer: Any) -> tuple[int, str]:
    """The code over HTTP and the code in the body."""
    return answer.status_code, answer.json["error"]["code"]
