"""A whole installation in another database: everything is there, the same, and goes on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text, update

from course.model import Platform
from course.store import access, cohorts, evidence, tables
from course.store import series as series_store
from course.store.cipher import Cipher
from course.store.copying import (
    NotCopied,
    all_contents,
    copy_everything,
    is_empty,
    refuse_if_in_use,
)
from course.store.database import Database
from tests.course.evidence import held, record, stay
from tests.factories import NOW, make_carer, make_cohort
from tests.postgresql import BINARIES, cluster

KEYS = [os.urandom(32)]


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An empty database of each kind, where PostgreSQL is installed."""
    folder = tmp_path_factory.mktemp("other")
    found = {"sqlite": f"sqlite:///{folder / 'other.sqlite'}"}
    if not BINARIES:
        yield found
        return
    with cluster() as server:
        yield found | {"postgresql": f"{server.url}/postgres"}


@pytest.fixture
def opened() -> Iterator[Callable[[str], Database]]:
    """Opens databases with the same key, and closes them."""
    with ExitStack() as stack:

        def open_one(url: str) -> Database:
            database = Database(url, Cipher(KEYS))
            stack.callback(database.close)
            return database

        yield open_one


Opened = Callable[[str], Database]


def fill(database: Database) -> None:
    """A cohort with evidence, sealed names, JSON, dates and the audit trail."""
    database.migrate()
    carers = (make_carer(), make_carer(id="carer-2", name="Zoë Ash", household="H2"))
    with database.write() as connection:
        cohorts.insert_cohort(
            connection,
            make_cohort(series_ref=None, carers=carers),
            {"carer-1": "a", "carer-2": "b"},
        )
        series_store.update_series(
            connection, "cohort-1", Platform.ZOOM, series_ref="81000000001", join_url="https://x"
        )
        facts = [*held(), *stay(0, 90.5), record(0, 90)]
        evidence.save_events(
            connection, [replace(fact, key=str(n)) for n, fact in enumerate(facts)]
        )
        for number in range(3):
            access.add_audit(
                connection,
                actor="Ann",
                action="test",
                subject=str(number),
                now=NOW,
                detail={"a": 1},
            )


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_everything_arrives_is_readable_and_goes_on(
    tmp_path: Path, addresses: dict[str, str], kind: str, opened: Opened
) -> None:
    if kind not in addresses:
        pytest.skip("PostgreSQL is not installed")
    source = opened(f"sqlite:///{tmp_path / 'a.sqlite'}")
    fill(source)
    target = opened(addresses[kind])
    target.migrate()
    told: dict[str, int] = {}
    refuse_if_in_use(source)
    found = copy_everything(source, target, told=told.__setitem__)
    assert (told["cohort"], told["carer"], told["audit"]) == (1, 2, 3)
    with source.read() as here, target.read() as there:
        assert all_contents(here) == all_contents(there) == found
        before, after = (cohorts.read_cohort(c, "cohort-1") for c in (here, there))
        assert after == before is not None
        assert evidence.read_evidence(there, after) == evidence.read_evidence(here, before)  # type: ignore[arg-type]
    with target.write() as connection:  # numbers go on after those that were brought
        access.add_audit(connection, actor="Ann", action="test", subject="4", now=NOW)
        assert connection.execute(select(tables.audit.c.id)).scalars().all() == [1, 2, 3, 4]
    back = opened(f"sqlite:///{tmp_path / 'back.sqlite'}")
    back.migrate()
    refuse_if_in_use(target)
    copy_everything(target, back, told=lambda *_: None)
    with back.read() as connection:
        assert cohorts.read_cohort(connection, "cohort-1") == before


def test_a_target_that_holds_anything_is_left_as_it_is(tmp_path: Path, opened: Opened) -> None:
    source, target = (opened(f"sqlite:///{tmp_path / name}.sqlite") for name in "ab")
    fill(source)
    target.migrate()
    with target.write() as connection:
        cohorts.insert_cohort(connection, replace(make_cohort(), id="other", carers=()), {})
    with pytest.raises(NotCopied, match="something in the target"):
        copy_everything(source, target, told=lambda *_: None)
    with target.read() as connection:
        assert list(cohorts.read_names(connection)) == ["other"]


def test_a_row_that_arrives_otherwise_is_noticed_and_nothing_is_kept(
    tmp_path: Path, opened: Opened
) -> None:
    source, target = (opened(f"sqlite:///{tmp_path / name}.sqlite") for name in "ab")
    fill(source)
    target.migrate()
    with target.write() as connection:  # a database that changes what it is given
        connection.execute(
            text(
                "CREATE TRIGGER spoil AFTER INSERT ON cohort BEGIN "
                "UPDATE cohort SET name = name || ' '; END"
            )
        )
    with pytest.raises(NotCopied, match="cohort did not arrive"):
        copy_everything(source, target, told=lambda *_: None)
    with target.read() as connection:
        assert is_empty(connection)


def test_a_database_that_somebody_has_open_is_not_moved(tmp_path: Path, opened: Opened) -> None:
    source = opened(f"sqlite:///{tmp_path / 'a.sqlite'}")
    fill(source)
    service = opened(f"sqlite:///{tmp_path / 'a.sqlite'}")
    with service.read() as connection:
        assert cohorts.read_names(connection)
    with pytest.raises(NotCopied, match="in use"):
        refuse_if_in_use(source)
    with service.write() as connection:  # and goes on as if nothing had been asked
        connection.execute(update(tables.cohort).values(name="New"))
        connection.execute(insert(tables.pace).values(bucket="x", place=1, free_at=1.5))
    service.close()
    refuse_if_in_use(source)
