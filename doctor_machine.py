"""What `circle doctor` asks of this machine: address, disk, keys, copies, background work."""

from __future__ import annotations

import shutil
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from course.store.database import STORAGE_TROUBLE, make_url
from integration.housekeeping import last_round_in
from settings import Settings

GIB = 1 << 30
FREE = 2 * GIB  # a year of a large practice's database, and its write-ahead log
CERTIFICATE_LEFT = timedelta(days=14)  # Caddy renews a month before the end
COPY_AGE = timedelta(hours=26)  # one every night, and two hours for it to be made
ROUND_AGE = timedelta(minutes=5)  # there is one every minute
PATIENCE = 5.0  # seconds for our own address to answer
SECRET_LENGTH = 32
PUBLIC_PLATFORMS = ("zoom.us", "microsoft.com")


class Finding(NamedTuple):
    """One line of the examination: `says` names what to do when it is not well."""

    subject: str
    well: bool
    says: str


def machine(settings: Settings, *, engine_database: str, now: datetime) -> Iterator[Finding]:
    """Everything that is asked of this machine."""
    yield from _address(settings, now)
    yield _disk(settings.data_dir)
    yield from _keys(settings)
    yield from _mixed_up(settings)
    yield from _second_factor(settings)
    yield _copies(settings.data_dir / "backups", now)
    yield _rounds(engine_database, now)


def missing_installation(settings: Settings) -> Finding | None:
    """What an installation with these settings would have, and is not there."""
    storage = settings.storage()
    address = make_url(storage["url"])
    if address.get_backend_name() == "sqlite" and not Path(address.database or "").is_file():
        return none_here(f"{address.database} is not there")
    if not storage["keys"] and not storage["key_file"].is_file():
        return none_here(f"{storage['key_file']} is not there, and ENCRYPTION_KEYS names none")
    return None


def none_here(why: str) -> Finding:
    """That there is no installation, with what to do."""
    return Finding(
        "installation",
        False,
        f"there is none with these settings: {why}. Are DATA_DIR and DATABASE_URL those of the "
        "service? On a server, use the circle command that knows them (deploy/README.md). A new "
        "installation is made by its first start: circle serve",
    )


def _address(settings: Settings, now: datetime) -> Iterator[Finding]:
    parts = urlsplit(settings.public_url)
    host = parts.hostname or ""
    if parts.scheme != "https":
        reached = [settings.zoom_api_url] if settings.zoom else []
        reached += [settings.graph_url] if settings.teams else []
        outside = any((urlsplit(u).hostname or "").endswith(PUBLIC_PLATFORMS) for u in reached)
        yield Finding(
            "address",
            not outside,
            f"{settings.public_url} is for this machine alone"
            + (
                ": no webhook reaches it. Set PUBLIC_URL to the https address of your proxy"
                if outside
                else ""
            ),
        )
        return
    try:
        until = _certificate_end(host, parts.port or 443)
    except OSError as e:
        why = getattr(e, "verify_message", "") or e.strerror or type(e).__name__
        yield Finding(
            "address",
            False,
            f"{settings.public_url} does not answer as it should from here ({why}). Is Caddy "
            "running, and does the name lead to this machine? docs/runbook.md, no webhooks",
        )
        return
    well = until - now > CERTIFICATE_LEFT
    yield Finding(
        "address",
        well,
        f"{settings.public_url}, certificate until {until:%d %B %Y}"
        + ("" if well else ": it should have been renewed; look at Caddy's log"),
    )


def _certificate_end(host: str, port: int) -> datetime:
    """Until when the certificate of that address is good. Raises `OSError` when it is not."""
    context = ssl.create_default_context()
    with (
        socket.create_connection((host, port), timeout=PATIENCE) as raw,
        context.wrap_socket(raw, server_hostname=host) as secure,
    ):
        found = secure.getpeercert() or {}
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(found["notAfter"])), UTC)


def _disk(folder: Path) -> Finding:
    usage = shutil.disk_usage(next(p for p in (folder, *folder.resolve().parents) if p.exists()))
    well = usage.free >= FREE
    return Finding(
        "disk",
        well,
        f"{usage.free / GIB:.1f} GB of {usage.total / GIB:.0f} free where DATA_DIR is"
        + ("" if well else ": make room; docs/runbook.md, the disk is full"),
    )


def _keys(settings: Settings) -> Iterator[Finding]:
    given = len(settings.encryption_keys)
    if given:
        yield Finding(
            "encryption key", True, f"{given} in ENCRYPTION_KEYS; keep a copy apart from the data"
        )
    for subject, name, here in (
        ("encryption key", "encryption.key", not given),
        ("signing key", "signing.key", settings.secret_key is None),
        ("notification key", "teams-notification.key", not settings.teams_notification_key),
    ):
        path = settings.data_dir / name
        if here and path.exists():
            yield _key_file(subject, path)
    secret = settings.secret_key.get_secret_value() if settings.secret_key else None
    if secret is not None and len(secret) < SECRET_LENGTH:
        yield Finding(
            "signing key",
            False,
            "SECRET_KEY is short enough to be guessed: make one with openssl rand -hex 32",
        )


def _key_file(subject: str, path: Path) -> Finding:
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        return Finding(subject, False, f"others of this machine can read {path}: chmod 600 {path}")
    return Finding(subject, True, f"{path}, for its owner only; keep a copy apart from the data")


def _mixed_up(settings: Settings) -> Iterator[Finding]:
    """Zoom's three secrets look alike, and stand on two pages."""
    client = settings.zoom_client_secret
    if client and client in settings.zoom_webhook_secrets:
        yield Finding(
            "zoom secrets",
            False,
            "ZOOM_WEBHOOK_SECRETS is the client secret: take the Secret Token of the app's "
            "Feature page",
        )


def _second_factor(settings: Settings) -> Iterator[Finding]:
    """Nothing of it is asked of whoever tries Circle on their own machine."""
    if not settings.public_url.startswith("https://"):
        return
    required = settings.staff_second_factor == "required"
    says = "whoever signs in by link or token is asked for a code of their authenticator app"
    if not required and settings.teams:
        says = "Microsoft asks for it; by link or token only those who set one up are asked"
    elif not required:
        says = (
            "a link or token alone signs staff in unless they set one up: set "
            "STAFF_SECOND_FACTOR=required, or connect Teams and let them sign in with Microsoft"
        )
    yield Finding("second factor", required or settings.teams is not None, says)


def _copies(folder: Path, now: datetime) -> Finding:
    found = [path.stat().st_mtime for path in folder.glob("*") if path.is_file()]
    if not found:
        return Finding(
            "backups",
            True,
            f"none in {folder}; if you keep none elsewhere, docs/runbook.md says how",
        )
    last = datetime.fromtimestamp(max(found), UTC)
    well = now - last <= COPY_AGE
    return Finding(
        "backups",
        well,
        f"the last is of {last:%d %B %H:%M} UTC"
        + ("" if well else ": make one now, and see why the nightly one was not made"),
    )


def _rounds(engine_database: str, now: datetime) -> Finding:
    subject = "background work"
    try:
        last = last_round_in(engine_database)
    except STORAGE_TROUBLE as e:
        return Finding(subject, False, f"its database does not answer ({type(e).__name__})")
    if last is None:
        return Finding(subject, True, "has not begun yet: it does with the first start")
    well = now - last <= ROUND_AGE
    return Finding(
        subject,
        well,
        f"the last round ended on {last:%d %B at %H:%M:%S} UTC"
        + ("" if well else "; there is one every minute: is the worker running?"),
    )
