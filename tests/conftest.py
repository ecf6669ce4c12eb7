"""What many tests share: a real database in a fresh folder. Nothing here reaches a network."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import disk_usage

import pytest

from course.store.database import Database
from tests.databases import CIPHER, migrated_file, prepare_workflows, put_migrated
from tests.postgresql import BINARIES, Cluster, cluster
from tests.remembered_rules import remember
from tests.wiped import WipedDatabase

MIGRATED = "migrated"
STORES = ("tests/course/store", "tests/integration", "tests/webhooks")

# The processes that tests start may keep their bytecode: compiling all of it takes them a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Every commit of ours waits for the disk, and no test pulls the plug: memory will do.
MEMORY = Path("/dev/shm")
if "TMPDIR" not in os.environ and MEMORY.is_dir() and disk_usage(MEMORY).free > 4 << 30:
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


remember()
if "PYTEST_XDIST_WORKER" in os.environ:
    gc.disable()  # until all is collected


def pytest_collection_finish() -> None:
    """What was imported and collected stays: looking for rubbish need not walk it each time."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let each worker begin with its part of the slow tests, so that none is left for the end.

    Those of a module marked `together` share what is slow to set up: they stay with one worker.
    """
    slow = [item for item in items if item.get_closest_marker("slow")]
    quick = [item for item in items if item not in slow]
    units: dict[str, list[pytest.Item]] = {}
    for item in slow:
        together = item.get_closest_marker("together")
        units.setdefault(item.nodeid.split("::")[0] if together else item.nodeid, []).append(item)
    found = sorted(units.values(), key=len, reverse=True)
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    size = -(-len(items) // workers)
    items.clear()
    for number in range(workers):
        items += [item for unit in found[number::workers] for item in unit]
        fill = max(0, min(len(quick), (number + 1) * size - len(items)))
        items += quick[:fill]
        del quick[:fill]
    items += quick


@pytest.fixture(scope="session")
def migrated() -> Path:
    """The file of an empty, migrated SQLite database: made once, copied for each test."""
    return migrated_file()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Cluster]:
    """One PostgreSQL for all tests of this process, with an empty, migrated database."""
    if not BINARIES:
        pytest.skip("PostgreSQL is not installed; its tests are left out")
    with cluster() as server:
        url = server.create(MIGRATED)
        made = Database(url, CIPHER)
        made.migrate()
        made.close()
        prepare_workflows(url)
        yield server


@pytest.fixture(scope="session")
def wiped(postgresql_server: Cluster) -> Iterator[WipedDatabase]:
    """The PostgreSQL database that the tests of this process have one after the other."""
    made = WipedDatabase(postgresql_server, MIGRATED)
    yield made
    made.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What stores runs on SQLite and on PostgreSQL; elsewhere, what is marked `both_databases`."""
    if "database" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker
    if marker("postgresql_only"):
        metafunc.parametrize("database", ["postgresql"], indirect=True)
    elif not marker("sqlite_only"):
        stores = any(f"/{folder}/" in str(metafunc.definition.path) for folder in STORES)
        if stores or marker("both_databases"):
            metafunc.parametrize("database", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty, migrated database; its kind is the fixture's parameter."""
    if getattr(request, "param", "sqlite") == "sqlite":
        made = Database(f"sqlite:///{put_migrated(tmp_path)}", CIPHER)
        yield made
        made.close()
        return
    wiped: WipedDatabase = request.getfixturevalue("wiped")
    made = Database(wiped.fresh(), CIPHER)
    yield made
    made.close()
