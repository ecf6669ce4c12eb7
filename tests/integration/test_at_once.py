"""Several of staff, or several processes, at the same moment: one is first, on any database.

Whoever writes comes to the audit trail last. A test that writes a line of its own holds everybody
there, so that they all have read before the first of them is through.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from course.model import CorrectionKind, MessageKind, Platform, Verdict
from course.store import access, cohorts, rehearsals, statements, tables
from course.store import series as series_store
from course.store.database import Database
from course.store.erasures import Erasures, UnknownCarer
from integration.amending import Amending, Transferred
from integration.provider import PlatformRecord
from integration.reconciliation import Reconciliation
from integration.scheduling import NewCarer, NewHousehold, Refused
from tests.factories import FIRST, NOW, make_carer, make_cohort, make_new_cohort
from tests.fakes import FakeClock, FakeProvider
from tests.integration.conftest import ACTOR, Office
from web.access import Caller
from web.report_view import ReportView

AT_ONCE = 5


class Crowd:
    """People who do something while the audit trail is held, and what came of it."""

    def __init__(self, database: Database, pool: ThreadPoolExecutor) -> None:
        self._database = database
        self._pool = pool
        self._begun: list[Future[Any]] = []

    def does(self, action: Callable[..., Any], *arguments: Any, **more: Any) -> None:
        """Begin; it goes on until it has to wait for somebody."""
        self._begun.append(self._pool.submit(action, *arguments, **more))
        rest = threading.Event()
        for _ in range(500):
            if self._database.is_sqlite or self._waiting() == len(self._begun):
                return
            rest.wait(0.01)
        raise AssertionError("it does not wait")

    def _waiting(self) -> int:
        with self._database.read() as connection:
            return int(
                connection.execute(
                    text(
                        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                        "AND datname = current_database()"
                    )
                ).scalar_one()
            )

    def ended(self) -> list[Any]:
        """What each answered, or the error that it ended with."""
        return [one.exception(20) or one.result() for one in self._begun]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(AT_ONCE) as made:
        yield made


@contextmanager
def at_once(database: Database, pool: ThreadPoolExecutor) -> Iterator[Crowd]:
    with database.write() as connection:
        access.add_audit(connection, actor="a", action="hold", subject="s", now=NOW)
        crowd = Crowd(database, pool)
        yield crowd


def save_cohort(database: Database) -> None:
    carers = (make_carer(), make_carer(id="carer-2", name="Zoe Ash", household="H2"))
    with database.write() as connection:
        cohorts.insert_cohort(
            connection,
            make_cohort(series_ref=None, carers=carers),
            {"carer-1": "t1", "carer-2": "t2"},
        )
        series_store.update_series(connection, "cohort-1", Platform.ZOOM, series_ref="9")


def read_version(database: Database) -> int:
    with database.read() as connection:
        found = cohorts.read_version(connection, "cohort-1")
    assert found is not None
    return found


def refusals(ended: Sequence[Any]) -> list[str]:
    return [one.kind for one in ended if isinstance(one, Refused)]


def test_of_many_who_read_the_same_version_one_changes_it(
    database: Database, pool: ThreadPoolExecutor
) -> None:
    save_cohort(database)
    version = read_version(database)
    amending = Amending(database, FakeClock(NOW))
    with at_once(database, pool) as crowd:
        for number in range(AT_ONCE):
            crowd.does(
                amending.move_session,
                *("cohort-1", 3),
                starts_at=None,
                minutes=90 + number,
                expected=version,
                actor=ACTOR,
            )
    assert refusals(crowd.ended()) == ["stale"] * (AT_ONCE - 1)
    assert read_version(database) == version + 1


def test_a_household_that_several_enrol_is_enrolled_once(
    database: Database, pool: ThreadPoolExecutor
) -> None:
    save_cohort(database)
    amending = Amending(database, FakeClock(NOW))
    household = NewHousehold(
        reference="H9", carers=(NewCarer(name="Ann Oak", email="ann@example.com"),)
    )
    with at_once(database, pool) as crowd:
        for _ in range(AT_ONCE):
            crowd.does(amending.enrol, "cohort-1", household, expected=None, actor=ACTOR)
    assert sorted(crowd.ended(), key=str) == [2, *[None] * (AT_ONCE - 1)]


def test_a_saturday_that_is_skipped_twice_by_one_click_is_skipped_once(
    database: Database, pool: ThreadPoolExecutor
) -> None:
    save_cohort(database)
    amending = Amending(database, FakeClock(NOW))
    with at_once(database, pool) as crowd:
        for _ in range(2):
            crowd.does(amending.skip_session, "cohort-1", 3, expected=None, actor=ACTOR)
    assert sorted(crowd.ended(), key=str) == [2, None]
    with database.read() as connection:
        cohort = cohorts.read_cohort(connection, "cohort-1")
    assert cohort is not None
    assert cohort.sessions[2].starts_at == FIRST + timedelta(weeks=3)


def test_a_household_is_transferred_to_one_cohort(
    database: Database, pool: ThreadPoolExecutor
) -> None:
    save_cohort(database)
    with database.write() as connection:
        for number in (2, 3):
            other = make_cohort(id=f"cohort-{number}", carers=(), series_ref=None)
            cohorts.insert_cohort(connection, other, {})
    amending = Amending(database, FakeClock(NOW))
    with at_once(database, pool) as crowd:
        for number in (2, 3):
            to = f"cohort-{number}"
            crowd.does(amending.transfer, "cohort-1", "H1", to, expected=None, actor=ACTOR)
    assert refusals(crowd.ended()) == ["settled"]


def test_two_households_that_change_places_do_not_wait_for_one_another(
    database: Database, pool: ThreadPoolExecutor
) -> None:
    save_cohort(database)
    away = make_carer(id="carer-3", household="H3")
    with database.write() as connection:
        other = make_cohort(id="cohort-2", carers=(away,), series_ref=None)
        cohorts.insert_cohort(connection, other, {"carer-3": "t3"})
    amending = Amending(database, FakeClock(NOW))
    with at_once(database, pool) as crowd:
        for here, reference, there in (
            ("cohort-1", "H1", "cohort-2"),
            ("cohort-2", "H3", "cohort-1"),
        ):
            crowd.does(amending.transfer, here, reference, there, expected=None, actor=ACTOR)
    assert [type(one) for one in crowd.ended()] == [Transferred, Transferred]


def test_a_cohort_that_is_opened_in_two_windows_is_opened_once(
    office: Office, pool: ThreadPoolExecutor
) -> None:
    with at_once(office.database, pool) as crowd:
        for _ in range(3):
            crowd.does(office.scheduling.open_cohort, make_new_cohort(), key=None, actor=ACTOR)
    ended = crowd.ended()
    assert refusals(ended) == ["duplicate"] * 2
    (cohort_id,) = (one for one in ended if isinstance(one, str))
    office.settled(cohort_id)


def test_a_register_that_is_closed_while_somebody_corrects_it_keeps_what_they_said(
    database: Database, pool: ThreadPoolExecutor
) -> None:
    save_cohort(database)
    clock, provider = FakeClock(FIRST + timedelta(hours=1)), FakeProvider()
    provider.record = PlatformRecord(events=(), complete=True)
    reconciliation = Reconciliation(
        database=database, providers={Platform.ZOOM: provider}, clock=clock
    )
    view = ReportView(database, clock)
    caller = Caller(name="Ann", role="admin", cohort_ids=None)
    with database.read() as connection:
        cohort = cohorts.read_cohort(connection, "cohort-1")
    assert cohort is not None

    def correct() -> None:
        view.changed(
            caller,
            cohort,
            action="verdict.correct",
            subject="1/carer-1",
            write=lambda connection: statements.add_correction(
                connection,
                "cohort-1",
                week=1,
                carer_id="carer-1",
                verdict=Verdict.ATTENDED,
                kind=CorrectionKind.CORRECTION,
                reason="She was there",
                made_by="admin Ann",
                now=clock(),
            ),
        )

    with at_once(database, pool) as crowd:
        crowd.does(correct)
        crowd.does(reconciliation.close, "cohort-1", 1, actor=ACTOR)
    assert crowd.ended() == [None, None]
    with database.read() as connection:
        kept = connection.execute(select(tables.register.c.verdicts)).scalar_one()
    assert kept["carer-1"]["verdict"] == "attended"


def test_a_carer_whom_two_erase_is_erased_once(
    database: Database, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    save_cohort(database)
    clock = FakeClock(NOW)
    with at_once(database, pool) as crowd:
        for _ in range(2):
            erasures = Erasures(database, data_dir=tmp_path, clock=clock)
            crowd.does(erasures.erase, "carer-1", reason="asked for", actor=ACTOR)
    ended = crowd.ended()
    assert [isinstance(one, UnknownCarer) for one in ended].count(True) == 1
    with database.read() as connection:
        assert len(connection.execute(select(tables.tombstone.c.id)).all()) == 1


def test_of_two_rehearsals_that_are_offered_at_once_one_stands(
    database: Database, pool: ThreadPoolExecutor
) -> None:
    save_cohort(database)

    def offer(hour: int) -> None:
        with database.write() as connection:
            starts_at = FIRST - timedelta(hours=hour)
            rehearsals.offer_rehearsal(
                connection,
                "cohort-1",
                starts_at=starts_at,
                ends_at=starts_at + timedelta(minutes=20),
                offered_by="Ann",
                now=NOW,
            )
            access.add_audit(connection, actor=ACTOR, action="offer", subject="s", now=NOW)

    with at_once(database, pool) as crowd:
        for hour in (1, 2):
            crowd.does(offer, hour)
    assert crowd.ended() == [None, None]
    with database.read() as connection:
        offered = rehearsals.read_rehearsals(connection, "cohort-1")
    assert sorted(one.withdrawn_at is None for one in offered) == [False, True]


def test_what_a_carer_says_by_two_clicks_stands_once(
    database: Database, pool: ThreadPoolExecutor
) -> None:
    save_cohort(database)
    about: dict[str, Any] = {
        "week": 3,
        "carer_id": "carer-1",
        "kind": MessageKind.ABSENCE,
        "now": NOW,
    }

    def say() -> None:
        with database.write() as connection:
            statements.take_message_back(connection, "cohort-1", **about)
            statements.add_message(connection, "cohort-1", text="away", **about)
            access.add_audit(connection, actor=ACTOR, action="say", subject="s", now=NOW)

    with at_once(database, pool) as crowd:
        for _ in range(3):
            crowd.does(say)
    assert crowd.ended() == [None] * 3
    with database.read() as connection:
        assert len(statements.read_messages(connection, "cohort-1")) == 1
