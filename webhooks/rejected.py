"""The two ways in which a delivery is not accepted."""

from __future__ import annotations


class Rejected(Exception):
    """Not provably from the platform. `reason` is one short word for counting, without content."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Malformed(Exception):
    """Provably from the platform, but not readable. The text says why, without content."""
