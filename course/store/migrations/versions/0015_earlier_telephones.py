"""The number that a carer had before it was put right, sealed like the name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("former_name", sa.Column("phone", sa.Text(), nullable=True))
