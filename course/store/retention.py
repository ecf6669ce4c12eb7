"""Nothing is kept longer than it is needed: one run applies every period, and can be tried out.

What a run would do is found by doing it and taking it back, so a trial cannot say anything else.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Table, and_, delete, func, or_, select, union_all, update

from course.attendance import Judge
from course.frozen import frozen_json
from course.store import access, audit_trail, second_factor, tables
from course.store.cohorts import read_cohort
from course.store.database import Database
from course.store.erasure import tables_of_carers
from course.store.evidence import read_evidence
from course.store.holding import hold_cohorts
from course.store.pruning import prune
from course.store.registers import read_register, save_register
from course.store.unmatched import forget_unmatched
from course.strangers import without_strangers

ACTOR, ACTION = "system", "retention.run"
SPENT = "spent-"
AT_ONCE = 100  # cohorts; whoever has more has the chore of every minute


@dataclass(frozen=True, slots=True, kw_only=True)
class Periods:
    """How long each class is kept; the settings have the defaults."""

    notifications: timedelta
    unmatched: timedelta
    evidence: timedelta
    join_links: timedelta
    signin: timedelta
    records: timedelta
    audit: timedelta


class _TakenBack(Exception):
    """It was only a trial."""


def retain(
    database: Database,
    periods: Periods,
    *,
    now: datetime,
    dry_run: bool = False,
    limit: int | None = None,
) -> dict[str, int]:
    """Apply every period; how many of each class went (or would go).

    `limit`: at most so many cohorts are looked at for people whom nobody knew, which takes its
    time.
    """
    counts = {
        "stays of people whom nobody knew": forget_unmatched(
            database, kept=periods.unmatched, now=now, limit=limit, dry_run=dry_run
        )
    }
    try:
        with database.write() as connection:
            counts.update(_apply(connection, periods, now))
            if dry_run:
                raise _TakenBack
            access.add_audit(
                connection,
                actor=ACTOR,
                action=ACTION,
                subject="retention",
                now=now,
                detail=dict(counts),
            )
    except _TakenBack:
        pass
    return counts


def retain_daily(database: Database, periods: Periods, *, now: datetime) -> int:
    """Apply the periods once a day, also after days on which nothing ran; how many went."""
    with database.read() as connection:
        done = access.audited_since(
            connection,
            actor=ACTOR,
            action=ACTION,
            subject="retention",
            since=now - timedelta(hours=23),
        )
    return 0 if done else sum(retain(database, periods, now=now, limit=AT_ONCE).values())


def _apply(connection: Connection, periods: Periods, now: datetime) -> dict[str, int]:
    return {
        "notifications": _notifications(connection, now - periods.notifications),
        "participants of no cohort": _nobodys(connection, now - periods.notifications),
        "sessions reduced to verdicts and shares": sum(
            _freeze(connection, cohort_id, now)
            for cohort_id in _over(connection, now - periods.evidence)
        ),
        "join links": _join_links(connection, _over(connection, now - periods.join_links)),
        "sign-in sessions and links": _signins(connection, now - periods.signin),
        "unused authenticator apps": second_factor.forget_unused(connection, now=now),
        "cohorts without names": sum(
            _forget_carers(connection, cohort_id)
            for cohort_id in _over(connection, now - periods.records)
        ),
        "audit lines": audit_trail.forget_before(connection, now - periods.audit),
    }


def _gone(connection: Connection, table: Table, which: Any) -> int:
    return connection.execute(delete(table).where(which)).rowcount


def _over(connection: Connection, before: datetime) -> list[str]:
    """The cohorts whose last session ended before that.

    A course that is entered afterwards is filled afterwards: its time begins when it is entered.
    """
    session, cohort = tables.session, tables.cohort
    return list(
        connection.execute(
            select(session.c.cohort_id)
            .join(cohort, cohort.c.id == session.c.cohort_id)
            .where(cohort.c.created_at < before)
            .group_by(session.c.cohort_id)
            .having(func.max(session.c.ends_at) < before)
            .order_by(session.c.cohort_id)
        ).scalars()
    )


def _notifications(connection: Connection, before: datetime) -> int:
    """Read ones as ever, in parts; and those that could not be read in all that time."""
    count = 0
    while some := prune(connection, before=before):
        count += some
    table = tables.notification
    return count + _gone(connection, table, table.c.received_at < before)


def _nobodys(connection: Connection, before: datetime) -> int:
    """Facts of a series that is no cohort's."""
    event = tables.participant_event
    ours = union_all(
        *(
            select(series.c.series_ref).where(series.c.series_ref.is_not(None))
            for series in (tables.series, tables.former_series)
        )
    )
    instances = select(event.c.instance_ref).where(
        event.c.series_ref.in_(ours), event.c.instance_ref.is_not(None)
    )
    return _gone(
        connection,
        event,
        and_(
            event.c.occurred_at < before,
            event.c.carer_id.is_(None),
            or_(
                and_(event.c.series_ref.is_not(None), event.c.series_ref.not_in(ours)),
                and_(event.c.series_ref.is_(None), event.c.instance_ref.not_in(instances)),
            ),
        ),
    )


