"""Which mail each facilitator was sent: one row for each of them and each mail, never two."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, update

from course.store import tables
from course.store.database import insert_new


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLetter:
    """One mail to the facilitator in that position; `letter` says which mail.

    `refused_at`: when it was first refused. `is_final`: and nobody tries again.
    """

    letter: str
    position: int
    sent_at: datetime | None
    refused_at: datetime | None
    is_final: bool
    problem: str | None

    @property
    def is_settled(self) -> bool:
        """It was sent, or refused for good."""
        return self.sent_at is not None or self.is_final


def read_letters(connection: Connection, cohort_id: str) -> list[StoredLetter]:
    """Every mail to a cohort's facilitators."""
    table = tables.facilitator_letter
    rows = connection.execute(
        select(*(table.c[name] for name in StoredLetter.__dataclass_fields__))
        .where(table.c.cohort_id == cohort_id)
        .order_by(table.c.letter, table.c.position)
    ).mappings()
    return [StoredLetter(**row) for row in rows]


def newest_refusals(connection: Connection, cohort_id: str) -> list[StoredLetter]:
    """Of each facilitator the newest mail that was sent or refused, where it was refused."""
    newest: dict[int, tuple[datetime, StoredLetter]] = {}
    for one in read_letters(connection, cohort_id):
        at = one.sent_at or one.refused_at
        if at and (one.position not in newest or newest[one.position][0] < at):
            newest[one.position] = (at, one)
    return [one for _, (_, one) in sorted(newest.items()) if one.refused_at]


def take_letter(
    connection: Connection,
    cohort_id: str,
    letter: str,
    position: int,
    *,
    until: datetime,
    now: datetime,
) -> bool:
    """Have this mail to oneself until then; False when it is settled, or somebody else has it."""
    table = tables.facilitator_letter
    which = {"cohort_id": cohort_id, "letter": letter, "position": position}
    if insert_new(connection, table, [{**which, "taken_until": until, "is_final": False}]):
        return True
    taken = connection.execute(
        update(table)
        .where(
            *(table.c[name] == value for name, value in which.items()),
            table.c.sent_at.is_(None),
            table.c.is_final.is_(False),
            table.c.taken_until <= now,
        )
        .values(taken_until=until)
    )
    return bool(taken.rowcount)


def note_letter(
    connection: Connection,
    cohort_id: str,
    letter: str,
    position: int,
    *,
    taken_until: datetime,
    sent_at: datetime | None = None,
    refused_at: datetime | None = None,
    is_final: bool = False,
    problem: str | None = None,
) -> None:
    """Note what became of it; neither sent nor final, anybody may try again from `taken_until` on.

    Of several refusals the time of the first is kept, until the mail is sent.
    """
    table = tables.facilitator_letter
    first = table.c.refused_at
    connection.execute(
        update(table)
        .where(
            table.c.cohort_id == cohort_id,
            table.c.letter == letter,
            table.c.position == position,
        )
        .values(
            taken_until=taken_until,
            sent_at=sent_at,
            refused_at=None if sent_at else func.coalesce(first, refused_at, type_=first.type),
            is_final=is_final,
            problem=problem,
        )
    )
