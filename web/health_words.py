"""What operators should look at soon, in words that name what to do; no person, no cohort."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from course.model import Platform
from course.store import mailboxes, notifications, watches
from course.store.database import Transaction
from integration.provider import CALL_RECORDS

# Zoom checks our address every 72 hours and disables it after six failures.
VALIDATION_OVERDUE = timedelta(hours=80)
WAITS_TOO_LONG = timedelta(minutes=10)


def warnings_of(
    connection: Transaction, platforms: Sequence[Platform], *, now: datetime
) -> Iterator[str]:
    """One sentence for everything that is not as it should be; the service goes on meanwhile."""
    counts = notifications.count_open(connection)
    if counts.get("parked"):
        yield (
            f"{counts['parked']} notifications cannot be read and are parked. "
            "They are tried again at the next start; circle doctor says more."
        )
    if counts.get("quarantined"):
        yield f"{counts['quarantined']} notifications are unreadable and kept in quarantine."
    oldest = notifications.oldest_waiting(connection)
    if oldest is not None and now - oldest > WAITS_TOO_LONG:
        yield (
            f"A notification has waited to be read since {oldest:%d %B %H:%M} UTC: are Microsoft's "
            "signing keys reachable, and is the notification certificate's key at hand?"
        )
    if Platform.ZOOM in platforms:
        yield from _of_zoom(connection, now)
    troubled = [w for w in watches.live_watches(connection) if w.problem or w.watch_ref is None]
    if troubled:
        yield (
            f"{len(troubled)} subscriptions to live notifications have trouble: "
            f"{troubled[0].problem or 'not confirmed yet'}"
        )
    for calendar in mailboxes.all_mailbox_watches(connection):
        # Call records are extra: a tenant that does not permit them lacks nothing.
        if calendar.problem and calendar.mailbox_ref != CALL_RECORDS:
            yield f"A subscription that serves several cohorts has trouble: {calendar.problem}"


def _of_zoom(connection: Transaction, now: datetime) -> Iterator[str]:
    taken_out = notifications.flagged_since(connection, Platform.ZOOM)
    if taken_out is not None:
        yield (
            f"Zoom took our app out of the account on {taken_out:%d %B at %H:%M} UTC: install it "
            "again, then run: circle reconnect zoom"
        )
    validated = notifications.last_validation(connection)
    if validated is not None and now - validated > VALIDATION_OVERDUE:
        yield (
            f"Zoom last validated our address on {validated:%d %B at %H:%M} UTC, and should every "
            "72 hours: check the app's event subscription before Zoom disables it."
        )
