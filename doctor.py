"""`circle doctor`: asks settings, database, platforms and subscriptions how they are, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from app import build_providers
from certificates import load_certificates
from course.model import CohortState, Platform
from course.store import cohorts, mailboxes, notifications, watches
from course.store.cipher import UnreadableField
from course.store.database import STORAGE_TROUBLE, Database, open_sealed
from integration.provider import ProviderError
from settings import Settings, SettingsError

# Zoom checks our address every 72 hours and disables it after six failures.
VALIDATION_OVERDUE = timedelta(hours=80)


class Finding(NamedTuple):
    """One line of the examination."""

    subject: str
    well: bool
    says: str


def examine(settings: Settings, *, clock: Callable[[], datetime]) -> list[Finding]:
    """Everything that can be asked from here; one `Finding` per subject."""
    try:
        database = open_sealed(**settings.storage())
        database.migrate()
    except (ValueError, *STORAGE_TROUBLE) as e:
        return [Finding("database", False, f"cannot be opened ({e}). Check DATABASE_URL.")]
    return [
        *_database(database),
        *_platforms(settings, clock),
        *_zoom_validation(settings, database, clock()),
        *_subscriptions(database, clock()),
        *_mail(settings),
        *_cohorts(database),
    ]


def _database(database: Database) -> Iterator[Finding]:
    try:
        with database.read() as connection:
            found, _ = cohorts.page_of_cohorts(connection, limit=1, offset=0)
            counts = notifications.count_open(connection)
    except UnreadableField as e:
        yield Finding("encryption", False, str(e))
        return
    yield Finding("database", True, "open and up to date" + ("" if found else ", no cohort yet"))
    waiting, unreadable = counts.get("waiting", 0), counts.get("quarantined", 0)
    yield Finding("waiting notifications", not waiting, f"{waiting} stored but not read yet")
    yield Finding(
        "unreadable notifications",
        not unreadable,
        f"{unreadable} in quarantine, kept for you to see",
    )


def _platforms(settings: Settings, clock: Callable[[], datetime]) -> Iterator[Finding]:
    providers = build_providers(settings, clock)
    for name, missing in settings.missing().items():
        provider = providers.get(Platform(name))
        if provider is None:
            yield Finding(name, True, f"not configured (would need {', '.join(missing)})")
            continue
        try:
            provider.check_access()
        except ProviderError as e:
            yield Finding(name, False, str(e))
        else:
            yield Finding(name, True, "our credentials are accepted")
    if settings.teams is not None:
        try:
            found = load_certificates(settings, clock)
        except SettingsError as e:
            yield Finding("notification certificate", False, str(e))
        else:
            newest = found[0]
            yield Finding(
                "notification certificate",
                newest.until > clock(),
                f"{newest.ref}, until {newest.until:%d %B %Y}"
                + (f", and {len(found) - 1} older" if len(found) > 1 else ""),
            )


def _zoom_validation(settings: Settings, database: Database, now: datetime) -> Iterator[Finding]:
    if settings.zoom is None:
        return
    with database.read() as connection:
        last = notifications.last_validation(connection)
        any_last = notifications.last_received(connection, Platform.ZOOM)
    if last is None:
        yield Finding(
            "zoom webhooks",
            any_last is not None,
            "Zoom has never validated our address: press Validate in the app's event subscription"
            if any_last is None
            else f"last notification {any_last:%d %B %H:%M} UTC; no validation seen yet",
        )
        return
    late = now - last > VALIDATION_OVERDUE
    yield Finding(
        "zoom webhooks",
        not late,
        f"Zoom last validated our address on {last:%d %B at %H:%M} UTC"
        + ("; it should every 72 hours: check the event subscription" if late else ""),
    )


def _subscriptions(database: Database, now: datetime) -> Iterator[Finding]:
    with database.read() as connection:
        live = watches.live_watches(connection)
        calendars = mailboxes.all_mailbox_watches(connection)
    for calendar in calendars:
        if calendar.problem:
            yield Finding(f"calendar of {calendar.mailbox_ref}", False, calendar.problem)
    for watch in live:
        alive = watch.watch_ref is not None and (watch.expires_at or now) > now
        until = f"{watch.expires_at:%d %B %H:%M} UTC" if watch.expires_at else "nobody knows when"
        yield Finding(
            f"subscription of cohort {watch.cohort_id}",
            alive and watch.problem is None,
            watch.problem or (f"alive until {until}" if alive else "not alive; it is made again"),
        )


def _mail(settings: Settings) -> Iterator[Finding]:
    says = (
        "sent to the carers when a cohort is opened or changed"
        if settings.smtp_url
        else "not configured (SMTP_URL, MAIL_FROM): send the join links yourself"
    )
    yield Finding("mail", True, says)


def _cohorts(database: Database) -> Iterator[Finding]:
    with database.read() as connection:
        for state in (CohortState.NEEDS_ATTENTION, CohortState.OPENING):
            for cohort_id in cohorts.cohorts_in_state(connection, state):
                cohort = cohorts.read_cohort(connection, cohort_id)
                says = cohort.problem if cohort and cohort.problem else f"still {state.value}"
                yield Finding(f"cohort {cohort_id}", False, says)
