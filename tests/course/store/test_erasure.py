"""Erasing a carer: nothing of them is left, nobody else changes, and they do not come back."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, text

from course.model import (
    Attestation,
    Cohort,
    CorrectionKind,
    EventKind,
    Level,
    MessageKind,
    Participant,
    ParticipantEvent,
    Platform,
    Source,
    Verdict,
)
from course.reports import build_report, report_json
from course.store import access, cohorts, evidence, statements, tables
from course.store.cipher import Cipher
from course.store.database import Database
from course.store.erasures import FILE, Erasures, UnknownCarer
from course.store.notifications import Notification
from course.store.tombstones import read_tombstones
from integration.forgetting import Forgetting
from tests.fakes import FakeClock, FakeProvider
from tests.web.full_cohort import AFTER_WEEK_7, FULL, SERIES, save_full_cohort
from webhooks.inbox import Delivery, Inbox

MAYA = "full-1"
TRACES = ("Maya", "carer1@example.com", MAYA, f"ref-{MAYA}", f"join-{MAYA}")
REASON = "asked by letter of 3 March"


def clock() -> Any:
    return AFTER_WEEK_7 + timedelta(days=3)


def erasures(database: Database, folder: Path) -> Erasures:
    return Erasures(database, data_dir=folder, clock=clock)


def erase(database: Database, folder: Path, carer_id: str = MAYA, reason: str = REASON) -> Any:
    return erasures(database, folder).erase(carer_id, reason=reason, actor="admin Ann")


def everything(database: Database) -> str:
    """Every row of every table, opened."""
    with database.read() as connection:
        rows = [
            (table.name, tuple(row))
            for table in tables.metadata.sorted_tables
            if table is not tables.tombstone
            # The trail is chained: it keeps an id that by then leads to nobody.
            for row in connection.execute(
                select(*(c for c in table.c if c is not tables.audit.c.subject))
            )
        ]
    return "\n".join(str(row) for row in rows)


def read(database: Database) -> Cohort:
    with database.read() as connection:
        cohort = cohorts.read_cohort(connection, FULL)
    assert cohort is not None
    return cohort


def weeks_of_others(database: Database) -> dict[str, Any]:
    """Everything that the report says of everybody but Maya."""
    cohort = read(database)
    with database.read() as connection:
        found = evidence.read_evidence(connection, cohort)
    told = report_json(build_report(cohort, found, now=AFTER_WEEK_7))
    return {
        **{c["id"]: c["weeks"] for c in told["carers"] if c["id"] != MAYA},
        "held": [(s["held_from"], s["held_to"]) for s in told["sessions"]],
        "unmatched": told["unmatched"],
    }


def seen(**changes: Any) -> ParticipantEvent:
    """Maya joining once more, as a notification tells it."""
    made = ParticipantEvent(
        key="late",
        platform=Platform.ZOOM,
        kind=EventKind.JOINED,
        occurred_at=AFTER_WEEK_7,
        source=Source.WEBHOOK,
        series_ref=SERIES,
        instance_ref="uuid-late",
        connection_ref="connection-late",
        participant=Participant(display_name="Maya Patel", invitation_ref=f"ref-{MAYA}"),
        received_at=clock(),
    )
    return replace(made, **changes)


def say_more(database: Database) -> None:
    """What staff, platforms and the partner added about Maya."""
    with database.write() as connection:
        statements.add_message(
            connection,
            FULL,
            week=8,
            carer_id="full-2",
            kind=MessageKind.CONTEST,
            text="maya had the flu in week 5, ask carer1@example.com",
            now=AFTER_WEEK_7,
        )
        statements.add_correction(
            connection,
            FULL,
            week=5,
            carer_id=MAYA,
            verdict=Verdict.ABSENT,
            kind=CorrectionKind.CORRECTION,
            reason="Maya was ill",
            made_by="facilitator Ann",
            now=AFTER_WEEK_7,
        )
        for subject, detail in (
            (f"{FULL}/5/{MAYA}", {"reason": "Maya was ill"}),
            (FULL, {"format": "pdf", "household": None, "carer": MAYA}),
            (f"{FULL}/8/full-2", {"with": "full-2", "reason": "sat beside Maya"}),
        ):
            access.add_audit(
                connection,
                actor="facilitator Ann",
                action="said",
                subject=subject,
                now=AFTER_WEEK_7,
                detail=detail,
            )
        for number, body in enumerate(
            (
                {"registrant": {"email": "CARER1@example.com"}},
                {"who": "Maya Patel"},
                {"who": "Dev Patel"},
            )
        ):
            connection.execute(
                insert(tables.notification).values(
                    id=f"n{number}",
                    platform="zoom",
                    received_at=AFTER_WEEK_7,
                    kind="meeting.something",
                    series_ref=SERIES,
                    state="done",
                    attempts=0,
                    body=json.dumps(body),
                )
            )


def test_nothing_of_an_erased_carer_is_left_in_any_table(
    database: Database, tmp_path: Path
) -> None:
    save_full_cohort(database)
    say_more(database)
    before = everything(database)
    assert all(trace in before for trace in TRACES[:4])
    erase(database, tmp_path)
    after = everything(database)
    found = [line for line in after.splitlines() if any(trace in line for trace in TRACES[:2])]
    assert found == []
    for trace in (f"'{MAYA}'", f"/{MAYA}'", f"ref-{MAYA}'", f"join-{MAYA}'"):
        assert trace not in after
    # The partner's own delivery and message stay, without her name.
    assert "Dev Patel" in after
    assert "had the flu in week 5, ask somebody who was erased" in after


def test_nobody_elses_weeks_change(database: Database, tmp_path: Path) -> None:
    save_full_cohort(database)
    before = weeks_of_others(database)
    erase(database, tmp_path)
    after = weeks_of_others(database)
    assert len(before) == 21
    for whose, weeks in before.items():
        told = json.dumps(weeks).replace("Maya Patel's family", "another person's family")
        assert json.dumps(after[whose]) == told, whose


def test_whoever_was_attested_at_their_device_attended_all_the_same(
    database: Database, tmp_path: Path
) -> None:
    save_full_cohort(database)
    said = Attestation(
        week=2,
        carer_id="full-3",
        with_carer_id=MAYA,
        reason="both at the laptop of Maya",
        made_by="facilitator Ann",
        made_at=AFTER_WEEK_7,
    )
    with database.write() as connection:
        statements.add_attestation(
            connection,
            FULL,
            week=said.week,
            carer_id=said.carer_id,
            with_carer_id=said.with_carer_id,
            reason=said.reason,
            made_by=said.made_by,
            now=said.made_at,
        )
    before = weeks_of_others(database)["full-3"][1]
    erase(database, tmp_path)
    after = weeks_of_others(database)["full-3"][1]
    assert after["verdict"] == before["verdict"]
    assert after["minutes_present"] == before["minutes_present"]
    assert after["camera_share"] == before["camera_share"]
    assert "Maya" not in everything(database)


def test_only_the_reason_and_who_erased_are_kept_and_never_the_person(
    database: Database, tmp_path: Path
) -> None:
    save_full_cohort(database)
    erase(database, tmp_path, reason="Maya Patel (carer1@example.com) asked by letter")
    with database.read() as connection:
        (stone,) = read_tombstones(connection)
        line = connection.execute(
            select(tables.audit).where(tables.audit.c.action == "carer.erase")
        ).one()
    assert stone.made_by == line.actor == "admin Ann"
    assert line.subject == f"{FULL}/{stone.id}"
    for kept in (stone.reason, str(line.detail), (tmp_path / FILE).read_text()):
        assert not any(trace in kept for trace in TRACES)
    assert stone.reason == ("somebody who was erased (somebody who was erased) asked by letter")


def test_a_late_notification_leaves_nothing_but_bare_times(
    database: Database, tmp_path: Path
) -> None:
    save_full_cohort(database)
    strangers = weeks_of_others(database)["unmatched"]
    inbox = Inbox(database)
    erase(database, tmp_path)
    inbox.look_for_erased()
    told = seen(notification_id="n9")
    inbox.accept(
        [
            Delivery(notification=None, events=(seen(),)),
            Delivery(
                notification=Notification(
                    id="n9",
                    platform=Platform.ZOOM,
                    received_at=clock(),
                    kind="meeting.participant_qos",
                    body=json.dumps({"name": "Maya Patel"}),
                    series_ref=SERIES,
                ),
                events=(
                    replace(told, key="late media", kind=EventKind.CAMERA, level=Level.ON),
                    replace(told, key="late left", kind=EventKind.LEFT),
                ),
            ),
        ]
    )
    inbox.close()
    kept = everything(database)
    assert "'late'" in kept
    assert "late media" not in kept
    for trace in (*TRACES[:2], f"ref-{MAYA}'", "connection-late"):
        assert trace not in kept
    assert weeks_of_others(database)["unmatched"] == strangers


def test_a_record_that_is_fetched_again_brings_nobody_back(
    database: Database, tmp_path: Path
) -> None:
    save_full_cohort(database)
    erase(database, tmp_path)
    with database.write() as connection:
        evidence.save_events(
            connection,
            [
                seen(key="row", kind=EventKind.STAY, until_at=clock(), participant=who)
                for who in (
                    Participant(display_name="MAYA  Patel"),
                    Participant(display_name="M", email="Carer1@example.com"),
                )
            ],
        )
    assert not any(trace in everything(database) for trace in TRACES[:2])


def test_what_another_process_stored_meanwhile_is_stripped_by_the_next_round(
    database: Database, tmp_path: Path
) -> None:
    save_full_cohort(database)
    inbox = Inbox(database)  # of a process that has not heard of the erasure yet
    erase(database, tmp_path)
    inbox.accept([Delivery(notification=None, events=(seen(),))])
    inbox.close()
    assert "Maya" in everything(database)
    assert erasures(database, tmp_path).forget_late() == 1
    assert "Maya" not in everything(database)


def test_a_namesake_and_a_shared_address_keep_what_is_theirs(
    database: Database, tmp_path: Path
) -> None:
    save_full_cohort(database)
    with database.write() as connection:
        connection.execute(
            tables.carer.update()
            .where(tables.carer.c.id == "full-12")
            .values(name="Maya Patel", email="carer1@example.com")
        )
    erased = erase(database, tmp_path)
    assert erased.same_address == ((FULL, "full-12"),)
    assert erased.stones[0].to_tell is None  # the invitation is the other carer's as well
    with database.write() as connection:
        evidence.save_events(connection, [seen(participant=Participant(display_name="Maya Patel"))])
    assert "Maya Patel" in everything(database)


def test_whoever_is_enrolled_again_is_known_again(database: Database, tmp_path: Path) -> None:
    save_full_cohort(database)
    back = replace(read(database).carers[0], id="back", household="NEW")
    erase(database, tmp_path)
    with database.write() as connection:
        cohorts.insert_carers(connection, FULL, [back], {"back": "join-back"})
        evidence.save_events(
            connection,
            [seen(participant=Participant(display_name="Maya Patel", email="carer1@example.com"))],
        )
    assert "Maya Patel" in everything(database).split("participant_event", 1)[1]


def test_nobody_is_erased_twice_and_a_stranger_not_at_all(
    database: Database, tmp_path: Path
) -> None:
    save_full_cohort(database)
    erase(database, tmp_path)
    for who in (MAYA, "nobody"):
        with pytest.raises(UnknownCarer):
            erase(database, tmp_path, who)


def test_an_old_backup_forgets_again_before_anything_is_read(tmp_path: Path) -> None:
    key, path = os.urandom(32), tmp_path / "circle.sqlite"
    first = Database(f"sqlite:///{path}", Cipher([key]))
    first.migrate()
    save_full_cohort(first)
    first.close()
    shutil.copy(path, tmp_path / "backup.sqlite")
    second = Database(f"sqlite:///{path}", Cipher([key]))
    erase(second, tmp_path)
    second.close()
    for old in tmp_path.glob("circle.sqlite*"):
        old.unlink()
    shutil.copy(tmp_path / "backup.sqlite", path)
    restored = Database(f"sqlite:///{path}", Cipher([key]))
    assert "Maya Patel" in everything(restored)
    again = erasures(restored, tmp_path)
    assert again.reapply() == 1
    assert "Maya" not in everything(restored)
    assert again.reapply() == 0
    with restored.read() as connection:
        (stone,) = read_tombstones(connection)
    assert stone.to_tell is not None  # the platform is asked again too: it may be restored as well
    restored.close()


def test_a_lost_file_is_written_again_from_the_table(database: Database, tmp_path: Path) -> None:
    save_full_cohort(database)
    erase(database, tmp_path)
    kept = (tmp_path / FILE).read_text()
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    (tmp_path / FILE).unlink()
    erasures(database, tmp_path).reapply()
    assert json.loads((tmp_path / FILE).read_text())["hashes"] == json.loads(kept)["hashes"]


def finish(database: Database, folder: Path, provider: FakeProvider, now: FakeClock) -> int:
    return Forgetting(
        database=database,
        erasures=erasures(database, folder),
        providers={Platform.ZOOM: provider},
        clock=now,
    ).finish()


def test_the_bytes_are_gone_from_database_log_and_free_pages(tmp_path: Path) -> None:
    path = tmp_path / "circle.sqlite"
    database = Database(f"sqlite:///{path}", Cipher([os.urandom(32)]))
    database.migrate()
    save_full_cohort(database)
    raw = sqlite3.connect(path)
    sealed = [
        value.encode()
        for row in raw.execute(
            "SELECT name, email, join_token FROM carer WHERE id = ?", (MAYA,)
        ).fetchall()
        for value in row
    ]
    sealed += [
        row[0].encode()
        for row in raw.execute("SELECT text FROM message WHERE carer_id = ?", (MAYA,))
    ]
    raw.close()
    assert len(sealed) == 4

    def files() -> bytes:
        return b"".join(p.read_bytes() for p in tmp_path.glob("circle.sqlite*"))

    assert all(value in files() for value in sealed)
    erase(database, tmp_path)
    with database.write() as connection:  # the platform need not be asked in this test
        connection.execute(tables.tombstone.update().values(to_tell=None))
    assert finish(database, tmp_path, FakeProvider(Platform.ZOOM), FakeClock(clock())) == 1
    left = files() + b"".join(p.read_bytes() for p in tmp_path.glob("*.jsonl"))
    assert not any(value in left for value in sealed)
    assert not any(trace.encode() in left for trace in ("Maya Patel", "carer1@example.com"))
    with database.read() as connection:
        (stone,) = read_tombstones(connection)
    assert stone.compacted_at == clock()
    database.close()


def test_files_are_left_alone_while_a_session_is_near(database: Database, tmp_path: Path) -> None:
    save_full_cohort(database)
    erase(database, tmp_path)
    with database.write() as connection:
        connection.execute(tables.tombstone.update().values(to_tell=None))
    soon = FakeClock(read(database).sessions[7].starts_at - timedelta(hours=1))
    assert finish(database, tmp_path, FakeProvider(Platform.ZOOM), soon) == 0
    soon.move(timedelta(hours=7))
    assert finish(database, tmp_path, FakeProvider(Platform.ZOOM), soon) == 1


def test_tables_are_written_anew_on_either_database(database: Database, tmp_path: Path) -> None:
    save_full_cohort(database)
    erase(database, tmp_path)
    assert database.compact()
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM carer")).scalar_one() == 19


@pytest.mark.sqlite_only("a copy of its file; tests/test_restore_drill.py restores PostgreSQL")
def test_a_line_that_a_power_cut_left_half_written_spoils_no_later_one(
    database: Database, tmp_path: Path
) -> None:
    save_full_cohort(database)
    (tmp_path / FILE).write_text('{"id": "begun, and never', encoding="utf-8")
    backup = tmp_path / "backup.sqlite"
    with closing(sqlite3.connect(tmp_path / "circle.sqlite")) as live:
        live.execute("VACUUM INTO ?", [str(backup)])
    erase(database, tmp_path)
    restored = Database(f"sqlite:///{backup}", database.cipher)
    assert erasures(restored, tmp_path).reapply() == 1
    assert "Maya" not in everything(restored)
    restored.close()
