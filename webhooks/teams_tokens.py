"""Validation tokens: Graph's proof that a rich notification is its own. Pure; keys are passed in.

https://learn.microsoft.com/graph/change-notifications-with-resource-data#validating-the-authenticity-of-notifications
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import jwt
from jwt.exceptions import PyJWTError

from webhooks.rejected import Rejected

# The application id of Microsoft Graph change tracking, the only permitted sender.
PUBLISHER = "0bf30f3b-4a52-48df-9a82-234910c4a086"
LEEWAY = timedelta(minutes=5)
LONGEST = 8192
MOST = 20


class UnknownKey(Exception):
    """The token names a signing key that is not at hand; it may be a new one."""

    def __init__(self, kid: str) -> None:
        super().__init__("unknown signing key")
        self.kid = kid


def verify_tokens(
    tokens: Sequence[str],
    *,
    keys: Mapping[str, Any],
    audience: str,
    tenant_id: str,
    now: datetime,
) -> None:
    """Every token must hold. Raises `Rejected`, or `UnknownKey` when a key must be fetched."""
    if not tokens or len(tokens) > MOST:
        raise Rejected("no_token")
    for token in tokens:
        if not isinstance(token, str) or len(token) > LONGEST:
            raise Rejected("bad_token")
        _verify(token, keys=keys, audience=audience, tenant_id=tenant_id, now=now)


def proven_claims(
    token: str, *, keys: Mapping[str, Any], audience: str, now: datetime
) -> dict[str, Any]:
    """What a token says that is signed with one of these keys, for us, and of now.

    Who issued it is for the caller to judge. Raises `Rejected`, or `UnknownKey`.
    """
    try:
        header = jwt.get_unverified_header(token)
    except PyJWTError as e:
        raise Rejected("bad_token") from e
    # Only RS256 with a key of ours: `none`, HMAC, and keys that the token itself brings or names
    # by an address (jwk, jku, x5u) are a forger's choices.
    if header.get("alg") != "RS256" or {"jku", "jwk", "x5u", "crit"} & set(header):
        raise Rejected("bad_token")
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise Rejected("bad_token")
    if kid not in keys:
        raise UnknownKey(kid)
    try:
        claims = jwt.decode(
            token,
            keys[kid],
            algorithms=["RS256"],
            audience=audience,
            options={
                "require": ["exp", "nbf", "aud", "iss"],
                "strict_aud": True,
                # Judged below against `now`, which is an argument.
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
    except PyJWTError as e:
        raise Rejected("bad_token") from e
    begins, ends = claims["nbf"], claims["exp"]
    if any(isinstance(at, bool) or not isinstance(at, int | float) for at in (begins, ends)):
        raise Rejected("bad_token")
    if not begins - LEEWAY.total_seconds() <= now.timestamp() < ends + LEEWAY.total_seconds():
        raise Rejected("bad_token")
    return dict(claims)


def _verify(
    token: str, *, keys: Mapping[str, Any], audience: str, tenant_id: str, now: datetime
) -> None:
    claims = proven_claims(token, keys=keys, audience=audience, now=now)
    # Version 1 names the sender in `appid`, version 2 in `azp`; each has its own issuer.
    senders = {
        f"https://sts.windows.net/{tenant_id}/": "appid",
        f"https://login.microsoftonline.com/{tenant_id}/v2.0": "azp",
    }
    sender = claims.get(senders.get(claims["iss"], ""), "")
    if not isinstance(sender, str) or not hmac.compare_digest(sender.encode(), PUBLISHER.encode()):
        raise Rejected("bad_token")
