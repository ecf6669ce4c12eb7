"""What operators' figures are counted from: numbers only, no person and no cohort."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, func, or_, select

from course.model import CohortState, SessionState
from course.store import tables
from course.store.mail import OVERTAKEN

# Older registers are given up: they are in `circle attention`, and no news for operators.
LOOK_BACK = timedelta(days=7)


def cohorts_by_state(connection: Connection) -> Mapping[str, int]:
    """How many cohorts are in each state."""
    table = tables.cohort
    rows = connection.execute(select(table.c.state, func.count()).group_by(table.c.state))
    return {row[0]: row[1] for row in rows}


def changes_under_way(connection: Connection) -> int:
    """Cohorts with a change that was made and is not carried out on the platform yet."""
    table = tables.cohort
    query = select(func.count()).where(table.c.version > table.c.settled_version)
    return int(connection.execute(query).scalar_one())


def mail_waiting(connection: Connection) -> tuple[int, int]:
    """Mails that are not sent: those that wait, and those with trouble."""
    table = tables.mail
    unsent = select(func.count()).where(table.c.sent_at.is_(None))
    waiting = connection.execute(unsent.where(table.c.problem.is_(None))).scalar_one()
    troubled = connection.execute(unsent.where(table.c.problem != OVERTAKEN)).scalar_one()
    return int(waiting), int(troubled)


def open_registers(connection: Connection, *, now: datetime, after: timedelta) -> int:
    """Sessions that ended at least that long ago and whose register is still open."""
    session, register, cohort = tables.session, tables.register, tables.cohort
    query = (
        select(func.count())
        .select_from(session)
        .join(cohort, cohort.c.id == session.c.cohort_id)
        .outerjoin(
            register,
            and_(register.c.cohort_id == session.c.cohort_id, register.c.week == session.c.week),
        )
        .where(
            session.c.ends_at <= now - after,
            session.c.ends_at > now - LOOK_BACK,
            session.c.state == SessionState.SCHEDULED.value,
            cohort.c.state != CohortState.CANCELLED.value,
            register.c.closed_at.is_(None),
        )
    )
    return int(connection.execute(query).scalar_one())


def subscriptions(connection: Connection) -> tuple[int, int, datetime | None]:
    """Of those that hear of sessions: how many live, how many have trouble, the first to end."""
    table = tables.watch
    live = table.c.ended_at.is_(None)
    trouble = or_(table.c.problem.is_not(None), table.c.watch_ref.is_(None))
    count = connection.execute(select(func.count()).where(live)).scalar_one()
    troubled = connection.execute(select(func.count()).where(live, trouble)).scalar_one()
    first = connection.execute(select(func.min(table.c.expires_at)).where(live)).scalar()
    return int(count), int(troubled), first
