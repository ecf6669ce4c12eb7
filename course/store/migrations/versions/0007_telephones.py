"""The number to ring when a carer is missing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("carer", sa.Column("phone", sa.Text(), nullable=True))
