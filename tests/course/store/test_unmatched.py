"""People whom nobody knew are forgotten after a month; nothing that is said of others changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from course.model import (
    CarerWeek,
    Cohort,
    CohortState,
    CorrectionKind,
    EventKind,
    Participant,
    Verdict,
)
from course.narrowing import Only, narrowed
from course.reports import AttendanceReport, build_report, report_json
from course.store import cohorts, evidence, registers, revisions, statements, tables
from course.store.database import Database
from course.store.retention import Periods, retain
from course.store.unmatched import forget_unmatched
from settings import Settings
from tests.factories import make_cohort
from tests.web.full_cohort import FULL, SERIES, STRANGER, save_full_cohort

pytestmark = pytest.mark.both_databases
PERIODS = Periods(**Settings(_env_file=None).periods())  # type: ignore[call-arg]
DAY = timedelta(days=1)
WEEK = 2  # in which the stranger was there, live and in the record
DUE = make_cohort().sessions[WEEK - 1].ends_at + 31 * DAY
ASKED = "full-5"  # who may have been the stranger


def read(database: Database) -> Cohort:
    with database.read() as connection:
        cohort = cohorts.read_cohort(connection, FULL)
    assert cohort is not None
    return cohort


def stored(database: Database) -> str:
    """Every row of every table, opened."""
    with database.read() as connection:
        return "\n".join(
            str(row)
            for table in tables.metadata.sorted_tables
            for row in connection.execute(select(table))
        )


def report(database: Database, now: datetime) -> AttendanceReport:
    cohort = read(database)
    with database.read() as connection:
        found = evidence.read_evidence(connection, cohort)
    return build_report(cohort, found, now=now)


def weeks(database: Database, now: datetime) -> dict[tuple[int, str], CarerWeek]:
    """What the report says of everybody in each session."""
    registers_ = report(database, now).registers
    return {(r.session.week, who): w for r in registers_ for who, w in r.weeks.items()}


def forget(database: Database, now: datetime, **given: Any) -> int:
    return forget_unmatched(database, kept=30 * DAY, now=now, **given)


def told(database: Database, name: str, at: datetime, **changes: Any) -> None:
    """Somebody of that name is there for twenty minutes from then on."""
    with database.write() as connection:
        (first, *_) = evidence.read_evidence(connection, read(database)).events
        joined = replace(
            first,
            key=f"joins {at}",
            kind=EventKind.JOINED,
            occurred_at=at,
            series_ref=SERIES,
            instance_ref=f"instance {at}",
            instance_started_at=at,
            connection_ref=f"seat {at}",
            seat_ref=None,
            carer_id=None,
            received_at=at,
            participant=Participant(display_name=name, email=f"{name}@example.net"),
        )
        left = replace(
            joined, key=f"leaves {at}", kind=EventKind.LEFT, occurred_at=at + 20 * MINUTE
        )
        evidence.save_events(connection, [replace(joined, **changes), replace(left, **changes)])


MINUTE = timedelta(minutes=1)


def test_they_stay_for_a_month_and_then_nothing_says_who_they_were(database: Database) -> None:
    save_full_cohort(database)
    assert forget(database, DUE - 2 * DAY) == 0
    assert STRANGER in stored(database)
    assert forget(database, DUE) == 2
    assert STRANGER not in stored(database)
    assert forget(database, DUE) == 0


def test_no_verdict_and_no_minute_changes_and_whoever_was_asked_about_still_is(
    database: Database,
) -> None:
    save_full_cohort(database)
    before = weeks(database, DUE)
    assert STRANGER in before[WEEK, ASKED].reasons[0]
    forget(database, DUE)
    after = weeks(database, DUE)
    assert after[WEEK, ASKED].verdict is Verdict.UNDETERMINED
    first = after[WEEK, ASKED].reasons[0]
    assert first.startswith("“name no longer kept (")
    assert "was there and nobody has said who it was; were it" in first

    def without_the_sentence(found: dict[tuple[int, str], CarerWeek]) -> dict[Any, Any]:
        return {
            key: replace(week, reasons=tuple(r for r in week.reasons if "nobody has said" not in r))
            for key, week in found.items()
        }

    assert without_the_sentence(after) == without_the_sentence(before)


def test_nobody_is_asked_any_more_who_they_were(database: Database) -> None:
    save_full_cohort(database)
    assert [seen["week"] for seen in report_json(report(database, DUE))["unmatched"]] == [WEEK]
    forget(database, DUE)
    assert report_json(report(database, DUE))["unmatched"] == []


def test_no_version_of_a_register_is_made_of_it(database: Database) -> None:
    save_full_cohort(database)
    with database.write() as connection:  # with the correction that the full cohort has
        revisions.revise(connection, read(database), cause="x", actor="x", now=DUE)
    forget(database, DUE)
    with database.write() as connection:
        assert revisions.revise(connection, read(database), cause="x", actor="x", now=DUE) == []


def test_what_people_say_afterwards_is_judged_as_ever(database: Database) -> None:
    save_full_cohort(database)
    forget(database, DUE)
    before = weeks(database, DUE)[WEEK, "full-2"]
    with database.write() as connection:
        statements.add_attestation(
            connection,
            FULL,
            week=WEEK,
            carer_id="full-5",
            with_carer_id="full-4",
            reason="both in the picture",
            made_by="Ann",
            now=DUE,
        )
    after = weeks(database, DUE)
    assert "Ann attested" in str(after[WEEK, "full-5"].reasons)
    assert after[WEEK, "full-2"] == before


def test_a_name_that_is_a_carers_own_is_no_strangers(database: Database) -> None:
    save_full_cohort(database)
    at = read(database).sessions[0].starts_at
    told(database, "Zoë Ash", at, instance_ref="instance-1")  # whose link nobody used
    forget(database, DUE)
    kept = stored(database)
    assert "Zoë Ash@example.net" not in kept
    assert "'display_name': 'Zoë Ash'" in kept


def test_a_record_that_is_read_again_and_an_identity_taken_back_are_seen_to_within_a_week(
    database: Database,
) -> None:
    save_full_cohort(database)
    forget(database, DUE)
    at = read(database).sessions[WEEK - 1].starts_at
    told(database, "Rhiannon Probert", at + 30 * MINUTE)
    forget(database, DUE + 8 * DAY)
    assert "Rhiannon" not in stored(database)


@pytest.mark.parametrize("days", [-1, 2, 40])
def test_strangers_between_and_after_the_sessions_go_as_well(database: Database, days: int) -> None:
    save_full_cohort(database)
    at = read(database).sessions[7].ends_at + days * DAY
    told(database, "A neighbour", at)
    now = at + 20 * DAY
    while now < at + 38 * DAY:
        forget(database, now)
        now += DAY
    assert "neighbour" not in stored(database)


def test_a_register_that_nobody_closes_and_a_cancelled_cohort_keep_no_stranger(
    database: Database,
) -> None:
    save_full_cohort(database)
    with database.write() as connection:
        entry = registers.read_register(connection, FULL, WEEK)
        registers.save_register(connection, FULL, replace(entry, closed_at=None))
        connection.execute(
            tables.cohort.update().values(state=CohortState.CANCELLED, cancel_requested_at=DUE)
        )
    assert forget(database, DUE) == 2


def test_staff_who_are_called_the_same_in_part_are_still_named(database: Database) -> None:
    save_full_cohort(database)
    with database.write() as connection:
        connection.execute(
            tables.facilitator.insert().values(
                cohort_id=FULL, position=0, name="Ann Lee", email="lee@practice.example"
            )
        )
    told(database, "Ann", read(database).sessions[WEEK - 1].starts_at + 5 * MINUTE)
    with database.write() as connection:
        statements.add_attestation(
            connection,
            FULL,
            week=WEEK,
            carer_id="full-2",
            with_carer_id="full-1",
            reason="I saw both",
            made_by="Ann Lee",
            now=DUE,
        )
    before = weeks(database, DUE)[WEEK, "full-2"]
    assert "Ann Lee attested" in str(before.reasons)
    forget(database, DUE)
    assert "Ann Lee attested" in str(weeks(database, DUE)[WEEK, "full-2"].reasons)


def test_a_copy_for_one_carer_goes_on_hiding_the_strangers_name(database: Database) -> None:
    save_full_cohort(database)
    told(database, "Rhiannon Probert", read(database).sessions[WEEK - 1].starts_at)
    with database.write() as connection:
        statements.add_correction(
            connection,
            FULL,
            week=WEEK,
            carer_id="full-1",
            verdict=Verdict.ABSENT,
            kind=CorrectionKind.CORRECTION,
            reason="her sister Rhiannon Probert sat in for her",
            made_by="Ann",
            now=DUE,
        )
    forget(database, DUE)
    cohort = read(database)
    with database.read() as connection:
        found = evidence.read_evidence(connection, cohort)
    copy, _ = narrowed(cohort, found, Only(carer_id="full-1"), now=DUE)
    assert "her sister another person sat in for her" in str(report_json(copy))
    assert "Rhiannon" not in stored(database)


def test_whoever_is_said_to_be_a_carer_meanwhile_keeps_their_name(database: Database) -> None:
    save_full_cohort(database)
    (seen,) = report(database, DUE).registers[WEEK - 1].unmatched
    with database.write() as connection:
        statements.add_link(
            connection,
            FULL,
            ref=seen.ref,
            carer_id="full-5",
            taken_back=False,
            made_by="Ann",
            now=DUE,
        )
    assert forget(database, DUE) == 0
    assert "Ann said so" in str(weeks(database, DUE)[WEEK, ASKED].reasons)


def test_a_trial_only_counts(database: Database) -> None:
    save_full_cohort(database)
    assert forget(database, DUE, dry_run=True) == 2
    assert STRANGER in stored(database)
    assert forget(database, DUE) == 2


def test_a_course_that_is_entered_afterwards_has_that_much_longer(database: Database) -> None:
    save_full_cohort(database)
    with database.write() as connection:
        connection.execute(tables.cohort.update().values(created_at=DUE - DAY))
    assert forget(database, DUE) == 0
    assert forget(database, DUE + 30 * DAY) == 2


def test_when_all_evidence_is_gone_nobody_looks_any_more(database: Database) -> None:
    save_full_cohort(database)
    last = read(database).sessions[7].ends_at
    before = {key: w.verdict for key, w in weeks(database, last + 91 * DAY).items()}
    counts = retain(database, PERIODS, now=last + 91 * DAY)
    assert counts["stays of people whom nobody knew"] == 2
    assert counts["sessions reduced to verdicts and shares"] == 8
    assert {key: w.verdict for key, w in weeks(database, last + 91 * DAY).items()} == before
    forget(database, last + 99 * DAY)
    with database.read() as connection:
        assert connection.execute(select(tables.stranger_look.c.next_at)).scalars().all() == [None]
