"""Upgrading keeps what is there."""

from __future__ import annotations

import os
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import select, text

from course.store import access, audit_trail, notifications, tables
from course.store.cipher import Cipher
from course.store.database import Database
from tests.factories import NOW

MIGRATIONS = Path(notifications.__file__).parent / "migrations"


def test_notifications_and_the_facts_they_told_stay_together(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'old.sqlite'}", Cipher([os.urandom(32)]))
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
    with database.write() as connection:
        for number in (1, 2):
            connection.execute(
                text(
                    "INSERT INTO notification (id, platform, delivery_key, received_at, kind, "
                    "state, attempts, body) VALUES (:id, 'zoom', :key, '2027-01-16 10:00:00', "
                    "'meeting.participant_joined', 'done', 0, 'sealed')"
                ),
                {"id": f"old-{number}", "key": str(number) * 64},
            )
        connection.execute(
            text(
                "INSERT INTO participant_event (key, platform, kind, occurred_at, source, "
                "notification_id) VALUES ('e1', 'zoom', 'joined', '2027-01-16 10:00:00', "
                "'webhook', 'old-2')"
            )
        )
    database.migrate()
    with database.read() as connection:
        kept = connection.execute(text("SELECT id, body FROM notification ORDER BY id")).all()
        told_by = connection.execute(text("SELECT notification_id FROM participant_event")).scalar()
    assert kept == [("1" * 32, "sealed"), ("2" * 32, "sealed")]
    assert told_by == "2" * 32
    database.close()


def test_what_was_readable_is_sealed_and_the_trail_so_far_is_chained(tmp_path: Path) -> None:
    file = tmp_path / "old.sqlite"
    database = Database(f"sqlite:///{file}", Cipher([os.urandom(32)]))
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    at = "2027-01-16 10:00:00"
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0006")
    with database.write() as connection:
        for statement in (
            "INSERT INTO access_token (id, token_hash, name, role, cohort_ids, created_at) "
            f"VALUES ('t1', 'h', 'Quentin Canary', 'admin', '[]', '{at}')",
            f"INSERT INTO audit (at, actor, action, subject) VALUES ('{at}', "
            "'admin Quentin Canary', 'staff.signin', 'Quentin Canary')",
            f"INSERT INTO audit (at, actor, action, subject) VALUES ('{at}', "
            "'operator', 'token.create', 't1')",
            "INSERT INTO participant_event (key, platform, kind, occurred_at, source, told_as) "
            f"VALUES ('e1', 'zoom', 'camera', '{at}', 'facilitator', 'ticked by Quentin Canary')",
        ):
            connection.execute(text(statement))
    database.migrate()
    with database.write() as connection:
        access.add_audit(connection, actor="operator", action="a", subject="s", now=NOW)
    with database.read() as connection:
        found = audit_trail.check(connection)
        assert (found.lines, found.broken_at) == (3, None)
        assert connection.execute(select(tables.access_token.c.name)).scalar() == "Quentin Canary"
        first = connection.execute(select(tables.audit).order_by(tables.audit.c.id)).first()
        assert first is not None
        assert (first.actor, first.subject) == ("admin Quentin Canary", "Quentin Canary")
        for table in ("access_token", "audit", "participant_event"):
            kept = connection.execute(text(f"SELECT * FROM {table}")).all()
            assert "Quentin" not in str(kept), table
    database.close()
