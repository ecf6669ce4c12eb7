"""`circle doctor`: asks settings, database, platforms and subscriptions how they are, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

from app import build_providers
from certificates import load_certificates
from course.model import CohortState, Platform
from course.store import (
    audit_trail,
    cohorts,
    mailboxes,
    notifications,
    series,
    staff_sessions,
    watches,
    watchfulness,
)
from course.store.backup import restored_at
from course.store.cipher import UnreadableField
from course.store.database import STORAGE_TROUBLE, Database, open_sealed
from course.store.rekeying import keys_in_use
from course.store.tombstones import read_tombstones
from doctor_machine import (
    CERTIFICATE_LEFT,
    Finding,
    machine,
    missing_installation,
    none_here,
)
from integration.mailing import SmtpPost
from integration.permissions import excess
from integration.provider import CALL_RECORDS, MeetingProvider, ProviderError
from settings import Settings, SettingsError
from web.health_figures import REGISTER_LATE
from web.health_words import VALIDATION_OVERDUE

CLOCKS_AGREE = timedelta(minutes=1)


def examine(settings: Settings, *, clock: Callable[[], datetime]) -> list[Finding]:
    """Everything that can be asked from here; one `Finding` per subject. Where nothing is, nothing
    is made: a fresh one would be well, and not the one that was meant.
    """
    try:
        if gap := missing_installation(settings):
            return [*_machine(settings, clock()), gap, *_platforms(settings, clock)]
        database = open_sealed(**settings.storage())
        if database.version() is None:
            gap = none_here("the database has no tables")
            return [*_machine(settings, clock()), gap, *_platforms(settings, clock)]
        database.migrate()
    except (ValueError, *STORAGE_TROUBLE) as e:
        why = " ".join(str(getattr(e, "orig", None) or e).split())
        fault = Finding("database", False, f"cannot be opened ({why}). Check DATABASE_URL.")
        return [*_machine(settings, clock()), fault]
    return [
        *_machine(settings, clock()),
        *_database(database),
        *_audit(database),
        *_keys(database),
        *_erasures(database),
        *_platforms(settings, clock),
        *_notification_certificate(settings, clock),
        *_zoom_validation(settings, database, clock()),
        *_subscriptions(settings, database, clock),
        *_heard(settings, database),
        *_mail(settings, database),
        *_cohorts(database),
        *_registers(database, clock()),
        *_leftovers(database),
        *_unknown_series(settings, database, clock),
    ]


def _machine(settings: Settings, now: datetime) -> Iterator[Finding]:
    return machine(settings, engine_database=settings.workflow_database(), now=now)


def _database(database: Database) -> Iterator[Finding]:
    try:
        with database.read() as connection:
            found, _ = cohorts.page_of_cohorts(connection, limit=1, offset=0)
            counts = notifications.count_open(connection)
            why = notifications.parked_because(connection)
    except UnreadableField as e:
        yield Finding("encryption", False, str(e))
        return
    yield Finding("database", True, "open and up to date" + ("" if found else ", no cohort yet"))
    waiting, unreadable = counts.get("waiting", 0), counts.get("quarantined", 0)
    yield Finding(
        "waiting notifications",
        not waiting,
        f"{waiting} stored but not read yet"
        + ("; they are read every minute: see background work" if waiting else ""),
    )
    if why:
        yield Finding(
            "parked notifications",
            False,
            f"{counts.get('parked', 0)} were tried in vain and are kept; the next start tries them "
            f"once more. {' '.join(why)}",
        )
    yield Finding(
        "unreadable notifications",
        not unreadable,
        f"{unreadable} in quarantine, kept for you to see"
        + (": report them; the platform's record fills in what they told" if unreadable else ""),
    )


def _audit(database: Database) -> Iterator[Finding]:
    """The chain of the audit trail, with what to compare when an old copy was put back."""
    try:
        with database.read(snapshot=True) as connection:
            found = audit_trail.check(connection)
            used = staff_sessions.anybody_known(connection)
    except UnreadableField:
        return  # said above
    if found.broken_at is not None:
        where = f"line {found.broken_at}" if found.broken_at > 0 else f"after {found.lines} lines"
        yield Finding(
            "audit trail",
            False,
            f"broken at {where}: {found.fault}. Keep this database as it is, restore a copy beside "
            "it and compare; docs/threat-model.md says how.",
        )
        return
    yield Finding(
        "audit trail",
        bool(found.lines) or not used,
        f"{found.lines} lines, unbroken"
        + (f", {found.erased} without their detail" if found.erased else "")
        + (f"; the last is {found.last[:16]}" if found.lines else "")
        + ("" if found.lines or not used else ": but people have signed in; it was emptied"),
    )


def _keys(database: Database) -> Iterator[Finding]:
    used, at_hand = keys_in_use(database), database.cipher.key_ids
    missing = sorted(set(used) - set(at_hand))
    if missing:
        count = sum(used[key] for key in missing)
        yield Finding(
            "encryption keys",
            False,
            f"{count} values are sealed with {', '.join(missing)}, which is not in "
            "ENCRYPTION_KEYS: put it back behind the others",
        )
        return
    older = sum(count for key, count in used.items() if key != database.cipher.newest)
    says = f"everything is sealed with {database.cipher.newest}"
    if older:
        names = ", ".join(sorted(set(used) - {database.cipher.newest}))
        says = f"{older} values are still sealed with {names}: circle keys rotate"
    yield Finding("encryption keys", True, says)


def _erasures(database: Database) -> Iterator[Finding]:
    with database.read() as connection:
        stones = read_tombstones(connection)
    stuck = [stone for stone in stones if stone.problem]
    says = f"{len(stones)} carried out" if stones else "none asked for"
    if stuck:
        says = f"{len(stuck)} not finished: {stuck[0].problem}"
    yield Finding("erasures", not stuck, says)


def _platforms(settings: Settings, clock: Callable[[], datetime]) -> Iterator[Finding]:
    providers = build_providers(settings, clock)
    for name, missing in settings.missing().items():
        provider = providers.get(Platform(name))
        if provider is None:
            yield Finding(name, True, f"not configured (would need {', '.join(missing)})")
            continue
        try:
            told_at = provider.check_access()
        except ProviderError as e:
            yield Finding(name, False, str(e))
            continue
        yield Finding(name, True, "our credentials are accepted")
        granted = provider.granted()
        if granted is not None:
            too_much = excess(provider.platform, granted)
            says = too_much.says() if too_much else "nothing is granted that Circle does not use"
            yield Finding(f"permissions on {name}", not too_much, says)
        if told_at is not None:
            apart = abs(clock() - told_at)
            yield Finding(
                f"clock against {name}",
                apart <= CLOCKS_AGREE,
                f"{apart.total_seconds():.0f} seconds apart"
                + (
                    ""
                    if apart <= CLOCKS_AGREE
                    else ": signatures are refused when it grows; set this machine's clock (NTP)"
                ),
            )


def _notification_certificate(
    settings: Settings, clock: Callable[[], datetime]
) -> Iterator[Finding]:
    if settings.teams is None:
        return
    try:
        found = load_certificates(settings, clock)
    except SettingsError as e:
        yield Finding("notification certificate", False, str(e))
        return
    newest = found[0]
    well = newest.until - clock() > CERTIFICATE_LEFT
    yield Finding(
        "notification certificate",
        well,
        f"{newest.ref}, until {newest.until:%d %B %Y}"
        + ("" if well else ": put a new one first in TEAMS_NOTIFICATION_CERTIFICATE")
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


def _subscriptions(
    settings: Settings, database: Database, clock: Callable[[], datetime]
) -> Iterator[Finding]:
    """Ours beside the platform's own list: only what it knows of is alive."""
    with database.read() as connection:
        ours = watches.live_watches(connection)
        shared = mailboxes.all_mailbox_watches(connection)
    providers = build_providers(settings, clock)
    alive: dict[Platform, Mapping[str, datetime]] = {}
    for platform, provider in providers.items():
        if not provider.watches:
            continue
        try:
            alive[platform] = provider.live_watches()
        except ProviderError as e:
            yield Finding(f"subscriptions on {platform.value}", False, str(e))
    # What the platform dropped without a word is due: the next round asks, and makes it again.
    # Where it cannot be asked, that is said above, and nothing is known.
    for calendar in shared:
        if calendar.platform not in alive:
            continue
        known = alive[calendar.platform].get(calendar.watch_ref or "")
        is_extra = calendar.mailbox_ref == CALL_RECORDS
        if is_extra and known is None and calendar.problem:
            yield Finding("call records", True, f"not heard of ({calendar.problem}); optional")
            continue
        if known is None:
            with database.write() as connection:
                mailboxes.ask_for_renewal(connection, calendar, now=clock())
        subject = "call records" if is_extra else f"subscription to {calendar.mailbox_ref}"
        yield _alive(subject, known, calendar.problem)
    for watch in ours:
        if watch.platform not in alive:
            continue
        known = alive[watch.platform].get(watch.watch_ref or "")
        if known is None:
            with database.write() as connection:
                watches.update_watch(connection, watch.id, renewal_due_at=clock())
        yield _alive(f"subscription of cohort {watch.cohort_id}", known, watch.problem)


