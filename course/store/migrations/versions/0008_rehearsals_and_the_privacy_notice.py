"""Rehearsals that are offered, and which privacy notice a carer was shown."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from course.store.types import UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rehearsal",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("cohort_id", sa.String(length=32), nullable=False),
        sa.Column("starts_at", UtcDateTime(), nullable=False),
        sa.Column("ends_at", UtcDateTime(), nullable=False),
        sa.Column("offered_by", sa.Text(), nullable=False),
        sa.Column("offered_at", UtcDateTime(), nullable=False),
        sa.Column("withdrawn_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["cohort_id"], ["cohort.id"], name="fk_rehearsal_cohort_id"),
        sa.PrimaryKeyConstraint("id", name="pk_rehearsal"),
    )
    op.create_index("ix_rehearsal_cohort_id", "rehearsal", ["cohort_id"])
    op.create_table(
        "notice_shown",
        sa.Column("carer_id", sa.String(length=32), nullable=False),
        sa.Column("version", sa.String(length=16), nullable=False),
        sa.Column("first_shown_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["carer_id"], ["carer.id"], name="fk_notice_shown_carer_id"),
        sa.PrimaryKeyConstraint("carer_id", "version", name="pk_notice_shown"),
    )
