"""The audit trail becomes a chain; names of staff and what they wrote are sealed everywhere."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from course.store import audit_trail
from course.store.types import Sealed, SealedJson, UtcDateTime, cipher_of

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# Each table with its key and the columns that were readable so far.
READABLE = {
    "access_token": (("id",), ("name",)),
    "attestation": (("id",), ("made_by",)),
    "audit": (("id",), ("actor", "subject")),
    "bot_call": (("id",), ("problem",)),
    "cohort": (("id",), ("name", "problem")),
    "correction": (("id",), ("made_by",)),
    "invitation": (("carer_id", "platform"), ("problem",)),
    "link": (("id",), ("made_by",)),
    "mail": (("id",), ("problem",)),
    "mailbox_watch": (("platform", "mailbox_ref"), ("problem",)),
    "message": (("id",), ("settled_by",)),
    "register": (("cohort_id", "week"), ("problem",)),
    "rehearsal": (("id",), ("offered_by",)),
    "rule_change": (("id",), ("reason", "made_by")),
    "signin_link": (("link_hash",), ("name",)),
    "staff_session": (("session_hash",), ("name",)),
    "watch": (("id",), ("problem",)),
}


def upgrade() -> None:
    connection = op.get_bind()
    for name, (keys, columns) in READABLE.items():
        _seal(connection, name, keys, columns)
    connection.execute(
        sa.text(
            "UPDATE participant_event SET told_as = 'ticked by a facilitator' "
            "WHERE told_as LIKE 'ticked by %'"
        )
    )
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    with op.batch_alter_table("audit") as table:
        for column, length in (
            ("done_by", 32),
            ("detail_hash", 64),
            ("previous_hash", 64),
            ("hash", 64),
        ):
            table.add_column(
                sa.Column(column, sa.String(length=length), nullable=False, server_default="")
            )
        table.create_index(op.f("ix_audit_done_by"), ["done_by", "at"])
    _chain(connection)


def _seal(
    connection: sa.Connection, name: str, keys: tuple[str, ...], columns: tuple[str, ...]
) -> None:
    seal = cipher_of(connection.dialect).seal
    table = sa.table(name, *(sa.column(c) for c in (*keys, *columns)))
    for row in connection.execute(sa.select(table)).mappings().all():
        sealed = {c: seal(row[c]) for c in columns if row[c] is not None}
        if sealed:
            which = sa.and_(*(table.c[key] == row[key] for key in keys))
            connection.execute(sa.update(table).where(which).values(**sealed))


def _chain(connection: sa.Connection) -> None:
    audit = sa.table(
        "audit",
        sa.column("id", sa.Integer),
        sa.column("at", UtcDateTime),
        sa.column("actor", Sealed),
        sa.column("action", sa.String),
        sa.column("subject", Sealed),
        sa.column("detail", SealedJson),
        *(sa.column(c, sa.String) for c in ("done_by", "detail_hash", "previous_hash", "hash")),
    )
    lines = connection.execute(sa.select(audit).order_by(audit.c.id)).mappings().all()
    if not lines:
        return
    head = audit_trail.fresh_head()
    for line in lines:
        bound = audit_trail.chained(head, dict(line))
        connection.execute(sa.update(audit).where(audit.c.id == line["id"]).values(**bound))
        head["last"] = bound["hash"]
    table = sa.table("audit_head", sa.column("id"), sa.column("state", SealedJson))
    connection.execute(sa.insert(table).values(id=audit_trail.ONLY, state=head))
