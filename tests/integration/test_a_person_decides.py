"""No path leads from evidence to a lost place without a named person.

The rule about all sessions only proposes. Whatever was heard, whatever is due, nothing that runs
by itself takes a carer off a course.
"""

from __future__ import annotations

import ast
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from course.model import Platform, Verdict
from course.store import cohorts, registers, tables
from course.store.database import Database
from course.store.erasures import Erasures
from course.store.retention import Periods, retain_daily
from integration.alignment import Alignment
from integration.enrolment import Enrolment
from integration.forgetting import Forgetting
from integration.holdings import Holdings
from integration.reconciliation import Reconciliation
from integration.subscriptions import Subscriptions
from settings import Settings
from tests.factories import make_cohort
from tests.fakes import FakeClock, FakeProvider
from tests.web.full_cohort import AFTER_WEEK_7, FULL, full_cohort, save_full_cohort

ROOT = Path(__file__).parents[2]
PERIODS = Periods(**Settings(_env_file=None).periods())  # type: ignore[call-arg]


def places(database: Database) -> dict[str, bool]:
    """Each carer, and whether they still have a place."""
    with database.read() as connection:
        return {
            row.id: row.withdrawn_at is None
            for row in connection.execute(select(tables.carer).order_by(tables.carer.c.id))
        }


def run_everything(database: Database, folder: Path, clock: FakeClock) -> None:
    """Every chore that could touch a cohort, and every step of its workflow."""
    provider = FakeProvider(Platform.ZOOM)
    providers = {Platform.ZOOM: provider}
    holdings = Holdings(database=database, providers=providers, clock=clock)
    enrolment = Enrolment(holdings)
    alignment = Alignment(
        holdings,
        Subscriptions(database=database, providers=providers, callbacks={}, clock=clock),
    )
    Reconciliation(database=database, providers=providers, clock=clock).reconcile_due()
    Reconciliation(database=database, providers=providers, clock=clock).note_late_evidence()
    retain_daily(database, PERIODS, now=clock())
    Forgetting(
        database=database,
        erasures=Erasures(database, data_dir=folder, clock=clock),
        providers=providers,
        clock=clock,
    ).finish()
    with database.read() as connection:
        cohort = cohorts.read_cohort(connection, FULL)
    assert cohort is not None
    _, going = enrolment.to_tell(FULL, cohort.version)
    assert going == []
    alignment.finish(FULL, cohort.version)


@pytest.mark.parametrize("days", [0, 8, 40])
def test_nothing_that_runs_by_itself_takes_a_place_away(
    database: Database, tmp_path: Path, days: int
) -> None:
    save_full_cohort(database)
    before = places(database)
    assert all(before.values())
    clock = FakeClock(AFTER_WEEK_7)
    for _ in range(3):
        clock.move(timedelta(days=days))
        run_everything(database, tmp_path, clock)
    assert places(database) == before


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(verdicts=st.lists(st.sampled_from([v.value for v in Verdict]), min_size=7, max_size=7))
def test_whatever_the_registers_say_every_place_stays(
    database: Database, tmp_path: Path, verdicts: list[str]
) -> None:
    if not places(database):
        save_full_cohort(database)
    with database.write() as connection:
        for week, verdict in enumerate(verdicts, start=1):
            entry = registers.read_register(connection, FULL, week)
            told = {c.id: {"verdict": verdict, "minutes": 0.0} for c in full_cohort().carers}
            registers.save_register(connection, FULL, entry, told)
    run_everything(database, tmp_path, FakeClock(make_cohort().sessions[7].ends_at))
    assert all(places(database).values())


def test_every_function_that_ends_a_place_names_who_asked() -> None:
    asking: dict[str, set[str]] = {}
    for path in sorted((ROOT / "integration").glob("*.py")) + sorted((ROOT / "web").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef):
                continue
            called = {
                f"{ast.unparse(call.func)}"
                for call in ast.walk(function)
                if isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and call.func.attr in {"withdraw_carers", "request_cancel"}
            }
            if called:
                arguments = {a.arg for a in [*function.args.args, *function.args.kwonlyargs]}
                asking[f"{path.name}:{function.name}"] = arguments
    assert set(asking) == {"amending.py:withdraw", "amending.py:transfer", "amending.py:cancel"}
    assert all("actor" in arguments for arguments in asking.values())


def test_no_chore_and_no_receiver_reaches_the_calls_that_end_a_place() -> None:
    """Only `Scheduling`'s own calls, which the doors make for a person, lead to `Amending`."""
    for folder in ("webhooks", "course", "integration"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            if path.name in {"amending.py", "scheduling.py", "changes.py"}:
                continue
            assert "withdraw_carers" not in text, path
            assert "_amending" not in text, path
            assert "request_cancel(" not in text, path
