"""Upgrading keeps what is there."""

from __future__ import annotations

import os
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from course.store import notifications
from course.store.cipher import Cipher
from course.store.database import Database

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
