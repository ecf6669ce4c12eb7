"""Changing a cohort after it was opened: versions, drift, mail, pacing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column(
        "cohort", sa.Column("settled_version", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column(
        "cohort", sa.Column("remake_version", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column("cohort", sa.Column("settled_at", INSTANT, nullable=True))
    op.add_column("cohort", sa.Column("drifted_at", INSTANT, nullable=True))
    # What was opened before needs nothing done; what was still opening is taken up at the start.
    op.execute("UPDATE cohort SET settled_version = version WHERE state <> 'opening'")
    op.add_column(
        "session", sa.Column("sequence", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column("carer", sa.Column("transferred_from", sa.String(length=32), nullable=True))
    op.create_table(
        "former_series",
        sa.Column("platform", sa.String(length=16), nullable=False),
        sa.Column("series_ref", sa.String(length=255), nullable=False),
        sa.Column("cohort_id", sa.String(length=32), nullable=False),
        sa.Column("ended_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["cohort_id"], ["cohort.id"], name=op.f("fk_former_series_cohort_id")
        ),
        sa.PrimaryKeyConstraint("platform", "series_ref", name=op.f("pk_former_series")),
    )
    op.create_index(op.f("ix_former_series_cohort_id"), "former_series", ["cohort_id"])
    op.create_table(
        "former_invitation",
        sa.Column("carer_id", sa.String(length=32), nullable=False),
        sa.Column("invitation_ref", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(
            ["carer_id"], ["carer.id"], name=op.f("fk_former_invitation_carer_id")
        ),
        sa.PrimaryKeyConstraint("carer_id", "invitation_ref", name=op.f("pk_former_invitation")),
    )
    op.create_table(
        "mail",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("cohort_id", sa.String(length=32), nullable=False),
        sa.Column("carer_id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("timetable", sa.String(length=64), nullable=False),
        sa.Column("made_at", INSTANT, nullable=False),
        sa.Column("sent_at", INSTANT, nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["cohort_id"], ["cohort.id"], name=op.f("fk_mail_cohort_id")),
        sa.ForeignKeyConstraint(["carer_id"], ["carer.id"], name=op.f("fk_mail_carer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mail")),
        sa.UniqueConstraint("carer_id", "timetable", name=op.f("uq_mail_carer_id")),
    )
    op.create_index(op.f("ix_mail_cohort_id"), "mail", ["cohort_id"])
    op.create_table(
        "pace",
        sa.Column("bucket", sa.String(length=160), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("free_at", sa.Float(), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("bucket", "place", name=op.f("pk_pace")),
    )
    op.create_table(
        "mailbox_watch",
        sa.Column("platform", sa.String(length=16), nullable=False),
        sa.Column("mailbox_ref", sa.String(length=160), nullable=False),
        sa.Column("client_state", sa.Text(), nullable=False),
        sa.Column("client_state_hash", sa.String(length=64), nullable=False),
        sa.Column("watch_ref", sa.Text(), nullable=True),
        sa.Column("expires_at", INSTANT, nullable=True),
        sa.Column("renewal_due_at", INSTANT, nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("platform", "mailbox_ref", name=op.f("pk_mailbox_watch")),
        sa.UniqueConstraint("client_state_hash", name=op.f("uq_mailbox_watch_client_state_hash")),
    )
