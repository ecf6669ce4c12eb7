"""When each cohort was last looked at for people whom nobody knew, and when it is next."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from course.store.types import UtcDateTime

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "stranger_look",
        sa.Column("cohort_id", sa.String(32), sa.ForeignKey("cohort.id"), primary_key=True),
        sa.Column("looked_at", UtcDateTime(), nullable=False),
        sa.Column("next_at", UtcDateTime(), nullable=True, index=True),
    )
