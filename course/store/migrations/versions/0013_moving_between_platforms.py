"""A cohort moves to the other platform: where each week was held, and what is left behind."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from course.store.types import Sealed, UtcDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("cohort", sa.Column("moved_at", UtcDateTime(), nullable=True))
    op.add_column("session", sa.Column("platforms", sa.String(length=32), nullable=True))
    op.add_column("series", sa.Column("organiser", sa.Text(), nullable=True))
    op.add_column("former_series", sa.Column("organiser_ref", sa.Text(), nullable=True))
    op.add_column("former_series", sa.Column("meeting_ref", sa.Text(), nullable=True))
    op.add_column("former_series", sa.Column("join_url", Sealed(), nullable=True))
    op.add_column("former_series", sa.Column("removed_at", UtcDateTime(), nullable=True))
    op.add_column("former_series", sa.Column("tried_at", UtcDateTime(), nullable=True))
    op.add_column("former_series", sa.Column("problem", sa.Text(), nullable=True))
    # Until now a series was former only when it was gone from its platform.
    op.execute("UPDATE former_series SET removed_at = ended_at")
