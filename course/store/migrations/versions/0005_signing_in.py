"""Sessions of staff in a browser, and the one-time links that begin them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def _whose() -> list[sa.Column[object]]:
    return [
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("cohort_ids", sa.JSON(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
    ]


def upgrade() -> None:
    op.create_table(
        "signin_link",
        sa.Column("link_hash", sa.String(length=64), nullable=False),
        *_whose(),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("used_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("link_hash", name=op.f("pk_signin_link")),
    )
    op.create_table(
        "staff_session",
        sa.Column("session_hash", sa.String(length=64), nullable=False),
        *_whose(),
        sa.Column("token_id", sa.String(length=32), nullable=True),
        sa.Column("seen_at", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(
            ["token_id"], ["access_token.id"], name=op.f("fk_staff_session_token_id")
        ),
        sa.PrimaryKeyConstraint("session_hash", name=op.f("pk_staff_session")),
    )
