"""Wires everything; the only file that names the Zoom and the Teams provider.

`create_app` builds the parts and touches neither network nor workflow engine; `Service.start`
migrates the database, starts the engine and takes up what a stopped process left.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from urllib.parse import urlsplit

from dbos import DBOS
from flask import Flask

import logs
from certificates import load_certificates
from course.model import CorrectionKind, Platform, Rule
from course.store import notifications
from course.store.cipher import secret_from_file
from course.store.database import Database, open_sealed
from course.store.erasures import Erasures
from course.store.processes import Processes, Seat
from course.store.pruning import prune
from course.store.retention import Periods, retain_daily
from course.store.unmatched import forget_unmatched
from front_door import front_door
from gateway import LARGEST_UPLOAD, Gateway
from integration import durable
from integration.adoption import Adoption
from integration.alignment import Alignment
from integration.calls import CallBot
from integration.enrolment import Enrolment
from integration.facilitator_mail import FacilitatorMail
from integration.forgetting import Forgetting
from integration.holdings import Holdings
from integration.housekeeping import Housekeeping
from integration.leftovers import Leftovers
from integration.live_media import LiveMedia
from integration.mailboxes import MailboxWatches
from integration.mailing import Mailing, SmtpPost
from integration.pace import Pace, SharedPace
from integration.provider import Certificate, MeetingProvider, ProviderError
from integration.reconciliation import NotYet, Reconciliation
from integration.scheduling import Scheduling
from integration.standings import Standings
from integration.subscriptions import Callbacks, Subscriptions
from integration.teams import TeamsProvider
from integration.teams_keys import SigningKeys
from integration.teams_signin import EntraSignin
from integration.zoom import ZoomProvider
from settings import Settings, SettingsError
from web.api import create_api
from web.headers import HSTS, install_headers
from web.health import Metrics, create_health
from web.health_figures import WorkInHand
from web.join import ALIVE_AFTER, create_join_page
from web.notice import Practice
from web.page import Pages
from web.pages import create_pages
from web.problems import Problem, install_problems
from web.quotas import Quotas
from web.second_factor import SecondFactors
from web.signin import create_signin
from webhooks.calls_reader import CallsReader
from webhooks.evidence import TeamsReader, ZoomReader
from webhooks.inbox import Inbox
from webhooks.recovery import Recovery
from webhooks.rereading import Reader, Rereader
from webhooks.routes import HARDENED, Receivers


class Role(Enum):
    """What a process does: answer requests, carry out workflows and chores, or both."""

    BOTH = "both"
    WEB = "web"
    WORKER = "worker"

    @property
    def works(self) -> bool:
        """Whether it carries out workflows."""
        return self is not Role.WEB


# Requests for people's pages and Graph's notifications wait for different things: one kind never
# takes the threads of the other.
PAGE_THREADS, HOOK_THREADS = 64, 16
STRANGERS_AT_ONCE = 20  # sessions
PLATFORM_HOSTS = (
    "zoom.us",
    "zoomgov.com",
    "teams.microsoft.com",
    "teams.live.com",
    "teams.cloud.microsoft",
)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The running parts of one process."""

    flask: Flask
    receivers: Receivers
    gateway: Gateway
    database: Database
    providers: Mapping[Platform, MeetingProvider]
    inbox: Inbox
    scheduling: Scheduling
    erasures: Erasures
    pace: SharedPace
    rereader: Rereader
    chores: Mapping[str, Callable[[], int]]
    role: Role
    adoption: Adoption | None
    started: list[datetime]
    clock: Callable[[], datetime]

    def start(self, *, adopt: str | None = None) -> int:
        """Migrate, start the workflow engine, take up what was left; `adopt`: also by a process of
        that name that does not come back. How many workflows that were.

        Raises `StillAlive`.
        """
        self.database.migrate()
        self.erasures.reapply()  # before anything is read or sent: this may be a restored backup
        self.inbox.keep_looking()
        self.pace.start()
        if self.role.works:
            self.rereader.take_up_parked()
        DBOS.launch()
        self.scheduling.launch()
        Housekeeping.schedule(self.chores if self.role.works else {})
        adopted = 0
        if self.adoption is not None:
            adopted = self.adoption.adopt(adopt) if adopt else 0
            self.adoption.start()
        self.started.append(self.clock())
        return adopted

    def stop(self) -> None:
        """Store what is waiting. Workflows need no farewell: they go on at the next start."""
        self.inbox.close()

    def finish(self, within: int) -> None:
        """Take on no more work, give that under way so many seconds, and stop."""
        DBOS.destroy(workflow_completion_timeout_sec=within)
        self.stop()


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
    zoom_reader = (
        ZoomReader(
            secrets=zoom.webhook_secrets,
            account_id=zoom.account_id,
            sent_direction=zoom.sent_direction,
            client_id=zoom.client_id,
        )
        if zoom
        else None
    )
    teams_reader = None
    if teams:
        keys = SigningKeys(
            login_url=teams.login_url, tenant_id=teams.tenant_id, jwks_url=teams.jwks_url
        )
        teams_reader = TeamsReader(
            database=database,
            audience=teams.client_id,
            tenant_id=teams.tenant_id,
            signing_keys=keys.current,
            private_keys={c.ref: c.key for c in certificates},
            fetch_call_record=providers[Platform.TEAMS].fetch_call_record,
        )
    readers: dict[Platform, Reader] = {}
    if zoom_reader:
        readers[Platform.ZOOM] = zoom_reader
    if teams_reader:
        readers[Platform.TEAMS] = teams_reader
    rereader = Rereader(database, readers)
    calls_reader = None
    if teams and teams.call_bot:
        bot_keys = SigningKeys(
            login_url=teams.login_url,
            tenant_id=teams.tenant_id,
            jwks_url=teams.jwks_url,
            metadata_url=teams.calls_metadata_url,
        )
        calls_reader = CallsReader(
            database=database,
            audience=teams.client_id,
            signing_keys=bot_keys.current,
        )
    started: list[datetime] = []

    def close_register(cohort_id: str, week: int, actor: str) -> None:
        try:
            reconciliation.close(cohort_id, week, actor=actor)
        except NotYet as e:
            raise Problem(409, "The register cannot be closed now", str(e)) from e

    def configured() -> dict[Platform, list[str]]:
        return {Platform(name): gaps for name, gaps in settings.missing().items()}

    sends_mail = settings.smtp_url is not None and bool(settings.mail_from)
    quotas = Quotas(
        exports_per_hour=settings.exports_per_hour, cohorts_per_day=settings.cohorts_per_day
    )
    signing_secret = _signing_secret(settings)
    factors = SecondFactors(
        database=database,
        clock=clock,
        secret=signing_secret,
        required=settings.staff_second_factor == "required",
        issuer=f"Circle, {settings.practice_name}" if settings.practice_name else "Circle",
    )
    flask = Flask("circle", static_folder=None)
    flask.json.sort_keys = False  # type: ignore[attr-defined]  # in the order of the contract
    # Nobody is told which methods there are but with a refusal; no other site's page asks us.
    flask.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    flask.config["MAX_CONTENT_LENGTH"] = LARGEST_UPLOAD
    install_problems(flask)
    install_headers(flask, public_url=settings.public_url)
    flask.register_blueprint(
        create_api(
            database=database,
            office=scheduling,
            close_register=close_register,
            configured=configured,
            clock=clock,
            public_url=settings.public_url,
            default_timezone=settings.timezone,
            sends_mail=sends_mail,
            quotas=quotas,
            erasures=erasures,
            wake=Housekeeping.wake,
        )
    )
    flask.register_blueprint(
        create_join_page(
            database=database,
            clock=clock,
            public_url=settings.public_url,
            allowed_hosts=_allowed_hosts(settings),
            notice=notice,
            has_bot=calls_reader is not None,
            practice=Practice(
                name=settings.practice_name,
                contact=settings.privacy_contact,
                basis=settings.privacy_basis,
                notification_days=settings.keep_notification_days,
                interval_days=settings.keep_media_days,
                record_days=settings.keep_records_days,
                # A page ends by itself; a shorter period takes its link away sooner.
                link_days=min(settings.keep_join_days, ALIVE_AFTER.days),
            ),
        )
    )
    flask.register_blueprint(
        create_signin(
            database=database,
            clock=clock,
            public_url=settings.public_url,
            notice=notice,
            factors=factors,
            identity=_entra(settings),
            secret=signing_secret,
        )
    )
    flask.register_blueprint(
        create_pages(
            Pages(
                database=database,
                clock=clock,
                notice=notice,
                notice_link=notice_link,
                timezone=settings.timezone,
                public_url=settings.public_url,
                configured=configured,
                office=scheduling,
                factors=factors,
                sends_mail=sends_mail,
                unmatched_days=settings.keep_unmatched_days,
                quotas=quotas,
            )
        )
    )
    receivers = Receivers(
        inbox=inbox,
        zoom_reader=zoom_reader,
        teams_reader=teams_reader,
        calls_reader=calls_reader,
        wake=Housekeeping.wake,
        changed=scheduling.series_changed,
        counted=metrics,
        clock=clock,
        threads=ThreadPoolExecutor(HOOK_THREADS, thread_name_prefix="hook"),
        hardened=(*HARDENED, HSTS) if settings.public_url.startswith("https://") else HARDENED,
    )
    flask.register_blueprint(
        create_health(
            database=database,
            metrics=metrics,
            ready=lambda: bool(started),
            configured=list(providers),
            clock=clock,
            work=_work_in_hand,
        )
    )
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
        "forget strangers": lambda: _forget_strangers(database, settings, clock()),
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
    if calls_reader:
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
    return Service(
        flask=flask,
        receivers=receivers,
        gateway=Gateway(
            receivers,
            flask,
            ThreadPoolExecutor(PAGE_THREADS, thread_name_prefix="page"),
            front_door(settings.public_url, settings.allowed_hosts, settings.trusted_proxies),
        ),
        database=database,
        providers=providers,
        inbox=inbox,
        scheduling=scheduling,
        erasures=erasures,
        pace=pace,
        rereader=rereader,
        chores=chores,
        role=role,
        adoption=adoption,
        started=started,
        clock=clock,
    )


