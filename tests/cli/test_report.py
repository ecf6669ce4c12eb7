"""`circle report`: what goes to the terminal, what goes to a file, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from cli import main
from course.store import tables
from course.store.database import Database, open_sealed
from settings import Settings
from tests.databases import put_migrated
from tests.nursery import run_circle
from tests.web.full_cohort import FULL, NAMES, save_full_cohort
from tests.web.report_files import FORMATS, text


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The database that the command finds, with the full cohort."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    put_migrated(tmp_path)
    database = open_sealed(**Settings.load().storage())
    save_full_cohort(database)
    return database


def report(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["report", *arguments])


def exports(database: Database) -> list[tuple[str, Any]]:
    with database.read() as connection:
        asked = select(tables.audit.c.actor, tables.audit.c.detail).where(
            tables.audit.c.action == "report.export"
        )
        return [(row[0], row[1]) for row in connection.execute(asked)]


@pytest.mark.parametrize("form", [*FORMATS, "json"])
def test_a_file_is_written_for_its_owner_alone_and_says_who_made_it(
    stored: Database, tmp_path: Path, form: str
) -> None:
    path = tmp_path / f"report.{form}"
    done = report(FULL, "--format", form, "--output", str(path))
    assert (done.exit_code, done.stdout) == (0, "")
    if form != "json":  # it is the API's, to the letter
        assert "command line" in text(form, path.read_bytes())
    assert path.stat().st_mode & 0o077 == 0
    nobody = {"household": None, "carer": None}
    assert exports(stored) == [("operator", {"format": form, **nobody})]


@pytest.mark.parametrize("form", ["table", "csv", "json", "html", "pdf"])
def test_one_household_alone(stored: Database, form: str) -> None:
    done = report(FULL, "--format", form, "--household", "FA02")
    told = text(form, done.stdout_bytes)
    assert (done.exit_code, "Tom Becker" in told) == (0, True)
    others = {name for names in NAMES.values() for name in names} - {"Tom Becker"}
    assert not [name for name in others if name in told]
    assert exports(stored)[0][1]["household"] == "FA02"


def test_one_carer_alone(stored: Database) -> None:
    told = json.loads(report(FULL, "--format", "json", "--carer", "full-2").stdout)
    assert [carer["name"] for carer in told["carers"]] == ["Dev Patel"]
    assert len(exports(stored)) == 1


@pytest.mark.parametrize("asked", [("--household", "FA99"), ("--carer", "x")])
def test_nobody_of_the_cohort_is_one_line_that_names_what_there_is(
    stored: Database, asked: tuple[str, str]
) -> None:
    done = report(FULL, *asked)
    assert done.exit_code == 1
    assert "Its households: FA01, FA02" in done.stderr
    assert exports(stored) == []


def test_a_file_that_cannot_be_written_is_one_line(stored: Database, tmp_path: Path) -> None:
    done = report(FULL, "--format", "csv", "--output", str(tmp_path / "no" / "such.csv"))
    assert done.exit_code == 1
    assert "could not be written: No such file or directory" in done.stderr
    assert stored is not None


@pytest.mark.slow
@pytest.mark.parametrize("form", ["pdf", "xlsx"])
def test_nothing_binary_goes_to_a_terminal(tmp_path: Path, form: str) -> None:
    ours, theirs = os.openpty()
    done = run_circle(
        *("report", "any", "--format", form),
        env=os.environ | {"DATA_DIR": str(tmp_path)},
        stdout=theirs,
    )
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"Error: A {form.upper()} file is nothing for a terminal. Add: --output report.{form}"
    )
