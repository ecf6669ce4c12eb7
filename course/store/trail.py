"""Reading the audit trail: who did what, and whose data that touched.

After a breach the practice has 72 hours to say who is affected: whatever a sign-in that was misused
saw or took away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from course.store import tables
from course.store.audit_trail import plain_person

ALL = "all"
OVERVIEWS = ("attention.view", "cohorts.view")  # of many cohorts at once
NOTED_FOR = timedelta(hours=1)  # looks of one person at the same are noted once in that time


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line. `subject` are ids, parted by slashes; `detail` goes with an erasure."""

    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any] | None


@dataclass(slots=True, kw_only=True)
class Touched:
    """A cohort of which something was seen, taken away or changed, by action; and whose it was."""

    cohort_id: str
    cohort: str
    carers: dict[str, str] = field(default_factory=dict)
    actions: Counter[str] = field(default_factory=Counter)


def read_trail(
    connection: Connection, *, since: datetime, until: datetime, by: str = ""
) -> list[Line]:
    """The lines of that span, the oldest first, and looks noted in the hour before it, which stand
    for later ones; only those of people in whose name each word of `by` is.
    """
    table = tables.audit
    rows = connection.execute(
        select(table.c.at, table.c.actor, table.c.action, table.c.subject, table.c.detail)
        .where(table.c.at >= since - NOTED_FOR, table.c.at < until)
        .order_by(table.c.id)
    ).mappings()
    wanted = set(plain_person(by).split())
    # Names are sealed, so they are compared here.
    return [
        Line(**row)
        for row in rows
        if (row["at"] >= since or row["action"].endswith(".view"))
        and wanted <= set(plain_person(row["actor"]).split())
    ]


def touched(connection: Connection, lines: Iterable[Line]) -> list[Touched]:
    """Whose data those lines are about: one carer's, or of a whole cohort everybody's."""
    found: dict[str, Touched] = {}
    asked = select(tables.cohort.c.id, tables.cohort.c.name, tables.cohort.c.created_at)
    rows = connection.execute(asked).all()
    names = {row.id: row.name for row in rows}
    made_at = {row.id: row.created_at for row in rows}
    carers = _carers(connection)
    for line in lines:
        there = {one: name for one, name in names.items() if made_at[one] <= line.at}
        for cohort_id, carer_id in _about(line, there, carers):
            of = found.setdefault(cohort_id, Touched(cohort_id=cohort_id, cohort=names[cohort_id]))
            of.actions[line.action] += 1
            of.carers |= {
                one: name
                for one, (where, name) in carers.items()
                if where == cohort_id and carer_id in (None, one)
            }
    return sorted(found.values(), key=lambda t: (t.cohort, t.cohort_id))


def _carers(connection: Connection) -> dict[str, tuple[str, str]]:
    table = tables.carer
    rows = connection.execute(
        select(table.c.id, table.c.cohort_id, table.c.name)
        .where(table.c.erased_at.is_(None))
        .order_by(table.c.cohort_id, table.c.household, table.c.position)
    )
    return {row.id: (row.cohort_id, row.name) for row in rows}


def _about(
    line: Line, cohorts: dict[str, str], carers: dict[str, tuple[str, str]]
) -> Sequence[tuple[str, str | None]]:
    """(cohort, carer or everybody) that a line is about; none of what is about no cohort."""
    if line.action in OVERVIEWS:
        seen = (line.detail or {}).get("cohorts", ALL)
        return [(one, None) for one in cohorts if seen == ALL or one in seen]
    parts = line.subject.split("/")
    carer_id = next((part for part in parts if part in carers), None)
    cohort_id = carers[carer_id][0] if carer_id else next((p for p in parts if p in cohorts), None)
    return [] if cohort_id is None else [(cohort_id, carer_id)]
