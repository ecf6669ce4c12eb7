"""What people said: corrections, who somebody was, shared devices, and carers' own messages.

Everything is appended; the last word on a matter stands, and the earlier ones stay readable.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from course.model import (
    Attestation,
    Correction,
    CorrectionKind,
    Link,
    Message,
    MessageKind,
    Verdict,
)
from course.store import tables
from course.store.holding import hold_cohorts

MOST_ID = 2**31 - 1  # PostgreSQL will not even compare a larger one
LONGEST_REF = 64  # of a participant


def add_correction(
    connection: Connection,
    cohort_id: str,
    *,
    week: int,
    carer_id: str,
    verdict: Verdict | None,
    kind: CorrectionKind | None,
    reason: str | None,
    made_by: str,
    now: datetime,
) -> None:
    """Append a correction; `verdict` None takes the earlier one back. Nothing is overwritten."""
    connection.execute(
        insert(tables.correction).values(
            cohort_id=cohort_id,
            week=week,
            carer_id=carer_id,
            verdict=verdict.value if verdict else None,
            kind=kind.value if kind else None,
            reason=reason,
            made_by=made_by,
            made_at=now,
        )
    )


def current_corrections(connection: Connection, cohort_id: str) -> tuple[Correction, ...]:
    """The corrections that stand."""
    table = tables.correction
    rows = connection.execute(
        select(table).where(table.c.cohort_id == cohort_id).order_by(table.c.id)
    ).mappings()
    current: dict[tuple[int, str], Correction] = {}
    for row in rows:
        place = (row["week"], row["carer_id"])
        if row["verdict"] is None:
            current.pop(place, None)
            continue
        current[place] = Correction(
            week=row["week"],
            carer_id=row["carer_id"],
            verdict=Verdict(row["verdict"]),
            kind=CorrectionKind(row["kind"]),
            reason=row["reason"],
            made_by=row["made_by"],
            made_at=row["made_at"],
        )
    return tuple(current[place] for place in sorted(current))


def add_link(
    connection: Connection,
    cohort_id: str,
    *,
    ref: str,
    carer_id: str | None,
    taken_back: bool,
    made_by: str,
    now: datetime,
) -> None:
    """Append who a participant was said to be, or that this was taken back."""
    connection.execute(
        insert(tables.link).values(
            cohort_id=cohort_id,
            ref=ref,
            carer_id=carer_id,
            taken_back=taken_back,
            made_by=made_by,
            made_at=now,
        )
    )


def current_links(connection: Connection, cohort_id: str) -> tuple[Link, ...]:
    """Who participants were said to be, as it stands."""
    table = tables.link
    rows = connection.execute(
        select(table).where(table.c.cohort_id == cohort_id).order_by(table.c.id)
    ).mappings()
    current: dict[str, Link] = {}
    for row in rows:
        if row["taken_back"]:
            current.pop(row["ref"], None)
        else:
            current[row["ref"]] = Link(
                ref=row["ref"],
                carer_id=row["carer_id"],
                made_by=row["made_by"],
                made_at=row["made_at"],
            )
    return tuple(current[ref] for ref in sorted(current))


def add_attestation(
    connection: Connection,
    cohort_id: str,
    *,
    week: int,
    carer_id: str,
    with_carer_id: str | None,
    reason: str,
    made_by: str,
    now: datetime,
) -> None:
    """Append at whose device a carer sat; `with_carer_id` None takes the earlier word back."""
    connection.execute(
        insert(tables.attestation).values(
            cohort_id=cohort_id,
            week=week,
            carer_id=carer_id,
            with_carer_id=with_carer_id,
            reason=reason,
            made_by=made_by,
            made_at=now,
        )
    )


def current_attestations(connection: Connection, cohort_id: str) -> tuple[Attestation, ...]:
    """Who sat at whose device, as it stands."""
    table = tables.attestation
    rows = connection.execute(
        select(table).where(table.c.cohort_id == cohort_id).order_by(table.c.id)
    ).mappings()
    current: dict[tuple[int, str], Attestation] = {}
    for row in rows:
        place = (row["week"], row["carer_id"])
        current.pop(place, None)
        if row["with_carer_id"] is not None:
            current[place] = Attestation(
                **{name: row[name] for name in Attestation.__dataclass_fields__}
            )
    return tuple(current[place] for place in sorted(current))


def add_message(
    connection: Connection,
    cohort_id: str,
    *,
    week: int,
    carer_id: str,
    kind: MessageKind,
    text: str,
    now: datetime,
    settled_by: str | None = None,
) -> None:
    """What a carer says of a week. Take back first what they said of it before.

    `settled_by`: whoever wrote a note of staff's own, with which nothing is left to do.
    """
    connection.execute(
        insert(tables.message).values(
            cohort_id=cohort_id,
            week=week,
            carer_id=carer_id,
            kind=kind.value,
            text=text,
            sent_at=now,
            settled_at=now if settled_by else None,
            settled_by=settled_by,
        )
    )


def take_message_back(
    connection: Connection,
    cohort_id: str,
    *,
    week: int,
    carer_id: str,
    kind: MessageKind,
    now: datetime,
) -> None:
    """The carer says it no more."""
    hold_cohorts(connection, cohort_id)  # so that of two clicks the second takes the first back
    table = tables.message
    connection.execute(
        update(table)
        .where(
            table.c.cohort_id == cohort_id,
            table.c.week == week,
            table.c.carer_id == carer_id,
            table.c.kind == kind.value,
            table.c.taken_back_at.is_(None),
        )
        .values(taken_back_at=now)
    )


def settle_message(
    connection: Connection, cohort_id: str, message_id: int, *, settled_by: str, now: datetime
) -> bool:
    """A person of the practice dealt with it; False when there is no such message."""
    if message_id > MOST_ID:
        return False
    table = tables.message
    found = connection.execute(
        update(table)
        .where(table.c.cohort_id == cohort_id, table.c.id == message_id)
        .values(settled_at=now, settled_by=settled_by)
    )
    return found.rowcount == 1


def read_messages(connection: Connection, cohort_id: str) -> tuple[Message, ...]:
    """What carers said, as it stands."""
    table = tables.message
    rows = connection.execute(
        select(table)
        .where(table.c.cohort_id == cohort_id, table.c.taken_back_at.is_(None))
        .order_by(table.c.id)
    ).mappings()
    return tuple(
        Message(
            **{
                **{name: row[name] for name in Message.__dataclass_fields__},
                "kind": MessageKind(row["kind"]),
            }
        )
        for row in rows
    )
