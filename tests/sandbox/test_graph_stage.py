"""A scene played on Teams: what the roster tells, who can read it, and what becomes of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
import responses
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt import PyJWKSet

from sandbox.delivery import TRIES
from tests.sandbox.graph_client import (
    CERTIFICATE,
    CONFIG,
    HOOK,
    PRIVATE,
    RECORDS,
    GraphClient,
    answer_everything,
    refusal,
)
from webhooks.teams_content import open_content

MAYA = {"maya": {"name": "Maya Patel"}}


class Told(GraphClient):
    """A subscriber that keeps what it was told, oldest first."""

    def __init__(self) -> None:
        super().__init__()
        made = self.create().json
        self.ref: str = made["id"]
        answer_everything()
        self.subscribe(made["onlineMeeting"]["joinUrl"])
        responses.calls.reset()

    def bodies(self) -> list[dict[str, Any]]:
        """The notifications as they came."""
        return [json.loads(call.request.body or "") for call in responses.calls]

    def resources(self) -> list[dict[str, Any]]:
        """What was inside them, in one casing."""
        private = load_pem_private_key(PRIVATE, password=None)
        assert isinstance(private, RSAPrivateKey)
        opened = [
            _camel(open_content(body["value"][0]["encryptedContent"], private_keys={"c1": private}))
            for body in self.bodies()
        ]
        return sorted(opened, key=lambda r: str(r["eventDateTime"]))

    def roster(self) -> list[dict[str, Any]]:
        """Every participant named, with when."""
        return [
            {"at": r["eventDateTime"][14:16], **r["participants@delta"][0]}
            for r in self.resources()
            if r["eventType"] == "rosterUpdated"
        ]


def _camel(value: Any) -> Any:
    if isinstance(value, dict):
        return {k[:1].lower() + k[1:]: _camel(v) for k, v in value.items()}
    return [_camel(v) for v in value] if isinstance(value, list) else value


def act(at: float, deed: str, **more: Any) -> dict[str, Any]:
    return {"at": at, "person": "maya", "deed": deed, **more}


@responses.activate
def test_a_notification_names_its_subscription_and_is_sealed_to_its_certificate() -> None:
    graph = Told()
    assert graph.play(graph.ref, MAYA, [act(1, "join")]).json == {
        "delivered": 4,
        "lost": 0,
        "failed": [],
    }
    (known,) = graph.call("GET", "/subscriptions", version="beta").json["value"]
    thumbprint = x509.load_pem_x509_certificate(CERTIFICATE).fingerprint(SHA1()).hex().upper()
    for body in graph.bodies():
        (item,) = body["value"]
        assert item["subscriptionId"] == known["id"]
        assert item["clientState"] == "our secret"
        assert item["tenantId"] == item["organizationId"] == CONFIG.teams_tenant_id
        assert item["resource"] == known["resource"]
        assert item["encryptedContent"]["encryptionCertificateThumbprint"] == thumbprint
        assert "Maya" not in json.dumps(body)


@responses.activate
def test_the_token_beside_it_verifies_against_the_published_keys() -> None:
    graph = Told()
    graph.play(graph.ref, {}, [])
    keys = PyJWKSet.from_dict(graph.client.get("/login/common/discovery/v2.0/keys").json)
    for body in graph.bodies():
        (token,) = body["validationTokens"]
        key = keys[jwt.get_unverified_header(token)["kid"]]
        claims = jwt.decode(token, key, algorithms=["RS256"], audience=CONFIG.teams_client_id)
        assert claims["iss"] == f"https://sts.windows.net/{CONFIG.teams_tenant_id}/"
        assert claims["appid"] == "0bf30f3b-4a52-48df-9a82-234910c4a086"
        # The scene is in February; the token is of now.
        assert abs(claims["nbf"] - datetime.now(UTC).timestamp()) < 60


@responses.activate
def test_the_lobby_a_join_a_rename_and_a_leave_are_told_at_the_scenes_own_times() -> None:
    graph = Told()
    acts = [act(1, "wait"), act(2, "join"), act(3, "rename", name="iPad"), act(20, "leave")]
    graph.play(graph.ref, MAYA, acts)
    told = graph.resources()
    assert (told[0]["eventType"], told[-1]["eventType"]) == ("callStarted", "callEnded")
    roster = graph.roster()
    assert [(r["at"], r["isInLobby"], "removedState" in r) for r in roster] == [
        ("01", True, False),
        ("02", False, False),
        ("03", False, False),
        ("20", False, True),
    ]
    assert len({r["id"] for r in roster}) == 1
    names = [r["info"]["identity"]["guest"]["displayName"] for r in roster]
    assert names == ["Maya Patel", "Maya Patel", "iPad", "iPad"]


@responses.activate
def test_a_guest_is_somebody_new_at_every_join_and_the_host_is_always_the_organiser() -> None:
    graph = Told()
    people = {**MAYA, "host": {"name": "Dr Alma Lee", "host": True}}
    graph.play(graph.ref, people, [act(1, "join"), act(5, "leave"), act(6, "join")])
    host, first, left, second, *_ = graph.roster()
    assert host["info"]["identity"]["user"] == {
        "id": CONFIG.teams_host_id,
        "displayName": "Dr Alma Lee",
        "tenantId": CONFIG.teams_tenant_id,
    }
    assert first["info"]["identity"]["user"] is None
    assert first["id"] == left["id"] != second["id"]


@responses.activate
def test_the_same_scene_on_a_fresh_tenant_has_the_same_ids_and_a_repeated_one_new_ones() -> None:
    acts = [act(1, "join")]
    graph = Told()
    graph.play(graph.ref, MAYA, acts)
    first = graph.roster()[0]["id"]
    graph.play(graph.ref, MAYA, acts)
    assert {r["id"] for r in graph.roster()} > {first}
    fresh = Told()
    fresh.play(fresh.ref, MAYA, acts)
    assert fresh.roster()[0]["id"] == first


@responses.activate
def test_whoever_is_still_there_at_the_end_is_put_out_the_lobby_too() -> None:
    graph = Told()
    people = {**MAYA, "tom": {"name": "Tom Becker"}, "aisha": {"name": "Aisha Rahman"}}
    acts = [
        act(1, "join"),
        act(2, "wait", person="tom"),
        act(3, "wait", person="aisha"),
        act(4, "leave", person="aisha"),
    ]
    graph.play(graph.ref, people, acts)
    gone = [(r["at"], r["isInLobby"]) for r in graph.roster() if "removedState" in r]
    assert sorted(gone) == [("04", True), ("30", False), ("30", True)]


@responses.activate
def test_a_second_join_of_the_same_device_ends_its_lost_connection() -> None:
    graph = Told()
    graph.play(graph.ref, MAYA, [act(1, "join"), act(5, "join"), act(9, "leave")])
    first, cut, second, left = sorted(graph.roster(), key=lambda r: (r["at"], "info" not in r))
    if "removedState" not in cut:  # both were told of the same instant, in either order
        cut, second = second, cut
    assert cut["removedState"]["reason"].endswith("inactive state in the roster.")
    assert (first["id"], second["id"]) == (cut["id"], left["id"])


@responses.activate
def test_a_lost_act_is_not_told_but_stands_in_the_report() -> None:
    graph = Told()
    acts = [act(1, "join", lost=True), act(20, "leave", lost=True)]
    assert graph.play(graph.ref, MAYA, acts).json == {"delivered": 2, "lost": 2, "failed": []}
    assert graph.roster() == []
    (series,) = graph.client.get("/control/state").json["teams"]["series"]
    assert series["reports"] == 1


@responses.activate
def test_some_payloads_are_in_the_casing_that_real_tenants_have_sent() -> None:
    graph = Told()
    graph.play(graph.ref, MAYA, [act(1, "join"), act(2, "leave")])
    private = load_pem_private_key(PRIVATE, password=None)
    assert isinstance(private, RSAPrivateKey)
    casings = {
        "EventType" in open_content(b["value"][0]["encryptedContent"], private_keys={"c1": private})
        for b in graph.bodies()
    }
    assert casings == {True, False}


@pytest.mark.parametrize(("code", "tries"), [(404, 1), (503, TRIES)])
@responses.activate
def test_only_a_refusal_for_now_is_tried_again(code: int, tries: int) -> None:
    graph = Told()
    responses.reset()
    responses.add(responses.POST, HOOK, status=code)
    played = graph.play(graph.ref, {}, []).json
    assert played["delivered"] == 0
    assert sorted(played["failed"]) == [f"callEnded: {code}", f"callStarted: {code}"]
    assert len(responses.calls) == 2 * tries


@responses.activate
def test_a_call_record_is_told_by_its_id_alone() -> None:
    graph = Told()
    graph.subscribe("", RECORDS, version="v1.0")
    responses.calls.reset()
    assert graph.play(graph.ref, MAYA, [act(1, "join")]).json["delivered"] == 5
    (item,) = [b["value"][0] for b in graph.bodies() if "resourceData" in b["value"][0]]
    assert item["changeType"] == "created"
    assert item["resourceData"]["@odata.type"] == "#Microsoft.Graph.callRecord"
    assert set(item["resourceData"]) == {"@odata.type", "@odata.id", "id"}
    found = graph.call("GET", f"/{item['resource']}")
    assert found.json["id"] == item["resourceData"]["id"]


@responses.activate
def test_nothing_is_told_of_a_meeting_to_the_subscriber_of_another() -> None:
    graph = Told()
    other = graph.create({"transactionId": "t-2"}).json["id"]
    assert graph.play(other, MAYA, [act(1, "join")]).json["delivered"] == 0


def test_a_scene_that_cannot_be_is_refused() -> None:
    graph = GraphClient()
    made = graph.create().json
    assert refusal(graph.play("unknown", {}, [])) == (404, "ErrorItemNotFound")
    instance = graph.instances(made["id"])[0]["id"]
    assert graph.play(instance, {}, []).status_code == 400
    assert graph.play(made["id"], MAYA, [act(1, "leave")]).status_code == 400
    silent = graph.create({"isOnlineMeeting": False, "transactionId": "t-2"}).json["id"]
    assert graph.play(silent, {}, []).status_code == 400
