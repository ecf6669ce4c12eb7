"""Which processes live: each holds its name as long as its session with the database lasts.

PostgreSQL frees an advisory lock when the session ends: at once when the process dies, after half
a minute when its machine vanishes. A process that is only stopped keeps its name, so nobody takes
its work twice. On SQLite a locked file beside the database keeps a second process out.
https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

import structlog
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from course.store.database import Database

BEAT = 2.0  # seconds between looks whether the session still stands
# Seconds without such a look after which a process no longer trusts that its name is its own. The
# database keeps a name for longer than that when it hears nothing (see `_KEEPALIVE`).
SURE_FOR = 6.0
RETAKE = 30.0  # seconds to get a name back that another process has meanwhile
PATIENCE = 10.0  # seconds to wait for a name: who adopts its work holds it for a moment
_KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 4}

log = structlog.get_logger(__name__)


class NameTaken(Exception):
    """A live process has that name."""


class Seat(Protocol):
    """The name of this process, held until `leave` or its death."""

    @property
    def name(self) -> str: ...

    def is_sure(self) -> bool:
        """Whether the name was ours a moment ago: only then may a platform be asked anything."""

    def leave(self) -> None: ...


class FileSeat:
    """The only process on an SQLite file."""

    def __init__(self, database: Database, name: str) -> None:
        """Raises `NameTaken`."""
        self.name = name
        # The engine of this lock is SQLite itself, which works alike on every system.
        path = f"{database.engine.url.database}-process"
        self._lock = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            self._lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as e:
            self._lock.close()
            raise NameTaken(
                "Another process is running on this SQLite database: stop it first. Several "
                "processes need PostgreSQL: set DATABASE_URL."
            ) from e

    def is_sure(self) -> bool:
        """Nobody gets in as long as this process lives."""
        return True

    def leave(self) -> None:
        """Let the next process in."""
        self._lock.close()


class SessionSeat:
    """The first free one of some names, held by a session of its own.

    `version`: of the workflows that this process carries out; None when it carries out none.
    `lost` is called when another process has taken the name while the database was away.
    """

    def __init__(
        self,
        database: Database,
        names: Sequence[str],
        *,
        version: str | None,
        lost: Callable[[], object],
        patience: float = PATIENCE,
    ) -> None:
        """Raises `NameTaken`."""
        self._engine = create_engine(
            database.engine.url,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args={"connect_timeout": 5, "tcp_user_timeout": 15_000, **_KEEPALIVE},
        )
        self._version = version
        self._lost = lost
        self._session: Connection | None = None
        self._sure_at = time.monotonic()
        self._taken_at: float | None = None
        self._over = threading.Event()
        self.name = self._first_free(names, patience)
        threading.Thread(target=self._keep, daemon=True, name="seat").start()

    def is_sure(self) -> bool:
        """Whether the session stood a moment ago. A process that was stopped is not sure."""
        return time.monotonic() - self._sure_at < SURE_FOR

    def leave(self) -> None:
        """Free the name; nothing more is asked of a platform."""
        self._over.set()
        self._sure_at = float("-inf")
        self._close()

    def _first_free(self, names: Sequence[str], patience: float) -> str:
        until = time.monotonic() + patience
        while True:
            for name in names:
                if self._take(name):
                    return name
            if time.monotonic() > until:
                raise NameTaken(
                    f"A live process is called {names[-1]} already. Give this one another name "
                    "(EXECUTOR_ID), or stop that one first."
                )
            self._over.wait(0.25)

    def _take(self, name: str) -> bool:
        now = time.monotonic()
        if self._session is None:
            self._session = self._engine.connect()
            for key, value in _KEEPALIVE.items():
                self._session.execute(text(f"SET tcp_{key} = {value}"))
            if self._version is not None:
                self._session.execute(
                    text("SELECT pg_advisory_lock_shared(hashtextextended(:of, 0))"),
                    {"of": _version(self._version)},
                )
        found = self._session.execute(
            text("SELECT pg_try_advisory_lock(hashtextextended(:of, 0))"), {"of": _name(name)}
        )
        if not found.scalar():
            return False
        # Whoever looks after the database sees who it is.
        self._session.execute(
            text("SELECT set_config('application_name', :name, false)"), {"name": f"circle {name}"}
        )
        self._sure_at = now
        return True

    def _keep(self) -> None:
        while not self._over.wait(BEAT):
            try:
                self._beat()
            except DBAPIError as e:
                log.warning("session_lost", executor=self.name, kind=type(e).__name__)
                self._close()

    def _beat(self) -> None:
        now = time.monotonic()
        if self._session is not None and self._taken_at is None:
            self._session.execute(text("SELECT 1"))  # the session stands, and its locks with it
            self._sure_at = now
        elif self._take(self.name):
            self._taken_at = None
            log.info("name_taken_again", executor=self.name)
        else:
            self._taken_at = self._taken_at or now
            if now - self._taken_at > RETAKE:
                log.error("name_lost", executor=self.name)
                self._lost()

    def _close(self) -> None:
        if self._session is not None:
            with suppress(DBAPIError):
                self._session.invalidate()
                self._session.close()
            self._session = None


class Processes:
    """Who lives, for those who take up the work of the dead. PostgreSQL only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def is_alive(self, name: str) -> bool:
        """Whether a process has that name."""
        return self._is_held(_name(name))

    def carries_out(self, version: str) -> bool:
        """Whether a live process carries out workflows of that version."""
        return self._is_held(_version(version))

    @contextmanager
    def in_place_of(self, name: str) -> Iterator[bool]:
        """Be the process of that name, so that it cannot come back meanwhile; False: it lives."""
        with self._alone(_name(name)) as alone:
            yield alone

    @contextmanager
    def only_one(self) -> Iterator[bool]:
        """One process at a time looks after the work of the dead; False: another is at it."""
        with self._alone("circle adoption") as alone:
            yield alone

    @contextmanager
    def _alone(self, key: str) -> Iterator[bool]:
        with self._database.write() as connection:
            found = connection.execute(
                text("SELECT pg_try_advisory_xact_lock(hashtextextended(:of, 0))"), {"of": key}
            )
            yield bool(found.scalar())

    def _is_held(self, key: str) -> bool:
        # Seen in the list of locks, not by trying: a trial would for a moment take the name.
        with self._database.read() as connection:
            found = connection.execute(
                text(
                    "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database "
                    "WHERE locktype = 'advisory' AND d.datname = current_database() AND granted "
                    "AND objsubid = 1 "
                    "AND (classid::bigint << 32 | objid::bigint) = hashtextextended(:of, 0)"
                ),
                {"of": key},
            )
            return bool(found.scalar())


def _name(name: str) -> str:
    return f"circle process {name}"


def _version(version: str) -> str:
    return f"circle workflows {version}"


def take_seat(
    database: Database,
    names: Sequence[str],
    *,
    version: str | None,
    lost: Callable[[], object] = lambda: None,
    patience: float = PATIENCE,
) -> Seat:
    """Hold the first free name for this process. Raises `NameTaken`."""
    if database.is_sqlite:
        return FileSeat(database, names[0])
    return SessionSeat(database, names, version=version, lost=lost, patience=patience)
