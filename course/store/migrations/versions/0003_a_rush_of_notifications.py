"""Fewer indexes where notifications arrive in rushes; registers whose record is wanted again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
KEPT = "platform, received_at, kind, series_ref, instance_ref, state, reason, attempts, body"


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(
        name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
    )


def upgrade() -> None:
    # A notification's id is now the key that makes it unique: one random index instead of two.
    op.execute("CREATE TABLE moved AS SELECT * FROM notification")
    op.execute(
        "UPDATE participant_event SET notification_id = (SELECT substr(delivery_key, 1, 32) "
        "FROM moved WHERE moved.id = participant_event.notification_id) "
        "WHERE notification_id IS NOT NULL"
    )
    op.drop_table("notification")
    op.create_table(
        "notification",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("platform", sa.String(length=16), nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("series_ref", sa.Text(), nullable=True),
        sa.Column("instance_ref", sa.Text(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification")),
    )
    op.execute(
        f"INSERT INTO notification (id, {KEPT}) "  # our own column names  # nosec B608
        f"SELECT substr(delivery_key, 1, 32), {KEPT} FROM moved WHERE true ON CONFLICT DO NOTHING"
    )
    op.execute("DROP TABLE moved")
    op.create_index(op.f("ix_notification_received_at"), "notification", ["received_at"])
    _partial("ix_notification_open", "notification", ["state", "received_at"], "state <> 'done'")
    _partial(
        "ix_notification_validation",
        "notification",
        ["received_at"],
        "kind = 'endpoint.url_validation'",
    )
    op.add_column("participant_event", sa.Column("told_as", sa.Text(), nullable=True))
    op.add_column("participant_event", sa.Column("received_at", INSTANT, nullable=True))
    _partial(
        "ix_participant_event_received_at",
        "participant_event",
        ["received_at"],
        "received_at IS NOT NULL",
    )
    op.drop_index("ix_participant_event_instance", "participant_event")
    _partial(
        "ix_participant_event_instance",
        "participant_event",
        ["platform", "instance_ref"],
        "series_ref IS NULL",
    )
    op.drop_index("ix_participant_event_carer_id", "participant_event")
    _partial(
        "ix_participant_event_carer_id", "participant_event", ["carer_id"], "carer_id IS NOT NULL"
    )
    op.add_column("register", sa.Column("resync_at", INSTANT, nullable=True))
    op.add_column("register", sa.Column("record_digest", sa.String(length=32), nullable=True))
    op.add_column("watch", sa.Column("renewed_at", INSTANT, nullable=True))
    op.create_table(
        "register_version",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("cohort_id", sa.String(length=32), nullable=False),
        sa.Column("week", sa.Integer(), nullable=False),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.Column("cause", sa.String(length=32), nullable=False),
        sa.Column("verdicts", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["cohort_id"], ["cohort.id"], name=op.f("fk_register_version_cohort_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_register_version")),
    )
    op.create_index("ix_register_version_register", "register_version", ["cohort_id", "week"])
    op.create_table(
        "bot_call",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("cohort_id", sa.String(length=32), nullable=False),
        sa.Column("week", sa.Integer(), nullable=False),
        sa.Column("platform", sa.String(length=16), nullable=False),
        sa.Column("series_ref", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("asked_at", INSTANT, nullable=False),
        sa.Column("call_ref", sa.Text(), nullable=True),
        sa.Column("kept_alive_at", INSTANT, nullable=True),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["cohort_id"], ["cohort.id"], name=op.f("fk_bot_call_cohort_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bot_call")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_bot_call_secret_hash")),
    )
    op.create_index(op.f("ix_bot_call_cohort_id"), "bot_call", ["cohort_id"])
