"""Erasing somebody who left and came back: one person, enrolled twice in one cohort."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from sqlalchemy import delete

from course.model import Carer, CorrectionKind, Verdict
from course.store import statements, tables
from course.store.cipher import Cipher
from course.store.database import Database
from course.store.erasures import Erasures
from course.store.tombstones import read_tombstones
from tests.course.evidence import AFTER, WEEK_2, held, stay, who
from tests.course.store.test_erasure import everything
from tests.integration.test_coming_back import BEFORE_WEEK_3, DEV, MAYA, WEEK_4, Desk

SEEN_AGAIN = who("Maya Patel", "r9", email="maya@example.com")


def came_back(desk: Desk) -> Carer:
    """Maya takes part in week 2, leaves, and is enrolled again before week 3."""
    dev = stay(0, 120, "c2", who("Dev Patel", "r2"))
    desk.told([*held(), *stay(0, 120, "c1", who(email="maya@example.com")), *dev])
    described(desk)
    desk.clock.now = BEFORE_WEEK_3
    desk.leave("carer-1")
    desk.enrol("H1", MAYA, DEV)
    return invited_again(desk)


def went_and_returned(desk: Desk) -> Carer:
    """The same, by way of another cohort."""
    desk.told([*held(), *stay(0, 120, "c1", who(email="maya@example.com"))])
    described(desk)
    desk.clock.now = BEFORE_WEEK_3
    reference = desk.transfer("H1", "cohort-1", "cohort-2")
    desk.transfer(reference, "cohort-2", "cohort-1")
    return invited_again(desk)


def described(desk: Desk) -> None:
    """Somebody wrote her name and address beside her partner's week."""
    with desk.database.write() as connection:
        statements.add_correction(
            connection,
            "cohort-1",
            week=2,
            carer_id="carer-2",
            verdict=Verdict.ATTENDED,
            kind=CorrectionKind.CORRECTION,
            reason="Sat beside Maya Patel, maya@example.com",
            made_by="Ann",
            now=WEEK_2,
        )


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def invited_again(desk: Desk) -> Carer:
    again = next(c for c in desk.people() if c.name == "Maya Patel" and c.withdrawn_at is None)
    with desk.database.write() as connection:
        desk.invited(connection, again.id, "r9")
    desk.told([*held(), *stay(0, 120, "c1", SEEN_AGAIN)], later=WEEK_4)
    desk.clock.now = AFTER
    return again


def erase(desk: Desk, folder: Path, carer_id: str) -> Erasures:
    erasures = Erasures(desk.database, data_dir=folder, clock=desk.clock)
    erasures.erase(carer_id, reason="asked by letter", actor="admin Ann")
    return erasures


def of_maya(database: Database) -> Sequence[str]:
    return [line for line in everything(database).splitlines() if "maya" in line.lower()]


STORIES = pytest.mark.parametrize("story", [came_back, went_and_returned])


@STORIES
@pytest.mark.parametrize("by", ["first", "second"])
def test_nothing_is_left_of_whoever_is_enrolled_twice(
    database: Database, tmp_path: Path, story: Callable[[Desk], Carer], by: str
) -> None:
    desk = Desk(database)
    again = story(desk)
    erase(desk, tmp_path, "carer-1" if by == "first" else again.id)
    assert of_maya(database) == []


@STORIES
def test_whoever_is_enrolled_twice_is_taken_off_the_platform_under_each_invitation(
    database: Database, tmp_path: Path, story: Callable[[Desk], Carer]
) -> None:
    desk = Desk(database)
    erase(desk, tmp_path, story(desk).id)
    with database.read() as connection:
        stones = read_tombstones(connection)
    told = [who for stone in stones for who in stone.to_tell or ()]
    assert {who["email"] for who in told} == {"maya@example.com"}
    assert {"r1", "r9"} <= {who["ref"] for who in told}


@STORIES
def test_a_late_notification_of_whoever_was_enrolled_twice_leaves_only_bare_times(
    database: Database, tmp_path: Path, story: Callable[[Desk], Carer]
) -> None:
    desk = Desk(database)
    erase(desk, tmp_path, story(desk).id)
    desk.told(stay(0, 120, "c7", SEEN_AGAIN), later=2 * WEEK_4)
    desk.told(stay(0, 120, "c8", who("Maya Patel", None)), later=2 * WEEK_4)
    assert of_maya(database) == []


def test_whoever_was_attested_at_her_first_enrolments_device_attended_all_the_same(
    desk: Desk, tmp_path: Path
) -> None:
    again = came_back(desk)
    with desk.database.write() as connection:
        connection.execute(delete(tables.correction))
        connection.execute(
            delete(tables.participant_event).where(
                tables.participant_event.c.connection_ref == "c2"
            )
        )
        statements.add_attestation(
            connection,
            "cohort-1",
            week=2,
            carer_id="carer-2",
            with_carer_id="carer-1",
            reason="both at one laptop",
            made_by="Ann",
            now=AFTER,
        )
    before = desk.report().registers[1].weeks["carer-2"]
    assert before.minutes_present == 120
    erase(desk, tmp_path, again.id)
    after = desk.report().registers[1].weeks["carer-2"]
    assert (after.verdict, after.minutes_present) == (before.verdict, 120)


@STORIES
def test_an_old_backup_forgets_every_enrolment_again(
    tmp_path: Path, story: Callable[[Desk], Carer]
) -> None:
    key, path = os.urandom(32), tmp_path / "circle.sqlite"
    first = Database(f"sqlite:///{path}", Cipher([key]))
    first.migrate()
    again = story(Desk(first))
    first.close()
    backup = tmp_path / "backup.sqlite"
    shutil.copy(path, backup)
    second = Database(f"sqlite:///{path}", Cipher([key]))
    erased = Erasures(second, data_dir=tmp_path, clock=lambda: AFTER).erase(
        again.id, reason="asked by letter", actor="admin Ann"
    )
    second.close()
    restored = Database(f"sqlite:///{backup}", Cipher([key]))
    assert of_maya(restored)
    again_erased = Erasures(restored, data_dir=tmp_path, clock=lambda: AFTER).reapply()
    assert again_erased == len(erased.stones)
    assert of_maya(restored) == []
    with restored.read() as connection:
        stones = read_tombstones(connection)
    assert all(stone.to_tell for stone in stones if stone.cohort_id == "cohort-1")
    restored.close()
