"""Versions of closed registers: what each said, when it was made, why, and what changed.

A version is made whenever the evidence under a closed register, or what people say of it, changes.
Nothing is overwritten: a report that was printed yesterday can be found again by its version.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, union, update

from course.attendance import Judge
from course.instances import WINDOW_AFTER, WINDOW_BEFORE
from course.model import Cohort, Platform
from course.reports import verdicts_json
from course.store import access, cohorts, tables
from course.store.evidence import known_instances, read_evidence

CLOSED, LATE = "closed", "later evidence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a closed register; `number` counts from 1 within its session.

    `verdicts`: carer id -> verdict, minutes, camera and the keys of the evidence.
    """

    number: int
    week: int
    made_at: datetime
    cause: str
    verdicts: dict[str, Any]


def read_versions(connection: Connection, cohort_id: str, week: int | None = None) -> list[Version]:
    """The versions of one session's register, or of all, the oldest first."""
    table = tables.register_version
    asked = select(table).where(table.c.cohort_id == cohort_id)
    if week is not None:
        asked = asked.where(table.c.week == week)
    rows = connection.execute(asked.order_by(table.c.week, table.c.id)).mappings()
    found: list[Version] = []
    for row in rows:
        number = found[-1].number + 1 if found and found[-1].week == row["week"] else 1
        found.append(
            Version(
                number=number,
                week=row["week"],
                made_at=row["made_at"],
                cause=row["cause"],
                verdicts=row["verdicts"],
            )
        )
    return found


def latest_versions(connection: Connection, cohort_id: str) -> dict[int, tuple[int, datetime]]:
    """Of each session with a closed register: how many versions, and when the last was made."""
    table = tables.register_version
    rows = connection.execute(
        select(table.c.week, func.count(), func.max(table.c.made_at))
        .where(table.c.cohort_id == cohort_id)
        .group_by(table.c.week)
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def add_version(
    connection: Connection,
    cohort_id: str,
    week: int,
    *,
    verdicts: dict[str, Any],
    cause: str,
    now: datetime,
) -> bool:
    """Keep the verdicts of a closed register beside the earlier ones; False if nothing changed."""
    table = tables.register_version
    last = connection.execute(
        select(table.c.verdicts)
        .where(table.c.cohort_id == cohort_id, table.c.week == week)
        .order_by(table.c.id.desc())
        .limit(1)
    ).scalar()
    if last == verdicts:
        return False
    connection.execute(
        insert(table).values(
            cohort_id=cohort_id, week=week, made_at=now, cause=cause[:32], verdicts=verdicts
        )
    )
    return True


def revise(
    connection: Connection,
    cohort: Cohort,
    *,
    cause: str,
    actor: str,
    now: datetime,
    weeks: Iterable[int] | None = None,
) -> list[int]:
    """Judge the closed registers anew; the weeks of which there is a new version now.

    All closed registers, or those of `weeks`. The cause and the actor are kept with each.
    """
    evidence = read_evidence(connection, cohort)
    asked = None if weeks is None else set(weeks)
    closed = {
        entry.week
        for entry in evidence.registers
        if entry.closed_at is not None and (asked is None or entry.week in asked)
    }
    if not closed:
        return []
    judge = Judge(cohort, evidence, now=now)
    changed = []
    for session in cohort.sessions:
        week = session.week
        if week not in closed:
            continue
        verdicts = verdicts_json(judge.register(session))
        if not add_version(connection, cohort.id, week, verdicts=verdicts, cause=cause, now=now):
            continue
        table = tables.register
        connection.execute(
            update(table)
            .where(table.c.cohort_id == cohort.id, table.c.week == week)
            .values(verdicts=verdicts)
        )
        access.add_audit(
            connection,
            actor=actor,
            action="register.change",
            subject=f"{cohort.id}/{week}",
            now=now,
            detail={"cause": cause},
        )
        changed.append(week)
    return changed


def late_evidence(
    connection: Connection, *, since: datetime, until: datetime
) -> list[tuple[Cohort, list[int]]]:
    """The closed registers about which facts have come in that span.

    Looked for every minute, also while the whole country joins: cohorts are read, and judged, only
    where a fact belongs to a session whose register is closed.
    """
    of_series = _told_of_series(connection, since, until)
    of_instance = _told_of_instances(connection, since, until)
    instants = [at for told in [*of_series.values(), *of_instance.values()] for at in told]
    if not instants:
        return []
    late: dict[str, list[int]] = {}
    session, register = tables.session, tables.register
    for cohort_id, week, starts_at, ends_at in connection.execute(
        select(session.c.cohort_id, session.c.week, session.c.starts_at, session.c.ends_at)
        .join(
            register,
            (register.c.cohort_id == session.c.cohort_id) & (register.c.week == session.c.week),
        )
        .where(
            register.c.closed_at.is_not(None),
            session.c.ends_at >= min(instants) - WINDOW_AFTER,
            session.c.starts_at <= max(instants) + WINDOW_BEFORE,
        )
    ):
        begins, ends = starts_at - WINDOW_BEFORE, ends_at + WINDOW_AFTER
        told = of_series.get(cohort_id, [])
        around = {
            ref
            for ref, told_at in of_instance.items()
            if any(begins <= at <= ends for at in told_at)
        }
        if any(begins <= at <= ends for at in told) or (
            around and _held(connection, cohort_id, week) & around
        ):
            late.setdefault(cohort_id, []).append(week)
    return [
        (cohort, sorted(weeks))
        for cohort_id, weeks in sorted(late.items())
        if (cohort := cohorts.read_cohort(connection, cohort_id)) is not None
    ]


def _told_of_series(
    connection: Connection, since: datetime, until: datetime
) -> dict[str, list[datetime]]:
    """When what was told lately happened, by cohort; also in a series that was since made anew."""
    event = tables.participant_event
    asked = union(
        *(
            select(series.c.cohort_id, event.c.occurred_at)
            .join(
                series,
                (series.c.platform == event.c.platform)
                & (series.c.series_ref == event.c.series_ref),
            )
            .where(event.c.received_at > since, event.c.received_at <= until)
            for series in (tables.series, tables.former_series)
        )
    )
    found: dict[str, list[datetime]] = {}
    for cohort_id, at in connection.execute(asked):
        found.setdefault(cohort_id, []).append(at)
    return found


def _told_of_instances(
    connection: Connection, since: datetime, until: datetime
) -> dict[str, list[datetime]]:
    """The same of facts that name an instance and no series, by instance."""
    event = tables.participant_event
    found: dict[str, list[datetime]] = {}
    for ref, at in connection.execute(
        select(event.c.instance_ref, event.c.occurred_at)
        .distinct()
        .where(
            event.c.received_at > since,
            event.c.received_at <= until,
            event.c.series_ref.is_(None),
            event.c.instance_ref.is_not(None),
        )
    ):
        found.setdefault(ref, []).append(at)
    return found


def _held(connection: Connection, cohort_id: str, week: int) -> set[str]:
    cohort = cohorts.read_cohort(connection, cohort_id)
    session = cohort.session(week) if cohort else None
    if cohort is None or session is None:
        return set()
    return {
        ref
        for platform in Platform
        for ref in known_instances(connection, cohort, session, platform)
    }
