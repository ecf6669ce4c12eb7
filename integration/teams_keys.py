"""Microsoft's public signing keys, with which Graph proves that a rich notification is its own,
and, at another address, those of what it tells to bots in calls.

The keys are fetched on first need, kept, and fetched again when an unknown key id turns up, at
most once a minute: an attacker who invents key ids must not make us hammer the login service.
https://learn.microsoft.com/graph/change-notifications-with-resource-data
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
import structlog
from jwt import PyJWK, PyJWKSet
from jwt.exceptions import PyJWTError

from integration.provider import ProviderError
from integration.teams_login import MICROSOFT

METADATA = "v2.0/.well-known/openid-configuration"

TIMEOUT = (3.05, 5)
REFRESH_AFTER = 60.0  # seconds between two fetches
LARGEST = 1 << 20

log = structlog.get_logger(__name__)


class SigningKeys:
    """Key id to public key. `current()` may use the network once, then remembers."""

    def __init__(
        self,
        *,
        login_url: str,
        tenant_id: str,
        jwks_url: str | None,
        metadata_url: str | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._login_url = login_url
        self._tenants = ("common", tenant_id)
        self._jwks_url = jwks_url
        self._metadata_url = metadata_url
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._keys: dict[str, Any] = {}
        self._fetched: float | None = None

    def current(self, *, unknown: str | None = None) -> Mapping[str, Any]:
        """The keys; `unknown` is a key id that was not among them. Raises `ProviderError`."""
        with self._lock:
            stale = not self._keys or (unknown is not None and unknown not in self._keys)
            rested = self._fetched is None or self._monotonic() - self._fetched >= REFRESH_AFTER
            if stale and rested:
                self._fetched = self._monotonic()
                try:
                    self._keys = self._fetch()
                except ProviderError:
                    if not self._keys:
                        raise
                    # The known keys stay good; what an unknown one signed waits.
                    log.warning("signing_keys_not_refreshed")
            if not self._keys:
                raise ProviderError(
                    "Microsoft's signing keys could not be fetched; notifications wait.",
                    permanent=False,
                )
            return dict(self._keys)

    def _fetch(self) -> dict[str, Any]:
        address = self._jwks_url
        if address is None:
            metadata = self._metadata()
            # The metadata names Microsoft's own host; the login service may stand elsewhere.
            address = str(metadata.get("jwks_uri", "")).replace(MICROSOFT, self._login_url, 1)
            parts, login = urlsplit(address), urlsplit(self._login_url)
            if parts.scheme != "https" and parts.hostname != login.hostname:
                raise ProviderError(
                    "The login service names signing keys that cannot be fetched safely; "
                    "set TEAMS_JWKS_URL.",
                    permanent=True,
                )
        try:
            found = PyJWKSet.from_dict(self._get(address))
        except PyJWTError as e:
            raise ProviderError(
                "The login service's signing keys are not readable.", permanent=False
            ) from e
        return {key.key_id: key for key in found.keys if isinstance(key, PyJWK) and key.key_id}

    def _metadata(self) -> dict[str, Any]:
        """The keys are the same for every tenant; not every login service knows "common"."""
        if self._metadata_url is not None:
            return self._get(self._metadata_url)
        try:
            return self._get(f"{self._login_url}/{self._tenants[0]}/{METADATA}")
        except ProviderError:
            return self._get(f"{self._login_url}/{self._tenants[1]}/{METADATA}")

    def _get(self, address: str) -> dict[str, Any]:
        try:
            with requests.get(
                address, timeout=TIMEOUT, allow_redirects=False, stream=True
            ) as answer:
                raw = answer.raw.read(LARGEST, decode_content=True)
                if answer.status_code != requests.codes.ok:
                    raise ProviderError(
                        f"The login service answered {answer.status_code} for its signing keys.",
                        permanent=False,
                    )
            found = json.loads(raw)
        except (requests.RequestException, ValueError) as e:
            raise ProviderError(
                "Microsoft's signing keys could not be fetched; notifications wait.",
                permanent=False,
            ) from e
        if not isinstance(found, dict):
            raise ProviderError("The login service's metadata is not readable.", permanent=False)
        return found
