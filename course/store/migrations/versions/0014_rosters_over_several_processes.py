"""In which roster each of a call's participants last changed, for whichever process hears next."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("bot_call", sa.Column("changed_in", sa.JSON(), nullable=True))
