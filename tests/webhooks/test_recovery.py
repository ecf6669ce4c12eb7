"""Deliveries that Zoom gave up on are asked for and counted as if they had come."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from course.model import Platform
from course.store import cohorts, evidence
from course.store import series as series_store
from course.store.database import Database
from integration.provider import ProviderError, SeriesPlan, Slot
from integration.zoom import ZoomProvider
from tests.factories import FIRST, make_cohort
from tests.fakes import FakeClock, FakeProvider
from tests.stand_ins import StandIns, stand_ins
from tests.webhooks.test_zoom import joined
from webhooks.evidence import ZoomReader
from webhooks.inbox import Inbox
from webhooks.recovery import EVERY, Recovery


class Desk:
    """A Zoom cohort whose first session was held a moment ago."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.provider = FakeProvider()
        self.clock = FakeClock(FIRST + timedelta(minutes=40))
        self.inbox = Inbox(database)
        self.recovery = Recovery(
            database=database,
            provider=self.provider,
            reader=ZoomReader(secrets=[], account_id="A", sent_direction="output"),
            inbox=self.inbox,
            clock=self.clock,
        )
        cohort = make_cohort(series_ref=None)
        with database.write() as connection:
            cohorts.insert_cohort(connection, cohort, {"carer-1": "t"})
            series_store.update_series(
                connection, cohort.id, Platform.ZOOM, series_ref="81000000001"
            )

    def told(self) -> list[str]:
        with self.database.read() as connection:
            cohort = cohorts.read_cohort(connection, "cohort-1")
            assert cohort is not None
            return [str(e.told_as) for e in evidence.read_evidence(connection, cohort).events]


@pytest.fixture
def desk(database: Database) -> Iterator[Desk]:
    made = Desk(database)
    yield made
    made.inbox.close()


def test_what_was_given_up_is_stored_once_and_asked_for_again_later(desk: Desk) -> None:
    desk.provider.delivery_log = [json.dumps(joined()), "not json", json.dumps({"event": 7})]
    assert desk.recovery.recover() == 1
    assert desk.told() == ["meeting.participant_joined"]
    assert desk.recovery.recover() == 0
    assert desk.provider.calls == ["lost_deliveries"]
    desk.clock.move(EVERY)
    assert desk.recovery.recover() == 1
    assert desk.told() == ["meeting.participant_joined"]


def test_another_accounts_deliveries_are_nothing_to_us(desk: Desk) -> None:
    other = joined()
    other["payload"]["account_id"] = "somebody-else"
    desk.provider.delivery_log = [json.dumps(other)]
    assert desk.recovery.recover() == 0
    assert desk.told() == []


def test_without_a_session_nobody_is_asked(desk: Desk) -> None:
    desk.clock.now = FIRST - timedelta(days=2)
    assert desk.recovery.recover() == 0
    assert desk.provider.calls == []


def test_a_log_that_cannot_be_read_is_asked_for_again_at_once(desk: Desk) -> None:
    desk.provider.delivery_log = [json.dumps(joined())]
    desk.provider.trouble.append(
        ("lost_deliveries", ProviderError("Zoom does not answer.", permanent=False))
    )
    with pytest.raises(ProviderError):
        desk.recovery.recover()
    assert desk.recovery.recover() == 1


@pytest.fixture(scope="module")
def running() -> Iterator[StandIns]:
    with stand_ins() as found:
        yield found


def test_zooms_log_gives_back_what_never_arrived(running: StandIns) -> None:
    zoom: ZoomProvider = running.zoom(app_id=running.config.zoom_app_id)
    starts = FIRST
    made = zoom.create_series(
        SeriesPlan(
            marker="one",
            name="One",
            organiser=running.config.zoom_host,
            timezone="Europe/London",
            slots=tuple(
                Slot(starts_at=starts + timedelta(weeks=n), length=timedelta(minutes=30))
                for n in range(8)
            ),
            usual_length=timedelta(minutes=30),
        )
    )
    scene = {
        "series_ref": made.ref,
        "starts_at": starts.isoformat(),
        "opens": 0,
        "closes": 30,
        "people": {"maya": {"name": "Maya Patel"}},
        "acts": [{"at": 1, "person": "maya", "deed": "join", "lost": True}],
    }
    running.play(Platform.ZOOM, scene)
    now = running.clock()
    lost = zoom.lost_deliveries(now - timedelta(hours=1), now + timedelta(minutes=1))
    names = [json.loads(body)["event"] for body in lost]
    # Nobody listens at the webhook's address here, so everything was given up.
    assert "meeting.participant_joined" in names
    assert "meeting.started" in names
    assert zoom.lost_deliveries(now - timedelta(days=2), now - timedelta(days=1)) == ()
    with pytest.raises(ProviderError, match="ZOOM_APP_ID"):
        running.zoom(app_id="other").lost_deliveries(now - timedelta(hours=1), now)
    assert running.zoom().lost_deliveries(now - timedelta(hours=1), now) == ()
