"""How far away something is, in words that a parent reads at a glance. Pure: now is an argument."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

UK = "Europe/London"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def until(at: datetime, *, now: datetime, zone: ZoneInfo) -> str:
    """How long until then, such as "tomorrow" or "in 20 minutes". Days are those of the zone."""
    left = at - now
    days = (at.astimezone(zone).date() - now.astimezone(zone).date()).days
    if left <= MINUTE:
        return "now"
    if left < HOUR:
        return f"in {_count(left // MINUTE, 'minute')}"
    if days == 0:
        return f"today, in {_hours(left)}"
    if days == 1:
        return "tomorrow"
    if days == 7:
        return "in a week"
    if days >= 14 and days % 7 == 0:
        return f"in {days // 7} weeks"
    return f"in {days} days"


def since(at: datetime, *, now: datetime) -> str:
    """How long ago that was, such as "12 minutes ago"."""
    gone = now - at
    if gone < MINUTE:
        return "just now"
    if gone < HOUR:
        return f"{_count(gone // MINUTE, 'minute')} ago"
    rest = gone % HOUR // MINUTE
    more = f" and {_count(rest, 'minute')}" if rest else ""
    return f"{_count(gone // HOUR, 'hour')}{more} ago"


def zone_words(timezone: str) -> str:
    """Whose clock a time is by."""
    if timezone == UK:
        return "UK time"
    return f"{timezone.rpartition('/')[2].replace('_', ' ')} time"


def _hours(length: timedelta) -> str:
    """Whole hours, to the nearest one."""
    return _count(round(length / HOUR), "hour")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
