"""What each facilitator was told by mail, each by themselves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from course.store.types import UtcDateTime

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "facilitator_letter",
        sa.Column("cohort_id", sa.String(32), sa.ForeignKey("cohort.id"), primary_key=True),
        sa.Column("letter", sa.String(40), primary_key=True),
        sa.Column("position", sa.Integer(), primary_key=True),
        sa.Column("taken_until", UtcDateTime(), nullable=False),
        sa.Column("sent_at", UtcDateTime(), nullable=True),
        sa.Column("refused_at", UtcDateTime(), nullable=True),
        sa.Column("is_final", sa.Boolean(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
    )
