"""Who somebody is, by Microsoft Entra ID: the authorization-code flow with PKCE.

msal makes the flow and exchanges the code; since 1.38 it validates no ID token any more, so its
signature, audience, issuer, tenant and times are checked here. Of what Microsoft says only who it
is and which roles they have is kept; the access token is dropped at once.
https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow
https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import jwt
import requests

from integration.provider import ProviderError
from integration.teams_login import MICROSOFT, LoginClient, build_application, error_codes

# msal would rather have form_post, which comes back from another site and so without our
# SameSite=Lax cookie. The query holds a code alone, worth nothing without verifier and secret.
warnings.filterwarnings("ignore", "response_mode=", UserWarning)
LEEWAY = 120  # seconds that Microsoft's clock and ours may differ


class KeySource(Protocol):
    """Microsoft's signing keys by their ids."""

    def __call__(self, *, unknown: str | None = None) -> Mapping[str, Any]:
        """The keys; `unknown` is an id that was not among them."""


class NotSignedIn(Exception):
    """Microsoft did not say who it is; the message is for them and says what to do next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person of the practice's own tenant. `email` is empty for guests: theirs proves nothing."""

    oid: str
    name: str
    email: str
    roles: frozenset[str]


class EntraSignin:
    """Begins a sign-in and finishes it. `keys` are Microsoft's, `redirect_uri` is ours."""

    def __init__(
        self,
        *,
        tenant_id: str,
        client_id: str,
        client_secret: str | None,
        client_certificate: Path | None,
        login_url: str,
        redirect_uri: str,
        keys: KeySource,
    ) -> None:
        self._tenant_id = tenant_id
        self._client_id = client_id
        self._secret, self._certificate = client_secret, client_certificate
        self._login = LoginClient(login_url)
        self._redirect_uri = redirect_uri
        self._keys = keys
        self._lock = threading.Lock()
        self._application: Any = None

    def begin(self) -> tuple[str, dict[str, Any]]:
        """Where to send the browser, and the flow to keep for it until it is back."""
        with _sentences():
            # Any account that is signed in already is offered, none is taken unasked.
            flow = dict(
                self._client().initiate_auth_code_flow(
                    [], redirect_uri=self._redirect_uri, prompt="select_account"
                )
            )
            return self._login.address(str(flow.pop("auth_uri"))), flow

    def finish(self, flow: Mapping[str, Any], answer: Mapping[str, str]) -> Account:
        """Who came back. Raises `NotSignedIn`."""
        with _sentences():
            try:
                # It removes what it has used from the flow.
                found = self._client().acquire_token_by_auth_code_flow(dict(flow), dict(answer))
            except ValueError:
                raise NotSignedIn(
                    "This answer does not belong to a sign-in begun in this browser. Begin again."
                ) from None
            token = found.get("id_token")
            if not isinstance(token, str):
                raise NotSignedIn(_refusal(found))
            return self._account(self._verified(token))

    def _client(self) -> Any:
        with self._lock:
            if self._application is None:
                self._application = build_application(
                    tenant_id=self._tenant_id,
                    client_id=self._client_id,
                    client_secret=self._secret,
                    client_certificate=self._certificate,
                    login=self._login,
                )
            return self._application

    def _verified(self, token: str) -> dict[str, Any]:
        try:
            kid = str(jwt.get_unverified_header(token).get("kid", ""))
            keys = self._keys()
            key = keys.get(kid) or self._keys(unknown=kid).get(kid)
            if key is None:
                raise NotSignedIn("Microsoft signed with a key that is not known. Begin again.")
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=self._client_id,
                issuer=f"{MICROSOFT}/{self._tenant_id}/v2.0",
                leeway=LEEWAY,
                options={"require": ["aud", "iss", "exp", "iat", "oid", "tid"]},
            )
        except jwt.PyJWTError:
            raise NotSignedIn("Microsoft's answer is not one for this service.") from None
        if claims["tid"] != self._tenant_id:
            raise NotSignedIn("This account belongs to another organisation.")
        return claims

    @staticmethod
    def _account(claims: Mapping[str, Any]) -> Account:
        roles = claims.get("roles")
        email = str(claims.get("preferred_username") or "")
        # A guest of the tenant signs in elsewhere and may carry any address.
        guest = "#EXT#" in email.upper() or str(claims.get("acct", "0")) == "1" or "idp" in claims
        return Account(
            oid=str(claims["oid"]),
            name=" ".join(str(claims.get("name") or email or claims["oid"]).split())[:200],
            email="" if guest else email.casefold(),
            roles=frozenset(str(r) for r in roles) if isinstance(roles, list) else frozenset(),
        )


@contextmanager
def _sentences() -> Iterator[None]:
    """Turns what msal, requests and the keys raise into `NotSignedIn`."""
    try:
        yield
    except NotSignedIn:
        raise
    except ProviderError as e:
        raise NotSignedIn(f"{e} Use a one-time link meanwhile (circle signin).") from None
    except requests.RequestException:
        raise NotSignedIn(
            "Microsoft's login service does not answer. Try again in a minute, or use a one-time "
            "link (circle signin)."
        ) from None
    except Exception as e:
        # msal raises errors of its own for a 5xx, and RuntimeError for a wrong nonce.
        raise NotSignedIn(
            f"Microsoft's login service has trouble of its own ({type(e).__name__}). Try again."
        ) from None


def _refusal(found: Mapping[str, Any]) -> str:
    """Why Microsoft refused; its own description may hold names and is not quoted."""
    error = str(found.get("error", ""))
    if error == "access_denied":
        return (
            "Microsoft says that you have no access. Ask your administrator for a role in Circle."
        )
    if error in ("invalid_client", "unauthorized_client"):
        return (
            "Microsoft refuses our credentials: check TEAMS_CLIENT_ID and TEAMS_CLIENT_SECRET "
            f"(has the secret expired?){error_codes(found)}"
        )
    return f"Microsoft did not sign you in{error_codes(found)} Begin again."
