"""Where everybody stands and what needs a person, in rows of their own; indexes that were missing.

Every cohort is noted as changed: the service derives its rows within minutes of the start.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from course.store.types import SealedJson, UtcDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "standing",
        sa.Column("carer_id", sa.String(length=32), nullable=False),
        sa.Column("cohort_id", sa.String(length=32), nullable=False),
        sa.Column("household", sa.Text(), nullable=False),
        sa.Column("all_sessions", sa.String(length=16), nullable=False),
        sa.Column("household_stands", sa.String(length=16), nullable=False),
        sa.Column("missed_weeks", sa.JSON(), nullable=False),
        *_of_cohort("standing"),
        *_of_carer("standing"),
        sa.PrimaryKeyConstraint("carer_id", name="pk_standing"),
    )
    op.create_index("ix_standing_cohort_id", "standing", ["cohort_id"])
    op.create_index("ix_standing_household_stands", "standing", ["household_stands", "cohort_id"])
    op.create_table(
        "attention_item",
        sa.Column("cohort_id", sa.String(length=32), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("audience", sa.String(length=8), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("week", sa.Integer(), nullable=True),
        sa.Column("carer_id", sa.String(length=32), nullable=True),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.Column("told", SealedJson(), nullable=False),
        *_of_cohort("attention_item"),
        *_of_carer("attention_item"),
        sa.PrimaryKeyConstraint("cohort_id", "place", name="pk_attention_item"),
    )
    op.create_index("ix_attention_item_carer_id", "attention_item", ["carer_id"])
    op.create_index(
        "ix_attention_item_since", "attention_item", ["since", "cohort_id", "place", "audience"]
    )
    op.create_table(
        "derivation",
        sa.Column("cohort_id", sa.String(length=32), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("derived_at", UtcDateTime(), nullable=False),
        sa.Column("checked_at", UtcDateTime(), nullable=False),
        sa.Column("next_at", UtcDateTime(), nullable=True),
        *_of_cohort("derivation"),
        sa.PrimaryKeyConstraint("cohort_id", name="pk_derivation"),
    )
    op.create_index("ix_derivation_checked_at", "derivation", ["checked_at"])
    op.create_index("ix_derivation_next_at", "derivation", ["next_at"])
    op.create_table(
        "cohort_change",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("cohort_id", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_cohort_change"),
    )
    op.create_index("ix_cohort_change_cohort_id", "cohort_change", ["cohort_id"])
    op.execute("INSERT INTO cohort_change (cohort_id) SELECT id FROM cohort ORDER BY created_at")
    op.create_index("ix_session_week", "session", ["week", "starts_at"])
    op.create_index("ix_session_ends_at", "session", ["ends_at"])


def _of_cohort(table: str) -> list[sa.ForeignKeyConstraint]:
    return [
        sa.ForeignKeyConstraint(
            ["cohort_id"], ["cohort.id"], name=f"fk_{table}_cohort_id", ondelete="CASCADE"
        )
    ]


def _of_carer(table: str) -> list[sa.ForeignKeyConstraint]:
    return [
        sa.ForeignKeyConstraint(
            ["carer_id"], ["carer.id"], name=f"fk_{table}_carer_id", ondelete="CASCADE"
        )
    ]
