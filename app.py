"""Wires everything; the only file that names the Zoom and the Teams provider.

`create_app` builds the parts and touches neither network nor workflow engine; `Service.start`
migrates the database, starts the engine and takes up what a stopped process left. What has many
parts of its own kind is put together beside: readers.py, doors.py, chores.py.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import logs
from certificates import load_certificates
from chores import chores_of
from course.model import CorrectionKind, Platform, Rule
from course.store import notifications
from course.store.database import Database, open_sealed
from course.store.erasures import Erasures
from course.store.processes import Processes, Seat
from doors import create_doors
from front_door import front_door
from gateway import Gateway
from integration import durable
from integration.adoption import Adoption
from integration.alignment import Alignment
from integration.enrolment import Enrolment
from integration.holdings import Holdings
from integration.housekeeping import Housekeeping
from integration.leftovers import Leftovers
from integration.mailing import Mailing, SmtpPost
from integration.pace import Pace, SharedPace
from integration.provider import Certificate, MeetingProvider, ProviderError
from integration.reconciliation import Reconciliation
from integration.scheduling import Scheduling
from integration.subscriptions import Callbacks, Subscriptions
from integration.teams import TeamsProvider
from integration.turns import Turns
from integration.zoom import ZoomProvider
from readers import build_readers
from service import Role, Service
from settings import Settings, SettingsError
from web.headers import HSTS
from web.health import Metrics
from webhooks.errands import Errands
from webhooks.inbox import Inbox
from webhooks.rereading import Rereader
from webhooks.routes import HARDENED, Receivers

# Requests for people's pages, Graph's notifications and whoever watches over us wait for different
# things: one kind never takes the threads of the other.
PAGE_THREADS, HOOK_THREADS, PROBE_THREADS = 64, 16, 4


def build_providers(
    settings: Settings,
    clock: Callable[[], datetime],
    *,
    pace: Pace | None = None,
    allowed: Callable[[], None] = lambda: None,
) -> dict[Platform, MeetingProvider]:
    """The platforms that are configured. `pace` keeps the calls below their limits; `allowed`
    raises `ProviderError` when Zoom has said that it is done with us.
    """
    providers: dict[Platform, MeetingProvider] = {}
    if zoom := settings.zoom:
        providers[Platform.ZOOM] = ZoomProvider(
            account_id=zoom.account_id,
            client_id=zoom.client_id,
            client_secret=zoom.client_secret,
            api_url=zoom.api_url,
            oauth_url=zoom.oauth_url,
            app_id=zoom.app_id,
            dashboard=zoom.dashboard,
            sent_direction=zoom.sent_direction,
            clock=clock,
            pace=pace,
            allowed=allowed,
        )
    if teams := settings.teams:
        providers[Platform.TEAMS] = TeamsProvider(
            tenant_id=teams.tenant_id,
            client_id=teams.client_id,
            client_secret=teams.client_secret,
            client_certificate=teams.client_certificate,
            graph_url=teams.graph_url,
            login_url=teams.login_url,
            engagements_version=teams.engagements_version,
            clock=clock,
            pace=pace,
        )
    return providers


def create_app(
    settings: Settings,
    *,
    clock: Callable[[], datetime],
    notice: str = "",
    notice_link: tuple[str, str] | None = None,
    name: str = "scheduling",
    role: Role = Role.BOTH,
    seat: Seat | None = None,
) -> Service:
    """Build the service from its settings. Raises `SettingsError`.

    `seat` is this process's name among the processes of its database.

    Every page shows `notice`; those of staff also a link beside it, by its words and address.
    `name` finds the workflows again after a restart: it must not change in production.
    """
    logs.configure(settings.log_level)
    try:
        database = open_sealed(**settings.storage())
    except ValueError as e:
        raise SettingsError(str(e)) from e
    executor = seat.name if seat else f"circle-{socket.gethostname()}"
    pace = SharedPace(
        database,
        zoom_plan=settings.zoom_plan,
        holder=executor,
        is_sure=seat.is_sure if seat else lambda: True,
    )
    providers = build_providers(
        settings, clock, pace=pace, allowed=lambda: _not_taken_out(database)
    )
    certificates = load_certificates(settings, clock)
    durable.configure(
        database_url=settings.workflow_database(), executor_id=executor, works=role.works
    )
    adoption = None
    if role.works and not database.is_sqlite:
        adoption = Adoption(
            Processes(database),
            name=executor,
            version=durable.WORKFLOW_VERSION,
            after=settings.adopt_after_seconds,
        )
    callbacks = {
        Platform.TEAMS: Callbacks(
            notification_url=f"{settings.public_url}/webhooks/teams",
            lifecycle_url=f"{settings.public_url}/webhooks/teams/lifecycle",
            certificate=Certificate(ref=certificates[0].ref, der=certificates[0].der),
        )
    }
    subscriptions = Subscriptions(
        database=database, providers=providers, callbacks=callbacks, clock=clock
    )
    zoom, teams = settings.zoom, settings.teams
    hosts = {Platform.ZOOM: zoom.host if zoom else "", Platform.TEAMS: teams.host if teams else ""}
    holdings = Holdings(database=database, providers=providers, clock=clock)
    leftovers = Leftovers(
        database=database, providers=providers, subscriptions=subscriptions, clock=clock
    )
    scheduling = Scheduling(
        database=database,
        holdings=holdings,
        alignment=Alignment(holdings, subscriptions),
        enrolment=Enrolment(holdings),
        leftovers=leftovers,
        organisers={platform: hosts[platform] for platform in providers},
        rule=_rule(settings),
        timezone=settings.timezone,
        clock=clock,
        send_mail=_mailing(settings, database, clock),
        name=name,
    )
    reconciliation = Reconciliation(
        database=database,
        providers=providers,
        clock=clock,
        # With the record at hand, see as well whether the weeks to come still stand as planned.
        closed=lambda cohort, week: scheduling.check_cohort(
            cohort.id, cohort.platform, cause=f"after-{week}"
        ),
    )
    metrics = Metrics()
    inbox = Inbox(database, committed=metrics.committed)
    erasures = Erasures(database, data_dir=settings.data_dir, clock=clock)
    readers = build_readers(
        settings,
        database=database,
        providers=providers,
        certificates=certificates,
        wake=Housekeeping.wake,
    )
    rereader = Rereader(database, readers.by_platform())
    has_bot = readers.calls is not None
    started: list[datetime] = []
    flask = create_doors(
        settings,
        clock=clock,
        database=database,
        office=scheduling,
        reconciliation=reconciliation,
        erasures=erasures,
        metrics=metrics,
        platforms=providers,
        has_bot=has_bot,
        ready=lambda: bool(started),
        notice=notice,
        notice_link=notice_link,
    )
    errands = Errands()
    receivers = Receivers(
        inbox=inbox,
        zoom_reader=readers.zoom,
        teams_reader=readers.teams,
        calls_reader=readers.calls,
        wake=Housekeeping.wake,
        changed=scheduling.series_changed,
        later=errands,
        counted=metrics,
        clock=clock,
        threads=ThreadPoolExecutor(HOOK_THREADS, thread_name_prefix="hook"),
        hardened=(*HARDENED, HSTS) if settings.public_url.startswith("https://") else HARDENED,
    )
    chores = chores_of(
        settings,
        clock=clock,
        database=database,
        providers=providers,
        callbacks=callbacks,
        scheduling=scheduling,
        subscriptions=subscriptions,
        leftovers=leftovers,
        reconciliation=reconciliation,
        erasures=erasures,
        inbox=inbox,
        rereader=rereader,
        zoom_reader=readers.zoom,
        has_bot=has_bot,
    )
    return Service(
        flask=flask,
        receivers=receivers,
        gateway=Gateway(
            receivers,
            flask,
            ThreadPoolExecutor(PAGE_THREADS, thread_name_prefix="page"),
            ThreadPoolExecutor(PROBE_THREADS, thread_name_prefix="probe"),
            front_door(settings.public_url, settings.allowed_hosts, settings.trusted_proxies),
        ),
        database=database,
        providers=providers,
        inbox=inbox,
        errands=errands,
        scheduling=scheduling,
        erasures=erasures,
        pace=pace,
        turns=Turns(database, holder=executor),
        rereader=rereader,
        signing_keys=readers.signing_keys,
        chores=chores,
        role=role,
        adoption=adoption,
        started=started,
        clock=clock,
    )


def _rule(settings: Settings) -> Rule:
    """What a cohort is stamped with when it opens."""
    return Rule(
        presence=settings.rule_presence,
        camera=settings.rule_camera,
        microphone=settings.rule_microphone,
        late_after=timedelta(minutes=settings.rule_late_after_minutes),
        satisfied_by=frozenset(CorrectionKind(kind) for kind in settings.rule_satisfied_by),
    )


def _not_taken_out(database: Database) -> None:
    """Nothing is asked of Zoom once it has said that our app was taken out of the account."""
    with database.read() as connection:
        since = notifications.flagged_since(connection, Platform.ZOOM)
    if since is not None:
        raise ProviderError(
            f"Zoom says that our app was taken out of the account on {since:%d %B at %H:%M} UTC. "
            "Install it again, then run: circle reconnect zoom",
            permanent=True,
        )


def _mailing(
    settings: Settings, database: Database, clock: Callable[[], datetime]
) -> Callable[[str, durable.Work], None] | None:
    """Sends mail, where a mail server and a sender are configured."""
    if settings.smtp_url is None or not settings.mail_from:
        return None
    return Mailing(
        database=database,
        post=SmtpPost(settings.smtp_url.get_secret_value()),
        sender=settings.mail_from,
        public_url=settings.public_url,
        clock=clock,
    ).send_due
