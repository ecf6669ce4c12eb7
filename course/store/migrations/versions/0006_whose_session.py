"""Whose session of a browser it is, where an identity provider says so: names are not unique."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("staff_session", sa.Column("account", sa.String(length=64), nullable=True))
