"""Microsoft's signing keys: fetched when needed, kept, and not hammered for."""

from __future__ import annotations

import json

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
