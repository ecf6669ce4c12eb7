"""Nothing is kept too long, nothing goes too early, and no verdict changes for it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from course.identity import NAME_GONE
from course.model import Cohort, CorrectionKind, Verdict
from course.reports import build_report, report_json
from course.store import access, cohorts, evidence, revisions, statements, tables
from course.store.database import Database
from course.store.retention import Periods, retain, retain_daily
from settings import Settings, SettingsError
from tests.factories import make_cohort
from tests.web.full_cohort import FULL, STRANGER, save_full_cohort

END = make_cohort().sessions[7].ends_at
PERIODS = Periods(**Settings(_env_file=None).periods())  # type: ignore[call-arg]
DAY = timedelta(days=1)
GONE_LATER = ("camera_intervals", "microphone_intervals", "flags", "offered_with")


def read(database: Database) -> Cohort:
    with database.read() as connection:
        cohort = cohorts.read_cohort(connection, FULL)
    assert cohort is not None
    return cohort


def report(database: Database, now: datetime) -> dict[str, Any]:
    """What the report says of everybody, without what is not kept for so long."""
    with database.read() as connection:
        found = evidence.read_evidence(connection, read(database))
    told = report_json(build_report(read(database), found, now=now))
    told = json.loads(re.sub(rf"{STRANGER}|{NAME_GONE} .\w+.", "a stranger", json.dumps(told)))
    for carer in told["carers"]:
        for week in carer["weeks"]:
            for name in GONE_LATER:
                week.pop(name)
    return {
        "carers": told["carers"],
        "households": told["households"],
        "held": [(s["held_from"], s["held_to"], s["register"]) for s in told["sessions"]],
    }


def count(database: Database, table: Any) -> int:
    with database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def test_no_verdict_changes_when_the_evidence_goes(database: Database) -> None:
    save_full_cohort(database)
    now = END + 91 * DAY
    before = report(database, now)
    counts = retain(database, PERIODS, now=now)
    assert counts["sessions reduced to verdicts and shares"] == 8
    assert count(database, tables.participant_event) == 0
    assert report(database, now) == before
    assert retain(database, PERIODS, now=now + DAY)["sessions reduced to verdicts and shares"] == 0
    assert report(database, now) == before


def test_evidence_stays_until_its_time(database: Database) -> None:
    save_full_cohort(database)
    kept = count(database, tables.participant_event)
    retain(database, PERIODS, now=END + 89 * DAY)
    assert count(database, tables.participant_event) == kept > 500


def test_a_correction_still_counts_when_the_evidence_is_gone(database: Database) -> None:
    save_full_cohort(database)
    now = END + 91 * DAY
    retain(database, PERIODS, now=now)
    with database.write() as connection:
        statements.add_correction(
            connection,
            FULL,
            week=2,
            carer_id="full-5",
            verdict=Verdict.ATTENDED,
            kind=CorrectionKind.CATCH_UP,
            reason="came on Tuesday",
            made_by="facilitator Ann",
            now=now,
        )
        cohort = cohorts.read_cohort(connection, FULL)
        assert cohort is not None
        assert revisions.revise(connection, cohort, cause="x", actor="a", now=now, weeks=[2]) == [2]
    (week,) = [
        w
        for c in report(database, now)["carers"]
        if c["id"] == "full-5"
        for w in c["weeks"]
        if w["week"] == 2
    ]
    assert (week["verdict"], week["correction"]) == ("attended", "catch_up")


def test_a_trial_changes_nothing_and_says_what_a_run_then_does(database: Database) -> None:
    save_full_cohort(database)
    now = END + 91 * DAY
    trial = retain(database, PERIODS, now=now, dry_run=True)
    assert count(database, tables.participant_event) > 0
    assert count(database, tables.audit) == count(database, tables.register_version)
    assert retain(database, PERIODS, now=now) == trial
    assert trial["join links"] == 20


def test_join_links_die_two_weeks_after_the_course(database: Database) -> None:
    save_full_cohort(database)
    for days, found in ((13, True), (15, False)):
        retain(database, PERIODS, now=END + days * DAY)
        with database.read() as connection:
            known = cohorts.find_by_join_token(connection, "join-full-1")
            links = cohorts.read_enrolments(connection, FULL)
        assert (known is not None) is found
        assert all(bool(e.join_token) is found for e in links)
        assert all((e.platform_join_url is not None) is found for e in links)


def test_what_could_not_be_read_or_belongs_to_nobody_goes_after_thirty_days(
    database: Database,
) -> None:
    save_full_cohort(database)
    now = END
    with database.write() as connection:
        for number, state in enumerate(("done", "quarantined", "waiting", "parked", "dropped")):
            for age in (29, 31):
                connection.execute(
                    insert(tables.notification).values(
                        id=f"{number}-{age}",
                        platform="zoom",
                        received_at=now - age * DAY,
                        kind="x",
                        state=state,
                        attempts=0,
                        body="{}",
                    )
                )
        (told,) = evidence.read_evidence(connection, make_cohort(id=FULL)).events[:1]
        for age in (29, 31):
            evidence.save_events(
                connection,
                [replace(told, key=f"nobody {age}", series_ref="999", occurred_at=now - age * DAY)],
            )
    counts = retain(database, PERIODS, now=now)
    assert counts["notifications"] == 5
    assert counts["participants of no cohort"] == 1
    assert count(database, tables.notification) == 5


def test_after_seven_years_nobody_is_named_and_the_audit_is_empty(database: Database) -> None:
    save_full_cohort(database)
    with database.write() as connection:
        access.add_audit(connection, actor="a", action="b", subject="c", now=END)
    counts = retain(database, PERIODS, now=END + 2558 * DAY)
    assert counts["cohorts without names"] == 1
    assert count(database, tables.carer) == count(database, tables.correction) == 0
    assert count(database, tables.register) == count(database, tables.message) == 0
    assert count(database, tables.audit) == 1  # that of this very run
    assert count(database, tables.session) == 8
    assert read(database).carers == ()


def test_strangers_are_not_kept_with_the_register(database: Database) -> None:
    save_full_cohort(database)
    retain(database, PERIODS, now=END + 91 * DAY)
    with database.read() as connection:
        kept = str(connection.execute(select(tables.register.c.frozen)).all())
    assert STRANGER not in kept


def test_a_day_is_done_once_and_missed_days_are_caught_up(database: Database) -> None:
    save_full_cohort(database)
    assert retain_daily(database, PERIODS, now=END + 15 * DAY) == 22  # carers, and a stranger twice
    assert retain_daily(database, PERIODS, now=END + 15 * DAY + timedelta(hours=5)) == 0
    assert retain_daily(database, PERIODS, now=END + 200 * DAY) == 8  # after months of standstill


def test_a_longer_period_needs_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEEP_MEDIA_DAYS", "365")
    with pytest.raises(SettingsError, match=r"KEEP_MEDIA_DAYS is longer than usual.*KEEP_REASON"):
        Settings.load(_env_file=None)
    monkeypatch.setenv("KEEP_REASON", "a court asked for it")
    assert Settings.load(_env_file=None).periods()["evidence"] == 365 * DAY
    monkeypatch.setenv("KEEP_MEDIA_DAYS", "30")
    monkeypatch.delenv("KEEP_REASON")
    assert Settings.load(_env_file=None).periods()["evidence"] == 30 * DAY
