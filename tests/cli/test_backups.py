"""`circle backup` into a folder: named by the time, and old ones go."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from cli_common import now
from tests.cli.conftest import circle


def stamped(folder: Path, days: int) -> Path:
    made = folder / f"circle-{now() - timedelta(days=days):%Y-%m-%d-%H%M%S}.backup"
    made.write_bytes(b"an older one")
    return made


@pytest.mark.usefixtures("database")
def test_a_folder_keeps_the_backups_of_the_last_days_and_nothing_of_others_is_touched(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    young, old = stamped(folder, 29), stamped(folder, 31)
    others = [folder / name for name in ("circle-spring.backup", "notes.txt")]
    for path in others:
        path.write_text("ours")
    done = circle("backup", str(folder), "--keep-days", "30")
    assert done.exit_code == 0, done.output
    assert f"Removed, older than 30 days: {old}" in done.stdout
    assert not old.exists()
    assert all(path.exists() for path in (young, *others))
    (made,) = set(folder.iterdir()) - {young, *others}
    assert made.stat().st_mode & 0o777 == 0o600
    assert circle("restore", str(made), "--replace").exit_code == 0


@pytest.mark.usefixtures("database")
def test_a_program_is_told_which_file_it_is(tmp_path: Path) -> None:
    told = json.loads(circle("backup", str(tmp_path), "--json").stdout)
    assert Path(told["file"]).stat().st_size == told["bytes"]
    assert told["removed"] == []


@pytest.mark.usefixtures("database")
def test_a_file_is_no_folder_of_backups(tmp_path: Path) -> None:
    refused = circle("backup", str(tmp_path / "one.backup"), "--keep-days", "30")
    assert refused.exit_code == 2
    assert "--keep-days is for a folder" in refused.stderr
    assert not (tmp_path / "one.backup").exists()