def _alive(subject: str, until: datetime | None, problem: str | None) -> Finding:
    says = (
        f"alive until {until:%d %B %H:%M} UTC" if until else "not alive; made again within a minute"
    )
    return Finding(subject, until is not None and problem is None, problem or says)


def _heard(settings: Settings, database: Database) -> Iterator[Finding]:
    with database.read() as connection:
        for name, missing in settings.missing().items():
            if missing:
                continue
            last = notifications.last_received(connection, Platform(name))
            yield Finding(
                f"last heard of {name}",
                True,
                f"{last:%d %B %H:%M} UTC, verified" if last else "nothing yet",
            )


def _mail(settings: Settings, database: Database) -> Iterator[Finding]:
    if settings.smtp_url is None:
        says = "not configured (SMTP_URL, MAIL_FROM): send the join links yourself"
        yield Finding("mail", True, says)
        return
    try:
        SmtpPost(settings.smtp_url.get_secret_value()).check()
    except ProviderError as e:
        yield Finding("mail", False, str(e))
    else:
        yield Finding("mail", True, "the mail server lets us in")
    with database.read() as connection:
        waiting, troubled = watchfulness.mail_waiting(connection)
    if waiting or troubled:
        yield Finding(
            "unsent mail",
            not troubled,
            f"{waiting} to be sent"
            + (
                f", {troubled} in trouble: circle cohort show COHORT says whose address was refused"
                if troubled
                else ""
            ),
        )


