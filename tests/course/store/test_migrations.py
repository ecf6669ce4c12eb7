"""Upgrading keeps what is there, and on PostgreSQL the older release goes on meanwhile."""

from __future__ import annotations

import itertools
import os
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Date,
    DateTime,
    Integer,
    MetaData,
    Table,
    func,
    insert,
    select,
    text,
)

from course.store import access, audit_trail, cohorts, notifications, standings, tables
from course.store.cipher import Cipher
from course.store.database import Database
from course.store.types import Sealed, SealedJson
from tests.factories import NOW, make_cohort
from tests.postgresql import Cluster

MIGRATIONS = Path(notifications.__file__).parent / "migrations"


@pytest.fixture
def postgresql(postgresql_server: Cluster) -> Iterator[Database]:
    """A PostgreSQL database without a table."""
    name = f"t{uuid.uuid4().hex}"
    made = Database(postgresql_server.create(name), Cipher([os.urandom(32)]))
    yield made
    made.close()
    postgresql_server.tell(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database of either kind without a table."""
    if request.param == "postgresql":
        yield request.getfixturevalue("postgresql")
        return
    made = Database(f"sqlite:///{tmp_path / 'old.sqlite'}", Cipher([os.urandom(32)]))
    yield made
    made.close()


def upgrade(database: Database, revision: str) -> None:
    """As the release of then did it."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def test_notifications_and_the_facts_they_told_stay_together(bare: Database) -> None:
    database = bare
    upgrade(database, "0002")
    with database.write() as connection:
        for number in (1, 2):
            connection.execute(
                text(
                    "INSERT INTO notification (id, platform, delivery_key, received_at, kind, "
                    "state, attempts, body) VALUES (:id, 'zoom', :key, '2027-01-16 10:00:00', "
                    "'meeting.participant_joined', 'done', 0, 'sealed')"
                ),
                {"id": f"old-{number}", "key": str(number) * 64},
            )
        connection.execute(
            text(
                "INSERT INTO participant_event (key, platform, kind, occurred_at, source, "
                "notification_id) VALUES ('e1', 'zoom', 'joined', '2027-01-16 10:00:00', "
                "'webhook', 'old-2')"
            )
        )
    database.migrate()
    with database.read() as connection:
        kept = connection.execute(text("SELECT id, body FROM notification ORDER BY id")).all()
        told_by = connection.execute(text("SELECT notification_id FROM participant_event")).scalar()
    assert kept == [("1" * 32, "sealed"), ("2" * 32, "sealed")]
    assert told_by == "2" * 32


def test_what_was_readable_is_sealed_and_the_trail_so_far_is_chained(bare: Database) -> None:
    database = bare
    at = "2027-01-16 10:00:00"
    upgrade(database, "0006")
    with database.write() as connection:
        for statement in (
            "INSERT INTO access_token (id, token_hash, name, role, cohort_ids, created_at) "
            f"VALUES ('t1', 'h', 'Quentin Canary', 'admin', '[]', '{at}')",
            f"INSERT INTO audit (at, actor, action, subject) VALUES ('{at}', "
            "'admin Quentin Canary', 'staff.signin', 'Quentin Canary')",
            f"INSERT INTO audit (at, actor, action, subject) VALUES ('{at}', "
            "'operator', 'token.create', 't1')",
            "INSERT INTO participant_event (key, platform, kind, occurred_at, source, told_as) "
            f"VALUES ('e1', 'zoom', 'camera', '{at}', 'facilitator', 'ticked by Quentin Canary')",
        ):
            connection.execute(text(statement))
    database.migrate()
    with database.write() as connection:
        access.add_audit(connection, actor="operator", action="a", subject="s", now=NOW)
    with database.read() as connection:
        found = audit_trail.check(connection)
        assert (found.lines, found.broken_at) == (3, None)
        assert connection.execute(select(tables.access_token.c.name)).scalar() == "Quentin Canary"
        first = connection.execute(select(tables.audit).order_by(tables.audit.c.id)).first()
        assert first is not None
        assert (first.actor, first.subject) == ("admin Quentin Canary", "Quentin Canary")
        for table in ("access_token", "audit", "participant_event"):
            kept = connection.execute(text(f"SELECT * FROM {table}")).all()
            assert "Quentin" not in str(kept), table


# What has to be one of our words; every other text is "one", so that all rows belong together.
WORDS: dict[str, Any] = {"platform": "zoom", "state": "ready", "role": "admin", "cohort_ids": []}
# Readable until 0009, which seals it.
READABLE = {
    *("cohort.name", "cohort.problem", "access_token.name", "audit.actor", "audit.subject"),
    *("correction.made_by", "link.made_by", "invitation.problem", "register.problem"),
    "watch.problem",
}


def a_row(table: Table, cipher: Cipher, number: int = 1) -> dict[str, Any]:
    """A row for a table as it was in an older release."""
    return {column.name: _value(column, cipher, number) for column in table.c}


def _value(column: Column[Any], cipher: Cipher, number: int) -> Any:
    of_now = tables.metadata.tables[column.table.name].c.get(column.name)
    if of_now is not None and isinstance(of_now.type, Sealed | SealedJson):
        plain = "one" if isinstance(of_now.type, Sealed) else "{}"
        return plain if str(of_now) in READABLE else cipher.seal(plain)
    if column.name in WORDS:
        return WORDS[column.name]
    for kind, value in ((DateTime, NOW), (Date, NOW.date()), (Boolean, True), (Integer, number)):
        if isinstance(column.type, kind):
            return value
    return {} if isinstance(column.type, JSON) else "one"


def test_what_the_first_release_stored_is_all_there_and_can_be_read(bare: Database) -> None:
    upgrade(bare, "0001")
    then = MetaData()
    with bare.write() as connection:
        then.reflect(connection)
        before = [table for table in then.sorted_tables if table.name != "alembic_version"]
        for table in before:
            row = a_row(table, bare.cipher)
            if table.name == "notification":
                row["delivery_key"] = "d" * 64  # half of it is the row's id now
            connection.execute(insert(table).values(row))
    bare.migrate()
    with bare.read() as connection:
        for table in before:
            kept = connection.execute(select(tables.metadata.tables[table.name])).all()
            assert len(kept) == 1, table.name
        (carer,) = connection.execute(select(tables.carer.c.name, tables.carer.c.email)).all()
        assert tuple(carer) == ("one", "one")
        assert cohorts.read_names(connection) == {"one": "one"}
        told_by = select(tables.participant_event.c.notification_id)
        assert connection.execute(told_by).scalar_one() == "d" * 32
        assert audit_trail.check(connection).broken_at is None
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []


class OlderRelease:
    """Writes as a release does that does not know the newest columns, and keeps what failed."""

    TABLES = ("register", "bot_call", "former_name")

    def __init__(self, database: Database) -> None:
        self._database = database
        self._then = MetaData()
        self._over = threading.Event()
        self.stored: list[str] = []
        self.failed: list[Exception] = []
        with database.write() as connection:
            self._then.reflect(connection)
            for name in ("cohort", "carer"):
                self._store(connection, name, 1)

    def _store(self, connection: Connection, name: str, number: int) -> None:
        table = self._then.tables[name]
        row = a_row(table, self._database.cipher, number)
        if name == "bot_call":
            row |= {"id": str(number), "secret_hash": str(number)}
        connection.execute(insert(table).values(row))

    def write(self, first: int) -> None:
        """Each transaction to two tables, in an order that no other of us has."""
        names = (self.TABLES[first], self.TABLES[first - 1])
        for number in itertools.count(first, len(self.TABLES)):
            if self._over.is_set():
                return
            try:
                with self._database.write() as connection:
                    for name in names:
                        self._store(connection, name, number)
                self.stored += names
            except Exception as e:
                self.failed.append(e)

    def has_stored(self, more: int) -> None:
        """Wait until that many more rows are in."""
        wanted, rest = len(self.stored) + more, threading.Event()
        for _ in range(500):
            if len(self.stored) >= wanted:
                return
            rest.wait(0.01)
        raise AssertionError("the older release has to wait")

    def stop(self) -> None:
        self._over.set()


def test_the_older_release_goes_on_writing_while_a_newer_one_brings_the_tables_up_to_date(
    postgresql: Database,
) -> None:
    upgrade(postgresql, "0013")
    older = OlderRelease(postgresql)
    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(older.write, first) for first in range(3)]
        try:
            older.has_stored(30)
            with postgresql.read() as reader:  # somebody makes a long report meanwhile
                reader.execute(text("SELECT count(*) FROM register"))
                newer = pool.submit(postgresql.migrate)
                older.has_stored(60)
                assert not newer.done()
            newer.result(timeout=30)
            older.has_stored(30)
        finally:
            older.stop()
        for writer in writers:
            writer.result()
    assert older.failed == []
    with postgresql.read() as connection:
        for name in older.TABLES:
            kept = connection.execute(select(func.count()).select_from(text(name))).scalar_one()
            assert kept == older.stored.count(name), name
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []


def test_an_upgrade_derives_everybodys_standing_anew(bare: Database) -> None:
    upgrade(bare, "0017")
    with bare.write() as connection:
        cohorts.insert_cohort(connection, make_cohort(), {"carer-1": "token"})
        connection.execute(text("DELETE FROM cohort_change"))
    upgrade(bare, "0018")
    with bare.read() as connection:
        assert standings.behind(connection, now=NOW) == ["cohort-1"]
