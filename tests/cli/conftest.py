"""What the commands find: settings of their own, and the database that these lead to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli import main
from course.store.database import Database, open_sealed
from settings import Settings
from tests.web.conftest import door

__all__ = ["circle", "door"]


@pytest.fixture
def database(tmp_path: Path, migrated: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """The database that a command finds in this folder, empty."""
    monkeypatch.chdir(tmp_path)
    for name in (*(field.upper() for field in Settings.model_fields), "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    shutil.copy(migrated, tmp_path / "circle.sqlite")
    made = open_sealed(**Settings.load().storage())
    yield made
    made.close()


def circle(*arguments: str, text: str | None = None) -> Result:
    """One command, as typed; nothing of it is a terminal."""
    return CliRunner().invoke(main, arguments, input=text)
