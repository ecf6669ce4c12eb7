"""Graph with a token from msal, and Graph's errors as sentences for staff.

https://learn.microsoft.com/graph/errors
"""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import requests

from integration.http import Answer, Transport, retry_after
from integration.pace import Pace
from integration.provider import ProviderError
from integration.teams_login import LoginClient, build_application, error_codes

_MAILBOX = re.compile(r"/users/([^/?]+)/(?:events|calendar)")
SCOPE = "https://graph.microsoft.com/.default"


class GraphCalls:
    """Calls Graph with a valid token and turns refusals into `ProviderError`."""

    def __init__(
        self,
        *,
        tenant_id: str,
        client_id: str,
        client_secret: str | None,
        client_certificate: Path | None,
        graph_url: str,
        login_url: str,
        clock: Callable[[], datetime],
        pace: Pace | None = None,
    ) -> None:
        self._tenant_id = tenant_id
        self._client_id = client_id
        self._client_secret = client_secret
        self._client_certificate = client_certificate
        self._login_url = login_url
        self._clock = clock
        self._transport = Transport("Microsoft Graph")
        self._lock = threading.Lock()
        self._application: Any = None
        self.login = LoginClient(login_url)
        self._pace = pace
        self._mailboxes: dict[str, str] = {}
        self.graph_url = graph_url

    def token(self) -> str:
        """An access token; msal keeps it until five minutes before its end."""
        with self._lock:
            try:
                if self._application is None:
                    self._application = build_application(
                        tenant_id=self._tenant_id,
                        client_id=self._client_id,
                        client_secret=self._client_secret,
                        client_certificate=self._client_certificate,
                        login=self.login,
                    )
                found = self._application.acquire_token_for_client(scopes=[SCOPE])
            except ProviderError:
                raise
            except requests.RequestException:
                raise ProviderError(
                    "Microsoft's login service does not answer.", permanent=False
                ) from None
            except Exception as e:
                # msal raises errors of its own for a 5xx, and ValueError for odd metadata.
                kind = type(e).__name__
                raise ProviderError(
                    f"Microsoft's login service has trouble of its own ({kind}).", permanent=False
                ) from None
        token = found.get("access_token") if isinstance(found, dict) else None
        if isinstance(token, str) and token:
            return token
        raise ProviderError(
            "Microsoft refuses our credentials: check TEAMS_TENANT_ID, TEAMS_CLIENT_ID and "
            "TEAMS_CLIENT_SECRET (has the secret expired?)"
            + error_codes(found if isinstance(found, dict) else {}),
            permanent=True,
        )

    def forget(self) -> None:
        """Drop the token: what an administrator granted since is only in a new one."""
        with self._lock:
            self._application = None

    def call(
        self,
        method: str,
        path: str,
        *,
        needs: str,
        body: object = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One call; `path` begins with the version or is a full address of this Graph.

        `needs` is the application permission that the call takes, for the sentence that a 403
        becomes. Raises `ProviderError`.
        """
        url = path if path.startswith("http") else f"{self.graph_url}/{path}"
        if not url.startswith(f"{self.graph_url}/"):
            raise ProviderError("Graph named a next page on another host.", permanent=True)
        with self._place(url):
            answer = self._once(method, url, body, params, headers)
            if answer.code == 401:
                self.forget()
                answer = self._once(method, url, body, params, headers)
        if answer.ok:
            return answer
        raise self._error(answer, method, needs)

    def same_mailbox(self, address: str, object_id: str) -> None:
        """Both names are one mailbox, whose calls stand in one line."""
        self._mailboxes[object_id.casefold()] = address.casefold()

    def _place(self, url: str) -> AbstractContextManager[None]:
        found = _MAILBOX.search(url)
        if self._pace is None or found is None:
            return nullcontext()
        name = unquote(found[1]).casefold()
        return self._pace.place("teams", self._mailboxes.get(name, name))

    def _once(
        self,
        method: str,
        url: str,
        body: object,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
    ) -> Answer:
        token = self.token()
        if self._pace is not None:
            self._pace.make_sure()
        return self._transport.send(
            method,
            url,
            headers={
                "Authorization": f"Bearer {token}",
                "client-request-id": str(uuid.uuid4()),
                **(headers or {}),
            },
            params=params,
            json_body=body,
        )

    def _error(self, answer: Answer, method: str, needs: str) -> ProviderError:
        error = answer.body.get("error")
        error = error if isinstance(error, dict) else {}
        code, message = str(error.get("code") or ""), str(error.get("message") or "")
        wait = retry_after(answer.headers, now=self._clock())
        if answer.code in (429, 503, 504):
            return ProviderError(
                "Microsoft Graph asks us to slow down."
                if answer.code == 429
                else "Microsoft Graph has trouble of its own.",
                permanent=False,
                retry_after=wait,
                outcome_unknown=answer.code != 429 and method in ("POST", "PATCH"),
            )
        if answer.code >= 500:
            return ProviderError(
                f"Microsoft Graph has trouble of its own (it answered {answer.code}).",
                permanent=False,
                outcome_unknown=method in ("POST", "PATCH"),
            )
        return ProviderError(
            _refusal(answer.code, code, message, needs),
            permanent=True,
            gone=answer.code in (404, 410),
        )


def _refusal(status: int, code: str, message: str, needs: str) -> str:
    """Why Graph refused, as a sentence for staff. Its own text may hold names: not quoted."""
    told = message.lower()
    if status == 401:
        return (
            "Microsoft Graph turns down a fresh access token: the app's consent was revoked. "
            "Grant admin consent again (docs/connect-teams.md)."
        )
    if "application access policy" in told or "on behalf of user" in told:
        return (
            "Teams has no application access policy for this app and organiser. Run "
            "New-CsApplicationAccessPolicy and Grant-CsApplicationAccessPolicy "
            "(docs/connect-teams.md); it takes up to 30 minutes to work."
        )
    if status == 403:
        return (
            f"The app lacks a permission: grant {needs} and admin consent (docs/connect-teams.md)."
        )
    if code in ("ErrorInvalidUser", "MailboxNotEnabledForRESTAPI", "Request_ResourceNotFound"):
        return (
            "Microsoft knows no such organiser, or they have no mailbox. Name a licensed user of "
            "the tenant as organiser, or set TEAMS_HOST."
        )
    if status == 404:
        return "It does not exist at Microsoft (any more)."
    return f"Microsoft Graph does not accept this ({code or status})."
