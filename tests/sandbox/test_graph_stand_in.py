"""The Graph stand-in is as strict as Graph, and what it encrypts only the subscriber can open."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
import responses
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from jwt import PyJWKSet

from sandbox.config import SandboxConfig
from sandbox.server import create_sandbox
from tests.fakes import FakeClock
from webhooks.teams_content import make_certificate, open_content
from webhooks.teams_tokens import verify_tokens

CONFIG = SandboxConfig()
NOW = datetime.now(UTC)
HOOK, LIFE = "https://circle.example/webhooks/teams", "https://circle.example/lifecycle"
PRIVATE, CERTIFICATE = make_certificate(NOW)
DER = x509.load_pem_x509_certificate(CERTIFICATE).public_bytes(Encoding.DER)


def event(**changes: Any) -> dict[str, Any]:
    point = {"dateTime": "2027-02-27T10:00:00", "timeZone": "Europe/London"}
    return {
        "subject": "Course",
        "start": point,
        "end": point | {"dateTime": "2027-02-27T12:00:00"},
        "recurrence": {
            "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["saturday"]},
            "range": {"type": "numbered", "startDate": "2027-02-27", "numberOfOccurrences": 12},
        },
        "isOnlineMeeting": True,
        "transactionId": "t-1",
    } | changes


class Graph:
    """The stand-in with a token in hand."""

    def __init__(self, config: SandboxConfig = CONFIG) -> None:
        self.clock = FakeClock(NOW)
        self.client: Any = create_sandbox(config, clock=self.clock).test_client()
        form = {
            "grant_type": "client_credentials",
            "client_id": config.teams_client_id,
            "client_secret": config.teams_client_secret,
            "scope": "https://graph.microsoft.com/.default",
        }
        path = f"/login/{config.teams_tenant_id}/oauth2/v2.0/token"
        answer: Any = self.client.post(path, data=form)
        self.token = answer.json["access_token"]
        self.user = f"/users/{config.teams_host_id}"

    def call(self, method: str, path: str, body: Any = None, version: str = "v1.0") -> Any:
        return self.client.open(
            f"/graph/{version}{path}",
            method=method,
            json=body,
            headers={"Authorization": f"Bearer {self.token}"},
        )

    def create(self, **changes: Any) -> Any:
        return self.call("POST", f"{self.user}/events", event(**changes))


def test_a_repeated_transaction_makes_no_second_event() -> None:
    graph = Graph()
    assert graph.create().json["id"] == graph.create().json["id"]
    assert graph.create(transactionId="t-2").json["id"] != graph.create().json["id"]


def test_instances_come_in_pages_and_keep_the_wall_clock() -> None:
    graph = Graph()
    ref = graph.create().json["id"]
    path = f"{graph.user}/events/{ref}/instances"
    span = "?startDateTime=2027-01-01T00:00:00Z&endDateTime=2027-12-01T00:00:00Z"
    first = graph.call("GET", path + span).json
    assert len(first["value"]) == 10
    following = first["@odata.nextLink"].removeprefix(f"{CONFIG.base_url}/graph/v1.0")
    second = graph.call("GET", following).json["value"]
    hours = [i["start"]["dateTime"][11:13] for i in [*first["value"], *second]]
    assert hours == ["10"] * 5 + ["09"] * 7
    assert graph.call("GET", path).status_code == 400


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (
            {"start": {"dateTime": "2027-02-27T10:00:00", "timeZone": "Mars"}},
            "TimeZoneNotSupportedException",
        ),
        ({"colour": "blue"}, "RequestBodyRead"),
        (
            {"end": {"dateTime": "2027-02-27T09:00:00", "timeZone": "UTC"}},
            "ErrorPropertyValidationFailure",
        ),
    ],
)
def test_wrong_events_are_refused_in_graphs_words(change: Any, code: str) -> None:
    answer = Graph().create(**change)
    assert (answer.status_code, answer.json["error"]["code"]) == (400, code)
    assert "request-id" in answer.json["error"]["innerError"]


def test_an_instance_moved_onto_its_neighbour_is_refused() -> None:
    graph = Graph()
    ref = graph.create().json["id"]
    span = "?startDateTime=2027-01-01T00:00:00Z&endDateTime=2027-12-01T00:00:00Z"
    rows = graph.call("GET", f"{graph.user}/events/{ref}/instances{span}").json["value"]
    onto = {"dateTime": "2027-03-06T10:00:00", "timeZone": "Europe/London"}
    answer = graph.call("PATCH", f"{graph.user}/events/{rows[0]['id']}", {"start": onto})
    assert answer.json["error"]["code"] == "ErrorOccurrenceCrossingBoundary"


def test_the_meeting_needs_the_object_id_and_the_access_policy() -> None:
    graph = Graph()
    link = graph.create().json["onlineMeeting"]["joinUrl"]
    query = {"$filter": f"JoinWebUrl eq '{link}'"}
    headers = {"Authorization": f"Bearer {graph.token}"}
    path = f"/graph/v1.0{graph.user}/onlineMeetings"
    found = graph.client.get(path, query_string=query, headers=headers).json["value"]
    assert found[0]["joinWebUrl"] == link
    by_address = f"/graph/v1.0/users/{CONFIG.teams_host_email}/onlineMeetings"
    assert graph.client.get(by_address, query_string=query, headers=headers).status_code == 400
    strict = Graph(replace(CONFIG, teams_access_policy=False))
    answer = strict.call("GET", f"{strict.user}/onlineMeetings?$filter=JoinWebUrl eq 'x'")
    assert "No application access policy" in answer.json["error"]["message"]


def subscription(link: str, **changes: Any) -> dict[str, Any]:
    resource = (
        f"communications/onlineMeetings(joinWebUrl='{quote(link, safe='')}')/meetingCallEvents"
    )
    return {
        "changeType": "updated",
        "notificationUrl": HOOK,
        "lifecycleNotificationUrl": LIFE,
        "resource": resource,
        "expirationDateTime": f"{NOW.replace(microsecond=0).isoformat()[:19]}Z",
        "clientState": "s",
        "includeResourceData": True,
        "encryptionCertificate": base64.b64encode(DER).decode(),
        "encryptionCertificateId": "c1",
    } | changes


def shake(request: Any) -> tuple[int, dict[str, str], str]:
    return 200, {}, request.params["validationToken"]


@responses.activate
def test_a_subscription_shakes_hands_with_both_addresses_and_there_is_one_per_meeting() -> None:
    graph = Graph()
    link = graph.create().json["onlineMeeting"]["joinUrl"]
    for url in (HOOK, LIFE):
        responses.add_callback(responses.POST, url, shake, content_type="text/plain")
    made = graph.call("POST", "/subscriptions", subscription(link), version="beta")
    assert made.status_code == 201
    assert len(responses.calls) == 2
    again = graph.call("POST", "/subscriptions", subscription(link), version="beta")
    assert again.status_code == 409
    ref = made.json["id"]
    assert graph.call("DELETE", f"/subscriptions/{ref}", version="beta").status_code == 204
    assert graph.call("PATCH", f"/subscriptions/{ref}", {}, version="beta").status_code == 404


@responses.activate
def test_subscriptions_that_graph_would_refuse_are_refused() -> None:
    graph = Graph()
    link = graph.create().json["onlineMeeting"]["joinUrl"]
    late = "2999-01-01T00:00:00Z"
    refused = [
        graph.call("POST", "/subscriptions", subscription(link)),
        graph.call("POST", "/subscriptions", subscription(link, expirationDateTime=late), "beta"),
        graph.call("POST", "/subscriptions", subscription(link, encryptionCertificate="x"), "beta"),
        graph.call("POST", "/subscriptions", subscription(link, clientState="s" * 129), "beta"),
        graph.call("POST", "/subscriptions", subscription(link, includeResourceData=False), "beta"),
    ]
    assert {a.status_code for a in refused} == {400}
    responses.add(responses.POST, HOOK, body="<html>", content_type="text/html")
    answer = graph.call("POST", "/subscriptions", subscription(link), "beta")
    assert answer.json["error"]["code"] == "ValidationError"


@responses.activate
def test_a_scene_is_told_so_that_only_the_subscriber_can_read_it() -> None:
    graph = Graph()
    made = graph.create().json
    link = made["onlineMeeting"]["joinUrl"]
    for url in (HOOK, LIFE):
        responses.add_callback(responses.POST, url, shake, content_type="text/plain")
    graph.call("POST", "/subscriptions", subscription(link), version="beta")
    responses.reset()
    responses.add(responses.POST, HOOK, status=202)
    scene = {
        "series_ref": made["id"],
        "starts_at": "2027-02-27T10:00:00+00:00",
        "opens": 0,
        "closes": 30,
        "people": {"maya": {"name": "Maya Patel"}},
        "acts": [
            {"at": 1, "person": "maya", "deed": "join", "lost": True},
            {"at": 20, "person": "maya", "deed": "leave"},
        ],
    }
    played = graph.client.post("/control/teams/scenes", json=scene).json
    assert played == {"delivered": 3, "lost": 1, "failed": []}
    private = load_pem_private_key(PRIVATE, password=None)
    assert isinstance(private, RSAPrivateKey)
    keys = PyJWKSet.from_dict(graph.client.get("/login/common/discovery/v2.0/keys").json)
    seen = set()
    for call in responses.calls:
        body = json.loads(call.request.body or "")
        verify_tokens(
            body["validationTokens"],
            keys={str(key.key_id): key for key in keys.keys},
            audience=CONFIG.teams_client_id,
            tenant_id=CONFIG.teams_tenant_id,
            now=datetime.now(UTC),
        )
        (item,) = body["value"]
        opened = open_content(item["encryptedContent"], private_keys={"c1": private})
        seen.add(opened.get("eventType") or opened.get("EventType"))
    assert seen == {"callStarted", "rosterUpdated", "callEnded"}
