"""The store's promises on PostgreSQL, where it is installed; the same cases as on SQLite."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from course.store.cipher import Cipher
from course.store.database import Database
from tests.course.store import test_audit_trail as audit_cases
from tests.course.store import test_database as cases
from tests.course.store import test_erasure as erasure_cases
from tests.course.store import test_rekeying as rekeying_cases
from tests.course.store import test_retention as retention_cases
from tests.course.store import test_standings as standings_cases
from tests.postgresql import Cluster
from tests.web.full_cohort import save_full_cohort
from tests.webhooks import test_inbox as inbox_cases
from webhooks.inbox import Inbox


@pytest.fixture(scope="module")
def server(postgresql_server: Cluster) -> Cluster:
    return postgresql_server


@pytest.fixture
def postgresql(server: Cluster) -> Iterator[Database]:
    """An empty, migrated PostgreSQL database with a key of its own."""
    address = server.create(f"t{uuid.uuid4().hex}", template="migrated")
    database = Database(address, Cipher([os.urandom(32)]))
    yield database
    database.close()


@pytest.mark.slow
@pytest.mark.together
@pytest.mark.parametrize(
    "case",
    [
        cases.test_a_cohort_comes_back_as_it_was_stored,
        cases.test_the_same_fact_told_twice_is_stored_once,
        cases.test_rows_written_in_the_drivers_words_are_the_same_as_sqlalchemys,
        cases.test_a_media_report_that_names_only_the_instance_belongs_to_its_cohort,
        cases.test_a_naive_datetime_is_refused,
        cases.test_the_migrations_make_exactly_the_tables_of_the_code,
        cases.test_an_idempotency_key_stays_bound_to_its_first_cohort,
        cases.test_sessions_that_ended_lately_are_due_until_their_register_is_closed,
        audit_cases.test_lines_written_at_once_follow_one_another,
        audit_cases.test_old_lines_are_forgotten_and_the_chain_goes_on,
        audit_cases.test_what_somebody_did_lately_is_found_by_name_though_names_are_sealed,
        standings_cases.test_after_any_changes_the_rows_are_those_of_a_fresh_derivation,
        standings_cases.test_each_way_of_changing_is_noticed_by_itself,
        standings_cases.test_who_derived_from_older_evidence_does_not_overwrite,
        standings_cases.test_rows_go_with_their_carer_and_their_cohort,
        inbox_cases.test_a_repeat_is_a_success_and_changes_nothing,
        inbox_cases.test_concurrent_deliveries_are_all_stored,
        inbox_cases.test_one_bad_delivery_does_not_take_the_others_with_it,
    ],
    ids=lambda case: case.__name__.removeprefix("test_"),
)
def test_on_postgresql(case: Callable[[Database], None], postgresql: Database) -> None:
    case(postgresql)


@pytest.mark.slow
@pytest.mark.together
@pytest.mark.parametrize(
    "case",
    erasure_cases.ON_BOTH,
    ids=lambda case: case.__name__.removeprefix("test_"),
)
def test_erasure_on_postgresql(
    case: Callable[[Database, Path], None], postgresql: Database, tmp_path: Path
) -> None:
    case(postgresql, tmp_path)


@pytest.mark.slow
@pytest.mark.together
@pytest.mark.parametrize(
    "case",
    [*retention_cases.ON_BOTH, *rekeying_cases.ON_BOTH],
    ids=lambda case: case.__name__.removeprefix("test_"),
)
def test_keeping_and_sealing_on_postgresql(
    case: Callable[[Database], None], postgresql: Database
) -> None:
    case(postgresql)


@pytest.mark.slow
@pytest.mark.together
def test_the_bytes_of_an_erased_carer_leave_the_tables_files(
    postgresql: Database, tmp_path: Path
) -> None:
    save_full_cohort(postgresql)
    with postgresql.read() as connection:
        folder = Path(connection.execute(text("SHOW data_directory")).scalar_one()) / "base"
        raw = connection.execute(
            text("SELECT name, email, join_token FROM carer WHERE id = 'full-1'")
        ).one()

    def files() -> bytes:
        with postgresql.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as admin:
            admin.execute(text("CHECKPOINT"))
        return b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())

    assert all(value.encode() in files() for value in raw)
    erasure_cases.erase(postgresql, tmp_path)
    assert postgresql.compact()
    left = files()
    assert not any(value.encode() in left for value in raw)


@pytest.mark.slow
@pytest.mark.together
def test_two_processes_that_are_told_the_same_in_another_order_both_take_it(
    postgresql: Database,
) -> None:
    inboxes = [Inbox(postgresql), Inbox(postgresql)]
    with ThreadPoolExecutor(2) as pool:
        for begins in range(0, 6_000, 300):
            told = [inbox_cases.make_delivery(begins + number) for number in range(300)]
            both = zip(inboxes, (told, told[::-1]), strict=True)
            for taken in [pool.submit(inbox.accept, order) for inbox, order in both]:
                taken.result()
    assert inbox_cases.count(postgresql, "notification") == 6_000
    for inbox in inboxes:
        inbox.close()
