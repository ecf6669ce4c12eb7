"""The audit trail shows whatever was done to it, and forgets what it has to without a break."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text, update

from course.store import access, audit_trail, tables
from course.store.audit_trail import Checked
from course.store.database import Connection, Database, open_sealed
from doctor import examine
from settings import Settings
from tests.factories import NOW


def told(database: Database, number: int, *, actor: str = "admin Ann") -> None:
    with database.write() as connection:
        access.add_audit(
            connection,
            actor=actor,
            action="verdict.correct",
            subject=f"cohort-1/1/carer-{number}",
            now=NOW + timedelta(days=number),
            detail={"reason": f"reason {number}"} if number % 2 else None,
        )


def checked(database: Database) -> Checked:
    with database.read() as connection:
        return audit_trail.check(connection)


def test_an_untouched_trail_is_unbroken(database: Database) -> None:
    assert checked(database) == Checked(lines=0, erased=0, last=audit_trail.START)
    for number in range(5):
        told(database, number)
    found = checked(database)
    assert (found.lines, found.erased, found.broken_at) == (5, 0, None)


def test_lines_written_at_once_follow_one_another(database: Database) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: told(database, number), range(60)))
    found = checked(database)
    assert (found.lines, found.broken_at) == (60, None)
    with database.read() as connection:
        before = connection.execute(select(tables.audit.c.previous_hash)).scalars().all()
    assert len(set(before)) == 60


def test_a_line_that_is_rolled_back_leaves_no_gap(database: Database) -> None:
    told(database, 1)
    with pytest.raises(ZeroDivisionError), database.write() as connection:
        access.add_audit(connection, actor="a", action="b", subject="c", now=NOW)
        _ = 1 / 0
    told(database, 2)
    assert (checked(database).lines, checked(database).broken_at) == (2, None)


def _change(name: str, value: object) -> Callable[[Connection], None]:
    def do(connection: Connection) -> None:
        connection.execute(update(tables.audit).where(tables.audit.c.id == 3).values({name: value}))

    return do


def _delete(what: str) -> Callable[[Connection], None]:
    def do(connection: Connection) -> None:
        connection.execute(text(f"DELETE FROM {what}"))

    return do


def _insert(connection: Connection) -> None:
    """As somebody would who has the database but not the key."""
    row = connection.execute(select(tables.audit).where(tables.audit.c.id == 5)).mappings().one()
    forged = dict(row) | {"id": 6, "previous_hash": row["hash"], "hash": "0" * 64}
    connection.execute(insert(tables.audit).values(forged))


def _swap(connection: Connection) -> None:
    for old, new in ((2, 99), (3, 2), (99, 3)):
        connection.execute(text(f"UPDATE audit SET id = {new} WHERE id = {old}"))


@pytest.mark.parametrize(
    ("harm", "broken_at"),
    [
        (_change("actor", "admin Bo"), 3),
        (_change("subject", "cohort-1/1/carer-9"), 3),
        (_change("action", "verdict.take_back"), 3),
        (_change("at", NOW), 3),
        (_change("detail_hash", "1" * 64), 3),
        (_change("hash", "0" * 64), 3),
        (_change("done_by", "0" * 32), 3),
        (_change("detail", {"reason": "another"}), 3),
        (_delete("audit WHERE id = 1"), 2),
        (_delete("audit WHERE id = 3"), 4),
        (_delete("audit WHERE id >= 4"), -1),
        (_delete("audit WHERE id > 0"), -1),
        (_insert, 6),
        (_swap, 2),
        (_delete("audit_head"), 1),
    ],
    ids=[
        *("actor", "subject", "action", "time", "detail-hash", "hash", "done-by", "detail"),
        *("first-gone", "one-gone", "last-gone", "all-gone", "forged", "swapped", "head-gone"),
    ],
)
def test_whatever_is_done_to_it_shows(
    database: Database, harm: Callable[[Connection], None], broken_at: int
) -> None:
    for number in range(5):
        told(database, number)
    with database.write() as connection:
        harm(connection)
    found = checked(database)
    assert found.broken_at == broken_at
    assert found.fault


def test_a_detail_can_be_erased_and_its_line_stands(database: Database) -> None:
    for number in range(4):
        told(database, number)
    with database.write() as connection:
        connection.execute(update(tables.audit).where(tables.audit.c.id == 2).values(detail=None))
    found = checked(database)
    assert (found.lines, found.erased, found.broken_at) == (4, 1, None)


def test_old_lines_are_forgotten_and_the_chain_goes_on(database: Database) -> None:
    for number in range(6):
        told(database, number)
    with database.write() as connection:
        assert audit_trail.forget_before(connection, NOW + timedelta(days=3)) == 3
        assert audit_trail.forget_before(connection, NOW + timedelta(days=3)) == 0
    told(database, 6)
    assert (checked(database).lines, checked(database).broken_at) == (4, None)
    with database.write() as connection:
        assert audit_trail.forget_before(connection, NOW + timedelta(days=60)) == 4
        assert connection.execute(select(func.count()).select_from(tables.audit)).scalar() == 0
    assert checked(database).broken_at is None
    told(database, 7)
    assert (checked(database).lines, checked(database).broken_at) == (1, None)


def test_what_somebody_did_lately_is_found_by_name_though_names_are_sealed(
    database: Database,
) -> None:
    for number in range(3):
        told(database, number)
    told(database, 3, actor="admin Bo")
    with database.read() as connection:
        since = access.done_since(
            connection, actor="admin Ann", actions=["verdict.correct"], since=NOW
        )
        assert since == [NOW + timedelta(days=1), NOW + timedelta(days=2)]
        for subject, known in (("cohort-1/1/carer-2", True), ("cohort-1/1/carer-3", False)):
            assert known is access.audited_since(
                connection,
                actor="admin Ann",
                action="verdict.correct",
                subject=subject,
                since=NOW,
            )
        kept = connection.execute(text("SELECT actor, subject FROM audit")).all()
    assert all("Ann" not in value and "carer" not in value for row in kept for value in row)


def test_the_doctor_says_where_it_is_broken(tmp_path: Path) -> None:
    settings = Settings.load(_env_file=None, data_dir=tmp_path)  # no platform is asked
    database = open_sealed(**settings.storage())
    database.migrate()

    def said() -> tuple[bool, str]:
        findings = examine(settings, clock=lambda: NOW)
        return next((f.well, f.says) for f in findings if f.subject == "audit trail")

    assert said() == (True, "0 lines, unbroken")
    for number in range(5):
        told(database, number)
    well, says = said()
    assert well
    assert re.fullmatch("5 lines, unbroken; the last is [0-9a-f]{16}", says)
    with database.write() as connection:
        connection.execute(text("UPDATE audit SET action = 'nothing' WHERE id = 4"))
    well, says = said()
    assert not well
    assert says.startswith("broken at line 4: it was changed.")
    database.close()
