"""Names of processes: held by one at a time, as long as it lives."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from course.store.cipher import Cipher
from course.store.database import STORAGE_TROUBLE, Database
from course.store.processes import NameTaken, Processes, Seat, take_seat
from tests.postgresql import Cluster


@pytest.fixture(scope="module")
def server(postgresql_server: Cluster) -> Cluster:
    return postgresql_server


@pytest.fixture
def shared(server: Cluster) -> Iterator[Database]:
    made = Database(f"{server.url}/postgres", Cipher([os.urandom(32)]))
    yield made
    made.close()


@pytest.fixture
def seats(shared: Database) -> Iterator[Callable[..., Seat]]:
    taken: list[Seat] = []

    def take(*names: str, version: str | None = None) -> Seat:
        taken.append(take_seat(shared, names, version=version, patience=0.3))
        return taken[-1]

    yield take
    for seat in taken:
        seat.leave()


def eventually(true: Callable[[], object]) -> None:
    rest = threading.Event()
    for _ in range(400):
        if true():
            return
        rest.wait(0.05)
    raise AssertionError("it never came true")


def test_an_sqlite_database_has_one_process(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'circle.sqlite'}", Cipher([os.urandom(32)]))
    first = take_seat(database, ["one"], version="1")
    with pytest.raises(NameTaken, match="stop it first"):
        take_seat(database, ["two"], version="1")
    first.leave()
    take_seat(database, ["two"], version="1").leave()
    database.close()


@pytest.mark.slow
@pytest.mark.together
def test_a_name_is_held_by_one_process_and_free_when_it_has_left(
    shared: Database, seats: Callable[..., Seat]
) -> None:
    processes = Processes(shared)
    first = seats("host", "host-2", version="7")
    assert (first.name, first.is_sure()) == ("host", True)
    assert seats("host", "host-2").name == "host-2"
    with pytest.raises(NameTaken, match="host-2"):
        seats("host", "host-2")
    assert processes.is_alive("host")
    assert processes.carries_out("7")
    with processes.in_place_of("host") as alone:
        assert not alone
    first.leave()
    assert not first.is_sure()
    eventually(lambda: not processes.is_alive("host"))
    assert not processes.carries_out("7")
    with processes.in_place_of("host") as alone:
        assert alone
        with pytest.raises(NameTaken):
            seats("host")
    assert seats("host").name == "host"


@pytest.mark.slow
@pytest.mark.together
def test_a_name_that_was_lost_with_the_session_is_taken_again(
    shared: Database, seats: Callable[..., Seat], server: Cluster
) -> None:
    processes = Processes(shared)
    seats("phoenix", version="8")
    server.restart()
    eventually(lambda: _quietly(lambda: processes.is_alive("phoenix")))
    assert processes.carries_out("8")


@pytest.mark.slow
@pytest.mark.together
def test_a_transaction_that_was_ended_for_standing_still_is_worth_another_try(
    shared: Database,
) -> None:
    with pytest.raises(STORAGE_TROUBLE), shared.write() as connection:
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '50ms'"))
        threading.Event().wait(0.5)
        connection.execute(text("SELECT 1"))
    with shared.read() as connection:
        assert (
            connection.execute(text("SHOW idle_in_transaction_session_timeout")).scalar() == "30s"
        )


def _quietly(true: Callable[[], bool]) -> bool:
    """False while the database is away."""
    try:
        return true()
    except STORAGE_TROUBLE:
        return False
