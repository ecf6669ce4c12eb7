"""The doors that people use, as one Flask application: pages, API, join page, sign-in, health."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from urllib.parse import urlsplit

from flask import Flask

from course.model import Platform
from course.store.cipher import secret_from_file
from course.store.database import Database
from course.store.erasures import Erasures
from gateway import LARGEST_UPLOAD
from integration import durable
from integration.housekeeping import Housekeeping
from integration.reconciliation import NotYet, Reconciliation
from integration.scheduling import Scheduling
from integration.teams_keys import SigningKeys
from integration.teams_signin import EntraSignin
from settings import Settings
from web.api import create_api
from web.headers import install_headers
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

PLATFORM_HOSTS = (
    "zoom.us",
    "zoomgov.com",
    "teams.microsoft.com",
    "teams.live.com",
    "teams.cloud.microsoft",
)


def create_doors(
    settings: Settings,
    *,
    clock: Callable[[], datetime],
    database: Database,
    office: Scheduling,
    reconciliation: Reconciliation,
    erasures: Erasures,
    metrics: Metrics,
    platforms: Iterable[Platform],
    has_bot: bool,
    ready: Callable[[], bool],
    notice: str,
    notice_link: tuple[str, str] | None,
) -> Flask:
    """The application. `platforms` are those that are configured; `has_bot`: a bot of ours joins
    the sessions. Every page shows `notice`; those of staff also a link beside it.
    """

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
            office=office,
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
            has_bot=has_bot,
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
                office=office,
                factors=factors,
                sends_mail=sends_mail,
                unmatched_days=settings.keep_unmatched_days,
                quotas=quotas,
            )
        )
    )
    flask.register_blueprint(
        create_health(
            database=database,
            metrics=metrics,
            ready=ready,
            configured=list(platforms),
            clock=clock,
            work=_work_in_hand,
        )
    )
    return flask


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


def _allowed_hosts(settings: Settings) -> Callable[[str], bool]:
    """Whether a stored join link leads to a platform: its public hosts, or the API's own."""
    own = {urlsplit(settings.zoom_api_url).hostname, urlsplit(settings.graph_url).hostname}

    def allowed(host: str) -> bool:
        return host in own or any(host == h or host.endswith(f".{h}") for h in PLATFORM_HOSTS)

    return allowed
