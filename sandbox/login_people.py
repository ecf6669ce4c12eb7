"""The login service's stand-in for people: the page that asks who it is, codes, ID tokens.

https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow
https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from flask import Blueprint, Response, redirect, render_template_string, request
from werkzeug.wrappers import Response as AnyResponse

from sandbox.config import SandboxConfig, TenantUser

MICROSOFT = "https://login.microsoftonline.com"
CODE_LIFE = timedelta(minutes=10)
PAGE = """<!doctype html><html lang="en"><title>Pick an account</title>
<meta name="viewport" content="width=device-width"><h1>Pick an account</h1>
<p>This stands in for Microsoft's own page; these people are invented.</p>
<form>{% for name, value in asked %}<input type="hidden" name="{{ name }}" value="{{ value }}">
{% endfor %}{% for user in users %}<p><button name="as" value="{{ user.oid }}">{{ user.name }}
({{ user.address }}; {{ user.roles|join(", ") or "no role" }})</button></p>{% endfor %}
<p><button name="as" value="">Cancel</button></p></form></html>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Code:
    user: TenantUser
    redirect_uri: str
    challenge: str
    nonce: str
    until: datetime


@dataclass(slots=True)
class People:
    """Codes that are out, and what each was given for."""

    config: SandboxConfig
    clock: Callable[[], datetime]
    key: RSAPrivateKey
    kid: str
    out: dict[str, _Code] = field(default_factory=dict)
    redeemed: set[str] = field(default_factory=set)

    def give(self, user: TenantUser, asked: Mapping[str, str]) -> str:
        """A code for whoever has signed in."""
        made = secrets.token_urlsafe(48)
        self.out[made] = _Code(
            user=user,
            redirect_uri=asked["redirect_uri"],
            challenge=asked["code_challenge"],
            nonce=asked.get("nonce", ""),
            until=self.clock() + CODE_LIFE,
        )
        return made

    def redeem(self, asked: Mapping[str, str]) -> str | tuple[int, str]:
        """The ID token for a code, or Microsoft's number and words for why not."""
        code = asked.get("code", "")
        if code in self.redeemed:
            return 54005, "OAuth2 Authorization code was already redeemed."
        found = self.out.pop(code, None)
        if found is None:
            return 9002313, "Invalid request. Request is malformed or invalid."
        self.redeemed.add(code)
        if found.until <= self.clock():
            return 70008, "The provided authorization code has expired."
        if asked.get("redirect_uri") != found.redirect_uri:
            return 500112, "The reply address does not match the one of the authorization request."
        digest = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).decode().rstrip("=") != found.challenge:
            return 501481, "The Code_Verifier does not match the code_challenge."
        return self._id_token(found)

    def _id_token(self, code: _Code) -> str:
        now, tenant = int(time.time()), self.config.teams_tenant_id
        claims: dict[str, Any] = {
            "aud": self.config.teams_client_id,
            "iss": f"{MICROSOFT}/{tenant}/v2.0",
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "name": code.user.name,
            "nonce": code.nonce,
            "oid": code.user.oid,
            "preferred_username": code.user.address,
            "sub": hashlib.sha256(code.user.oid.encode()).hexdigest(),
            "tid": tenant,
            "ver": "2.0",
        }
        if code.user.roles:  # the real one leaves the claim out for whoever has none
            claims["roles"] = list(code.user.roles)
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": self.kid})


def add_people(routes: Blueprint, people: People) -> None:
    """Add the page at which people sign in."""
    config = people.config

    @routes.get("/<tenant>/oauth2/v2.0/authorize")
    def authorize(tenant: str) -> AnyResponse:
        asked = request.args
        if tenant != config.teams_tenant_id:
            return _stop(90002, f"Tenant '{tenant}' not found.")
        if asked.get("client_id") != config.teams_client_id:
            return _stop(700016, "Application was not found in the directory.")
        if asked.get("redirect_uri") not in config.teams_redirect_uris:
            return _stop(50011, "The redirect URI does not match the ones of the application.")
        if asked.get("response_type") != "code" or asked.get("code_challenge_method") != "S256":
            return _stop(9002325, "Proof Key for Code Exchange is required.")
        if "as" not in asked:
            page = render_template_string(
                PAGE, asked=sorted(asked.items()), users=config.teams_users
            )
            return Response(page, mimetype="text/html")
        user = next((u for u in config.teams_users if u.oid == asked["as"]), None)
        if user is None:
            back = {"error": "access_denied", "error_description": "AADSTS65004: User declined."}
        else:
            back = {"code": people.give(user, asked), "session_state": secrets.token_hex(16)}
        back["state"] = asked.get("state", "")
        return redirect(f"{asked['redirect_uri']}?{urlencode(back)}")


def _stop(number: int, text: str) -> Response:
    """What is wrong with the application itself is told on Microsoft's page, never to us."""
    return Response(f"AADSTS{number}: {text}", 400, mimetype="text/plain")
