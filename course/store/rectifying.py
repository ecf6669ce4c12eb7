"""Putting a carer's name, address or number right, and restricting what is done with their data."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert, update

from course.model import Carer
from course.store import tables


def rectify(
    connection: Connection,
    carer: Carer,
    *,
    name: str,
    email: str,
    phone: str | None,
    reason: str,
    made_by: str,
    now: datetime,
) -> None:
    """What is right from now on; older evidence still knows them by what was."""
    connection.execute(
        insert(tables.former_name).values(
            carer_id=carer.id,
            name=carer.name,
            email=carer.email,
            phone=carer.phone,
            reason=reason,
            made_by=made_by,
            made_at=now,
        )
    )
    connection.execute(
        update(tables.carer)
        .where(tables.carer.c.id == carer.id)
        .values(name=name, email=email, phone=phone)
    )


def restrict(connection: Connection, carer_id: str, *, since: datetime | None) -> None:
    """Keep the data and do nothing with them from `since` on; None lifts it."""
    connection.execute(
        update(tables.carer).where(tables.carer.c.id == carer_id).values(restricted_at=since)
    )
