"""Graph's notifications: believed with a good token, opened when whole, read in any casing."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from course.model import EventKind, Level, Role
from sandbox.graph_encryption import encrypt
from webhooks import teams
from webhooks.rejected import Malformed, Rejected
from webhooks.teams_content import UnknownCertificate, make_certificate, open_content
from webhooks.teams_tokens import PUBLISHER, UnknownKey, verify_tokens

NOW = datetime(2027, 1, 16, 10, 5, tzinfo=UTC)
TENANT, CLIENT = "5f1b0c9e-0000-4000-8000-00000000aaaa", "5f1b0c9e-0000-4000-8000-00000000bbbb"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
STAMP = int(NOW.timestamp())
CLAIMS: dict[str, Any] = {
    "aud": CLIENT,
    "iss": f"https://sts.windows.net/{TENANT}/",
    "nbf": STAMP - 60,
    "exp": STAMP + 3600,
    "appid": PUBLISHER,
}
V2: dict[str, Any] = {
    "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
    "appid": None,
    "azp": PUBLISHER,
}


def token(
    key: Any = KEY, algorithm: str = "RS256", headers: dict[str, Any] | None = None, **changes: Any
) -> str:
    claims = {k: v for k, v in (CLAIMS | changes).items() if v is not None}
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": "k1"} | (headers or {}))


def believe(*tokens: str) -> None:
    verify_tokens(
        list(tokens), keys={"k1": KEY.public_key()}, audience=CLIENT, tenant_id=TENANT, now=NOW
    )


def test_good_tokens_of_both_versions_are_believed() -> None:
    believe(token())
    believe(token(**V2))
    believe(token(), token(**V2))


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(lambda: token(key=OTHER_KEY), id="another key"),
        pytest.param(lambda: token(aud="another-app"), id="another audience"),
        pytest.param(lambda: token(aud=[CLIENT, "another"]), id="several audiences"),
        pytest.param(lambda: token(aud=None), id="no audience"),
        pytest.param(lambda: token(iss="https://sts.windows.net/another/"), id="another tenant"),
        pytest.param(lambda: token(iss="https://evil.example/"), id="another issuer"),
        pytest.param(lambda: token(iss=None), id="no issuer"),
        pytest.param(lambda: token(appid="another"), id="another sender"),
        pytest.param(lambda: token(appid=None), id="no sender"),
        pytest.param(lambda: token(appid=None, azp=PUBLISHER), id="sender of the other version"),
        pytest.param(lambda: token(exp=STAMP - 3600), id="expired"),
        pytest.param(lambda: token(exp=None), id="never expires"),
        pytest.param(lambda: token(nbf=STAMP + 3600), id="not valid yet"),
        pytest.param(lambda: token(nbf=None), id="no beginning"),
        pytest.param(lambda: token(exp="later"), id="expiry of a wrong type"),
        pytest.param(lambda: token(key="k" * 64, algorithm="HS256"), id="signed with a password"),
        pytest.param(lambda: token(key=None, algorithm="none"), id="not signed"),
        pytest.param(lambda: token(headers={"jku": "https://evil.example"}), id="names a key set"),
        pytest.param(lambda: token(headers={"jwk": {"kty": "RSA"}}), id="brings a key"),
        pytest.param(lambda: token()[:-4] + "AAAA", id="changed signature"),
        pytest.param(lambda: "not a token", id="no token at all"),
        pytest.param(lambda: "a" * 9000, id="far too long"),
    ],
)
def test_bad_tokens_are_refused_in_one_way(bad: Any) -> None:
    made = bad()
    with pytest.raises(Rejected) as refused:
        believe(made)
    assert refused.value.reason == "bad_token"
    with pytest.raises(Rejected):
        believe(token(), made)


def test_no_token_is_refused_and_an_unknown_key_is_asked_for() -> None:
    with pytest.raises(Rejected):
        believe()
    with pytest.raises(UnknownKey) as unknown:
        believe(token(headers={"kid": "k2"}))
    assert unknown.value.kid == "k2"


PRIVATE_PEM, CERTIFICATE_PEM = make_certificate(NOW)
PRIVATE = load_pem_private_key(PRIVATE_PEM, password=None)
PUBLIC = x509.load_pem_x509_certificate(CERTIFICATE_PEM).public_key()


def sealed(resource: dict[str, Any] | None = None) -> dict[str, str]:
    assert isinstance(PUBLIC, rsa.RSAPublicKey)
    return encrypt(resource or {"eventType": "callStarted"}, PUBLIC, "c1")


def unseal(content: dict[str, Any]) -> dict[str, Any]:
    assert isinstance(PRIVATE, rsa.RSAPrivateKey)
    return open_content(content, private_keys={"c1": PRIVATE})


def test_whole_content_is_opened() -> None:
    assert unseal(sealed({"eventType": "callEnded"})) == {"eventType": "callEnded"}


@pytest.mark.parametrize("name", ["data", "dataSignature", "dataKey"])
@pytest.mark.parametrize("how", ["flipped", "garbage", "missing", "not base64"])
def test_every_fault_of_the_content_looks_the_same(name: str, how: str) -> None:
    content: dict[str, Any] = dict(sealed())
    raw = bytearray(base64.b64decode(content[name]))
    raw[0] ^= 1
    content[name] = {
        "flipped": base64.b64encode(bytes(raw)).decode(),
        "garbage": base64.b64encode(b"garbage").decode(),
        "missing": None,
        "not base64": "***",
    }[how]
    with pytest.raises(Rejected) as refused:
        unseal(content)
    assert refused.value.reason == "bad_content"


def test_an_unknown_certificate_is_told_apart_so_that_the_item_can_wait() -> None:
    with pytest.raises(UnknownCertificate):
        unseal(sealed() | {"encryptionCertificateId": "c2"})


def test_the_validation_token_comes_back_and_odd_ones_are_refused() -> None:
    assert teams.handshake({}) is None
    assert teams.handshake({"validationToken": "Validation: a <b>"}) == "Validation: a <b>"
    for odd in ("", "a" * 5000, "a\r\nSet-Cookie: x", "a\0"):
        with pytest.raises(Malformed):
            teams.handshake({"validationToken": odd})


def roster(*participants: dict[str, Any], key: str = "participants@delta") -> dict[str, Any]:
    return {
        "eventType": "rosterUpdated",
        "eventDateTime": "2027-01-16T10:00:01.1234567Z",
        key: list(participants),
    }


def guest(name: str = "Maya Patel", **more: Any) -> dict[str, Any]:
    identity = {"user": None, "guest": {"id": "g-1", "displayName": name}}
    return {"id": "p-1", "info": {"identity": identity}, "isInLobby": False} | more


def parse(resource: dict[str, Any]) -> list[Any]:
    return list(
        teams.parse(resource, series_ref="series", received_at=NOW, organiser_ref="host-oid")
    )


def pascal(value: Any) -> Any:
    if isinstance(value, dict):
        return {k if "@" in k else k[0].upper() + k[1:]: pascal(v) for k, v in value.items()}
    return [pascal(v) for v in value] if isinstance(value, list) else value


def test_joined_left_and_lobby_in_both_casings() -> None:
    told = [
        (guest(), EventKind.JOINED),
        (guest(removedState={"reason": "Participant has left the meeting call."}), EventKind.LEFT),
        (guest(removedState={"reason": "an inactive state in the roster."}), EventKind.LEFT),
        (guest(isInLobby=True), EventKind.WAITING),
    ]
    for participant, kind in told:
        (event,) = parse(roster(participant))
        (same,) = parse(pascal(roster(participant)))
        assert event.kind is kind
        assert event == same
        assert event.participant.display_name == "Maya Patel"
        assert event.occurred_at.microsecond == 123456


def test_the_form_of_2022_is_still_read() -> None:
    (event,) = parse(roster(guest(), key="activeParticipants@exited"))
    assert event.kind is EventKind.LEFT


@pytest.mark.parametrize(
    ("identity", "lasting", "role"),
    [
        ({"user": {"id": "u", "displayName": "N", "tenantId": "t"}}, True, Role.ATTENDEE),
        ({"user": {"id": "host-oid", "displayName": "N", "tenantId": "t"}}, True, Role.ORGANISER),
        ({"user": {"id": "teamsvisitor:9", "displayName": "N"}}, False, Role.ATTENDEE),
        ({"azureCommunicationServicesUser": {"id": "8:acs:1"}}, False, Role.ATTENDEE),
        ({"phone": {"id": "+44", "displayName": "N"}}, False, Role.ATTENDEE),
        ({"application": {"id": "bot", "displayName": "Bot"}}, False, Role.BOT),
        ({"user": None}, False, Role.ATTENDEE),
    ],
)
def test_every_kind_of_identity(identity: dict[str, Any], lasting: bool, role: Role) -> None:
    (event,) = parse(roster(guest(info={"identity": identity})))
    assert (event.participant.stable_account, event.participant.role) == (lasting, role)


def test_mute_and_camera_are_used_when_the_roster_has_them() -> None:
    video = {"mediaType": "video", "direction": "sendOnly"}
    events = parse(roster(guest(isMuted=True, mediaStreams=[video])))
    assert [(e.kind, e.level) for e in events[1:]] == [
        (EventKind.MICROPHONE, Level.OFF),
        (EventKind.CAMERA, Level.ON),
    ]


def test_call_started_and_ended_and_unknown_events() -> None:
    started = {"callEventType": "callStarted", "eventDateTime": "2027-01-16T10:00:00Z"}
    assert parse(started)[0].kind is EventKind.INSTANCE_STARTED
    assert parse({"eventType": "callEnded"})[0].occurred_at == NOW
    assert parse({"eventType": "transcriptionStateUpdated"}) == []


def test_a_batch_keeps_its_good_items() -> None:
    batch = teams.split(
        json.dumps({"value": [{"a": 1}, 7, None], "validationTokens": ["t"]}).encode()
    )
    assert (len(batch.items), batch.malformed, batch.tokens) == (1, 2, ("t",))
    for bad in (b"", b"[]", b'{"value": 7}', b'{"value": [], "validationTokens": 1}'):
        with pytest.raises(Malformed):
            teams.split(bad)


def test_a_certificate_lasts_and_is_what_graph_accepts() -> None:
    certificate = x509.load_pem_x509_certificate(CERTIFICATE_PEM)
    assert certificate.not_valid_after_utc > NOW + timedelta(days=3000)
    assert isinstance(PUBLIC, rsa.RSAPublicKey)
    assert PUBLIC.key_size == 2048
