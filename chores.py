"""What happens every minute by itself, by name: `integration.housekeeping` runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from course.model import Platform
from course.store.database import Database
from course.store.erasures import Erasures
from course.store.pruning import prune
from course.store.retention import Periods, retain_daily
from course.store.unmatched import forget_unmatched
from integration.calls import CallBot
from integration.facilitator_mail import FacilitatorMail
from integration.forgetting import Forgetting
from integration.housekeeping import Housekeeping
from integration.leftovers import Leftovers
from integration.live_media import LiveMedia
from integration.mailboxes import MailboxWatches
from integration.mailing import SmtpPost
from integration.provider import MeetingProvider
from integration.reconciliation import Reconciliation
from integration.scheduling import Scheduling
from integration.standings import Standings
from integration.subscriptions import Callbacks, Subscriptions
from settings import Settings
from webhooks.evidence import ZoomReader
from webhooks.inbox import Inbox
from webhooks.recovery import Recovery
from webhooks.rereading import Rereader

STRANGERS_AT_ONCE = 20  # cohorts


def chores_of(
    settings: Settings,
    *,
    clock: Callable[[], datetime],
    database: Database,
    providers: Mapping[Platform, MeetingProvider],
    callbacks: Mapping[Platform, Callbacks],
    scheduling: Scheduling,
    subscriptions: Subscriptions,
    leftovers: Leftovers,
    reconciliation: Reconciliation,
    erasures: Erasures,
    inbox: Inbox,
    rereader: Rereader,
    zoom_reader: ZoomReader | None,
    has_bot: bool,
) -> dict[str, Callable[[], int]]:
    """Each chore returns how much it did. Those of a platform, of mail or of the bot only where
    these are configured.
    """
    zoom, teams = settings.zoom, settings.teams
    standings = Standings(database, clock)
    chores = {
        "take up cohorts": scheduling.take_up,
        "look for drift": scheduling.check_due,
        "renew subscriptions": subscriptions.renew_due,
        "remove what was left": leftovers.clear,
        "watch calendars": MailboxWatches(
            database=database,
            providers=providers,
            callbacks=callbacks,
            clock=clock,
            call_records=teams.call_records if teams else False,
        ).keep,
        "fetch records": reconciliation.reconcile_due,
        "note late evidence": reconciliation.note_late_evidence,
        "keep standings": standings.keep,
        "check standings": standings.check,
        "read waiting": rereader.read_waiting,
        "forget notifications": lambda: _prune(database, settings, clock()),
        "forget strangers": lambda: forget_unmatched(
            database,
            kept=timedelta(days=settings.keep_unmatched_days),
            now=clock(),
            limit=STRANGERS_AT_ONCE,
        ),
        "keep nothing too long": lambda: retain_daily(
            database, Periods(**settings.periods()), now=clock()
        ),
        "forget rounds": lambda: Housekeeping.forget(clock()),
        "finish erasures": Forgetting(
            database=database,
            erasures=erasures,
            providers=providers,
            clock=clock,
            noted=inbox.look_for_erased,
        ).finish,
    }
    if settings.mail_facilitators and settings.smtp_url and settings.mail_from:
        chores["tell facilitators"] = FacilitatorMail(
            database=database,
            post=SmtpPost(settings.smtp_url.get_secret_value()),
            sender=settings.mail_from,
            public_url=settings.public_url,
            clock=clock,
        ).send_due
    if has_bot:
        chores["keep calls"] = CallBot(
            database=database, providers=providers, public_url=settings.public_url, clock=clock
        ).keep
    if zoom and zoom.dashboard:
        chores["poll media"] = LiveMedia(database=database, providers=providers, clock=clock).poll
    if zoom_reader:
        chores["recover deliveries"] = Recovery(
            database=database,
            provider=providers[Platform.ZOOM],
            reader=zoom_reader,
            inbox=inbox,
            clock=clock,
        ).recover
    return chores


def _prune(database: Database, settings: Settings, now: datetime) -> int:
    """Forget what notifications said, once it is told as facts; a few thousand at a time."""
    with database.write() as connection:
        return prune(connection, before=now - timedelta(days=settings.keep_notification_days))
