"""Which mail each facilitator was sent: one row for each of them and each mail, never two."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update

from course.store import tables
from course.store.database import insert_new


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLetter:
    """One mail to the facilitator in that position; `letter` says which mail."""

    letter: str
    position: int
    sent_at: datetime | None
    refused_at: datetime | None
    problem: str | None

    @property
    def settled_at(self) -> datetime | None:
        """When it was sent, or refused for good."""
        return self.sent_at or self.refused_at


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
    """Of each facilitator the newest mail that is settled, where it was refused."""
    newest: dict[int, tuple[datetime, StoredLetter]] = {}
    for one in read_letters(connection, cohort_id):
        at = one.settled_at
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
    if insert_new(connection, table, [{**which, "taken_until": until}]):
        return True
    taken = connection.execute(
        update(table)
        .where(
            *(table.c[name] == value for name, value in which.items()),
            table.c.sent_at.is_(None),
            table.c.refused_at.is_(None),
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
    problem: str | None = None,
) -> None:
    """Note what became of it; without either time anybody may try again from `taken_until` on."""
    table = tables.facilitator_letter
    connection.execute(
        update(table)
        .where(
            table.c.cohort_id == cohort_id,
            table.c.letter == letter,
            table.c.position == position,
        )
        .values(taken_until=taken_until, sent_at=sent_at, refused_at=refused_at, problem=problem)
    )
