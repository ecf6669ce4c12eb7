"""When the people whom nobody knew were taken out of a closed session's evidence."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "register", sa.Column("strangers_gone_at", sa.DateTime(timezone=True), nullable=True)
    )
