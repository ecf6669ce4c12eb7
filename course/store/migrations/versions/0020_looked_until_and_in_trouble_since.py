"""Until when chores have looked, and since when a record cannot be had: kept through restarts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from course.store.types import UtcDateTime

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "looked",
        sa.Column("chore", sa.String(32), primary_key=True),
        sa.Column("until", UtcDateTime(), nullable=False),
    )
    op.add_column("register", sa.Column("trouble_since", UtcDateTime(), nullable=True))
