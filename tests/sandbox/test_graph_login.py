"""The login service's stand-in gives tokens to the one application, and only for so long."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from jwt import PyJWKSet

from integration.provider import ProviderError
from integration.teams import TeamsProvider
from sandbox.login import ASSERTION
from sandbox.login_people import MICROSOFT
from tests.sandbox.graph_client import (
    CERTIFICATE,
    CONFIG,
    NOW,
    PRIVATE,
    GraphClient,
    refusal,
)
from tests.stand_ins import stand_ins
from webhooks.teams_content import make_certificate

WITH_CERTIFICATE = replace(CONFIG, teams_client_certificate=CERTIFICATE.decode())


def assertion(**changes: Any) -> dict[str, Any]:
    """What an application with a certificate sends in place of a secret."""
    now = int(time.time())
    claims = {
        "aud": f"{MICROSOFT}/{CONFIG.teams_tenant_id}/oauth2/v2.0/token",
        "iss": CONFIG.teams_client_id,
        "sub": CONFIG.teams_client_id,
        "nbf": now,
        "exp": now + 600,
    } | changes
    return {
        "client_secret": None,
        "client_assertion_type": ASSERTION,
        "client_assertion": jwt.encode(claims, PRIVATE, algorithm="PS256"),
    }


@pytest.mark.parametrize("tenant", [CONFIG.teams_tenant_id, "common"])
def test_the_metadata_names_the_keys_that_verify_what_the_service_signs(tenant: str) -> None:
    client = GraphClient().client
    found = client.get(f"/login/{tenant}/v2.0/.well-known/openid-configuration").json
    assert found["issuer"] == f"{MICROSOFT}/{tenant}/v2.0"
    path = found["jwks_uri"].replace(MICROSOFT, "/login")
    (key,) = PyJWKSet.from_dict(client.get(path).json).keys
    assert (key.key_type, key.public_key_use) == ("RSA", "sig")


@pytest.mark.parametrize(
    ("changes", "code", "error", "number"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"client_secret": "naïve"}, 401, "invalid_client", 7000215),
        ({"client_secret": None}, 401, "invalid_client", 7000216),
        ({"client_id": "other"}, 400, "unauthorized_client", 700016),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"scope": "User.Read"}, 400, "invalid_scope", 1002012),
    ],
)
def test_a_wrong_request_for_a_token_is_refused_with_microsofts_number(
    changes: dict[str, Any], code: int, error: str, number: int
) -> None:
    answer = GraphClient().sign_in(changes)
    assert (answer.status_code, answer.json["error"]) == (code, error)
    assert answer.json["error_codes"] == [number]
    assert answer.json["error_description"].startswith(f"AADSTS{number}: ")


def test_another_tenant_is_not_known() -> None:
    assert GraphClient().sign_in(tenant="other").json["error_codes"] == [90002]


def test_a_certificates_key_is_as_good_as_the_secret() -> None:
    answer = GraphClient(WITH_CERTIFICATE).sign_in(assertion())
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "changes", [{"aud": "https://example.org"}, {"exp": 1}, {"iss": "other"}, {"sub": "other"}]
)
def test_an_assertion_that_says_something_else_is_refused(changes: dict[str, Any]) -> None:
    answer = GraphClient(WITH_CERTIFICATE).sign_in(assertion(**changes))
    assert (answer.status_code, answer.json["error_codes"]) == (401, [700027])


def test_an_assertion_of_another_key_or_of_no_registered_one_is_refused() -> None:
    _, other = make_certificate(NOW)
    for config in (CONFIG, replace(CONFIG, teams_client_certificate=other.decode())):
        assert GraphClient(config).sign_in(assertion()).json["error_codes"] == [700027]


def test_the_product_signs_in_with_its_certificate(tmp_path: Path) -> None:
    pem = tmp_path / "circle.pem"
    pem.write_bytes(PRIVATE + CERTIFICATE)
    strange = tmp_path / "strange.pem"
    strange.write_bytes(b"".join(make_certificate(NOW)))
    with stand_ins(WITH_CERTIFICATE) as running:

        def provider(certificate: Path) -> TeamsProvider:
            return TeamsProvider(
                tenant_id=running.config.teams_tenant_id,
                client_id=running.config.teams_client_id,
                client_secret=None,
                client_certificate=certificate,
                graph_url=f"{running.config.base_url}/graph",
                login_url=f"{running.config.base_url}/login",
                engagements_version="beta",
                clock=running.clock,
            )

        provider(pem).check_access()
        with pytest.raises(ProviderError, match="AADSTS700027"):
            provider(strange).check_access()


def test_a_token_ends_after_an_hour_and_a_made_up_one_never_held() -> None:
    graph = GraphClient()
    path = f"{graph.user}/events"
    assert graph.call("GET", path).status_code == 200
    graph.clock.move(timedelta(hours=1))
    assert refusal(graph.call("GET", path)) == (401, "InvalidAuthenticationToken")
    graph.headers["Authorization"] = "Bearer made-up"
    assert refusal(graph.call("GET", path)) == (401, "InvalidAuthenticationToken")


@pytest.mark.parametrize(
    ("role", "path"),
    [
        ("Calendars.ReadWrite", "{user}/events"),
        ("OnlineMeetings.Read.All", "{user}/onlineMeetings"),
        ("OnlineMeetingArtifact.Read.All", "{user}/onlineMeetings/m/attendanceReports"),
        ("CallRecords.Read.All", "/communications/callRecords/r"),
        ("User.Read.All", "{user}"),
    ],
)
def test_a_permission_that_was_not_granted_is_missed_where_it_is_needed(
    role: str, path: str
) -> None:
    granted = tuple(r for r in CONFIG.teams_roles if r != role)
    graph = GraphClient(replace(CONFIG, teams_roles=granted))
    assert refusal(graph.call("GET", path.format(user=graph.user))) == (403, "Forbidden")
    assert GraphClient().call("GET", path.format(user=graph.user)).status_code != 403
