"""Shared devices, carers' messages and changed rules."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def _about(table: str, *columns: sa.Column[object]) -> None:
    """A table of statements about a cohort, in the order in which they were made."""
    op.create_table(
        table,
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("cohort_id", sa.String(length=32), nullable=False),
        *columns,
        sa.ForeignKeyConstraint(["cohort_id"], ["cohort.id"], name=op.f(f"fk_{table}_cohort_id")),
        *(
            sa.ForeignKeyConstraint([name], ["carer.id"], name=op.f(f"fk_{table}_{name}"))
            for name in ("carer_id", "with_carer_id")
            if name in {column.name for column in columns}
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    )
    op.create_index(op.f(f"ix_{table}_cohort_id"), table, ["cohort_id"])


def upgrade() -> None:
    _about(
        "attestation",
        sa.Column("week", sa.Integer(), nullable=False),
        sa.Column("carer_id", sa.String(length=32), nullable=False),
        sa.Column("with_carer_id", sa.String(length=32), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", INSTANT, nullable=False),
    )
    _about(
        "message",
        sa.Column("week", sa.Integer(), nullable=False),
        sa.Column("carer_id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("sent_at", INSTANT, nullable=False),
        sa.Column("taken_back_at", INSTANT, nullable=True),
        sa.Column("settled_at", INSTANT, nullable=True),
        sa.Column("settled_by", sa.Text(), nullable=True),
    )
    _about(
        "rule_change",
        sa.Column("rule", sa.JSON(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", INSTANT, nullable=False),
    )