def _unknown_series(
    settings: Settings, database: Database, clock: Callable[[], datetime]
) -> Iterator[Finding]:
    """After a restore: series that were made after the backup, which nothing here knows of."""
    with database.read() as connection:
        since = restored_at(connection)
        hosts = cohorts.organisers(connection)
    if since is None:
        return
    for platform, provider in build_providers(settings, clock).items():
        default = {Platform.ZOOM: settings.zoom, Platform.TEAMS: settings.teams}[platform]
        theirs = {host for where, host in hosts if where is platform}
        for host in sorted(theirs | ({default.host} if default and default.host else set())):
            yield from _unknown_of(database, platform, provider, host, since)


def _unknown_of(
    database: Database, platform: Platform, provider: MeetingProvider, host: str, since: datetime
) -> Iterator[Finding]:
    subject = f"series of {host} on {platform}"
    try:
        made = provider.made_by_us(host)
    except ProviderError as e:
        yield Finding(subject, False, str(e))
        return
    with database.read() as connection:
        unknown = [
            (ref, name)
            for ref, name in made
            if series.find_stored(connection, platform, ref) is None
        ]
    for ref, name in unknown:
        yield Finding(
            subject,
            False,
            f"{name} ({ref}) stands there and is not known here since the restore of "
            f"{since:%d %B %Y}. Open the same cohort again and it is taken over; or delete it "
            f"on {platform.capitalize()}.",
        )
    if not unknown:
        yield Finding(subject, True, "all of them are known here")


def _leftovers(database: Database) -> Iterator[Finding]:
    """Series of cohorts that meet elsewhere now, and that are still to be removed."""
    with database.read() as connection:
        found = series.left_over(connection)
    for left in found:
        yield Finding(
            f"former series of cohort {left.series.cohort_id}",
            False,
            f"still stands on {left.series.platform}: "
            f"{left.problem or 'not removed yet.'} It is tried again every 15 minutes.",
        )


def _cohorts(database: Database) -> Iterator[Finding]:
    with database.read() as connection:
        for state in (CohortState.NEEDS_ATTENTION, CohortState.OPENING):
            for cohort_id in cohorts.cohorts_in_state(connection, state):
                cohort = cohorts.read_cohort(connection, cohort_id)
                says = cohort.problem if cohort and cohort.problem else f"still {state.value}"
                yield Finding(f"cohort {cohort_id}", False, says)


def _registers(database: Database, now: datetime) -> Iterator[Finding]:
    with database.read() as connection:
        late = watchfulness.open_registers(connection, now=now, after=REGISTER_LATE)
    says = "every session of the last week that is over for two hours is closed"
    if late:
        says = (
            f"{late} are open two hours after their session: they close when the platform's record "
            "is there; circle attention says what is missing"
        )
    yield Finding("registers", not late, says)
