"""A PostgreSQL database that is wiped for each test: a new one would take a tenth of a second.

What the migrations made stays. A test that left other tables, triggers or versions than it found
is noticed: the database is then made anew.
"""

from __future__ import annotations

import time
import uuid

import psycopg

from tests.postgresql import Cluster

NAME = "wiped"
VERSIONS = ("public.alembic_version", "dbos.dbos_migrations")
QUEUES = "dbos.queues"  # an engine that has to find them begins a second later
OURS = "relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('public', 'dbos'))"
TABLES = f"SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND {OURS}"
SEQUENCES = f"SELECT oid::regclass::text FROM pg_class WHERE relkind = 'S' AND {OURS}"
# What cannot be wiped: how the tables are, and which migrations were made.
SHAPE = f"""
    SELECT count(*), sum(oid::bigint) FROM pg_class WHERE {OURS}
    UNION ALL SELECT count(*), sum(attnum) FROM pg_attribute
        WHERE NOT attisdropped AND attrelid IN (SELECT oid FROM pg_class WHERE {OURS})
    UNION ALL SELECT count(*), sum(oid::bigint) FROM pg_trigger
    UNION ALL SELECT count(*), sum(oid::bigint) FROM pg_constraint
    UNION ALL SELECT count(*), sum(hashtext(a::text)) FROM {VERSIONS[0]} a
    UNION ALL SELECT count(*), sum(hashtext(d::text)) FROM {VERSIONS[1]} d
"""
STRANGERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


class WipedDatabase:
    """One for all tests of a process. Each test comes under a name of its own, so that a thread
    which an earlier one left behind is refused.
    """

    def __init__(self, server: Cluster, template: str) -> None:
        self._server = server
        self._template = template
        self._person = "nobody"
        self._session: psycopg.Connection | None = None
        self._wiping = ""
        self._shape: list[tuple[object, ...]] = []

    def fresh(self) -> str:
        """The database's address; it is empty."""
        if self._session is None or not self._wiped(self._session):
            self.close()
            assert self._wiped(self._make())
        return f"{self._server.url}/{NAME}".replace("circle@", f"{self._person}@")

    def close(self) -> None:
        """Nobody needs it any more, or not as it is."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _make(self) -> psycopg.Connection:
        self._server.tell(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
        address = self._server.create(NAME, template=self._template)
        self._session = session = psycopg.connect(address, autocommit=True)
        session.execute("SET session_replication_role = replica")  # no triggers, in any order
        session.execute(f"DROP ROLE IF EXISTS {self._person}")
        session.execute(f"CREATE ROLE {self._person} LOGIN SUPERUSER")
        kept = {"alembic_version", VERSIONS[1], QUEUES}
        tables = {name for (name,) in session.execute(TABLES)} - kept
        self._wiping = "".join(
            [
                *(f"DELETE FROM {name};" for name in sorted(tables)),
                *(f"SELECT setval('{name}', 1, false);" for (name,) in session.execute(SEQUENCES)),
            ]
        )
        self._shape = session.execute(SHAPE).fetchall()
        return session

    def _wiped(self, session: psycopg.Connection) -> bool:
        """False when it is not as it was made."""
        try:
            self._shut_out(session)
            session.execute(self._wiping)
            return session.execute(SHAPE).fetchall() == self._shape
        except psycopg.Error:  # a table is missing, or the server was started again
            return False

    def _shut_out(self, session: psycopg.Connection) -> None:
        """End whatever the test before left open."""
        person = f"test_{uuid.uuid4().hex}"
        session.execute(f"ALTER ROLE {self._person} RENAME TO {person}")
        self._person = person
        while session.execute(f"SELECT pg_terminate_backend(pid) {STRANGERS}").fetchall():
            time.sleep(0.001)
