"""Room for an organiser's address of any length that is taken."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table, column in (("pace", "bucket"), ("mailbox_watch", "mailbox_ref")):
        with op.batch_alter_table(table) as batch:
            batch.alter_column(
                column,
                existing_type=sa.String(160),
                type_=sa.String(320),
                existing_nullable=False,
            )
