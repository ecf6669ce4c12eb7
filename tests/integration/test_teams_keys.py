"""Microsoft's signing keys: fetched when needed, kept, and not hammered for."""

from __future__ import annotations

import json
from threading import Event

import pytest
import responses
from jwt.algorithms import RSAAlgorithm

from integration.provider import ProviderError
from integration.teams_keys import SigningKeys
from tests.webhooks.test_teams import KEY, OTHER_KEY

LOGIN = "https://login.microsoftonline.com"
METADATA = f"{LOGIN}/common/v2.0/.well-known/openid-configuration"
JWKS = f"{LOGIN}/common/discovery/v2.0/keys"


def jwk(key: object, kid: str) -> dict[str, object]:
    public = key.public_key()  # type: ignore[attr-defined]
    return {**json.loads(RSAAlgorithm.to_jwk(public)), "kid": kid, "use": "sig"}


class Ticking:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@responses.activate
def test_keys_are_fetched_once_and_again_for_an_unknown_one_but_not_at_once() -> None:
    ticking = Ticking()
    keys = SigningKeys(login_url=LOGIN, tenant_id="t", jwks_url=None, monotonic=ticking)
    responses.get(METADATA, json={"jwks_uri": JWKS})
    first = responses.get(JWKS, json={"keys": [jwk(KEY, "k1")]})
    assert set(keys.current()) == {"k1"}
    assert set(keys.current(unknown="k2")) == {"k1"}
    assert first.call_count == 1  # an attacker's invented key does not make us ask again at once
    responses.replace(responses.GET, JWKS, json={"keys": [jwk(KEY, "k1"), jwk(OTHER_KEY, "k2")]})
    ticking.now += 61
    assert set(keys.current(unknown="k2")) == {"k1", "k2"}


@responses.activate
def test_whoever_cannot_wait_gets_the_keys_that_are_at_hand_and_the_others_are_fetched_beside() -> (
    None
):
    ticking, server, known = Ticking(), Event(), [jwk(KEY, "k1")]

    def answer(_request: object) -> tuple[int, dict[str, str], str]:
        assert server.wait(20)
        return 200, {}, json.dumps({"keys": known})

    responses.add_callback(responses.GET, JWKS, answer)
    keys = SigningKeys(login_url=LOGIN, tenant_id="t", jwks_url=JWKS, monotonic=ticking)
    keys.fetch_beside()
    for _ in range(3):
        with pytest.raises(ProviderError):
            keys.at_hand()
    server.set()
    assert set(keys.current()) == {"k1"}  # this one waits for what is fetched
    assert set(keys.at_hand()) == {"k1"}
    assert len(responses.calls) == 1

    server.clear()
    known.append(jwk(OTHER_KEY, "k2"))
    assert set(keys.at_hand(unknown="k2")) == {"k1"}  # asked just now: it is unknown
    ticking.now += 61
    with pytest.raises(ProviderError):
        keys.at_hand(unknown="k2")  # it may be a new one
    assert set(keys.at_hand()) == {"k1"}  # the known ones are good meanwhile
    server.set()
    assert set(keys.current(unknown="k2")) == {"k1", "k2"}
    assert len(responses.calls) == 2


@responses.activate
def test_when_keys_come_for_whoever_could_not_wait_what_waits_is_read_at_once() -> None:
    told = Event()
    keys = SigningKeys(login_url=LOGIN, tenant_id="t", jwks_url=JWKS, arrived=told.set)
    responses.get(JWKS, json={"keys": [jwk(KEY, "k1")]})
    with pytest.raises(ProviderError):
        keys.at_hand()
    assert told.wait(5)
    assert set(keys.at_hand()) == {"k1"}


@responses.activate
def test_unreachable_keys_are_passing_trouble_and_known_ones_stay_good() -> None:
    ticking = Ticking()
    keys = SigningKeys(login_url=LOGIN, tenant_id="t", jwks_url=JWKS, monotonic=ticking)
    responses.get(JWKS, status=503)
    with pytest.raises(ProviderError) as error:
        keys.current()
    assert not error.value.permanent
    ticking.now += 61
    responses.replace(responses.GET, JWKS, json={"keys": [jwk(KEY, "k1")]})
    assert set(keys.current()) == {"k1"}
    ticking.now += 61
    responses.replace(responses.GET, JWKS, status=503)
    assert set(keys.current(unknown="k9")) == {"k1"}


@responses.activate
def test_keys_at_an_unsafe_address_are_not_fetched() -> None:
    responses.get(METADATA, json={"jwks_uri": "http://evil.example/keys"})
    with pytest.raises(ProviderError, match="TEAMS_JWKS_URL"):
        SigningKeys(login_url=LOGIN, tenant_id="t", jwks_url=None).current()
