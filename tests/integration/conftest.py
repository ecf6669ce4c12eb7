"""The real workflow engine on a fresh database: over a fake platform, or over the stand-ins."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from dbos import DBOS

from course.model import Cohort, CohortState, Platform, Rule
from course.store import cohorts
from course.store.database import Database
from integration import durable
from integration.alignment import Alignment
from integration.enrolment import Enrolment
from integration.holdings import Holdings
from integration.leftovers import Leftovers
from integration.provider import Certificate, MeetingProvider
from integration.scheduling import Scheduling
from integration.subscriptions import Callbacks, Subscriptions
from tests.databases import CIPHER, POLL, put_migrated, workflows_file
from tests.factories import NOW, make_new_cohort
from tests.fakes import FakeClock, FakeProvider
from tests.stand_ins import StandIns, stand_ins
from webhooks.teams_content import make_certificate

PATIENCE = timedelta(seconds=20)
ACTOR = "admin Ann"


@dataclass
class Desk:
    """Everything that opens and changes cohorts, ready to be asked."""

    database: Database
    scheduling: Scheduling
    subscriptions: Subscriptions

    def read(self, cohort_id: str) -> Cohort:
        """The cohort as it is stored now."""
        with self.database.read() as connection:
            cohort = cohorts.read_cohort(connection, cohort_id)
        assert cohort is not None
        return cohort

    def settled(self, cohort_id: str) -> Cohort:
        """The cohort when the work on it is over, or in trouble that staff can see."""
        self.scheduling.wait_until_settled(cohort_id, timeout=PATIENCE)
        return self.read(cohort_id)

    def finished(self, cohort_id: str, within: float = 30.0) -> Cohort:
        """The cohort when the work on its newest version is over."""
        until = time.monotonic() + within
        while time.monotonic() < until:
            cohort = self.read(cohort_id)
            if cohort.settled_version == cohort.version:
                return cohort
            time.sleep(0.05)
        return self.read(cohort_id)

    def until(self, cohort_id: str, state: CohortState, within: float = 20.0) -> Cohort:
        """The cohort when it has reached that state."""
        until = time.monotonic() + within
        while (cohort := self.read(cohort_id)).state is not state and time.monotonic() < until:
            time.sleep(0.05)
        assert cohort.state is state, cohort.problem
        return cohort

    def open(self, **changes: object) -> Cohort:
        """Open a cohort and wait."""
        new = make_new_cohort(**{"name": f"Cohort {uuid.uuid4().hex[:8]}"} | changes)
        return self.settled(self.scheduling.open_cohort(new, key=None, actor=ACTOR))


@dataclass
class Office(Desk):
    """A desk over two fake platforms."""

    zoom: FakeProvider
    teams: FakeProvider
    clock: FakeClock


@dataclass
class Practice(Desk):
    """A desk over the stand-ins, through the product's own clients and real HTTP."""

    platforms: StandIns


@cache
def _certificate() -> bytes:
    _, pem = make_certificate(datetime.now(UTC))
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def _workflows(database: Database, folder: Path) -> str:
    if database.is_sqlite:
        return f"sqlite:///{shutil.copy(workflows_file(), folder / 'workflows.sqlite')}"
    url = database.engine.url.set(drivername="postgresql")
    return url.render_as_string(hide_password=False)


@contextmanager
def desk(
    database: Database,
    folder: Path,
    providers: Mapping[Platform, MeetingProvider],
    clock: Callable[[], datetime],
    notification_url: str,
) -> Iterator[tuple[Scheduling, Subscriptions]]:
    DBOS.destroy(destroy_registry=False)
    durable.configure(
        database_url=_workflows(database, folder), executor_id="test", listen_every=0.05
    )
    subscriptions = Subscriptions(
        database=database,
        providers=providers,
        callbacks={
            Platform.TEAMS: Callbacks(
                notification_url=notification_url,
                lifecycle_url=f"{notification_url}/lifecycle",
                certificate=Certificate(ref="certificate-1", der=_certificate()),
            )
        },
        clock=clock,
    )
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
        organisers={Platform.ZOOM: "host@example.org", Platform.TEAMS: "host@example.org"},
        rule=Rule(),
        timezone="Europe/London",
        clock=clock,
        name=f"scheduling {folder}",
        poll=POLL,
    )
    DBOS.launch()
    scheduling.launch()
    yield scheduling, subscriptions
    DBOS.destroy(destroy_registry=False)


@pytest.fixture
def office(database: Database, tmp_path: Path) -> Iterator[Office]:
    """A running office; its engine's database is a file of its own."""
    clock = FakeClock(NOW)
    zoom = FakeProvider(Platform.ZOOM)
    teams = FakeProvider(Platform.TEAMS, watches=True, invites=True)
    providers = {Platform.ZOOM: zoom, Platform.TEAMS: teams}
    url = "https://circle.example/webhooks/teams"
    with desk(database, tmp_path, providers, clock, url) as (scheduling, subscriptions):
        yield Office(
            database=database,
            zoom=zoom,
            teams=teams,
            clock=clock,
            scheduling=scheduling,
            subscriptions=subscriptions,
        )


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Practice]:
    """A running practice for a whole file: starting an engine takes longer than most tests."""
    folder = tmp_path_factory.mktemp("practice")
    database = Database(f"sqlite:///{put_migrated(folder)}", CIPHER)
    with stand_ins() as platforms, platforms.receiver() as url:
        providers: dict[Platform, MeetingProvider] = {
            Platform.ZOOM: platforms.zoom(),
            Platform.TEAMS: platforms.teams(),
        }
        with desk(database, folder, providers, platforms.clock, url) as (
            scheduling,
            subscriptions,
        ):
            yield Practice(
                database=database,
                platforms=platforms,
                scheduling=scheduling,
                subscriptions=subscriptions,
            )
    database.close()


@pytest.fixture
def practice(standing: Practice) -> Practice:
    """The practice over stand-ins on which nothing stands."""
    standing.platforms.fresh()
    return standing


__all__ = ["CohortState", "Desk", "Office", "Practice"]
