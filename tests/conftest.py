"""What many tests share: a real database in a fresh folder. Nothing here reaches a network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from course.store.cipher import Cipher
from course.store.database import Database

WORKERS = 4  # as in the Makefile

# The processes that tests start may keep their bytecode: compiling all of it takes them a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each worker begin with its part of the slow tests, so that none is left for the end."""
    slow = [item for item in items if item.get_closest_marker("slow")]
    quick = [item for item in items if item not in slow]
    shares = [slow[n::WORKERS] for n in range(WORKERS)]
    size = len(quick) // WORKERS + 1
    items[:] = [
        item
        for n, share in enumerate(shares)
        for item in (*share, *quick[n * size : (n + 1) * size])
    ]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty, migrated SQLite database with a key of its own."""
    made = Database(f"sqlite:///{tmp_path / 'circle.sqlite'}", Cipher([os.urandom(32)]))
    made.migrate()
    yield made
    made.close()
