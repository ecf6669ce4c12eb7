"""The inbox on a real database: stored before the answer, once, and one bad row harms no other."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from sqlalchemy import text

from course.model import EventKind, ParticipantEvent, Platform, Source
from course.store.database import Database
from course.store.notifications import Notification
from tests.factories import NOW
from tests.trouble import held_by_somebody
from webhooks.inbox import Delivery, Inbox, NotStored


def make_delivery(number: int) -> Delivery:
    return Delivery(
        notification=Notification(
            id=f"n{number}",
            platform=Platform.ZOOM,
            received_at=NOW,
            kind="meeting.participant_joined",
            body="{}",
        ),
        events=(
            ParticipantEvent(
                key=f"e{number}",
                platform=Platform.ZOOM,
                kind=EventKind.JOINED,
                occurred_at=NOW,
                source=Source.WEBHOOK,
                series_ref="81000000001",
                notification_id=f"n{number}",
            ),
        ),
    )


def count(database: Database, table: str) -> int:
    with database.read() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def test_what_was_accepted_is_in_the_database(database: Database) -> None:
    inbox = Inbox(database)
    inbox.accept([make_delivery(1)])
    assert count(database, "notification") == count(database, "participant_event") == 1
    inbox.close()


def test_a_repeat_is_a_success_and_changes_nothing(database: Database) -> None:
    commits: list[tuple[int, int]] = []
    inbox = Inbox(database, committed=lambda new, old, _: commits.append((new, old)))
    inbox.accept([make_delivery(1)])
    inbox.accept([make_delivery(1)])
    assert commits == [(1, 0), (0, 1)]
    assert count(database, "notification") == 1
    inbox.close()


def test_concurrent_deliveries_are_all_stored(database: Database) -> None:
    inbox = Inbox(database)
    threads = [
        threading.Thread(target=lambda n=n: inbox.accept([make_delivery(n)])) for n in range(60)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(database, "notification") == 60
    inbox.close()


def test_one_bad_delivery_does_not_take_the_others_with_it(database: Database) -> None:
    inbox = Inbox(database)
    bad = make_delivery(2)
    bad = replace(bad, notification=replace(bad.notification, kind=None))  # type: ignore[type-var]
    outcomes: dict[int, str] = {}

    def accept(number: int, delivery: Delivery) -> None:
        try:
            inbox.accept([delivery])
            outcomes[number] = "stored"
        except NotStored:
            outcomes[number] = "refused"

    threads = [
        threading.Thread(target=accept, args=(n, bad if n == 2 else make_delivery(n)))
        for n in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {0: "stored", 1: "stored", 2: "refused", 3: "stored", 4: "stored"}
    inbox.close()


def test_a_locked_database_is_an_error_in_time_and_not_a_success(database: Database) -> None:
    inbox = Inbox(database)
    with held_by_somebody(database), pytest.raises(NotStored):
        inbox.accept([make_delivery(1)])
    assert count(database, "notification") in (0, 1)
    inbox.close()
