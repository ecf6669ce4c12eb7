"""Promises that only PostgreSQL has to keep; all others are put to both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from course.store.database import Database
from tests.course.store.test_erasure import erase
from tests.web.full_cohort import save_full_cohort
from tests.webhooks.test_inbox import count, make_delivery
from webhooks.inbox import Inbox


@pytest.mark.postgresql_only("its tables' files; tests/course/store/test_erasure.py has SQLite's")
def test_the_bytes_of_an_erased_carer_leave_the_tables_files(
    database: Database, tmp_path: Path
) -> None:
    save_full_cohort(database)
    with database.write() as connection:
        connection.execute(text("DELETE FROM message WHERE carer_id <> 'full-1'"))
        (said,) = connection.execute(text("SELECT text FROM message")).one()
    with database.read() as connection:
        folder = Path(connection.execute(text("SHOW data_directory")).scalar_one()) / "base"
        own = text("SELECT oid FROM pg_database WHERE datname = current_database()")
        folder /= str(connection.execute(own).scalar_one())
        of_her = text("SELECT name, email, join_token FROM carer WHERE id = 'full-1'")
        raw = [*connection.execute(of_her).one(), said]  # the last is all there is in its table

    def files() -> bytes:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as admin:
            admin.execute(text("CHECKPOINT"))
        return b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())

    _analyze(database)
    assert all(value.encode() in files() for value in raw)
    erase(database, tmp_path)
    assert database.compact()
    left = files()
    assert not any(value.encode() in left for value in raw)


def _analyze(database: Database) -> None:
    """As the server does by itself now and then: it notes samples of every column."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


@pytest.mark.postgresql_only("SQLite has one process")
def test_two_processes_that_are_told_the_same_in_another_order_both_take_it(
    database: Database,
) -> None:
    inboxes = [Inbox(database), Inbox(database)]
    with ThreadPoolExecutor(2) as pool:
        for begins in range(0, 6_000, 300):
            told = [make_delivery(begins + number) for number in range(300)]
            both = zip(inboxes, (told, told[::-1]), strict=True)
            for taken in [pool.submit(inbox.accept, order) for inbox, order in both]:
                taken.result()
    assert count(database, "notification") == 6_000
    for inbox in inboxes:
        inbox.close()
