"""zoomus with a transport of our own, and Zoom's errors as sentences for staff.

zoomus 1.2.1 asks for a token in its constructor without a timeout, goes on with the token `None`
when that is refused, never renews it, never looks at an answer's code, and ignores its `timeout`
for every component. So its five verbs are replaced here; paths and components stay zoomus's own.
https://developers.zoom.us/docs/internal-apps/s2s-oauth/
"""

from __future__ import annotations

import re
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import zoomus

from integration.http import Answer, Transport, http_date, retry_after
from integration.pace import Pace
from integration.provider import ProviderError

EARLY = 60.0  # seconds before its end at which a token is renewed
NOT_FOUND = 3001
_HEAVY = re.compile(r"GET /(report|metrics)/")
_MEDIUM = re.compile(
    r"(POST|GET) /users/[^/]+/meetings$|GET /meetings/[^/]+/registrants$"
    r"|PUT /meetings/[^/]+/registrants/status$|GET /past_meetings/"
    r"|GET /marketplace/apps/[^/]+/webhook_logs$"
)
_IN_PATH = frozenset({"id", "user_id", "meeting_id"})


class Tokens:
    """One access token for the whole process; fetched when needed, by one thread at a time."""

    def __init__(
        self,
        *,
        transport: Transport,
        oauth_url: str,
        account_id: str,
        client_id: str,
        client_secret: str,
        monotonic: Callable[[], float] = time.monotonic,
        allowed: Callable[[], None] = lambda: None,
    ) -> None:
        """`allowed` raises `ProviderError` when Zoom has said that it is done with us."""
        self._transport = transport
        self._allowed = allowed
        self.told_at: datetime | None = None  # by Zoom's clock, when it last gave a token
        self.scopes: frozenset[str] | None = None  # of the last token, where Zoom told
        self._oauth_url = oauth_url
        self._account_id = account_id
        basic = b64encode(f"{client_id}:{client_secret}".encode()).decode()
        self._authorization = f"Basic {basic}"
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._token: str | None = None
        self._until = 0.0

    def current(self, *, refused: str | None = None) -> str:
        """A token that should work; `refused` is one that Zoom has just turned down."""
        self._allowed()
        with self._lock:
            if self._token is None or self._token == refused or self._monotonic() >= self._until:
                self._token = self._fetch()
            return self._token

    def _fetch(self) -> str:
        answer = self._transport.send(
            "POST",
            self._oauth_url,
            headers={"Authorization": self._authorization},
            form={"grant_type": "account_credentials", "account_id": self._account_id},
        )
        self.told_at = http_date(answer.headers)
        token, life = answer.body.get("access_token"), answer.body.get("expires_in")
        if answer.code in (400, 401, 403):
            raise ProviderError(
                "Zoom refuses our credentials: check ZOOM_ACCOUNT_ID, ZOOM_CLIENT_ID and "
                "ZOOM_CLIENT_SECRET, and that the app is activated.",
                permanent=True,
            )
        if not answer.ok or not isinstance(token, str) or not token:
            raise ProviderError("Zoom gives no access token at the moment.", permanent=False)
        scope = answer.body.get("scope")
        self.scopes = frozenset(scope.split()) if isinstance(scope, str) else None
        seconds = float(life) if isinstance(life, int | float) else 3600.0
        self._until = self._monotonic() + max(0.0, seconds - EARLY)
        return token


class _Verbs:
    """zoomus's five verbs over our transport; mixed in before each of its components."""

    config: dict[str, Any]
    base_uri: str

    def _send(
        self,
        method: str,
        endpoint: str,
        params: Mapping[str, Any] | None = None,
        data: object = None,
    ) -> Answer:
        # zoomus puts what it has put into the path into the query as well.
        query = {k: v for k, v in (params or {}).items() if k not in _IN_PATH}
        answer: Answer = self.config["call"](method, f"{self.base_uri}{endpoint}", query, data)
        return answer

    def get_request(
        self, endpoint: str, params: Mapping[str, Any] | None = None, headers: object = None
    ) -> Answer:
        """GET."""
        del headers
        return self._send("GET", endpoint, params)

    def post_request(
        self,
        endpoint: str,
        params: Mapping[str, Any] | None = None,
        data: object = None,
        headers: object = None,
        cookies: object = None,
    ) -> Answer:
        """POST."""
        del headers, cookies
        return self._send("POST", endpoint, params, data)

    def patch_request(
        self,
        endpoint: str,
        params: Mapping[str, Any] | None = None,
        data: object = None,
        headers: object = None,
        cookies: object = None,
    ) -> Answer:
        """PATCH."""
        del headers, cookies
        return self._send("PATCH", endpoint, params, data)

    def put_request(
        self,
        endpoint: str,
        params: Mapping[str, Any] | None = None,
        data: object = None,
        headers: object = None,
        cookies: object = None,
    ) -> Answer:
        """PUT."""
        del headers, cookies
        return self._send("PUT", endpoint, params, data)

    def delete_request(
        self,
        endpoint: str,
        params: Mapping[str, Any] | None = None,
        data: object = None,
        headers: object = None,
        cookies: object = None,
    ) -> Answer:
        """DELETE."""
        del headers, cookies
        return self._send("DELETE", endpoint, params, data)