def _work_in_hand() -> WorkInHand | None:
    """What the workflow engine has to do, where it runs."""
    counts = durable.in_hand()
    return None if counts is None else WorkInHand(counts, Housekeeping.last_round())


def _entra(settings: Settings) -> EntraSignin | None:
    """Where Teams is configured its tenant says who somebody is."""
    teams = settings.teams
    if teams is None:
        return None
    keys = SigningKeys(
        login_url=teams.login_url, tenant_id=teams.tenant_id, jwks_url=teams.jwks_url
    )
    return EntraSignin(
        tenant_id=teams.tenant_id,
        client_id=teams.client_id,
        client_secret=teams.client_secret,
        client_certificate=teams.client_certificate,
        login_url=teams.login_url,
        redirect_uri=f"{settings.public_url}/signin/microsoft/answer",
        keys=keys.current,
    )


def _signing_secret(settings: Settings) -> str:
    """What signs a browser's cookies; of several machines each needs the same `SECRET_KEY`."""
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value()
    return secret_from_file(settings.data_dir / "signing.key")


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


def _prune(database: Database, settings: Settings, now: datetime) -> int:
    """Forget what notifications said, once it is told as facts; a few thousand at a time."""
    with database.write() as connection:
        return prune(connection, before=now - timedelta(days=settings.keep_notification_days))


def _forget_strangers(database: Database, settings: Settings, now: datetime) -> int:
    """Of a few sessions at a time: on a Saturday all cohorts of a country are due at once."""
    before = now - timedelta(days=settings.keep_unmatched_days)
    with database.write() as connection:
        return forget_unmatched(connection, before=before, now=now, limit=STRANGERS_AT_ONCE)


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


def _allowed_hosts(settings: Settings) -> Callable[[str], bool]:
    """Whether a stored join link leads to a platform: its public hosts, or the API's own."""
    own = {urlsplit(settings.zoom_api_url).hostname, urlsplit(settings.graph_url).hostname}

    def allowed(host: str) -> bool:
        return host in own or any(host == h or host.endswith(f".{h}") for h in PLATFORM_HOSTS)

    return allowed
