"""Microsoft's login service: the application's own object of msal, and the client it talks with.

msal builds its object over the network, gives a custom HTTP client no timeout, and accepts only
https authorities; so it is built on first use and gets a client of ours, which adds timeouts and
sends what is meant for Microsoft's login to the `LOGIN_URL` of the settings.
https://learn.microsoft.com/entra/msal/python/
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import jwt
import msal
import requests

from integration.http import CONNECT, READ, http_date
from integration.provider import ProviderError

MICROSOFT = "https://login.microsoftonline.com"


class LoginClient:
    """What msal asks of an HTTP client: get, post, close."""

    def __init__(self, login_url: str) -> None:
        self._login_url = login_url
        self.told_at: datetime | None = None  # by the login service's clock
        self._session = requests.Session()
        self._session.trust_env = False

    def get(self, url: str, **options: Any) -> requests.Response:
        """GET, at the configured login service."""
        return self._send("GET", url, options)

    def post(self, url: str, **options: Any) -> requests.Response:
        """POST, at the configured login service."""
        return self._send("POST", url, options)

    def address(self, url: str) -> str:
        """Where the configured login service has what msal looks for at Microsoft's."""
        if url.startswith(MICROSOFT):
            url = self._login_url + url.removeprefix(MICROSOFT)
        if not url.startswith(self._login_url):
            raise requests.exceptions.InvalidURL("the login service names another host")
        return url

    def _send(self, method: str, url: str, options: dict[str, Any]) -> requests.Response:
        options = {**options, "timeout": (CONNECT, READ), "allow_redirects": False}
        # The timeout is in the options.
        answer = self._session.request(method, self.address(url), **options)
        self.told_at = http_date(answer.headers)
        return answer

    def close(self) -> None:
        """Give the connections back."""
        self._session.close()


def build_application(
    *,
    tenant_id: str,
    client_id: str,
    client_secret: str | None,
    client_certificate: Path | None,
    login: LoginClient,
) -> msal.ConfidentialClientApplication:
    """The application as msal knows it; asks the login service for its metadata.

    Raises `ProviderError` for a certificate that is not there, and what msal and requests raise.
    """
    return msal.ConfidentialClientApplication(
        client_id,
        authority=f"{MICROSOFT}/{tenant_id}",
        client_credential=_credential(client_secret, client_certificate),
        http_client=login,
        instance_discovery=False,
    )


def _credential(secret: str | None, certificate: Path | None) -> str | dict[str, Any]:
    if certificate is None:
        return secret or ""
    if not certificate.exists():
        raise ProviderError("The file of TEAMS_CLIENT_CERTIFICATE does not exist.", permanent=True)
    if certificate.suffix.lower() in (".pfx", ".p12"):
        return {"private_key_pfx_path": str(certificate), "public_certificate": True}
    pem = certificate.read_text(encoding="ascii")
    return {"private_key": pem, "public_certificate": pem}


def roles_of(token: str) -> frozenset[str] | None:
    """The application permissions that an access token of ours bears.

    It is meant for Graph's eyes, so nothing but a warning may rest on it, and a form that is not
    understood is no fault: None. https://learn.microsoft.com/entra/identity-platform/access-tokens
    """
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        return None
    roles = claims.get("roles", [])
    if not isinstance(roles, list):
        return None
    return frozenset(role for role in roles if isinstance(role, str))


def error_codes(found: Mapping[str, Any]) -> str:
    """Microsoft's error numbers; its description may hold ids and is not quoted."""
    codes = found.get("error_codes")
    if not isinstance(codes, list) or not codes:
        return "."
    return f" (AADSTS{', AADSTS'.join(str(code) for code in codes)})."
