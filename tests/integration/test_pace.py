"""Pacing: below the limits, shared by everybody, and free again after a death."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest

from course.model import CohortState, Platform
from course.store import cohorts
from course.store.database import Database
from integration.pace import HELD, MAILBOX_PLACES, SharedPace
from integration.provider import MeetingProvider, ProviderError
from integration.zoom_client import category_of
from sandbox.config import SandboxConfig
from sandbox.limits import zoom_category
from tests.factories import make_new_cohort
from tests.integration.conftest import desk
from tests.stand_ins import stand_ins


class Watch:
    """A clock whose sleepers move it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_turns_come_evenly_and_two_processes_share_them(database: Database) -> None:
    watch = Watch()
    first, second = (
        SharedPace(database, zoom_plan="pro", holder=h, wall=watch, sleep=watch.sleep)
        for h in ("one", "two")
    )
    begun = watch.now
    for number in range(60):
        (first if number % 2 else second).turn("zoom", "account", "light")
    assert 59 / 30 <= watch.now - begun < 59 / 30 * 1.05
    before = watch.now
    first.turn("zoom", "account", "medium")  # another limit, another line
    assert watch.now == before


def test_a_mailbox_may_have_as_long_an_address_as_is_taken(database: Database) -> None:
    pace = SharedPace(database, zoom_plan="pro", holder="one")
    with pace.place("teams", f"{'a' * 64}@{'practice.' * 14}example"):
        pass


def test_a_line_that_is_too_long_is_left_to_the_workflow(database: Database) -> None:
    watch = Watch()
    pace = SharedPace(database, zoom_plan="pro", holder="one", wall=watch, sleep=lambda _: None)
    with pytest.raises(ProviderError) as error:
        for _ in range(400):
            pace.turn("zoom", "account", "heavy")
    assert not error.value.permanent
    assert error.value.retry_after


def test_never_more_than_four_calls_at_a_time_to_one_mailbox(database: Database) -> None:
    paces = [SharedPace(database, zoom_plan="pro", holder=h) for h in ("one", "two")]
    lock, busy, most = threading.Lock(), 0, 0
    gate = threading.Barrier(MAILBOX_PLACES, timeout=20)

    def call(number: int) -> None:
        nonlocal busy, most
        with paces[number % 2].place("teams", "Host@Practice.example"):
            with lock:
                busy += 1
                most = max(most, busy)
            gate.wait()  # four are in together: the limit is used, not only kept
            with lock:
                busy -= 1

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(call, range(12)))
    assert most == MAILBOX_PLACES


def test_what_a_dead_process_held_is_free_when_it_starts_again_or_after_a_while(
    database: Database,
) -> None:
    watch = Watch()
    dead = SharedPace(database, zoom_plan="pro", holder="one", wall=watch, sleep=watch.sleep)
    held = [dead.place("teams", "host") for _ in range(MAILBOX_PLACES)]
    for place in held:
        place.__enter__()
    other = SharedPace(database, zoom_plan="pro", holder="two", wall=watch, sleep=watch.sleep)
    with pytest.raises(ProviderError, match="waiting in line"):
        other.place("teams", "host").__enter__()
    again = SharedPace(database, zoom_plan="pro", holder="one", wall=watch, sleep=watch.sleep)
    again.start()
    taken = [other.place("teams", "host") for _ in range(MAILBOX_PLACES)]
    for place in taken:
        place.__enter__()
    watch.now += HELD + 1
    with again.place("teams", "host"):
        pass


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/users/host@practice.example/meetings"),
        ("GET", "/users/host@practice.example/meetings"),
        ("GET", "/meetings/81000000001"),
        ("PATCH", "/meetings/81000000001"),
        ("POST", "/meetings/81000000001/registrants"),
        ("GET", "/meetings/81000000001/registrants"),
        ("PUT", "/meetings/81000000001/registrants/status"),
        ("GET", "/past_meetings/81000000001/instances"),
        ("GET", "/report/meetings/81000000001/participants"),
    ],
)
def test_the_client_and_the_stand_in_read_the_same_categories(method: str, path: str) -> None:
    assert category_of(method, path) == zoom_category(method, f"/zoom/v2{path}")


@pytest.mark.slow
def test_sixteen_cohorts_at_once_are_opened_without_one_refusal(
    database: Database, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pace = SharedPace(database, zoom_plan="pro", holder="one")
    with stand_ins(SandboxConfig(zoom_plan="pro")) as platforms, platforms.receiver() as url:
        providers: dict[Platform, MeetingProvider] = {
            Platform.ZOOM: platforms.zoom(pace=pace),
            Platform.TEAMS: platforms.teams(pace=pace),
        }
        folder = tmp_path_factory.mktemp("paced")
        with desk(database, folder, providers, platforms.clock, url) as (scheduling, _):
            opened = [
                scheduling.open_cohort(
                    make_new_cohort(
                        name=f"Cohort {number}",
                        platform=platform,
                        organiser="host@practice.example",
                        first_session_on=date(2027, 2, 27),
                    ),
                    key=None,
                    actor="admin Ann",
                )
                for platform in Platform
                for number in range(8)
            ]
            for cohort_id in opened:
                scheduling.wait_until_settled(cohort_id, timeout=timedelta(seconds=40))
            with database.read() as connection:
                states = {cohorts.read_state(connection, cohort_id) for cohort_id in opened}
            assert states == {CohortState.READY}
            assert platforms.refused() == 0
