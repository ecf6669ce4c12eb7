"""What operators are told: ready or not and why, and what to look at soon, in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
from flask import Flask

from course.model import Platform
from course.store import cohorts as cohort_store
from course.store import watches
from course.store.database import Database, Transaction
from course.store.notifications import Notification
from course.store.watches import StoredWatch
from tests.factories import make_cohort
from tests.fakes import FakeClock
from web.health import Metrics, create_health
from web.health_look import Look
from webhooks.inbox import Delivery, Inbox

pytestmark = pytest.mark.both_databases

NOW = datetime(2027, 1, 16, 9, 30, tzinfo=UTC)


class Desk:
    def __init__(self, database: Database, *, look: Look | None = None) -> None:
        self.database = database
        self.inbox = Inbox(database)
        self.metrics = Metrics()
        self.ready = [True]
        app = Flask("health")
        app.register_blueprint(
            create_health(
                database=database,
                metrics=self.metrics,
                ready=lambda: self.ready[0],
                configured=[Platform.ZOOM, Platform.TEAMS],
                clock=FakeClock(NOW),
                look=look,
            )
        )
        self.client = app.test_client()

    def keep(self, ref: str, *, kind: str = "k", state: str = "done", age: timedelta) -> None:
        notification = Notification(
            id=ref,
            platform=Platform.ZOOM,
            received_at=NOW - age,
            kind=kind,
            body="{}",
            state=state,
        )
        self.inbox.accept([Delivery(notification=notification)])

    def warnings(self) -> str:
        answer = self.client.get("/readyz")
        assert answer.status_code == 200
        return " ".join(answer.get_json()["warnings"])


@pytest.fixture
def desk(database: Database) -> Iterator[Desk]:
    made = Desk(database)
    yield made
    made.inbox.close()


def test_all_is_well(desk: Desk) -> None:
    assert desk.warnings() == ""


def test_a_service_that_still_starts_is_not_ready_and_says_so(desk: Desk) -> None:
    desk.ready[0] = False
    answer = desk.client.get("/readyz")
    assert (answer.status_code, answer.get_json()["reasons"]) == (
        503,
        ["The service is still starting."],
    )


def test_a_validation_that_is_overdue_is_told_before_zoom_disables_us(desk: Desk) -> None:
    desk.keep("v1", kind="endpoint.url_validation", age=timedelta(hours=79))
    assert desk.warnings() == ""
    desk = Desk(desk.database)
    with desk.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM notification")
    desk.keep("v2", kind="endpoint.url_validation", age=timedelta(hours=81))
    assert "check the app's event subscription" in desk.warnings()
    desk.inbox.close()


def test_what_waits_is_parked_or_unreadable_is_told(desk: Desk) -> None:
    desk.keep("a", state="waiting", age=timedelta(minutes=9))
    assert desk.warnings() == ""
    desk.keep("b", state="waiting", age=timedelta(minutes=11))
    desk.keep("c", state="parked", age=timedelta(days=3))
    desk.keep("d", state="quarantined", age=timedelta(days=3))
    told = desk.warnings()
    for words in ("has waited to be read since", "1 notifications cannot be read", "quarantine"):
        assert words in told


def test_an_app_that_was_taken_out_is_told_with_what_to_do(desk: Desk) -> None:
    desk.keep("f", kind="app_deauthorized", state="flagged", age=timedelta(minutes=1))
    assert "circle reconnect zoom" in desk.warnings()


def test_a_subscription_in_trouble_is_told(desk: Desk) -> None:
    with desk.database.write() as connection:
        cohort_store.insert_cohort(connection, make_cohort(), {"carer-1": "t"})
        watches.insert_watch(
            connection,
            StoredWatch(
                id="w",
                cohort_id="cohort-1",
                platform=Platform.TEAMS,
                series_ref="s",
                client_state="c",
                certificate_ref="c1",
                made_at=NOW,
                problem="Graph could not reach our address.",
            ),
        )
    assert "Graph could not reach our address." in desk.warnings()


def test_the_figures_name_no_person_and_say_how_old_the_oldest_is(desk: Desk) -> None:
    desk.keep("a", state="waiting", age=timedelta(minutes=9))
    desk.metrics.outcome(Platform.ZOOM, "bad_signature")
    desk.metrics.answered(Platform.ZOOM, 0.004)
    desk.metrics.committed(3, 1, 0.002)
    text = desk.client.get("/metrics").get_data(as_text=True)
    for line in (
        "circle_oldest_waiting_seconds 540.0",
        'circle_notifications_open{state="waiting"} 1.0',
        'circle_notifications_open{state="quarantined"} 0.0',
        'circle_notifications_total{outcome="bad_signature",platform="zoom"} 1.0',
        'circle_deliveries_committed_total{kind="repeated"} 1.0',
        'circle_webhook_seconds_count{platform="zoom"} 1.0',
        "circle_commit_deliveries_count 1.0",
    ):
        assert line in text


class StandingStill(Database):
    """A database that answers nobody, and refuses nobody, until it goes on."""

    def __init__(self, like: Database) -> None:
        super().__init__(like.engine.url.render_as_string(hide_password=False), like.cipher)
        self.goes_on = Event()

    @contextmanager
    def read(self, *, snapshot: bool = False) -> Iterator[Transaction]:
        assert self.goes_on.wait(20)
        with super().read(snapshot=snapshot) as connection:
            yield connection


def test_a_database_that_stands_still_is_told_of_while_it_does(database: Database) -> None:
    standing = StandingStill(database)
    desk = Desk(standing, look=Look(within=0.05))
    for _ in range(3):
        answer = desk.client.get("/readyz")
        assert answer.status_code == 503
        assert "The database does not answer" in answer.get_json()["reasons"][0]
        assert "circle_database_up 0.0" in desk.client.get("/metrics").get_data(as_text=True)
    standing.goes_on.set()
    desk.inbox.close()
    desk = Desk(standing)
    assert desk.client.get("/readyz").status_code == 200
    assert "circle_database_up 1.0" in desk.client.get("/metrics").get_data(as_text=True)
    desk.inbox.close()
    standing.close()
