"""The real workflow engine on a fresh SQLite file, with a fake platform behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from dbos import DBOS

from course.model import Platform, Rule
from course.store.database import Database
from integration import durable
from integration.opening import Opening
from integration.scheduling import Scheduling
from integration.subscriptions import Callbacks, Subscriptions
from tests.factories import NOW
from tests.fakes import FakeClock, FakeProvider


@dataclass
class Office:
    """Everything that opens cohorts, ready to be asked."""

    database: Database
    zoom: FakeProvider
    teams: FakeProvider
    clock: FakeClock
    scheduling: Scheduling
    subscriptions: Subscriptions


@pytest.fixture
def office(database: Database, tmp_path: Path) -> Iterator[Office]:
    """A running office; its engine's database is a file of its own."""
    DBOS.destroy(destroy_registry=False)
    durable.configure(database_url=f"sqlite:///{tmp_path / 'workflows.sqlite'}", executor_id="test")
    clock = FakeClock(NOW)
    zoom = FakeProvider(Platform.ZOOM)
    teams = FakeProvider(Platform.TEAMS, watches=True, invites=True)
    providers = {Platform.ZOOM: zoom, Platform.TEAMS: teams}
    subscriptions = Subscriptions(
        database=database,
        providers=providers,
        callbacks={
            Platform.TEAMS: Callbacks(
                notification_url="https://circle.example/webhooks/teams",
                lifecycle_url="https://circle.example/webhooks/teams/lifecycle",
                certificate_der=b"der",
                certificate_ref="certificate-1",
            )
        },
        clock=clock,
    )
    scheduling = Scheduling(
        database=database,
        opening=Opening(
            database=database, providers=providers, subscriptions=subscriptions, clock=clock
        ),
        organisers={Platform.ZOOM: "host@example.org", Platform.TEAMS: "host@example.org"},
        rule=Rule(),
        timezone="Europe/London",
        clock=clock,
        name=f"scheduling {tmp_path}",
    )
    DBOS.launch()
    yield Office(
        database=database,
        zoom=zoom,
        teams=teams,
        clock=clock,
        scheduling=scheduling,
        subscriptions=subscriptions,
    )
    DBOS.destroy(destroy_registry=False)
