"""The database: one engine, short read and write transactions, migrations at start.

SQLite runs in WAL mode with `synchronous=FULL` (an answered webhook survives a power cut) and
every writer begins with `BEGIN IMMEDIATE`: a transaction that reads first and writes later fails
at once in WAL mode whatever the busy timeout says. The writers of one process stand in line for a
lock of ours: SQLite's own waiting is a polling that some never win. https://www.sqlite.org/wal.html
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Connection as Connection
from sqlalchemy import Engine, ExceptionContext, Table, create_engine, event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError as Conflict
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import ProgrammingError as NoSuchTable
from sqlalchemy.exc import TimeoutError as PoolTimeout

from course.store.change_log import watch_changes
from course.store.cipher import Cipher, parse_key, secret_from_file

__all__ = [
    "STORAGE_TROUBLE",
    "Conflict",
    "Database",
    "NewerDatabase",
    "NoSuchTable",
    "Transaction",
    "insert_new",
    "make_url",
    "open_sealed",
]

# What the database raises when it is locked, full, restarting or gone: worth trying again.
STORAGE_TROUBLE = (OperationalError, InterfaceError, PoolTimeout)
Transaction = Connection  # what the named queries take, for those who do not know the library
CHECKPOINT = 16_000  # pages; the usual 1,000 are a handful of commits when a country joins
CACHE = 32_768  # KiB for a connection
BUSY = 2_000  # ms to wait for another writer; a webhook must be answered within 3 s
AT_A_TABLE = 300  # ms that a migration waits for one; whoever comes later waits behind it
GIVE_WAY = 0.5  # seconds before it tries again
TRIES = 120
IN_THE_WAY = ("55P03", "40P01")  # lock_timeout, and two that wait for one another
IDLE = 30  # seconds that a transaction may do nothing: of a process that stands still, say


class NewerDatabase(ValueError):
    """The tables are of a release that this one does not know."""


class Busy(OperationalError):
    """Our own writers were too many for too long; nothing was done."""


class Database:
    """Hands out transactions. `read()` never blocks a writer, `write()` commits on leaving."""

    def __init__(self, url: str, cipher: Cipher) -> None:
        parsed = make_url(url)
        self._line = threading.Lock()
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite:
            if parsed.database and parsed.database != ":memory:":
                path = Path(parsed.database)
                path.parent.mkdir(parents=True, exist_ok=True)
                if not path.exists():
                    path.touch(mode=0o600)  # SQLite gives its other files the same mode
            self.engine = create_engine(url, pool_size=20, max_overflow=60, pool_timeout=3)
            _prepare_sqlite(self.engine)
        else:
            self.engine = create_engine(
                parsed.set(drivername="postgresql+psycopg"),
                pool_size=20,
                max_overflow=20,
                pool_timeout=3,
                pool_pre_ping=True,
            )
            _prepare_postgresql(self.engine)
        self.cipher = cipher
        self.engine.dialect.circle_cipher = cipher  # type: ignore[attr-defined]

    @contextmanager
    def read(self, *, snapshot: bool = False) -> Iterator[Connection]:
        """A view that takes no write lock. `snapshot`: of one moment, however long it is read."""
        connection = self.engine.connect().execution_options(circle_readonly=True)
        if snapshot and not self.is_sqlite:  # there it is always so
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        with connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, *, single: bool = False) -> Iterator[Connection]:
        """A transaction that is committed on leaving and rolled back on any error.

        `single`: there will be one statement, which is a transaction of its own where the
        database can do that: one hand-over to it and back instead of three.
        """
        if not self.is_sqlite:
            with self.engine.begin() as connection:
                yield connection
            return
        if not self._line.acquire(timeout=BUSY / 1000):
            raise Busy("write", None, TimeoutError("other writers are before us"))
        try:
            connection = self.engine.connect().execution_options(circle_single=single)
            with connection, connection.begin():
                yield connection
        finally:
            self._line.release()

    def migrate(self) -> None:
        """Bring the tables up to date. Two processes that start together do it once.

        On PostgreSQL an older release may be at work meanwhile. Whoever waits for a table there
        lets nobody else past, and who has another one already may wait for ever: so each step is a
        transaction of its own, gives way after a moment and is tried again.
        """
        if self.is_sqlite:
            with self.engine.begin() as connection:
                _upgrade(connection)
            return
        for tries_left in reversed(range(TRIES)):
            try:
                with self.engine.connect() as connection:
                    connection.detach()  # its settings and its lock end with it
                    connection.execute(text("SELECT pg_advisory_lock(7261443)"))
                    connection.execute(text(f"SET lock_timeout = '{AT_A_TABLE}ms'"))
                    connection.commit()
                    _upgrade(connection)
                    return
            except OperationalError as e:
                if getattr(e.orig, "sqlstate", None) not in IN_THE_WAY or not tries_left:
                    raise
                time.sleep(GIVE_WAY)

    def version(self) -> str | None:
        """Which version the tables are; None before the first migration."""
        with self.engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    def compact(self) -> bool:
        """Leave no byte of what was deleted in the files; False when somebody was reading.

        SQLite overwrites deleted rows (`secure_delete`); here the rest of each page and the
        write-ahead log follow. PostgreSQL writes its tables anew; its own write-ahead log goes when
        it is recycled. Takes a while for a large database, and writers wait meanwhile.
        """
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if not self.is_sqlite:
                _forget_samples(connection)
                connection.exec_driver_sql("VACUUM FULL")
                return True
            return self._compact_sqlite(connection)

    def _compact_sqlite(self, connection: Connection) -> bool:
        driver: Any = connection.connection.driver_connection
        if not self._line.acquire(timeout=BUSY / 1000):
            return False
        try:
            driver.execute("VACUUM")
            busy, _, _ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError:
            return False
        finally:
            self._line.release()
        return not busy

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()


def open_sealed(*, url: str, keys: Sequence[str], key_file: Path) -> Database:
    """The database at `url`, its fields sealed with these keys, the newest first.

    Without keys, those in `key_file` count (with commas between them); one is made there on first
    use. Raises `ValueError` for an unusable key.
    """
    known = list(keys) or secret_from_file(key_file).split(",")
    return Database(url, Cipher([parse_key(key.strip()) for key in known]))


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
        watch_changes(connection)
    except CommandError as e:
        raise NewerDatabase(
            f"This release does not know what the database is ({e}). "
            "Install the release that made it, or a newer one."
        ) from e


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(dbapi_connection: Any, _record: object) -> None:
        dbapi_connection.isolation_level = None  # we say BEGIN ourselves
        cursor = dbapi_connection.cursor()
        for pragma in (
            f"busy_timeout={BUSY}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "secure_delete=ON",
            f"wal_autocheckpoint={CHECKPOINT}",
            f"cache_size=-{CACHE}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if not options.get("circle_single", False):
            readonly = options.get("circle_readonly", False)
            connection.exec_driver_sql("BEGIN" if readonly else "BEGIN IMMEDIATE")


def _prepare_postgresql(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(dbapi_connection: Any, _record: object) -> None:
        # Otherwise a process that stands still in the middle would keep its rows from the others.
        with dbapi_connection.cursor() as cursor:
            cursor.execute(f"SET idle_in_transaction_session_timeout = '{IDLE}s'")
        dbapi_connection.commit()

    @event.listens_for(engine, "handle_error")
    def on_error(context: ExceptionContext) -> OperationalError | None:
        if context.is_disconnect and isinstance(context.sqlalchemy_exception, InternalError):
            # That transaction was ended. To the driver it is a fault, to us worth trying again.
            return OperationalError(
                context.statement, None, context.original_exception, connection_invalidated=True
            )
        return None


def _forget_samples(connection: Connection) -> None:
    """PostgreSQL keeps samples of every column's values, for its planner: take new ones.

    Of a table that is empty it would keep the old ones; a column whose type is set, if to the same,
    loses them. https://www.postgresql.org/docs/current/catalog-pg-statistic.html
    """
    connection.exec_driver_sql("ANALYZE")
    sampled = connection.exec_driver_sql(
        "SELECT s.tablename, s.attname, format_type(a.atttypid, a.atttypmod) FROM pg_stats s "
        "JOIN pg_attribute a ON a.attrelid = quote_ident(s.tablename)::regclass "
        "AND a.attname = s.attname WHERE s.schemaname = current_schema()"
    ).all()
    quoted = connection.dialect.identifier_preparer.quote
    for table in sorted({row[0] for row in sampled}):
        rows = connection.exec_driver_sql(f"SELECT 1 FROM {quoted(table)} LIMIT 1")  # nosec B608
        if rows.first() is not None:
            continue
        for _, column, kind in (row for row in sampled if row[0] == table):
            connection.exec_driver_sql(
                f"ALTER TABLE {quoted(table)} ALTER COLUMN {quoted(column)} TYPE {kind}"
            )


def insert_new(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> int:
    """Insert the rows whose keys are not there yet; how many were new."""
    if not rows:
        return 0
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table).on_conflict_do_nothing()
    options = {"preserve_rowcount": True}
    return connection.execute(statement, list(rows), execution_options=options).rowcount
