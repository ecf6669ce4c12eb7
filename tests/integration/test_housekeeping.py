"""The chores of every minute on the real workflow engine, and what it keeps of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from dbos import DBOS

from course.model import CohortState
from integration.housekeeping import SCHEDULE, Housekeeping
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

    Housekeeping.schedule({"a chore": chore})
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
