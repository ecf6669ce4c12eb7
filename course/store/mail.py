"""Which mail is to be sent to whom: one row for each carer and timetable, never two."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update

from course.store import tables
from course.store.database import insert_new

OVERTAKEN = "overtaken by a newer timetable"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMail:
    """One mail. `kind`: `invitation`, `update`, `move` or `cancellation`; `timetable` its hash."""

    id: str
    cohort_id: str
    carer_id: str
    kind: str
    timetable: str
    made_at: datetime
    sent_at: datetime | None
    problem: str | None

    @property
    def is_overtaken(self) -> bool:
        """Never sent, because a newer timetable came first."""
        return self.problem == OVERTAKEN


def plan_mail(
    connection: Connection,
    *,
    cohort_id: str,
    carer_id: str,
    kind: str,
    timetable: str,
    now: datetime,
) -> None:
    """Note that a mail is to be sent; the same carer and timetable are noted once."""
    insert_new(
        connection,
        tables.mail,
        [
            {
                "id": uuid.uuid4().hex,
                "cohort_id": cohort_id,
                "carer_id": carer_id,
                "kind": kind,
                "timetable": timetable,
                "made_at": now,
            }
        ],
    )


def read_mail(connection: Connection, cohort_id: str) -> list[StoredMail]:
    """Every mail of a cohort, the oldest first."""
    table = tables.mail
    rows = connection.execute(
        select(*(table.c[name] for name in StoredMail.__dataclass_fields__))
        .where(table.c.cohort_id == cohort_id)
        .order_by(table.c.made_at, table.c.id)
    ).mappings()
    return [StoredMail(**row) for row in rows]


def note_mail(
    connection: Connection, mail_id: str, *, sent_at: datetime | None, problem: str | None
) -> None:
    """Note what became of a mail."""
    connection.execute(
        update(tables.mail)
        .where(tables.mail.c.id == mail_id)
        .values(sent_at=sent_at, problem=problem)
    )
