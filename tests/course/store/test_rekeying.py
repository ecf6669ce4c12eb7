"""A new key takes over from an old one without a value lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy import select

from course.store import tables
from course.store.cipher import Cipher, UnreadableField
from course.store.database import Database
from course.store.erasures import FILE, Erasures
from course.store.rekeying import keys_in_use, rekey
from tests.fakes import FakeClock
from tests.web.full_cohort import AFTER_WEEK_7, save_full_cohort


def opened(database: Database) -> str:
    """Every row of every table, opened; but not which cohorts were touched."""
    with database.read() as connection:
        return "\n".join(
            str(tuple(row))
            for table in tables.metadata.sorted_tables
            if table is not tables.cohort_change
            for row in connection.execute(select(table).order_by(*table.primary_key))
        )


def with_keys(database: Database, *keys: bytes) -> Database:
    """The same database, opened with other keys."""
    url = database.engine.url
    return Database(
        url.set(drivername=url.get_backend_name()).render_as_string(hide_password=False),
        Cipher(keys),
    )


def test_everything_is_sealed_anew_and_reads_the_same(database: Database) -> None:
    old, new = os.urandom(32), os.urandom(32)
    before = with_keys(database, old)
    save_full_cohort(before)
    content = opened(before)
    before.close()
    both = with_keys(database, new, old)
    assert set(keys_in_use(both)) == {both.cipher.key_ids[1]}
    total = sum(keys_in_use(both).values())
    assert rekey(both) == total > 500
    assert keys_in_use(both) == {both.cipher.newest: total}
    assert rekey(both) == 0
    both.close()
    after = with_keys(database, new)
    assert opened(after) == content
    after.close()


def test_what_was_interrupted_goes_on_where_it_was(database: Database) -> None:
    old, lost, new = os.urandom(32), os.urandom(32), os.urandom(32)
    before = with_keys(database, old)
    save_full_cohort(before)
    before.close()
    other = with_keys(database, lost, old)
    with other.write() as connection:
        connection.execute(
            tables.message.update().where(tables.message.c.carer_id == "full-1").values(text="x")
        )
    other.close()
    without = with_keys(database, new, old)
    with pytest.raises(UnreadableField, match="ENCRYPTION_KEYS"):
        rekey(without)
    assert keys_in_use(without)[Cipher([lost]).newest] == 1
    without.close()
    found = with_keys(database, new, lost, old)
    rekey(found)
    assert set(keys_in_use(found)) == {found.cipher.newest}
    found.close()


def test_the_erasures_beside_the_database_are_sealed_anew_too(
    database: Database, tmp_path: Path
) -> None:
    old, new = os.urandom(32), os.urandom(32)
    clock = FakeClock(AFTER_WEEK_7)
    before = with_keys(database, old)
    save_full_cohort(before)
    Erasures(before, data_dir=tmp_path, clock=clock).erase("full-1", reason="asked", actor="Ann")
    before.close()
    both = with_keys(database, new, old)
    rekey(both)
    Erasures(both, data_dir=tmp_path, clock=clock).seal_anew()
    both.close()
    after = with_keys(database, new)
    (stone,) = Erasures(after, data_dir=tmp_path, clock=clock).file.read()
    assert stone.marks.know("carer", "full-1")
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    after.close()
