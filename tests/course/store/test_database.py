"""The store on a real database: sealed fields, one truth under concurrency, migrations."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select, text

from course.model import EventKind, Participant, ParticipantEvent, Platform, Source
from course.store import cohorts, evidence, idempotency, registers, tables
from course.store import series as series_store
from course.store.cipher import Cipher, UnreadableField, secret_from_file
from course.store.database import Database, insert_new
from course.store.holding import hold_cohorts
from course.store.journal import journal
from tests.factories import NOW, make_carer, make_cohort


def save_cohort(database: Database) -> None:
    with database.write() as connection:
        cohorts.insert_cohort(connection, make_cohort(series_ref=None), {"carer-1": "token-1"})
        series_store.update_series(connection, "cohort-1", Platform.ZOOM, series_ref="81000000001")


def make_event(key: str = "k1", name: str = "Maya Patel") -> ParticipantEvent:
    return ParticipantEvent(
        key=key,
        platform=Platform.ZOOM,
        kind=EventKind.JOINED,
        occurred_at=NOW,
        source=Source.WEBHOOK,
        series_ref="81000000001",
        instance_ref="uuid==",
        participant=Participant(display_name=name),
    )


def test_a_cohort_comes_back_as_it_was_stored(database: Database) -> None:
    save_cohort(database)
    with database.read() as connection:
        assert cohorts.read_cohort(connection, "cohort-1") == make_cohort()
        assert cohorts.read_cohort(connection, "unknown") is None


def raw(database: Database, folder: Path) -> str:
    """What a thief would see of it."""
    if database.is_sqlite:
        files = b"".join(path.read_bytes() for path in folder.glob("circle.sqlite*"))
        return files.decode(errors="replace")
    with database.read() as connection:
        rows = [
            row
            for table in tables.metadata.sorted_tables
            for row in connection.execute(text(f"SELECT t::text FROM {table.name} t"))
        ]
    return str(rows)


def test_names_addresses_and_links_are_not_readable_in_the_file(
    database: Database, tmp_path: Path
) -> None:
    save_cohort(database)
    with database.write() as connection:
        evidence.save_events(connection, [make_event(name="Canary Person")])
    kept = raw(database, tmp_path)
    assert "cohort-1" in kept  # the search would find something
    for secret in ("Maya Patel", "maya@example.com", "token-1", "Canary Person"):
        assert secret not in kept


def test_the_same_fact_told_twice_is_stored_once(database: Database) -> None:
    save_cohort(database)
    with database.write() as connection:
        assert evidence.save_events(connection, [make_event(), make_event()]) == 1
        assert evidence.save_events(connection, [make_event()]) == 0
    with database.read() as connection:
        assert evidence.read_evidence(connection, make_cohort()).events == (make_event(),)


def test_a_media_report_that_names_only_the_instance_belongs_to_its_cohort(
    database: Database,
) -> None:
    save_cohort(database)
    media = ParticipantEvent(
        key="m1",
        platform=Platform.ZOOM,
        kind=EventKind.CAMERA,
        occurred_at=NOW,
        source=Source.WEBHOOK,
        instance_ref="uuid==",
    )
    with database.write() as connection:
        evidence.save_events(connection, [media])
    with database.read() as connection:
        assert evidence.read_evidence(connection, make_cohort()).events == ()
    with database.write() as connection:
        evidence.save_events(connection, [make_event()])
    with database.read() as connection:
        found = evidence.read_evidence(connection, make_cohort()).events
    assert {event.key for event in found} == {"k1", "m1"}


def test_a_naive_datetime_is_refused(database: Database) -> None:
    naive = datetime(2027, 1, 9, 10, 0)  # noqa: DTZ001
    with pytest.raises(Exception, match="naive"), database.write() as connection:
        series_store.update_series(connection, "cohort-1", Platform.ZOOM, attempted_at=naive)


def test_writers_that_read_first_lose_no_update(database: Database) -> None:
    save_cohort(database)

    def raise_version() -> None:
        for _ in range(25):
            with database.write() as connection:
                hold_cohorts(connection, "cohort-1")
                version = connection.execute(text("SELECT version FROM cohort")).scalar_one()
                connection.execute(text("UPDATE cohort SET version = :v"), {"v": version + 1})

    writers = [threading.Thread(target=raise_version) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    with database.read() as connection:
        assert connection.execute(text("SELECT version FROM cohort")).scalar_one() == 101


def test_the_migrations_make_exactly_the_tables_of_the_code(database: Database) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []


def test_a_missing_key_says_what_to_put_back(database: Database) -> None:
    save_cohort(database)
    address = database.engine.url.render_as_string(hide_password=False)
    other = Database(address, Cipher([os.urandom(32)]))
    with (
        pytest.raises(UnreadableField, match="ENCRYPTION_KEYS"),
        other.read() as connection,
    ):
        cohorts.read_cohort(connection, "cohort-1")
    other.close()


def test_an_older_key_still_opens_what_it_sealed() -> None:
    old, new = os.urandom(32), os.urandom(32)
    sealed = Cipher([old]).seal("Maya Patel")
    rotated = Cipher([new, old])
    assert rotated.open(sealed) == "Maya Patel"
    with pytest.raises(UnreadableField):
        Cipher([old]).open(rotated.seal("Maya Patel"))


def test_a_made_key_is_kept_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "encryption.key"
    made = secret_from_file(path)
    assert secret_from_file(path) == made
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["encryption.key"]


def test_an_idempotency_key_stays_bound_to_its_first_cohort(database: Database) -> None:
    save_cohort(database)
    with database.write() as connection:
        second = make_cohort(id="cohort-2", carers=(make_carer(id="carer-2"),), series_ref=None)
        cohorts.insert_cohort(connection, second, {"carer-2": "token-2"})
        first = idempotency.reserve_key(
            connection, key="a", fingerprint="f1", cohort_id="cohort-1", now=NOW
        )
        again = idempotency.reserve_key(
            connection, key="a", fingerprint="f2", cohort_id="cohort-2", now=NOW
        )
    assert first == again == ("cohort-1", "f1")


def test_sessions_that_ended_lately_are_due_until_their_register_is_closed(
    database: Database,
) -> None:
    save_cohort(database)
    end = make_cohort().sessions[0].ends_at
    with database.read() as connection:
        due = registers.due_records(
            connection, since=end - timedelta(hours=1), now=end + timedelta(hours=1)
        )
    assert due == [("cohort-1", 1)]
    with database.write() as connection:
        entry = registers.read_register(connection, "cohort-1", 1)
        closed = type(entry)(week=1, closed_at=end, record_complete=True)
        registers.save_register(connection, "cohort-1", closed)
        assert registers.read_register(connection, "cohort-1", 1) == closed
        assert not registers.due_records(
            connection, since=end - timedelta(hours=1), now=end + timedelta(hours=1)
        )
        assert registers.want_records(connection, "cohort-1", since=end, until=end) == [1]
        again = registers.due_records(connection, since=end, now=end + timedelta(hours=9))
        assert again == [("cohort-1", 1)]
        assert registers.read_register(connection, "cohort-1", 1).closed_at == end


def test_rows_written_in_the_drivers_words_are_the_same_as_sqlalchemys(database: Database) -> None:
    at = datetime(2027, 1, 16, 11, 5, 0, 7, tzinfo=timezone(timedelta(hours=1)))
    row = {
        "platform": "zoom",
        "received_at": at,
        "kind": "k",
        "series_ref": None,
        "instance_ref": None,
        "state": "done",
        "reason": None,
        "attempts": 0,
        "body": "Zoë",
    }
    first, second = row | {"id": "1"}, row | {"id": "2"}
    words = journal(tables.notification, database.engine.dialect)

    def encoded(values: dict[str, Any]) -> tuple[Any, ...]:
        return words.encode([values[column.name] for column in tables.notification.c])

    with database.write() as connection:
        assert insert_new(connection, tables.notification, [first]) == 1
        assert words.append(connection, [encoded(second), encoded(first)]) == 1
        kept = connection.execute(select(tables.notification).order_by("id")).mappings().all()
        raw = connection.exec_driver_sql("SELECT received_at, body FROM notification").all()
    assert [dict(k) | {"id": ""} for k in kept] == [
        row | {"id": "", "received_at": at.astimezone(UTC)}
    ] * 2
    assert raw[0][0] == raw[1][0]
    assert all("Zoë" not in body for _, body in raw)
    with pytest.raises(ValueError, match="naive"):
        encoded(second | {"received_at": at.replace(tzinfo=None)})


def test_the_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        made = Database(f"sqlite:///{tmp_path / 'new' / 'circle.sqlite'}", Cipher([os.urandom(32)]))
        made.migrate()
        modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "new").iterdir()}
        made.close()
    finally:
        os.umask(before)
    assert modes.keys() >= {"circle.sqlite", "circle.sqlite-wal"}
    assert set(modes.values()) == {0o600}
