"""`circle privacy`: what an operator types and reads."""

from __future__ import annotations

import json
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from cli import main
from cli_common import now
from course.store import cohorts, tables
from course.store.access import add_audit
from course.store.database import Database, open_sealed
from course.store.erasures import Erasures
from settings import Settings
from tests.databases import put_migrated
from tests.nursery import circle
from tests.web.full_cohort import FULL, save_full_cohort


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
    with database.write() as connection:
        connection.execute(tables.cohort.update().values(created_at=now() - timedelta(days=99)))
    return database


def privacy(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(main, ["privacy", *arguments], input=answer)


def names(database: Database) -> list[str]:
    with database.read() as connection:
        cohort = cohorts.read_cohort(connection, FULL)
    return [carer.name for carer in cohort.carers] if cohort else []


def test_erasing_asks_first_and_says_what_is_left_to_do(stored: Database, tmp_path: Path) -> None:
    refused = privacy("erase", "full-1", "--reason", "asked by letter", answer="n\n")
    assert refused.exit_code == 1
    assert "Maya Patel" in names(stored)
    done = privacy("erase", "full-1", "--reason", "asked by letter", answer="y\n")
    assert done.exit_code == 0, done.output
    assert "Maya Patel" not in names(stored)
    assert "takes them off the platform" in done.stdout
    assert str(tmp_path / "erasures.jsonl") in done.stdout
    again = privacy("erase", "full-1", "--reason", "asked by letter", "--yes")
    assert again.exit_code == 1
    assert "There is no carer full-1" in again.stderr


def test_a_program_can_erase_and_read_the_answer(stored: Database) -> None:
    done = privacy("erase", "full-3", "--reason", "asked", "--yes", "--json")
    told = json.loads(done.stdout)
    assert len(told["tombstones"]) == 1
    assert told["platform_to_be_told"] is True
    assert "Tom Becker" not in names(stored)


@pytest.mark.parametrize("form", ["json", "pdf"])
def test_a_copy_is_written_for_its_owner_alone(stored: Database, tmp_path: Path, form: str) -> None:
    path = tmp_path / f"copy.{form}"
    done = privacy("export", "full-1", "--output", str(path))
    assert done.exit_code == 0, done.output
    assert path.stat().st_mode & 0o077 == 0
    assert path.read_bytes().startswith(b"%PDF" if form == "pdf" else b"{")
    assert "carer.export" in audited(stored)
    assert privacy("export", "full-1", "--output", str(tmp_path / "copy.doc")).exit_code == 1


def audited(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(select(tables.audit.c.action)).scalars())


def test_a_trial_says_what_would_go(stored: Database) -> None:
    trial = privacy("retain", "--dry-run")
    assert trial.stdout.startswith("Would go:\n")
    assert "join links" in trial.stdout
    assert "retention.run" not in audited(stored)
    assert json.loads(privacy("retain", "--json").stdout)["dry_run"] is False
    assert "retention.run" in audited(stored)


def test_a_key_is_changed_by_three_commands(
    stored: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del stored
    run = CliRunner()
    old = (tmp_path / "encryption.key").read_text().strip()
    new = run.invoke(main, ["keys", "new"]).stdout.strip()
    monkeypatch.setenv("ENCRYPTION_KEYS", f"{new},{old}")

    def examined() -> str:
        return run.invoke(main, ["doctor", "--json"]).stdout

    assert "circle keys rotate" in examined()
    done = run.invoke(main, ["keys", "rotate"])
    assert "values sealed anew" in done.stdout
    monkeypatch.setenv("ENCRYPTION_KEYS", new)
    assert "everything is sealed with" in examined()
    monkeypatch.setenv("ENCRYPTION_KEYS", old)
    lost = examined()
    assert "put the encryption key it was written with back" in lost
    assert "which is not in ENCRYPTION_KEYS" in lost


@pytest.mark.usefixtures("stored")
def test_without_a_file_a_copy_goes_to_standard_output() -> None:
    for arguments in (("full-1",), ("full-1", "--json")):
        done = privacy("export", *arguments)
        assert "Maya Patel" in json.dumps(json.loads(done.stdout))


@pytest.mark.slow
def test_an_erasure_that_is_killed_in_the_middle_is_carried_out_at_the_next_start(
    stored: Database, tmp_path: Path
) -> None:
    written = tmp_path / "erasures.jsonl"
    process = circle(*("privacy", "erase", "full-1", "--reason", "asked", "--yes"), cwd=tmp_path)
    while process.poll() is None and not (written.exists() and written.stat().st_size):
        pass  # busy on purpose: the commit follows within a millisecond
    process.kill()
    assert process.wait() == -signal.SIGKILL
    Erasures(stored, data_dir=tmp_path, clock=now).reapply()
    assert "Maya Patel" not in names(stored)
    assert len(names(stored)) > 1
    assert audited(stored).count("carer.erase") == 1


def trail(*arguments: str) -> Result:
    return privacy("trail", *arguments)


def noted(database: Database, actor: str, action: str, subject: str, **more: Any) -> None:
    with database.write() as connection:
        add_audit(connection, actor=actor, action=action, subject=subject, **{"now": now(), **more})


def test_the_trail_says_what_a_sign_in_touched_and_whose_data_that_was(stored: Database) -> None:
    noted(stored, "facilitator Ann Lee", "evidence.view", f"{FULL}/2/full-3")
    noted(stored, "facilitator Ann Lee", "staff.signin", "Ann Lee")
    noted(stored, "admin Bo", "report.export", FULL)
    done = trail("--by", "ann")
    assert done.exit_code == 0, done.output
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert "Whose data: 1 carer of 1 cohort" in done.stdout
    assert "Winter 2027 (evidence.view 1x): Tom Becker" in done.stdout
    assert "Bo" not in done.stdout
    told = json.loads(trail("--json").stdout)
    assert [line["by"] for line in told["lines"]][-1] == "admin Bo"
    (affected,) = told["affected"]
    assert affected["actions"] == {"evidence.view": 1, "report.export": 1}
    assert len(affected["carers"]) == 20


def test_a_look_at_everything_touches_everybody_and_what_is_older_is_left_out(
    stored: Database,
) -> None:
    noted(stored, "admin Bo", "cohort.view", FULL, now=now() - timedelta(days=8))
    assert "Nothing was done" in trail().stdout
    seen: dict[str, Any] = {"detail": {"cohorts": "all"}}
    noted(stored, "admin Bo", "attention.view", "attention", **seen)
    assert "Whose data: 20 carers of 1 cohort" in trail().stdout
    assert "cohort.view" not in trail().stdout
    long_ago = f"{now() - timedelta(days=9):%Y-%m-%d}"
    assert "cohort.view" in trail("--since", long_ago).stdout


def test_a_facilitators_overview_touches_the_cohorts_given_to_them(stored: Database) -> None:
    for given in ([], [FULL]):
        noted(stored, "facilitator Cy", "attention.view", "attention", detail={"cohorts": given})
        expected = "20 carers of 1 cohort" if given else "0 carers of 0 cohorts"
        assert f"Whose data: {expected}" in trail("--by", "Cy").stdout


def test_a_look_that_was_noted_in_the_hour_before_stands_for_a_later_one(stored: Database) -> None:
    at = now() - timedelta(hours=5)
    noted(stored, "facilitator Ann Lee", "cohort.view", FULL, now=at)
    noted(stored, "facilitator Ann Lee", "staff.signin", "Ann Lee", now=at)
    since = (at + timedelta(minutes=20)).astimezone(ZoneInfo("Europe/London"))
    shown = trail("--since", f"{since:%Y-%m-%dT%H:%M}", "--by", "ann  LEE").stdout
    assert "20 carers of 1 cohort" in shown
    assert "staff.signin" not in shown
    assert "Nothing was done" in trail("--by", "Joanna").stdout


def test_a_cohort_that_was_opened_afterwards_was_not_seen(stored: Database) -> None:
    noted(stored, "admin Bo", "cohorts.view", "cohorts", detail={"cohorts": "all"})
    with stored.write() as connection:
        connection.execute(tables.cohort.update().values(created_at=now() + timedelta(hours=1)))
    assert "0 carers of 0 cohorts" in trail().stdout
