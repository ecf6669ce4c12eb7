"""What many tests share: a real database in a fresh folder. Nothing here reaches a network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from course.store.cipher import Cipher
from course.store.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty, migrated SQLite database with a key of its own."""
    made = Database(f"sqlite:///{tmp_path / 'circle.sqlite'}", Cipher([os.urandom(32)]))
    made.migrate()
    yield made
    made.close()