def _freeze(connection: Connection, cohort_id: str, now: datetime) -> int:
    """Keep what the report says of each session and let the evidence go; how many sessions."""
    hold_cohorts(connection, cohort_id)
    cohort = read_cohort(connection, cohort_id)
    if cohort is None:
        return 0
    evidence = read_evidence(connection, cohort)
    if not evidence.events:
        return 0
    # What is kept says who nobody knew as little as what goes.
    evidence = without_strangers(cohort, evidence, before=now, now=now).of(evidence)
    # Corrections and messages are kept and laid on top again whenever the register is read.
    judge = Judge(cohort, replace(evidence, corrections=(), messages=()), now=now)
    count = 0
    for session in cohort.sessions:
        entry = read_register(connection, cohort_id, session.week)
        if entry.frozen is None:
            kept = frozen_json(judge.register(session))
            save_register(connection, cohort_id, replace(entry, frozen=kept))
            count += 1
    table = tables.participant_event
    keys = [event.key for event in evidence.events]
    for start in range(0, len(keys), 500):
        _gone(connection, table, table.c.key.in_(keys[start : start + 500]))
    return count


def _join_links(connection: Connection, cohort_ids: Iterable[str]) -> int:
    """The secrets in carers' own links, and the platform's links behind them."""
    carer, invitation, count = tables.carer, tables.invitation, 0
    for cohort_id in cohort_ids:
        ours = select(carer.c.id).where(
            carer.c.cohort_id == cohort_id, carer.c.join_token_hash.not_like(f"{SPENT}%")
        )
        ids = list(connection.execute(ours).scalars())
        for carer_id in ids:
            connection.execute(
                update(carer)
                .where(carer.c.id == carer_id)
                .values({carer.c.join_token: "", carer.c.join_token_hash: _spent()})
            )
        connection.execute(
            update(invitation).where(invitation.c.carer_id.in_(ids)).values(join_url=None)
        )
        count += len(ids)
    return count


def _spent() -> str:
    """What stands in the place of a link's hash: no link leads to it."""
    return f"{SPENT}{secrets.token_hex(16)}"


def _signins(connection: Connection, before: datetime) -> int:
    session, link, token = tables.staff_session, tables.signin_link, tables.access_token
    count = _gone(connection, session, session.c.seen_at < before)
    count += _gone(connection, link, link.c.expires_at < before)
    used = select(session.c.token_id).where(session.c.token_id.is_not(None))
    return count + _gone(
        connection, token, and_(token.c.expires_at < before, token.c.id.not_in(used))
    )


def _forget_carers(connection: Connection, cohort_id: str) -> int:
    """Everything that names somebody in an old cohort; that it was held, and when, stays."""
    carers = select(tables.carer.c.id).where(tables.carer.c.cohort_id == cohort_id)
    if connection.execute(carers.limit(1)).first() is None:
        return 0
    for table in tables_of_carers():
        _gone(connection, table, table.c.carer_id.in_(carers))
    of_cohort = (
        *(tables.link, tables.register, tables.register_version, tables.rule_change),
        *(tables.facilitator, tables.carer),
    )
    for table in of_cohort:
        _gone(connection, table, table.c.cohort_id == cohort_id)
    return 1
