"""Subscriptions to live notifications: one lives for each series, and what was missed is read."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest

from course.model import Platform
from course.store import mailboxes, registers, watches, watchfulness
from course.store import series as series_store
from integration.mailboxes import MailboxWatches
from integration.provider import CALL_RECORDS, Certificate, ProviderError, Series
from integration.subscriptions import Callbacks, Subscriptions
from tests.integration.conftest import Office


def test_a_subscription_is_renewed_at_two_thirds_of_its_life_and_made_again_when_gone(
    office: Office,
) -> None:
    cohort = office.open(platform=Platform.TEAMS)
    office.clock.move(timedelta(hours=40))
    assert office.subscriptions.renew_due() == 0
    office.clock.move(timedelta(hours=10))
    assert office.subscriptions.renew_due() == 1
    office.teams.subscriptions.clear()
    office.clock.move(timedelta(hours=50))
    assert office.subscriptions.renew_due() == 1
    assert len(office.teams.subscriptions) == 1
    with office.database.read() as connection:
        (watch,) = watches.live_watches(connection, cohort.id)
    assert watch.watch_ref in office.teams.subscriptions


def resync(office: Office, cohort_id: str) -> list[datetime | None]:
    with office.database.read() as connection:
        return [entry.resync_at for entry in registers.read_registers(connection, cohort_id)]


def test_a_subscription_that_died_unseen_during_a_session_has_its_record_read(
    office: Office,
) -> None:
    cohort = office.open(platform=Platform.TEAMS)
    office.clock.now = cohort.sessions[0].starts_at - timedelta(hours=1)
    office.subscriptions.renew_due()
    assert resync(office, cohort.id) == []
    office.teams.subscriptions.clear()
    office.clock.now = cohort.sessions[0].ends_at + timedelta(days=2)
    assert office.subscriptions.renew_due() == 1
    assert resync(office, cohort.id) == [office.clock.now]


def test_a_new_certificate_is_given_to_every_subscription_at_once(office: Office) -> None:
    cohort = office.open(platform=Platform.TEAMS)
    rotated = Subscriptions(
        database=office.database,
        providers={Platform.TEAMS: office.teams},
        callbacks={
            Platform.TEAMS: Callbacks(
                notification_url="https://circle.example/webhooks/teams",
                lifecycle_url="https://circle.example/webhooks/teams/lifecycle",
                certificate=Certificate(ref="newer", der=b""),
            )
        },
        clock=office.clock,
    )
    assert [rotated.renew_due() for _ in range(2)] == [1, 0]
    with office.database.read() as connection:
        (watch,) = watches.live_watches(connection, cohort.id)
    assert office.teams.encrypted_to == {watch.watch_ref: "newer"}
    assert watch.certificate_ref == "newer"


def test_whoever_races_one_subscription_is_left_for_a_series(office: Office) -> None:
    cohort = office.open(platform=Platform.TEAMS)
    with office.database.write() as connection:
        (watch,) = watches.live_watches(connection, cohort.id)
        watches.update_watch(connection, watch.id, watch_ref=None)
        stored = series_store.read_series(connection, cohort.id, Platform.TEAMS)
    assert stored is not None
    series = Series(ref=stored.series_ref or "", organiser_ref="o", join_url="u")
    racing = [
        threading.Thread(
            target=office.subscriptions.ensure, args=(cohort.id, Platform.TEAMS, series)
        )
        for _ in range(4)
    ]
    for thread in racing:
        thread.start()
    for thread in racing:
        thread.join()
    for _ in range(3):  # rows of those who lost the race find theirs gone, and end
        office.clock.move(timedelta(hours=50))
        office.subscriptions.renew_due()
    with office.database.read() as connection:
        live = watches.live_watches(connection, cohort.id)
    assert [w.watch_ref for w in live] == list(office.teams.subscriptions)


def test_after_the_course_its_subscription_is_ended_here_and_on_the_platform(
    office: Office,
) -> None:
    cohort = office.open(platform=Platform.TEAMS)
    office.clock.now = cohort.sessions[-1].ends_at - timedelta(hours=1)
    office.subscriptions.renew_due()
    office.clock.now = cohort.sessions[-1].ends_at + timedelta(hours=49)
    office.subscriptions.renew_due()
    assert office.teams.subscriptions == {}
    with office.database.read() as connection:
        assert watchfulness.subscriptions(connection) == (0, 0, None)
        assert watches.live_watches(connection) == []


def test_a_subscription_that_is_not_wanted_any_more_is_ended_when_the_platform_answers_again(
    office: Office,
) -> None:
    cohort = office.open(platform=Platform.TEAMS)
    office.clock.now = cohort.sessions[-1].ends_at + timedelta(hours=47)
    office.subscriptions.renew_due()
    office.clock.move(timedelta(hours=2))
    down = ProviderError("Graph does not answer.", permanent=False)
    office.teams.trouble.append(("stop_watch", down))
    office.subscriptions.renew_due()
    with office.database.read() as connection:
        (watch,) = watches.live_watches(connection)
    assert watch.problem == "Graph does not answer."
    office.subscriptions.renew_due()
    assert office.teams.subscriptions == {}
    with office.database.read() as connection:
        assert watches.live_watches(connection) == []


def test_a_subscription_that_has_run_out_is_ended_whatever_the_platform_says(
    office: Office,
) -> None:
    cohort = office.open(platform=Platform.TEAMS)
    office.clock.now = cohort.sessions[-1].ends_at + timedelta(days=10)
    refused = ProviderError("Graph refuses.", permanent=True)
    office.teams.trouble.append(("stop_watch", refused))
    office.subscriptions.renew_due()
    with office.database.read() as connection:
        assert watches.live_watches(connection) == []


def test_subscriptions_on_a_platform_that_was_taken_out_of_the_settings_are_left_alone(
    office: Office,
) -> None:
    office.open(platform=Platform.TEAMS)
    office.clock.move(timedelta(hours=60))
    without = Subscriptions(
        database=office.database,
        providers={Platform.ZOOM: office.zoom},
        callbacks={},
        clock=office.clock,
    )
    assert without.renew_due() == 0
    assert office.subscriptions.renew_due() == 1  # back again


def mailbox_keeper(office: Office) -> MailboxWatches:
    return MailboxWatches(
        database=office.database,
        providers={Platform.ZOOM: office.zoom, Platform.TEAMS: office.teams},
        callbacks={
            Platform.TEAMS: Callbacks(
                notification_url="https://circle.example/webhooks/teams",
                lifecycle_url="https://circle.example/webhooks/teams/lifecycle",
                certificate=Certificate(ref="", der=b""),
            )
        },
        clock=office.clock,
    )


def test_of_two_rounds_at_the_same_time_one_watches_a_mailbox(office: Office) -> None:
    office.open(platform=Platform.TEAMS)
    other = mailbox_keeper(office)
    office.teams.meanwhile["start_change_watch"] = other.keep
    mailbox_keeper(office).keep()
    watched = sorted(name for name, _ in office.teams.calendars.values())
    assert watched == [CALL_RECORDS, "organiser"]


def test_a_mailbox_whose_process_died_before_it_was_watched_is_watched_by_another(
    office: Office,
) -> None:
    class Died(BaseException):
        pass

    def die() -> None:
        raise Died

    office.open(platform=Platform.TEAMS)
    office.teams.meanwhile["start_change_watch"] = die
    with pytest.raises(Died):
        mailbox_keeper(office).keep()
    office.clock.move(timedelta(minutes=10))
    mailbox_keeper(office).keep()
    watched = sorted(name for name, _ in office.teams.calendars.values())
    assert watched == [CALL_RECORDS, "organiser"]


def test_one_subscription_for_each_mailbox_hears_of_changes(office: Office) -> None:
    keeper = mailbox_keeper(office)
    assert keeper.keep() == 0
    for platform in (Platform.ZOOM, Platform.TEAMS, Platform.TEAMS):
        office.open(platform=platform)
    assert [keeper.keep() for _ in range(3)] == [2, 0, 0]
    watched = sorted(name for name, _ in office.teams.calendars.values())
    assert watched == [CALL_RECORDS, "organiser"]
    office.clock.move(timedelta(days=4, hours=1))
    assert [keeper.keep() for _ in range(2)] == [2, 0]  # renewed
    office.teams.calendars.clear()
    office.clock.move(timedelta(days=4, hours=1))
    assert [keeper.keep() for _ in range(2)] == [2, 0]  # gone, and made again
    assert len(office.teams.calendars) == 2


def shared(office: Office) -> list[str]:
    with office.database.read() as connection:
        return [watch.mailbox_ref for watch in mailboxes.all_mailbox_watches(connection)]


def test_after_the_last_course_of_a_mailbox_nothing_is_left_of_its_subscription(
    office: Office,
) -> None:
    keeper = mailbox_keeper(office)
    cohort = office.open(platform=Platform.TEAMS)
    office.clock.now = cohort.sessions[-1].ends_at + timedelta(hours=47)
    assert keeper.keep() == 2
    office.clock.move(timedelta(hours=2))
    down = ProviderError("Graph does not answer.", permanent=False)
    office.teams.trouble.append(("stop_watch", down))
    keeper.keep()
    assert len(shared(office)) == 1  # the one that could not be ended is tried again
    keeper.keep()
    assert (shared(office), office.teams.calendars) == ([], {})
    office.clock.now = cohort.sessions[0].starts_at - timedelta(days=5)
    assert keeper.keep() == 2  # the mailbox is in use again
