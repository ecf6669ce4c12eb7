"""The login service's stand-in: metadata, tokens, signing keys.

https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

from __future__ import annotations

import base64
import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from flask import Blueprint, Response, jsonify, request
from werkzeug.datastructures import MultiDict

from sandbox.config import SandboxConfig
from sandbox.login_people import MICROSOFT, People, add_people

TOKEN_LIFE = timedelta(seconds=3599)
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
PUBLISHER = "0bf30f3b-4a52-48df-9a82-234910c4a086"  # Graph change tracking


@cache
def _signing_key() -> rsa.RSAPrivateKey:
    """One for all stand-ins of a process, each under a name of its own: making it takes long."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(slots=True)
class LoginStandIn:
    """Knows the tenant's one application and signs with a key under a name of its own."""

    config: SandboxConfig
    clock: Callable[[], datetime]
    tokens: dict[str, datetime] = field(default_factory=dict)
    key: rsa.RSAPrivateKey = field(default_factory=_signing_key)
    kid: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    def validation_token(self) -> str:
        """What proves to a subscriber that a rich notification is Graph's."""
        tenant, now = self.config.teams_tenant_id, int(time.time())
        claims = {
            "aud": self.config.teams_client_id,
            "iss": f"https://sts.windows.net/{tenant}/",
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "appid": PUBLISHER,
            "appidacr": "2",
            "idp": f"https://sts.windows.net/{tenant}/",
            "tid": tenant,
            "ver": "1.0",
        }
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": self.kid})

    def call_token(self) -> str:
        """What proves to a bot that a call's notification is Microsoft's."""
        now = int(time.time())
        claims = {
            "aud": self.config.teams_client_id,
            "iss": "https://graph.microsoft.com",
            "nbf": now,
            "exp": now + 3600,
            "tid": self.config.teams_tenant_id,
        }
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": self.kid})

    def application_token(self) -> str:
        """What the application shows Graph: good until its end, and only while we know it."""
        tenant, now = self.config.teams_tenant_id, self.clock()
        claims = {
            "aud": "https://graph.microsoft.com",
            "iss": f"https://sts.windows.net/{tenant}/",
            "iat": int(now.timestamp()),
            "exp": int((now + TOKEN_LIFE).timestamp()),
            "appid": self.config.teams_client_id,
            "roles": list(self.config.teams_roles),
            "tid": tenant,
            "uti": secrets.token_urlsafe(16),
            "ver": "1.0",
        }
        made = jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": self.kid})
        self.tokens[made] = now + TOKEN_LIFE
        return made

    def public_keys(self) -> dict[str, Any]:
        """The key set that the metadata names."""
        numbers = self.key.public_key().public_numbers()

        def encoded(number: int) -> str:
            raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
            return base64.urlsafe_b64encode(raw).decode().rstrip("=")

        key = {
            "kty": "RSA",
            "use": "sig",
            "kid": self.kid,
            "x5t": self.kid,
            "n": encoded(numbers.n),
            "e": encoded(numbers.e),
            "issuer": f"{MICROSOFT}/{{tenantid}}/v2.0",
        }
        return {"keys": [key]}


def create_login(login: LoginStandIn) -> Blueprint:
    """The blueprint, to be mounted in place of the login service's host."""
    routes = Blueprint("login", __name__)
    people = People(login.config, login.clock, login.key, login.kid)
    add_people(routes, people)

    @routes.get("/<tenant>/v2.0/.well-known/openid-configuration")
    def metadata(tenant: str) -> Response:
        # Like the real one it names its own host, whatever address it was reached at.
        return jsonify(
            issuer=f"{MICROSOFT}/{tenant}/v2.0",
            token_endpoint=f"{MICROSOFT}/{tenant}/oauth2/v2.0/token",
            authorization_endpoint=f"{MICROSOFT}/{tenant}/oauth2/v2.0/authorize",
            jwks_uri=f"{MICROSOFT}/{tenant}/discovery/v2.0/keys",
            token_endpoint_auth_methods_supported=["client_secret_post", "private_key_jwt"],
        )

    @routes.get("/<tenant>/discovery/v2.0/keys")
    def keys(tenant: str) -> Response:
        del tenant
        return jsonify(login.public_keys())

    @routes.post("/<tenant>/oauth2/v2.0/token")
    def token(tenant: str) -> Response:
        config, asked = login.config, request.form
        if tenant != config.teams_tenant_id:
            return _refused(login, 400, "invalid_request", 90002, f"Tenant '{tenant}' not found.")
        kind = asked.get("grant_type")
        if kind not in ("client_credentials", "authorization_code"):
            return _refused(login, 400, "unsupported_grant_type", 70003, "Unsupported grant type.")
        of_application = kind == "client_credentials"
        if of_application and not str(asked.get("scope", "")).endswith("/.default"):
            return _refused(login, 400, "invalid_scope", 1002012, "The scope must be /.default.")
        if asked.get("client_id") != config.teams_client_id:
            return _refused(login, 400, "unauthorized_client", 700016, "Application not found.")
        refusal = _credential_fault(asked, config)
        if refusal is not None:
            return _refused(login, 401, "invalid_client", *refusal)
        proof: dict[str, str] = {}
        if not of_application:
            found = people.redeem(asked)
            if not isinstance(found, str):
                return _refused(login, 400, "invalid_grant", *found)
            proof["id_token"] = found
        # A person's token is good for nothing that we ask of Graph.
        made = login.application_token() if of_application else secrets.token_urlsafe(32)
        seconds = int(TOKEN_LIFE.total_seconds())
        return jsonify(
            token_type="Bearer",  # a type, not a secret
            expires_in=seconds,
            ext_expires_in=seconds,
            access_token=made,
            **proof,
        )

    return routes


def _credential_fault(asked: MultiDict[str, str], config: SandboxConfig) -> tuple[int, str] | None:
    """Why the application has not proved itself, by its secret or by its certificate's key."""
    if "client_secret" in asked:
        given, expected = asked["client_secret"].encode(), config.teams_client_secret.encode()
        if not secrets.compare_digest(given, expected):
            return 7000215, "Invalid client secret provided."
        return None
    if asked.get("client_assertion_type") != ASSERTION or "client_assertion" not in asked:
        return 7000216, "'client_assertion', 'client_secret' or 'request' is required."
    if not config.teams_client_certificate:
        return 700027, "The certificate is not registered on the application."
    certificate = x509.load_pem_x509_certificate(config.teams_client_certificate.encode())
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey):
        return 700027, "The certificate registered on the application is not RSA."
    try:
        jwt.decode(
            asked["client_assertion"],
            key,
            algorithms=["RS256", "PS256"],
            audience=f"{MICROSOFT}/{config.teams_tenant_id}/oauth2/v2.0/token",
            issuer=config.teams_client_id,
            subject=config.teams_client_id,
            options={"require": ["aud", "iss", "sub", "exp"]},
        )
    except jwt.PyJWTError:
        return 700027, "The certificate with identifier used to sign the assertion is not valid."
    return None


def _refused(login: LoginStandIn, code: int, error: str, number: int, text: str) -> Response:
    answer = jsonify(
        error=error,
        error_description=f"AADSTS{number}: {text}",
        error_codes=[number],
        timestamp=f"{login.clock().astimezone(UTC):%Y-%m-%d %H:%M:%SZ}",
        trace_id=str(uuid.uuid4()),
        correlation_id=str(uuid.uuid4()),
    )
    answer.status_code = code
    return answer
