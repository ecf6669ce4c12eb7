"""The Graph stand-in's subscriptions: handshake first, one for each meeting, not for ever."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from tests.sandbox.graph_client import (
    CONFIG,
    HOOK,
    LIFE,
    NOW,
    RECORDS,
    Changes,
    GraphClient,
    answer_everything,
    in_minutes,
    refusal,
    shake,
)


class Subscriber(GraphClient):
    """The stand-in with a meeting to subscribe to."""

    def __init__(self, config: Any = CONFIG) -> None:
        super().__init__(config)
        self.link: str = self.create().json["onlineMeeting"]["joinUrl"]

    def ask(self, changes: Changes = None, *, version: str = "beta") -> Any:
        """Ask for a subscription to that meeting."""
        return self.subscribe(self.link, changes, version=version)


def certificate(key: Any) -> str:
    """A self-signed certificate of that key, as a subscription sends it."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key, SHA256())
    )
    return base64.b64encode(made.public_bytes(Encoding.DER)).decode()


@responses.activate
def test_both_addresses_are_asked_before_the_answer_and_get_a_token_to_return() -> None:
    graph = Subscriber()
    answer_everything()
    made = graph.ask()
    assert made.status_code == 201
    asked = [urlsplit(str(call.request.url)) for call in responses.calls]
    assert [f"{u.scheme}://{u.netloc}{u.path}" for u in asked] == [HOOK, LIFE]
    tokens = [parse_qs(u.query)["validationToken"][0] for u in asked]
    assert len(set(tokens)) == 2
    assert all(" " in token for token in tokens)  # it must be decoded before it is returned
    assert made.json["clientState"] == "our secret"
    assert made.json["applicationId"] == CONFIG.teams_client_id
    assert "encryptionCertificate" not in made.json


@pytest.mark.parametrize("failing", [HOOK, LIFE])
@pytest.mark.parametrize(
    "bad",
    [
        {"body": "another token", "content_type": "text/plain"},
        {"body": "", "status": 202, "content_type": "text/plain"},
        {"body": "", "status": 500, "content_type": "text/plain"},
        {"body": requests.exceptions.ReadTimeout()},
    ],
)
@responses.activate
def test_a_handshake_that_fails_at_either_address_makes_no_subscription(
    failing: str, bad: dict[str, Any]
) -> None:
    graph = Subscriber()
    good = LIFE if failing == HOOK else HOOK
    responses.add_callback(responses.POST, good, shake, content_type="text/plain")
    responses.add(responses.POST, failing, **bad)
    assert refusal(graph.ask()) == (400, "ValidationError")
    assert graph.call("GET", "/subscriptions", version="beta").json["value"] == []


@responses.activate
def test_a_handshake_answered_as_a_page_is_refused() -> None:
    graph = Subscriber()
    for url in (HOOK, LIFE):
        responses.add_callback(responses.POST, url, shake, content_type="text/html")
    assert refusal(graph.ask()) == (400, "ValidationError")


@pytest.mark.parametrize(
    "changes",
    [
        {"lifecycleNotificationUrl": None},
        {"expirationDateTime": in_minutes(4321)},
        {"expirationDateTime": "soon"},
        {"expirationDateTime": None},
        {"notificationUrl": None},
        {"changeType": "created"},
        {"clientState": "s" * 129},
        {"includeResourceData": False},
        {"encryptionCertificate": "not base64!"},
        {"encryptionCertificate": base64.b64encode(b"-----BEGIN CERTIFICATE-----").decode()},
        {"encryptionCertificate": certificate(ec.generate_private_key(ec.SECP256R1()))},
        {"encryptionCertificateId": None},
        {"encryptionCertificateId": "c" * 129},
        {"resource": "communications/onlineMeetings(joinWebUrl='https://x')/meetingCallEvents"},
        {"resource": "users/someone/events"},
        {"colour": "blue"},
    ],
)
def test_what_graph_would_refuse_is_refused_before_anybody_is_called(changes: Any) -> None:
    # No address is mocked: a handshake would fail as "ValidationError".
    status, code = refusal(Subscriber().ask(changes))
    assert (status, code != "ValidationError") == (400, True)


def test_a_key_of_1024_bits_is_too_short() -> None:
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    answer = Subscriber().ask({"encryptionCertificate": certificate(small)})
    assert answer.status_code == 400


def test_call_events_are_a_beta_resource() -> None:
    assert refusal(Subscriber().ask(version="v1.0")) == (400, "BadRequest")


@responses.activate
def test_within_an_hour_no_lifecycle_address_is_needed() -> None:
    graph = Subscriber()
    answer_everything()
    short = {"lifecycleNotificationUrl": None, "expirationDateTime": in_minutes(60)}
    made = graph.ask(short)
    assert made.status_code == 201
    ref = made.json["id"]
    later = {"expirationDateTime": in_minutes(90)}
    assert graph.call("PATCH", f"/subscriptions/{ref}", later, version="beta").status_code == 400
    answer = graph.client.post(f"/control/teams/subscriptions/{ref}/missed")
    assert answer.status_code == 400


