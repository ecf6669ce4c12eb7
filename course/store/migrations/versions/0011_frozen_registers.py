"""What a report said of a session whose evidence is no longer kept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("register", sa.Column("frozen", sa.Text(), nullable=True))
