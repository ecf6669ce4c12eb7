"""One careful way to call a platform: pooled, timed, bounded, and never redirected.

Both platforms are called through `Transport`. It waits for nobody: short retries of reading calls
are urllib3's, everything longer is the workflow's, which has a record to wait on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from integration.provider import ProviderError

CONNECT, READ = 3.05, 10.0  # seconds for a connection, and between two pieces of an answer
WHOLE_CALL = 20.0  # seconds for one answer altogether, however slowly it drips
LARGEST = 8 << 20
SAFE = frozenset({"GET", "PUT", "DELETE"})

# `retry_after_max`: urllib3 would sleep for hours if told so; long waits belong to the workflow.
RETRY = Retry(
    total=2,
    connect=2,
    read=1,
    status=2,
    backoff_factor=0.3,
    backoff_max=2,
    backoff_jitter=0.2,
    status_forcelist=(502, 503, 504),
    allowed_methods=SAFE,
    respect_retry_after_header=False,
    raise_on_status=False,
    redirect=False,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A complete answer. `body` is the JSON object, empty when there was none."""

    code: int
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def ok(self) -> bool:
        """Whether the platform did it."""
        return 200 <= self.code < 300


def http_date(headers: Mapping[str, str]) -> datetime | None:
    """The time by the other side's clock, from its `Date` header."""
    try:
        found = parsedate_to_datetime(headers.get("Date") or headers.get("date") or "")
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


class Transport:
    """Sends one request and returns a complete `Answer`, or raises `ProviderError`.

    `platform` names the platform in sentences for staff.
    """

    def __init__(self, platform: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._platform = platform
        self._monotonic = monotonic
        self._session = requests.Session()
        self._session.trust_env = False  # no credentials from a .netrc, no proxy by accident
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=RETRY, pool_maxsize=32))

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        json_body: object = None,
        form: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send it once (reading calls: a few times). Never follows a redirect."""
        lost = method not in SAFE  # a repeated GET, PUT or DELETE does no harm
        try:
            with self._session.request(
                method,
                url,
                params=params,
                json=json_body,
                data=form,
                headers=dict(headers),
                timeout=(CONNECT, READ),
                allow_redirects=False,
                stream=True,
            ) as reply:
                raw = self._read(reply, lost=lost)
                code, found = reply.status_code, dict(reply.headers)
        except requests.exceptions.SSLError as e:
            raise ProviderError(
                f"{self._platform}'s certificate is not valid, so nothing was sent. "
                "Check the address in the settings and this server's clock.",
                permanent=True,
            ) from e
        except requests.exceptions.ConnectTimeout as e:
            raise self._unreachable() from e
        except requests.exceptions.ConnectionError as e:
            # Refused before anything was sent, or cut off while we waited for the answer?
            raise self._unreachable(outcome_unknown=lost and not _refused(e)) from e
        except (requests.RequestException, HTTPError) as e:
            raise self._unreachable(outcome_unknown=lost) from e
        if 300 <= code < 400:
            raise ProviderError(
                f"{self._platform} answered with a redirect, which is not followed with our "
                "credentials. Check the address in the settings.",
                permanent=True,
            )
        return Answer(code=code, headers=found, body=self._json(raw, code, lost=lost))

    def _unreachable(self, *, outcome_unknown: bool = False) -> ProviderError:
        return ProviderError(
            f"{self._platform} does not answer.", permanent=False, outcome_unknown=outcome_unknown
        )

    def _read(self, reply: requests.Response, *, lost: bool) -> bytes:
        """The whole body, within the time and size for one answer, complete to its last byte.

        `read1` hands over whatever has come; `iter_content` would wait for a full buffer, and an
        answer that drips a byte a second would hold this thread for hours.
        """
        until, raw = self._monotonic() + WHOLE_CALL, b""
        while piece := reply.raw.read1(65_536, decode_content=True):
            raw += piece
            if len(raw) > LARGEST or self._monotonic() > until:
                raise ProviderError(
                    f"{self._platform}'s answer was too long or too slow.",
                    permanent=False,
                    outcome_unknown=lost,
                )
        return raw

    def _json(self, raw: bytes, code: int, *, lost: bool) -> dict[str, Any]:
        if not raw.strip():
            return {}
        try:
            found = json.loads(raw)
        except ValueError as e:
            if code >= 400:
                return {}  # an error page of something in between: the code says enough
            raise ProviderError(
                f"{self._platform}'s answer could not be read.",
                permanent=False,
                outcome_unknown=lost,
            ) from e
        return found if isinstance(found, dict) else {}


def _refused(error: requests.exceptions.ConnectionError) -> bool:
    """Whether the connection was never made, so that nothing can have happened."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return type(reason).__name__ in ("NewConnectionError", "NameResolutionError")


def retry_after(headers: Mapping[str, str], *, now: datetime) -> timedelta | None:
    """How long to wait: seconds (also fractional), an ISO instant (Zoom) or an HTTP date."""
    value = next((v for k, v in headers.items() if k.lower() == "retry-after"), "").strip()
    if not value:
        return None
    try:
        return timedelta(seconds=max(0.0, float(value)))
    except (ValueError, OverflowError):
        pass
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            at = read(value)
        except ValueError:
            continue
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(timedelta(), at - now)
    return None
