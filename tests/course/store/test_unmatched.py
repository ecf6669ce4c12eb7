"""People whom nobody knew are forgotten after a month; nothing that is said of others changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from course.model import CarerWeek, Cohort, CorrectionKind, EventKind, Participant, Verdict
from course.reports import build_report
from course.store import cohorts, evidence, registers, revisions, statements, tables
from course.store.database import Database
from course.store.retention import Periods, retain
from course.store.unmatched import forget_unmatched
from settings import Settings
from tests.factories import make_carer
from tests.web.full_cohort import FULL, SERIES, STRANGER, save_full_cohort

pytestmark = pytest.mark.both_databases
PERIODS = Periods(**Settings(_env_file=None).periods())  # type: ignore[call-arg]
DAY = timedelta(days=1)
WEEK = 2  # in which the stranger was there


def read(database: Database) -> Cohort:
    with database.read() as connection:
        cohort = cohorts.read_cohort(connection, FULL)
    assert cohort is not None
    return cohort


def ends(database: Database, week: int = WEEK) -> Any:
    return read(database).sessions[week - 1].ends_at


def stored(database: Database) -> str:
    """Every fact and every register, opened."""
    with database.read() as connection:
        rows = [
            *connection.execute(select(tables.participant_event)).all(),
            *connection.execute(select(tables.register)).all(),
        ]
    return str(rows)


def weeks(database: Database, now: Any) -> dict[tuple[int, str], CarerWeek]:
    """What the report says of everybody in each session."""
    cohort = read(database)
    with database.read() as connection:
        found = evidence.read_evidence(connection, cohort)
    registers_ = build_report(cohort, found, now=now).registers
    return {(r.session.week, who): w for r in registers_ for who, w in r.weeks.items()}


def forget(database: Database, now: Any, **given: Any) -> int:
    with database.write() as connection:
        return forget_unmatched(connection, before=now - 30 * DAY, now=now, **given)


def test_they_stay_for_a_month_and_are_gone_afterwards_with_their_name(database: Database) -> None:
    save_full_cohort(database)
    at = ends(database)
    assert forget(database, at + 29 * DAY) == 0
    assert STRANGER in stored(database)
    assert forget(database, at + 31 * DAY) == 2  # live, and in the record
    assert STRANGER not in stored(database)
    assert forget(database, at + 31 * DAY) == 0


def test_whoever_may_have_been_the_stranger_is_still_asked_about_without_the_name(
    database: Database,
) -> None:
    save_full_cohort(database)
    now = ends(database) + 31 * DAY
    asked = [key for key, week in weeks(database, now).items() if STRANGER in str(week.reasons)]
    assert asked
    forget(database, now)
    for key in asked:
        found = weeks(database, now)[key]
        assert found.verdict is Verdict.UNDETERMINED
        assert "“another person” was there and nobody has said who it was" in found.reasons[0]


def test_what_is_known_of_the_carers_stays_as_it_was_with_its_evidence(database: Database) -> None:
    save_full_cohort(database)
    now = ends(database) + 31 * DAY
    before = weeks(database, now)
    forget(database, now)

    def named(week: CarerWeek) -> CarerWeek:
        told = tuple(reason.replace(STRANGER, "another person") for reason in week.reasons)
        return replace(week, reasons=told)

    assert weeks(database, now) == {key: named(week) for key, week in before.items()}
    with database.read() as connection:
        left = evidence.read_evidence(connection, read(database)).events
    session = read(database).sessions[WEEK - 1]
    assert any(
        e.kind is EventKind.CAMERA and session.starts_at < e.occurred_at < session.ends_at
        for e in left
    )


def test_no_version_of_a_register_is_made_of_it(database: Database) -> None:
    save_full_cohort(database)
    now = ends(database) + 31 * DAY
    with database.write() as connection:  # with the correction that the full cohort has
        revisions.revise(connection, read(database), cause="x", actor="x", now=now)
    forget(database, now)
    with database.write() as connection:
        assert revisions.revise(connection, read(database), cause="x", actor="x", now=now) == []


def test_people_still_have_the_last_word(database: Database) -> None:
    save_full_cohort(database)
    now = ends(database) + 31 * DAY
    forget(database, now)
    with database.write() as connection:
        statements.add_correction(
            connection,
            FULL,
            week=WEEK,
            carer_id="full-3",
            verdict=Verdict.ABSENT,
            kind=CorrectionKind.CORRECTION,
            reason="was at a wedding",
            made_by="Ann",
            now=now,
        )
    assert weeks(database, now)[WEEK, "full-3"].verdict is Verdict.ABSENT


def test_whoever_enrols_later_was_not_enrolled_yet(database: Database) -> None:
    save_full_cohort(database)
    now = ends(database) + 31 * DAY
    forget(database, now)
    with database.write() as connection:
        late = make_carer(id="late", household="FA99", enrolled_at=now)
        cohorts.insert_carers(connection, FULL, [late], {"late": "join-late"})
    found = weeks(database, now)[WEEK, "late"]
    assert (found.verdict, found.reasons) == (Verdict.PENDING, ("not enrolled yet",))


def test_an_open_register_is_left_to_the_person_who_has_to_close_it(database: Database) -> None:
    save_full_cohort(database)
    with database.write() as connection:
        entry = registers.read_register(connection, FULL, WEEK)
        registers.save_register(connection, FULL, replace(entry, closed_at=None))
    assert forget(database, ends(database) + 31 * DAY) == 0
    assert STRANGER in stored(database)


def test_strangers_at_other_times_go_as_well(database: Database) -> None:
    save_full_cohort(database)
    at = ends(database)
    with database.write() as connection:
        (told, *_) = evidence.read_evidence(connection, read(database)).events
        friday = replace(
            told,
            key="friday",
            kind=EventKind.JOINED,
            occurred_at=at - timedelta(hours=24),
            series_ref=SERIES,
            instance_ref="friday",
            instance_started_at=at - timedelta(hours=24),
            connection_ref="friday",
            seat_ref=None,
            carer_id=None,
            participant=Participant(display_name="A neighbour's phone"),
        )
        evidence.save_events(connection, [friday])
    assert forget(database, at + 31 * DAY) == 3
    assert "neighbour" not in stored(database)


def test_a_few_sessions_at_a_time_come_to_the_same(database: Database) -> None:
    save_full_cohort(database)
    now = ends(database, 6) + 31 * DAY
    done = [forget(database, now, limit=1) for _ in range(7)]
    assert done == [0, 2, 0, 0, 0, 0, 0]
    with database.read() as connection:
        gone = connection.execute(select(tables.register.c.strangers_gone_at)).scalars().all()
    assert len(gone) == 6
    assert None not in gone


def test_months_after_the_course_the_rest_of_the_evidence_goes(database: Database) -> None:
    save_full_cohort(database)
    last = ends(database, 8)
    before = {key: w.verdict for key, w in weeks(database, last + 91 * DAY).items()}
    forget(database, last + 31 * DAY)
    counts = retain(database, PERIODS, now=last + 91 * DAY)
    assert counts["sessions reduced to verdicts and shares"] == 8
    after = weeks(database, last + 91 * DAY)
    assert {key: w.verdict for key, w in after.items()} == before
    assert not any(w.camera_on or w.camera_off for w in after.values())
    with database.read() as connection:
        assert connection.execute(select(tables.participant_event.c.key)).all() == []
