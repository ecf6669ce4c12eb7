"""Everybody's standing is derived anew: an excuse that the rule does not take waits for nobody."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("INSERT INTO cohort_change (cohort_id) SELECT id FROM cohort ORDER BY created_at")
