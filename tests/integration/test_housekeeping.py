"""The chores of every minute on the real workflow engine, and what it keeps of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from dbos import DBOS

from course.model import CohortState
from course.store.database import Database
from integration.housekeeping import SCHEDULE, Housekeeping
from integration.turns import HELD, Turns
from tests.integration.conftest import Office

pytestmark = pytest.mark.both_databases


def eventually(true: Callable[[], object]) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it never came true")


def rounds() -> int:
    return len(DBOS.list_workflows(schedule_name=SCHEDULE, status="SUCCESS"))


def test_rounds_are_forgotten_after_a_day_and_openings_are_not(office: Office) -> None:
    done: list[str] = []

    def chore() -> int:
        done.append("done")
        return 1

    Housekeeping.take_on({"a chore": chore}, Turns(office.database, holder="here"))
    Housekeeping.schedule()
    cohort = office.open()
    Housekeeping.wake()
    eventually(rounds)
    now = datetime.now(UTC)
    assert Housekeeping.forget(now) == 0
    eventually(lambda: Housekeeping.forget(now + timedelta(days=2)))
    assert rounds() == 0
    # The engine knows by the opening's id that it was done, and goes on with new rounds.
    kept = DBOS.list_workflows(workflow_id_prefix=f"align-{cohort.id}")
    assert [one.status for one in kept] == ["SUCCESS"]
    before = len(done)
    Housekeeping.wake()
    eventually(lambda: len(done) > before)
    assert office.read(cohort.id).state is CohortState.READY


def test_checks_of_cohorts_are_forgotten_after_a_quarter_of_a_year(office: Office) -> None:
    cohort = office.open()
    office.scheduling.check_cohort(cohort.id, cohort.platform, cause="after-1")

    def checks() -> list[str]:
        found = DBOS.list_workflows(workflow_id_prefix="check-", status="SUCCESS")
        return [one.workflow_id for one in found]

    eventually(checks)
    now = datetime.now(UTC)
    assert Housekeeping.forget(now + timedelta(days=89)) == 0
    assert Housekeeping.forget(now + timedelta(days=91)) == 1
    assert checks() == []


def test_a_slow_chore_is_not_begun_beside_itself_and_what_waited_is_done_by_one_more_round(
    office: Office,
) -> None:
    begun: list[int] = []
    beside: list[str] = []
    busy, goes_on = threading.Lock(), threading.Event()

    def chore() -> int:
        if not busy.acquire(blocking=False):
            beside.append("another one")
            return 0
        begun.append(len(begun))
        goes_on.wait(20)
        busy.release()
        return 1

    Housekeeping.take_on({"a slow chore": chore}, Turns(office.database, holder="here"))
    Housekeeping.schedule()
    Housekeeping.wake()
    eventually(lambda: begun)
    for _ in range(6):
        Housekeeping.wake()
    time.sleep(1.5)  # the engine looks into the queue every half second
    assert (len(begun), beside) == (1, [])
    goes_on.set()
    eventually(lambda: not waiting())
    assert beside == []
    # What was asked for meanwhile is one round's work; one more when the minute turned.
    assert 2 <= len(begun) <= 3


def waiting() -> int:
    return len(DBOS.list_workflows(schedule_name=SCHEDULE, status=["ENQUEUED", "PENDING"]))


class Wall:
    """The machines' clock; whoever waits for a turn moves it on."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_another_process_has_its_turn_when_the_one_before_died_or_stands_still(
    database: Database,
) -> None:
    wall = Wall()
    ours = Turns(database, holder="one", wall=wall, sleep=wall.sleep)
    theirs = Turns(database, holder="two", wall=wall, sleep=wall.sleep)
    with ours.turn() as go_on:
        wall.sleep(HELD - 1)
        assert go_on()  # so its time begins anew
        began = wall()
        with theirs.turn() as they_go_on:
            assert wall() - began >= HELD
            assert not go_on()
            assert they_go_on()
        assert not go_on()


def test_a_turn_that_is_over_is_free_at_once(database: Database) -> None:
    wall = Wall()
    for holder in ("one", "two", "one"):
        with Turns(database, holder=holder, wall=wall, sleep=wall.sleep).turn():
            pass
    assert wall() == Wall()()
