"""What many tests share: a real database in a fresh folder. Nothing here reaches a network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from course.store.cipher import Cipher
from course.store.database import Database

WORKERS = 4  # as in the Makefile

# The processes that tests start may keep their bytecode: compiling all of it takes them a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each worker begin with its part of the slow tests, so that none is left for the end.

    Those of a module marked `together` share what is slow to set up: they stay with one worker.
    """
    slow = [item for item in items if item.get_closest_marker("slow")]
    quick = [item for item in items if item not in slow]
    units: dict[str, list[pytest.Item]] = {}
    for item in slow:
        together = item.get_closest_marker("together")
        units.setdefault(item.nodeid.split("::")[0] if together else item.nodeid, []).append(item)
    found = list(units.values())
    size = -(-len(items) // WORKERS)
    items.clear()
    for number in range(WORKERS):
        items += [item for unit in found[number::WORKERS] for item in unit]
        fill = max(0, min(len(quick), (number + 1) * size - len(items)))
        items += quick[:fill]
        del quick[:fill]
    items += quick


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an empty, migrated SQLite database: made once, copied for each test."""
    path = tmp_path_factory.mktemp("migrated") / "circle.sqlite"
    made = Database(f"sqlite:///{path}", Cipher([os.urandom(32)]))
    made.migrate()
    made.close()
    return path


@pytest.fixture
def database(tmp_path: Path, migrated: Path) -> Iterator[Database]:
    """An empty, migrated SQLite database with a key of its own."""
    path = tmp_path / "circle.sqlite"
    shutil.copy(migrated, path)
    made = Database(f"sqlite:///{path}", Cipher([os.urandom(32)]))
    yield made
    made.close()
