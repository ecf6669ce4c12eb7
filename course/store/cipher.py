"""Field encryption: names, addresses and free text are unreadable in the database's file.

AES-256-GCM with a random 96-bit nonce. A sealed value is `v1.<key id>.<base64url>`; the key id is
the first bytes of the key's hash, so that keys can be added (newest first) and old values read.
https://cryptography.io/en/latest/hazmat/primitives/aead/
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE = 12  # bytes


class UnreadableField(Exception):
    """A stored field cannot be opened with any key at hand: an encryption key is missing."""


def _key_id(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()[:8]


class Cipher:
    """Seals with the first key, opens with any of them."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ValueError("at least one encryption key is needed")
        self._newest = _key_id(keys[0])
        self._keys = {_key_id(key): AESGCM(key) for key in keys}
        self._seal_with = self._keys[self._newest]
        self._nonces: list[bytes] = []

    @property
    def newest(self) -> str:
        """The id of the key that seals."""
        return self._newest

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of the keys at hand, the newest first."""
        return tuple(self._keys)

    def seal(self, text: str) -> str:
        """The text, encrypted and authenticated."""
        nonce = self._nonce()
        sealed = nonce + self._seal_with.encrypt(nonce, text.encode(), None)
        return f"v1.{self._newest}.{base64.urlsafe_b64encode(sealed).decode()}"

    def _nonce(self) -> bytes:
        """Random bytes, used once. Asked of the kernel by the thousand: a call of its own for
        each would give the interpreter away in the middle of every delivery."""
        while True:
            try:
                return self._nonces.pop()
            except IndexError:
                fresh = os.urandom(NONCE * 1024)
                self._nonces += [fresh[n : n + NONCE] for n in range(0, len(fresh), NONCE)]

    def open(self, sealed: str) -> str:
        """The text again; raises `UnreadableField` when its key is missing or it was changed."""
        try:
            version, key_id, payload = sealed.split(".", 2)
            raw = base64.urlsafe_b64decode(payload)
            if version != "v1":
                raise ValueError(version)
            return self._keys[key_id].decrypt(raw[:12], raw[12:], None).decode()
        except (KeyError, ValueError, InvalidTag) as e:
            raise UnreadableField(
                "a stored field cannot be read: put the encryption key it was written with "
                "back into ENCRYPTION_KEYS (or restore the key file under DATA_DIR)"
            ) from e


def parse_key(text: str) -> bytes:
    """A key from settings: 32 bytes as URL-safe base64."""
    try:
        key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as e:
        raise ValueError("ENCRYPTION_KEYS: each key is 32 random bytes as base64") from e
    if len(key) != 32:
        raise ValueError("ENCRYPTION_KEYS: each key is 32 random bytes as base64")
    return key


def secret_from_file(path: Path) -> str:
    """The secret kept in that file; made on first use, readable by its owner only."""
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        secret = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        # Written beside and moved: a crash never leaves half a key, two starts agree on one.
        beside = path.with_name(f"{path.name}.{os.getpid()}")
        beside.touch(mode=0o600)
        beside.write_text(secret + "\n", encoding="ascii")
        try:
            os.link(beside, path)
        except FileExistsError:
            secret = path.read_text(encoding="ascii").strip()
        finally:
            beside.unlink()
        return secret
