"""Forgets people whom nobody knew, some weeks after the session; what is said of others stands.

Whether a carer attended may depend on who a stranger could have been. So the register keeps what it
said (`course.frozen`) before the strangers' facts go; the carers' own evidence stays for its time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from itertools import groupby

from sqlalchemy import Connection, and_, delete, select, update

from course.attendance import Judge
from course.connections import Connection as Stay
from course.frozen import STRANGERS_NOT_KEPT, frozen_json
from course.model import Cohort, Session, SessionRegister
from course.narrowing import hiding, rewritten
from course.store import tables
from course.store.cohorts import read_cohort
from course.store.evidence import read_evidence
from course.store.registers import read_register, save_register


def forget_unmatched(
    connection: Connection, *, before: datetime, now: datetime, limit: int | None = None
) -> int:
    """Of closed sessions that ended before that: how many strangers' stays went.

    At most `limit` sessions at once, the oldest first. A course that was entered afterwards is
    looked at that much later too.
    """
    session, register, cohort = tables.session, tables.register, tables.cohort
    due = connection.execute(
        select(session.c.cohort_id, session.c.week)
        .join(
            register,
            and_(register.c.cohort_id == session.c.cohort_id, register.c.week == session.c.week),
        )
        .join(cohort, cohort.c.id == session.c.cohort_id)
        .where(
            session.c.ends_at < before,
            cohort.c.created_at < before,
            register.c.closed_at.is_not(None),
            register.c.strangers_gone_at.is_(None),
        )
        .order_by(session.c.ends_at, session.c.cohort_id)
        .limit(limit)
    ).all()
    gone = 0
    for cohort_id, rows in groupby(sorted(due, key=lambda row: row[0]), key=lambda row: row[0]):
        found = read_cohort(connection, cohort_id)
        weeks = [row[1] for row in rows]
        if found is not None:
            gone += _forget(connection, found, weeks, before=before, now=now)
        connection.execute(
            update(register)
            .where(register.c.cohort_id == cohort_id, register.c.week.in_(weeks))
            .values(strangers_gone_at=now)
        )
    return gone


def without_strangers(judge: Judge, cohort: Cohort, session: Session) -> SessionRegister:
    """The register of a session, with nobody's name in it but those of carers."""
    names = {name for _, stay in judge.people(session)[1] for name in stay.names}
    hide = hiding((), shown=names, kept=[carer.name for carer in cohort.carers])
    return rewritten(judge.register(session), hide)


def _forget(
    connection: Connection, cohort: Cohort, weeks: list[int], *, before: datetime, now: datetime
) -> int:
    evidence = read_evidence(connection, cohort)
    # Corrections and messages are kept and laid on top again whenever the register is read.
    judge = Judge(cohort, replace(evidence, corrections=(), messages=()), now=now)
    gone: list[Stay] = []
    for session in cohort.sessions:
        if session.week not in weeks:
            continue
        strangers = [stay for _, stay in judge.people(session)[1]]
        entry = read_register(connection, cohort.id, session.week)
        if strangers and entry.frozen is None:
            told = without_strangers(judge, cohort, session)
            kept = frozen_json(told, not_kept=STRANGERS_NOT_KEPT)
            save_register(connection, cohort.id, replace(entry, frozen=kept))
        gone += strangers
    gone += [stay for stay in judge.strangers_apart() if stay.last_seen_at < before]
    _delete(connection, gone)
    return len(gone)


def _delete(connection: Connection, stays: Iterable[Stay]) -> None:
    table = tables.participant_event
    keys = [event.key for stay in stays for event in stay.events]
    for start in range(0, len(keys), 500):
        connection.execute(delete(table).where(table.c.key.in_(keys[start : start + 500])))