@responses.activate
def test_there_is_one_subscription_for_each_meeting() -> None:
    graph = Subscriber()
    answer_everything()
    graph.ask()
    asked = len(responses.calls)
    assert refusal(graph.ask()) == (409, "Conflict")
    assert len(responses.calls) == asked  # refused before the handshake
    other = graph.create({"transactionId": "t-2"}).json["onlineMeeting"]["joinUrl"]
    assert graph.subscribe(other).status_code == 201


@responses.activate
def test_a_short_life_is_raised_and_a_prolonged_one_ends_by_the_clock() -> None:
    graph = Subscriber()
    answer_everything()
    made = graph.ask({"expirationDateTime": in_minutes(1)}).json
    assert made["expirationDateTime"] == "2027-01-04T09:45:00.0000000Z"
    path = f"/subscriptions/{made['id']}"
    renewed = graph.call("PATCH", path, {"expirationDateTime": in_minutes(180)}, version="beta")
    assert renewed.json["expirationDateTime"] == "2027-01-04T12:00:00.0000000Z"
    assert graph.call("POST", f"{path}/reauthorize", version="beta").status_code == 204
    graph.clock.move(timedelta(minutes=50))
    assert graph.call("GET", path, version="beta").status_code == 200
    graph.clock.move(timedelta(minutes=130))
    graph.headers["Authorization"] = f"Bearer {graph.sign_in().json['access_token']}"
    body = {"expirationDateTime": in_minutes(400)}
    for method in ("GET", "PATCH", "DELETE"):
        answer = graph.call(method, path, body, version="beta")
        assert refusal(answer) == (404, "ResourceNotFound")
    assert graph.ask({"expirationDateTime": in_minutes(400)}).status_code == 201


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"lifecycleNotificationUrl": "https://circle.example/other"},
        {"clientState": "another"},
        {"encryptionCertificateId": "c2"},
        {"expirationDateTime": in_minutes(4321)},
    ],
)
@responses.activate
def test_what_cannot_be_changed_is_refused(changes: dict[str, Any]) -> None:
    graph = Subscriber()
    answer_everything()
    path = f"/subscriptions/{graph.ask().json['id']}"
    before = graph.call("GET", path, version="beta").json
    assert graph.call("PATCH", path, changes, version="beta").status_code == 400
    assert graph.call("GET", path, version="beta").json == before


@responses.activate
def test_another_address_is_asked_before_it_is_used() -> None:
    graph = Subscriber()
    answer_everything()
    path = f"/subscriptions/{graph.ask().json['id']}"
    new = "https://circle.example/new"
    answer = graph.call("PATCH", path, {"notificationUrl": new}, version="beta")
    assert refusal(answer) == (400, "ValidationError")
    responses.add_callback(responses.POST, new, shake, content_type="text/plain")
    changed = graph.call("PATCH", path, {"notificationUrl": new}, version="beta").json
    assert changed["notificationUrl"] == new


@responses.activate
def test_call_records_take_a_permission_of_their_own_and_no_certificate() -> None:
    answer_everything()
    granted = tuple(r for r in CONFIG.teams_roles if r != "CallRecords.Read.All")
    strict = Subscriber(replace(CONFIG, teams_roles=granted))
    assert refusal(strict.ask(RECORDS)) == (403, "Forbidden")
    graph = Subscriber()
    assert graph.ask(RECORDS, version="v1.0").status_code == 201
    assert graph.ask({**RECORDS, "includeResourceData": True}).status_code == 400
    too_long = {**RECORDS, "expirationDateTime": in_minutes(4231)}
    assert refusal(graph.ask(too_long)) == (400, "ExtensionError")


@responses.activate
def test_lifecycle_notices_go_to_their_own_address_and_a_removed_one_is_gone() -> None:
    graph = Subscriber()
    answer_everything()
    made = graph.ask().json
    control = f"/control/teams/subscriptions/{made['id']}"
    assert graph.client.post(f"{control}/colour").status_code == 400
    for kind in ("reauthorizationRequired", "missed", "subscriptionRemoved"):
        assert graph.client.post(f"{control}/{kind}").json == {"answered": 202}
        last = responses.calls[-1].request
        assert last.url == LIFE
        assert json.loads(last.body or "") == {
            "value": [
                {
                    "subscriptionId": made["id"],
                    "subscriptionExpirationDateTime": made["expirationDateTime"],
                    "clientState": "our secret",
                    "tenantId": CONFIG.teams_tenant_id,
                    "lifecycleEvent": kind,
                }
            ]
        }
    assert graph.call("GET", f"/subscriptions/{made['id']}", version="beta").status_code == 404
