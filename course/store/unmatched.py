"""Forgets who people were whom nobody knew, some weeks after the session; nothing else changes.

A cohort is looked at when one of its sessions is due, and then once a week as long as its evidence
is kept: a record may be read again, an identity taken back, somebody may be there between sessions.
What is to go is found without holding up anybody who writes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select, update

from course.model import Cohort
from course.narrowing import hiding
from course.store import tables
from course.store.cohorts import read_cohort
from course.store.database import Database, insert_new
from course.store.evidence import mark, participant_json, read_evidence
from course.store.holding import hold_cohorts
from course.store.rewriting import rewrite
from course.strangers import Nameless, without_strangers

AGAIN, MOMENT = timedelta(days=7), timedelta(seconds=1)
# Names of people, as against those of devices and single words: taken out of staff's sentences too.
_OF_A_PERSON = re.compile(r"[^\W\d_]{2,}(?:[ '’-]+[^\W\d_]{2,})+")
_WRITTEN = (tables.correction.c.reason, tables.attestation.c.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a look at a cohort found; it holds only as long as the evidence has this mark.

    `next_at`: when to look again; None: never, its evidence is gone.
    """

    cohort: Cohort
    mark: str | None
    found: Nameless
    next_at: datetime | None


def forget_unmatched(
    database: Database,
    *,
    kept: timedelta,
    now: datetime,
    limit: int | None = None,
    dry_run: bool = False,
) -> int:
    """Look at what is due, at most `limit` cohorts; how many stays became nobody's.

    `kept`: how long after a session it is kept who people were. A course that was entered
    afterwards has that much longer.
    """
    with database.read() as connection:
        due = _due(connection, before=now - kept, now=now, limit=limit)
    gone = 0
    for cohort_id in due:
        with database.read(snapshot=True) as connection:
            look = _look(connection, cohort_id, kept=kept, now=now)
        if look is None:
            continue
        gone += look.found.stays
        if not dry_run:
            with database.write() as connection:
                _carry_out(connection, look, now=now)
    return gone


def _due(
    connection: Connection, *, before: datetime, now: datetime, limit: int | None
) -> list[str]:
    """The cohorts that are to be looked at: again, and for the first time."""
    session, cohort, look = tables.session, tables.cohort, tables.stranger_look
    again = select(look.c.cohort_id).where(look.c.next_at <= now).order_by(look.c.next_at)
    first = (
        select(session.c.cohort_id)
        .join(cohort, cohort.c.id == session.c.cohort_id)
        .where(
            session.c.week == 1,
            session.c.ends_at < before,
            cohort.c.created_at < before,
            session.c.cohort_id.not_in(select(look.c.cohort_id)),
        )
        .order_by(session.c.ends_at, session.c.cohort_id)
    )
    found = [
        *connection.execute(again.limit(limit)).scalars(),
        *connection.execute(first.limit(limit)).scalars(),
    ]
    return found[:limit]


def _look(connection: Connection, cohort_id: str, *, kept: timedelta, now: datetime) -> Look | None:
    cohort = read_cohort(connection, cohort_id)
    if cohort is None:
        return None
    marked, evidence = mark(connection, cohort_id), read_evidence(connection, cohort)
    found = without_strangers(cohort, evidence, before=now - kept, now=now)
    coming = [at for s in cohort.sessions if (at := s.ends_at + kept) >= now]
    over = not coming and not evidence.events
    next_at = None if over else min([now + AGAIN, *(at + MOMENT for at in coming)])
    return Look(cohort=cohort, mark=marked, found=found, next_at=next_at)


def _carry_out(connection: Connection, look: Look, *, now: datetime) -> None:
    hold_cohorts(connection, look.cohort.id)
    if mark(connection, look.cohort.id) != look.mark:
        return  # somebody said who it was, or more was told: the next round looks again
    event, of = tables.participant_event, tables.stranger_look
    for key, seen in look.found.participants.items():
        connection.execute(
            update(event).where(event.c.key == key).values(participant=participant_json(seen))
        )
    if look.found.names:
        _hide(connection, look)
    values = {"cohort_id": look.cohort.id, "looked_at": now, "next_at": look.next_at}
    if not insert_new(connection, of, [values]):
        connection.execute(update(of).where(of.c.cohort_id == look.cohort.id).values(**values))


def _hide(connection: Connection, look: Look) -> None:
    """A copy for one carer leaves out whom it knows; so what staff wrote must not name them."""
    people = {name for name in look.found.names if _OF_A_PERSON.fullmatch(name)}
    kept = [
        *(carer.name for carer in look.cohort.carers),
        *(facilitator.name for facilitator in look.cohort.facilitators),
    ]
    hide = hiding((), shown=people, kept=kept)
    for column in _WRITTEN:
        rewrite(connection, column, hide, column.table.c.cohort_id == look.cohort.id)