class PooledZoomClient(zoomus.client.ZoomClient):  # type: ignore[misc]  # zoomus has no types
    """A zoomus client that touches the network only when it is used."""

    def __init__(self, *, base_uri: str, call: Callable[..., Answer]) -> None:
        # Not ZoomClient's own constructor: that one posts to the token address.
        zoomus.util.ApiClient.__init__(self, base_uri=base_uri)
        self.config = {"version": zoomus.util.API_VERSION_2, "call": call}
        components = zoomus.client.COMPONENT_CLASSES[zoomus.util.API_VERSION_2]
        self.components = {
            name: type(f"Pooled{kind.__name__}", (_Verbs, kind), {})(
                base_uri=base_uri, config=self.config
            )
            for name, kind in components.items()
        }


def category_of(method: str, path: str) -> str:
    """Under which of Zoom's limits a call falls."""
    call = f"{method} {path}"
    if _HEAVY.match(call):
        return "heavy"
    return "medium" if _MEDIUM.match(call) else "light"


class ZoomCalls:
    """Calls Zoom with a valid token and turns refusals into `ProviderError`."""

    def __init__(
        self,
        *,
        account_id: str,
        client_id: str,
        client_secret: str,
        api_url: str,
        oauth_url: str,
        clock: Callable[[], datetime],
        pace: Pace | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        allowed: Callable[[], None] = lambda: None,
    ) -> None:
        self._transport = Transport("Zoom", monotonic=monotonic)
        self._clock = clock
        self._account_id = account_id
        self._api_url = api_url
        self._pace = pace
        self.tokens = Tokens(
            transport=self._transport,
            oauth_url=oauth_url,
            account_id=account_id,
            client_id=client_id,
            client_secret=client_secret,
            monotonic=monotonic,
            allowed=allowed,
        )
        self.client = PooledZoomClient(base_uri=api_url, call=self.call)

    def call(self, method: str, url: str, params: Mapping[str, Any] | None, data: object) -> Answer:
        """One call; a token that Zoom turns down is renewed once. Raises `ProviderError`."""
        query = {k: str(v) for k, v in (params or {}).items()}
        token = self.tokens.current()
        if self._pace is not None:
            path = url.removeprefix(self._api_url)
            self._pace.turn("zoom", self._account_id, category_of(method, path))
        answer = self._once(method, url, query, data, token)
        if answer.code == 401:
            answer = self._once(method, url, query, data, self.tokens.current(refused=token))
        if answer.ok:
            return answer
        raise self._error(answer, method)

    def _once(
        self, method: str, url: str, query: dict[str, str], data: object, token: str
    ) -> Answer:
        if self._pace is not None:
            self._pace.make_sure()
        return self._transport.send(
            method,
            url,
            headers={"Authorization": f"Bearer {token}"},
            params=query,
            json_body=data or None,
        )

    def _error(self, answer: Answer, method: str) -> ProviderError:
        code = answer.body.get("code")
        if answer.code == 429:
            return self._too_many(answer)
        if answer.code >= 500:
            return ProviderError(
                f"Zoom has trouble of its own (it answered {answer.code}).",
                permanent=False,
                retry_after=retry_after(answer.headers, now=self._clock()),
                outcome_unknown=method not in ("GET", "PUT", "DELETE"),
            )
        return ProviderError(
            _refusal(answer, code), permanent=True, gone=code == NOT_FOUND or answer.code == 404
        )

    def _too_many(self, answer: Answer) -> ProviderError:
        """A limit for a second passes at once; the daily one ends at midnight UTC.

        https://developers.zoom.us/docs/api/rate-limits/
        """
        now = self._clock()
        told = retry_after(answer.headers, now=now)
        kind = next((v for k, v in answer.headers.items() if k.lower() == "x-ratelimit-type"), "")
        message = str(answer.body.get("message") or "").lower()
        if "daily" in f"{kind} {message}".lower() or "00:00:00" in message:
            midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
            wait = told or midnight + timedelta(days=1) - now
            return ProviderError(
                "Zoom allows no more changes today (its daily limit for this host is reached). "
                f"It goes on by itself at {(now + wait).astimezone(UTC):%H:%M} UTC.",
                permanent=False,
                retry_after=wait,
            )
        return ProviderError(
            "Zoom asks us to slow down.",
            permanent=False,
            retry_after=told or timedelta(seconds=1),
        )


def _refusal(answer: Answer, code: object) -> str:
    """Why Zoom refused, for staff. Zoom's own text may hold an address: not quoted."""
    message = str(answer.body.get("message") or "")
    if answer.code == 401:
        return (
            "Zoom turns down a fresh access token: the app was deactivated or its consent was "
            "revoked. Activate it in the Zoom marketplace."
        )
    if code in (4700, 4711) or "scope" in message.lower():
        named = message[message.find("[") : message.rfind("]") + 1] if "[" in message else ""
        return (
            "The Zoom app lacks a scope"
            + (f": {named}" if named else "")
            + ". Add it in the marketplace (docs/connect-zoom.md) and activate the app again."
        )
    if code in (1001, 1010):
        return (
            "Zoom knows no such organiser in this account. Name a licensed user of the account "
            "as organiser, or set ZOOM_HOST."
        )
    if code == 3161 or (code == 200 and "licen" in message.lower()):
        return "The organiser has no Zoom licence, which registration needs. Assign one in Zoom."
    if code == 200:
        return "Zoom refuses this to our account: a permission or a paid feature is missing."
    if code == NOT_FOUND or answer.code == 404:
        return "It does not exist on Zoom (any more)."
    if code == 300:
        errors = answer.body.get("errors")
        fields = (
            ", ".join(str(e.get("field")) for e in errors if isinstance(e, dict) and e.get("field"))
            if isinstance(errors, list)
            else ""
        )
        return "Zoom does not accept what we sent" + (f" ({fields})" if fields else "") + "."
    return f"Zoom refused with code {code if isinstance(code, int) else answer.code}."
