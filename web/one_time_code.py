"""Six digits that an app shows for half a minute: their secret made, drawn, and compared with.

RFC 6238 with what every app knows: SHA-1, six digits, thirty seconds. Nothing is stored here.
https://www.rfc-editor.org/rfc/rfc6238
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime

import pyotp
import segno

STEP = 30  # seconds that a code is shown
AROUND = (-1, 0, 1)  # a clock may be half a minute out, and typing takes a while
QUIET = 4  # modules of white around the picture, without which some cameras do not find it


@dataclass(frozen=True, slots=True)
class Picture:
    """A square QR code: how many modules wide, and the path of the dark ones."""

    size: int
    path: str


def new_secret() -> str:
    """160 random bits as text to scan or to type."""
    return pyotp.random_base32()


def matching_step(secret: str, code: str, *, now: datetime) -> int | None:
    """Of which half minute the code is; None when of none around now."""
    typed = "".join(code.split())
    if len(typed) != 6 or not (typed.isascii() and typed.isdigit()):
        return None
    totp, current = pyotp.TOTP(secret), int(now.timestamp()) // STEP
    found = [
        current + out
        for out in AROUND
        if hmac.compare_digest(totp.generate_otp(current + out).encode(), typed.encode())
    ]
    return found[-1] if found else None


def in_fours(secret: str) -> str:
    """The secret as one types it."""
    return " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))


def app_address(secret: str, *, name: str, issuer: str) -> str:
    """What an app reads: the secret, and under which words to list it."""
    # A colon, however it is written, parts the two.
    name, issuer = name.replace(":", " "), issuer.replace(":", " ")
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=issuer)


def picture(address: str) -> Picture:
    """The address to be scanned, as a path: the page needs neither style nor script to draw it."""
    rows = segno.make(address, error="m", micro=False).matrix
    path = "".join(
        f"M{x + QUIET} {y + QUIET}h1v1h-1z"
        for y, row in enumerate(rows)
        for x, dark in enumerate(row)
        if dark
    )
    return Picture(len(rows) + 2 * QUIET, path)
