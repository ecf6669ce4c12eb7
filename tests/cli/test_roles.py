"""What the roles of processes refuse before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli import main


@pytest.mark.parametrize("command", [["worker"], ["serve", "--web"]])
def test_an_sqlite_database_has_no_separate_web_processes_and_workers(
    command: list[str], tmp_path: Path
) -> None:
    done = CliRunner().invoke(main, command, env={"DATA_DIR": str(tmp_path), "DATABASE_URL": ""})
    assert done.exit_code == 1
    assert "run `circle serve` without --web, or set DATABASE_URL" in done.output
    assert not list(tmp_path.iterdir())


def test_a_name_that_could_not_be_shown_is_refused(tmp_path: Path) -> None:
    command = ["worker", "--id", "two words"]
    done = CliRunner().invoke(main, command, env={"DATA_DIR": str(tmp_path)})
    assert done.exit_code == 1
    assert "EXECUTOR_ID" in done.output
