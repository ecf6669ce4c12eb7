"""Instants as the platforms write them."""

from __future__ import annotations

from datetime import UTC, datetime

from webhooks.rejected import Malformed

FIRST_YEAR, LAST_YEAR = 2000, 2099  # Graph writes year 1 for "none"; far ones break arithmetic


def in_utc(written: object) -> datetime:
    """An ISO 8601 instant, without a zone in UTC. Raises `Malformed`."""
    if not isinstance(written, str):
        raise Malformed("a time that is none")
    try:
        found = datetime.fromisoformat(written)
    except ValueError as e:
        raise Malformed("a time that is none") from e
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise Malformed("a time of another age")
    if found.tzinfo is UTC:
        return found
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
