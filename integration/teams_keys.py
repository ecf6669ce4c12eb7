"""Microsoft's public signing keys, with which Graph proves that a rich notification is its own,
and, at another address, those of what it tells to bots in calls.

The keys are fetched at the start, kept, and fetched again when an unknown key id turns up, at most
once a minute: an attacker who invents key ids must not make us hammer the login service. No webhook
waits for that: a login service that takes the call and does not answer would keep them all.
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
NOT_HERE = "Microsoft's signing keys could not be fetched; notifications wait."

log = structlog.get_logger(__name__)


class SigningKeys:
    """Key id to public key, fetched and remembered. Thread-safe."""

    def __init__(
        self,
        *,
        login_url: str,
        tenant_id: str,
        jwks_url: str | None,
        metadata_url: str | None = None,
        arrived: Callable[[], object] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`arrived` is told when keys have come for whoever could not wait."""
        self._login_url = login_url
        self._tenants = ("common", tenant_id)
        self._jwks_url = jwks_url
        self._metadata_url = metadata_url
        self._arrived = arrived
        self._missed = False  # by somebody who could not wait
        self._monotonic = monotonic
        self._network = threading.Lock()  # held while they are fetched
        self._starting = threading.Lock()  # held for no longer than a thread takes to start
        self._under_way = False  # beside
        self._keys: Mapping[str, Any] = {}
        self._fetched: float | None = None

    def current(self, *, unknown: str | None = None) -> Mapping[str, Any]:
        """The keys, for whoever can wait for the network; `unknown` is a key id that was not among
        them. Raises `ProviderError`.
        """
        with self._network:
            try:
                if self._is_missing(unknown) and self._has_rested():
                    self._refresh()
            finally:
                self._under_way = False
            if not self._keys:
                raise ProviderError(NOT_HERE, permanent=False)
            return self._keys

    def at_hand(self, *, unknown: str | None = None) -> Mapping[str, Any]:
        """The keys, for whoever cannot wait: what is missing is fetched beside. Raises
        `ProviderError` while it is.
        """
        keys = self._keys
        if not self._is_missing(unknown):
            return keys
        self._missed = True  # before they can have come
        if self.fetch_beside(unknown=unknown) or not keys:
            raise ProviderError(NOT_HERE, permanent=False)
        return keys

    def fetch_beside(self, *, unknown: str | None = None) -> bool:
        """Begin to fetch what is missing, without waiting; whether that is under way."""
        with self._starting:
            if self._under_way or not self._has_rested():
                return self._under_way
            self._under_way = True
            threading.Thread(
                target=self._fetch_quietly, args=(unknown,), daemon=True, name="signing keys"
            ).start()
            return True

    def _fetch_quietly(self, unknown: str | None) -> None:
        try:
            self.current(unknown=unknown)
        except ProviderError as e:
            log.warning("signing_keys_not_fetched", reason=str(e))
            return
        if self._missed:
            self._missed = False
            self._arrived()

    def _refresh(self) -> None:
        self._fetched = self._monotonic()
        try:
            self._keys = self._fetch()
        except ProviderError:
            if not self._keys:
                raise
            # The known keys stay good; what an unknown one signed waits.
            log.warning("signing_keys_not_refreshed")

    def _is_missing(self, unknown: str | None) -> bool:
        return not self._keys or (unknown is not None and unknown not in self._keys)

    def _has_rested(self) -> bool:
        return self._fetched is None or self._monotonic() - self._fetched >= REFRESH_AFTER

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
                NOT_HERE,
                permanent=False,
            ) from e
        if not isinstance(found, dict):
            raise ProviderError("The login service's metadata is not readable.", permanent=False)
        return found
