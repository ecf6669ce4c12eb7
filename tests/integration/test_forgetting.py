"""An erased carer is taken off the platform, whatever the platform or another job is doing."""

from __future__ import annotations

import sqlite3
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from course.model import Cohort, CohortState, Platform
from course.store.database import Database
from course.store.erasures import Erasures
from course.store.tombstones import read_tombstones
from integration.forgetting import Forgetting
from integration.provider import MeetingProvider, ProviderError
from integration.scheduling import NewCarer, NewHousehold
from tests.integration.conftest import ACTOR, Desk, Office, Practice

BOTH = pytest.mark.parametrize("platform", list(Platform))
IAN = NewHousehold(reference="H3", carers=(NewCarer(name="Ian Reed", email="ian@example.com"),))


def chore(desk: Desk, provider: MeetingProvider, folder: Path) -> tuple[Erasures, Forgetting]:
    clock = desk.platforms.clock if isinstance(desk, Practice) else desk.clock  # type: ignore[attr-defined]
    erasures = Erasures(desk.database, data_dir=folder, clock=clock)
    return erasures, Forgetting(
        database=desk.database,
        erasures=erasures,
        providers={provider.platform: provider},
        clock=clock,
    )


def carried_out(desk: Desk, cohort: Cohort) -> Cohort:
    """The cohort once the chore before this one has taken up the new version."""
    desk.scheduling.take_up()
    return desk.finished(cohort.id)


def carer(cohort: Cohort, name: str) -> str:
    return next(c.id for c in cohort.carers if c.name == name)


def problems(database: Database) -> list[str | None]:
    with database.read() as connection:
        return [stone.problem for stone in read_tombstones(connection)]


def left_to_tell(database: Database) -> list[object]:
    with database.read() as connection:
        return [s.to_tell for s in read_tombstones(connection) if s.to_tell is not None]


@BOTH
def test_the_platform_forgets_whoever_is_erased_and_nobody_else(
    practice: Practice, platform: Platform, tmp_path: Path
) -> None:
    cohort = practice.open(
        platform=platform, organiser="host@practice.example", first_session_on=date(2027, 2, 27)
    )
    assert cohort.state is CohortState.READY
    provider = (
        practice.platforms.zoom() if platform is Platform.ZOOM else practice.platforms.teams()
    )
    erasures, chores = chore(practice, provider, tmp_path)
    assert "dev@example.com" in practice.platforms.people(platform)
    erasures.erase(carer(cohort, "Dev Patel"), reason="asked", actor=ACTOR)
    assert carried_out(practice, cohort).state is CohortState.READY
    assert left_to_tell(practice.database)
    chores.finish()
    assert sorted(practice.platforms.people(platform)) == ["maya@example.com", "zoe@example.com"]
    assert left_to_tell(practice.database) == []
    chores.finish()  # once more, as after a kill
    assert sorted(practice.platforms.people(platform)) == ["maya@example.com", "zoe@example.com"]


def test_a_platform_in_trouble_is_asked_again_until_it_forgets(
    office: Office, tmp_path: Path
) -> None:
    cohort = office.open()
    erasures, chores = chore(office, office.zoom, tmp_path)
    erasures.erase(carer(cohort, "Dev Patel"), reason="asked", actor=ACTOR)
    carried_out(office, cohort)
    office.zoom.trouble.append(("withdraw", ProviderError("Zoom is away.", permanent=False)))
    chores.finish()
    assert problems(office.database) == [
        "The platform still knows somebody who was erased. Zoom is away."
    ]
    assert "dev@example.com" in office.zoom.invited[cohort.series_ref or ""]
    office.clock.move(timedelta(minutes=2))
    chores.finish()
    assert problems(office.database) == [None]
    assert "dev@example.com" not in office.zoom.invited[cohort.series_ref or ""]


def test_erasing_a_carer_while_they_are_being_invited_leaves_no_invitation(
    office: Office, tmp_path: Path
) -> None:
    cohort = office.open()
    erasures, chores = chore(office, office.zoom, tmp_path)

    def erase() -> None:
        now = office.read(cohort.id)
        erasures.erase(carer(now, "Ian Reed"), reason="asked", actor=ACTOR)

    office.zoom.meanwhile["invite"] = erase
    office.scheduling.enrol(cohort.id, IAN, expected=None, actor=ACTOR)
    office.finished(cohort.id, within=2)
    after = carried_out(office, cohort)
    assert (after.state, after.problem) == (CohortState.READY, None)
    chores.finish()
    assert "invite" in office.zoom.calls
    assert "ian@example.com" not in office.zoom.invited[cohort.series_ref or ""]
    assert "Ian Reed" not in [c.name for c in after.carers]


def of_the_engine(database: Database, folder: Path) -> str:
    """Everything that the workflow engine keeps."""
    if database.is_sqlite:
        with sqlite3.connect(folder / "workflows.sqlite") as engine:
            engine.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        engine.close()
        return (folder / "workflows.sqlite").read_bytes().decode(errors="replace")
    with database.read() as connection:
        names = connection.execute(
            text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'dbos'")
        ).scalars()
        return str([connection.execute(text(f"SELECT * FROM dbos.{n}")).all() for n in names])


def test_the_engines_own_database_never_holds_a_name_or_an_address(
    office: Office, tmp_path: Path
) -> None:
    cohort = office.open()
    erasures, _ = chore(office, office.zoom, tmp_path)
    office.scheduling.enrol(cohort.id, IAN, expected=None, actor=ACTOR)
    office.finished(cohort.id)
    erasures.erase(carer(cohort, "Dev Patel"), reason="asked", actor=ACTOR)
    carried_out(office, cohort)
    kept = of_the_engine(office.database, tmp_path)
    assert cohort.id in kept  # the search would find something
    for trace in ("Dev Patel", "Maya Patel", "Ian Reed", "@example.com", "tk="):
        assert trace not in kept
