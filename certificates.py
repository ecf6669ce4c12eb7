"""The certificates that Graph encrypts notifications to, and the keys that open them.

The newest is given to Graph; older ones go on opening what was encrypted to them. Without one in
the settings a pair is made under `DATA_DIR`, and another when the newest has a month to live.
https://learn.microsoft.com/graph/change-notifications-with-resource-data
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from settings import Settings, SettingsError
from webhooks.teams_content import make_certificate

RENEW_BEFORE = timedelta(days=30)
NAME = "teams-notification"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationCertificate:
    """A certificate as Graph is given it, and its private key. `ref` is our name for it."""

    ref: str
    der: bytes
    key: RSAPrivateKey
    until: datetime


def load_certificates(
    settings: Settings, clock: Callable[[], datetime]
) -> list[NotificationCertificate]:
    """All certificates at hand, the newest first. Raises `SettingsError`."""
    teams = settings.teams
    certificates = teams.notification_certificates if teams else ()
    keys = teams.notification_keys if teams else ()
    if len(certificates) != len(keys):
        raise SettingsError(
            "TEAMS_NOTIFICATION_CERTIFICATE and TEAMS_NOTIFICATION_KEY belong together: "
            "name as many of the one as of the other, the newest first."
        )
    if certificates:
        return [_load(*pair) for pair in zip(certificates, keys, strict=True)]
    return _own(settings.data_dir, clock())


def _own(folder: Path, now: datetime) -> list[NotificationCertificate]:
    """Those made here; the file without a number in its name is the newest."""
    with _alone_in(folder):
        certificate, key = folder / f"{NAME}.crt", folder / f"{NAME}.key"
        if not certificate.exists():
            _make(certificate, key, now)
        found = _load(certificate, key)
        if found.until - now < RENEW_BEFORE:
            _put_by(certificate, key, found.ref)
            _make(certificate, key, now)
            found = _load(certificate, key)
        older = sorted(folder.glob(f"{NAME}-*.crt"))
        return [found, *(_load(path, path.with_suffix(".key")) for path in older)]


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """One process after the other: several that start together share the folder, and must end with
    the same pair. The lock ends with whoever holds it, also when that is killed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _load(certificate_path: Path, key_path: Path) -> NotificationCertificate:
    try:
        certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
        key = load_pem_private_key(key_path.read_bytes(), password=None)
    except (OSError, ValueError) as e:
        raise SettingsError(
            f"The notification certificate {certificate_path.name} or its key cannot be read ({e})."
        ) from e
    if not isinstance(key, RSAPrivateKey):
        raise SettingsError("TEAMS_NOTIFICATION_KEY must be an RSA key of 2048 to 4096 bits.")
    der = certificate.public_bytes(Encoding.DER)
    return NotificationCertificate(
        ref=f"circle-{hashlib.sha256(der).hexdigest()[:16]}",
        der=der,
        key=key,
        until=certificate.not_valid_after_utc,
    )


def _make(certificate_path: Path, key_path: Path, now: datetime) -> None:
    """A pair is there when its certificate is: the key comes first, and each of them whole."""
    private_pem, certificate_pem = make_certificate(now)
    _write(key_path, private_pem, mode=0o600)
    _write(certificate_path, certificate_pem, mode=0o644)


def _put_by(certificate_path: Path, key_path: Path, ref: str) -> None:
    """Keep a pair under its own name. Cut off in between, nothing of it is lost."""
    with suppress(FileExistsError):
        os.link(key_path, key_path.with_stem(f"{NAME}-{ref}"))
    certificate_path.rename(certificate_path.with_stem(f"{NAME}-{ref}"))


def _write(path: Path, content: bytes, *, mode: int) -> None:
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    beside_file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(beside_file, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
