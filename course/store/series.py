"""The platform's object behind a cohort, and each carer's way into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, delete, or_, select, union, update

from course.model import CohortState, Platform
from course.store import tables
from course.store.cohort_queries import SERIES
from course.store.database import insert_new


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSeries:
    """What we know of the platform's object. `attempted_at`: a create call may have gone out.

    `organiser`: who hosted there, kept when the cohort moved on; `ended_at`: it is former since.
    """

    cohort_id: str
    platform: Platform
    organiser: str | None = None
    attempted_at: datetime | None = None
    series_ref: str | None = None
    organiser_ref: str | None = None
    meeting_ref: str | None = None
    join_url: str | None = None
    cancelled_at: datetime | None = None
    ended_at: datetime | None = None


def read_series(connection: Connection, cohort_id: str, platform: Platform) -> StoredSeries | None:
    """What is known of the cohort's series on that platform."""
    asked = {"cohort_id": cohort_id, "platform": platform.value}
    row = connection.execute(SERIES, asked).mappings().one_or_none()
    return StoredSeries(**{**row, "platform": platform}) if row is not None else None


def series_around(
    connection: Connection, platform: Platform, *, begins: datetime, ends: datetime
) -> list[StoredSeries]:
    """The series, also former ones, of cohorts that have a session near that span."""
    session, near = tables.session, timedelta(hours=3)
    cohort_ids = connection.execute(
        select(session.c.cohort_id)
        .distinct()
        .where(session.c.starts_at < ends + near, session.c.ends_at > begins - near)
        .order_by(session.c.cohort_id)
    ).scalars()
    return [
        stored
        for cohort_id in cohort_ids.all()
        for stored in all_series(connection, cohort_id)
        if stored.platform is platform
    ]


_OF_FORMER = ("cohort_id", "series_ref", "organiser_ref", "meeting_ref", "join_url", "ended_at")


def all_series(connection: Connection, cohort_id: str) -> list[StoredSeries]:
    """Every series that the cohort has, or had, on any platform; what was never made is none."""
    standing, former = tables.series, tables.former_series
    rows = connection.execute(
        select(standing)
        .where(standing.c.cohort_id == cohort_id, standing.c.series_ref.is_not(None))
        .order_by(standing.c.platform)
    ).mappings()
    gone = connection.execute(
        select(former.c.platform, *(former.c[name] for name in _OF_FORMER))
        .where(former.c.cohort_id == cohort_id)
        .order_by(former.c.ended_at, former.c.series_ref)
    ).mappings()
    return [
        StoredSeries(**{**row, "platform": Platform(row["platform"])}) for row in (*rows, *gone)
    ]


def find_stored(connection: Connection, platform: Platform, series_ref: str) -> StoredSeries | None:
    """What is known of that series, whether it is former or not."""
    cohort_ids = union(
        *(
            select(table.c.cohort_id).where(
                table.c.platform == platform.value, table.c.series_ref == series_ref
            )
            for table in (tables.series, tables.former_series)
        )
    )
    for cohort_id in connection.execute(cohort_ids).scalars().all():
        for stored in all_series(connection, cohort_id):
            if (stored.platform, stored.series_ref) == (platform, series_ref):
                return stored
    return None


def insert_series(connection: Connection, cohort_id: str, platform: Platform) -> None:
    """Room for a series on that platform, if there is none yet."""
    insert_new(connection, tables.series, [{"cohort_id": cohort_id, "platform": platform.value}])


def update_series(
    connection: Connection, cohort_id: str, platform: Platform, **changes: datetime | str | None
) -> None:
    """Note what was learnt about the series; the names are those of `StoredSeries`."""
    connection.execute(
        update(tables.series)
        .where(tables.series.c.cohort_id == cohort_id, tables.series.c.platform == platform.value)
        .values(**changes)
    )


def save_invitation(
    connection: Connection,
    carer_id: str,
    platform: Platform,
    *,
    ref: str | None,
    join_url: str | None,
    problem: str | None = None,
) -> None:
    """Note how a carer gets in on that platform, or why they cannot yet."""
    values = {"invitation_ref": ref, "join_url": join_url, "problem": problem}
    table = tables.invitation
    if not insert_new(
        connection, table, [{"carer_id": carer_id, "platform": platform.value, **values}]
    ):
        connection.execute(
            update(table)
            .where(table.c.carer_id == carer_id, table.c.platform == platform.value)
            .values(**values)
        )


def read_invitation(connection: Connection, carer_id: str, platform: Platform) -> bool:
    """Whether the platform was, or may have been, asked to let this carer in."""
    table = tables.invitation
    found = connection.execute(
        select(table.c.carer_id).where(
            table.c.carer_id == carer_id, table.c.platform == platform.value
        )
    ).scalar()
    return found is not None


def forget_invitations(
    connection: Connection, carer_ids: Sequence[str], platform: Platform
) -> None:
    """These carers' links on that platform are no more; whom they named is not forgotten."""
    table = tables.invitation
    gone = connection.execute(
        select(table.c.carer_id, table.c.invitation_ref).where(
            table.c.carer_id.in_(list(carer_ids)),
            table.c.platform == platform.value,
            table.c.invitation_ref.is_not(None),
        )
    ).mappings()
    insert_new(connection, tables.former_invitation, [dict(row) for row in gone])
    connection.execute(
        delete(table).where(
            table.c.carer_id.in_(list(carer_ids)), table.c.platform == platform.value
        )
    )


def forget_refusals(connection: Connection, cohort_id: str) -> None:
    """Let everybody who could not be invited be invited again."""
    table = tables.invitation
    carers = select(tables.carer.c.id).where(tables.carer.c.cohort_id == cohort_id)
    connection.execute(
        delete(table).where(table.c.carer_id.in_(carers), table.c.problem.is_not(None))
    )


def retire_series(
    connection: Connection,
    cohort_id: str,
    platform: Platform,
    *,
    now: datetime,
    removed_at: datetime | None,
) -> None:
    """The series is not used any more: what it showed still counts, another may be made.

    `removed_at`: when it went from the platform; None: it is still to be removed there.
    """
    stored = read_series(connection, cohort_id, platform)
    if stored is None or stored.series_ref is None:
        return
    insert_new(
        connection,
        tables.former_series,
        [
            {
                "platform": platform.value,
                "series_ref": stored.series_ref,
                "cohort_id": cohort_id,
                "ended_at": now,
                "organiser_ref": stored.organiser_ref,
                "meeting_ref": stored.meeting_ref,
                "join_url": stored.join_url,
                "removed_at": removed_at,
            }
        ],
    )
    update_series(
        connection,
        cohort_id,
        platform,
        attempted_at=None,
        series_ref=None,
        organiser_ref=None,
        meeting_ref=None,
        join_url=None,
    )
    carers = select(tables.carer.c.id).where(tables.carer.c.cohort_id == cohort_id)
    forget_invitations(connection, list(connection.execute(carers).scalars()), platform)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """A former series that still stands on its platform. `problem`: why it could not go yet."""

    series: StoredSeries
    tried_at: datetime | None
    problem: str | None


def left_over(connection: Connection, cohort_id: str | None = None) -> list[Leftover]:
    """The former series that are still to be removed, of one cohort or of all."""
    table = tables.former_series
    names = (*_OF_FORMER, "platform", "tried_at", "problem")
    asked = select(*(table.c[name] for name in names)).where(table.c.removed_at.is_(None))
    if cohort_id is not None:
        asked = asked.where(table.c.cohort_id == cohort_id)
    rows = connection.execute(asked.order_by(table.c.ended_at, table.c.series_ref)).mappings()
    return [
        Leftover(
            series=StoredSeries(
                platform=Platform(row["platform"]), **{name: row[name] for name in _OF_FORMER}
            ),
            tried_at=row["tried_at"],
            problem=row["problem"],
        )
        for row in rows
    ]


def update_leftover(
    connection: Connection, series: StoredSeries, **changes: datetime | str | None
) -> None:
    """Note what became of removing it; the names are those of the table."""
    table = tables.former_series
    connection.execute(
        update(table)
        .where(table.c.platform == series.platform.value, table.c.series_ref == series.series_ref)
        .values(**changes)
    )


def left_behind(connection: Connection, cohort_id: str | None = None) -> list[tuple[str, Platform]]:
    """(cohort id, platform) where a cohort has, or may have, a series and meets no more.

    Only once it has a series where it meets now, or is cancelled: until then all of it is kept.
    Where a cancelled cohort met last, its series still stands when it was needed to the end.
    """
    series, cohort, present = tables.series, tables.cohort, tables.series.alias()
    asked = (
        select(series.c.cohort_id, series.c.platform)
        .join(cohort, cohort.c.id == series.c.cohort_id)
        .outerjoin(
            present,
            and_(
                present.c.cohort_id == cohort.c.id,
                present.c.platform == cohort.c.platform,
                present.c.series_ref.is_not(None),
            ),
        )
        .where(
            or_(
                series.c.platform != cohort.c.platform,
                and_(
                    cohort.c.state == CohortState.CANCELLED.value,
                    series.c.cancelled_at.is_(None),
                ),
            ),
            or_(series.c.series_ref.is_not(None), series.c.attempted_at.is_not(None)),
            cohort.c.settled_version == cohort.c.version,
            or_(
                present.c.series_ref.is_not(None),
                cohort.c.state == CohortState.CANCELLED.value,
            ),
        )
        .order_by(series.c.cohort_id, series.c.platform)
    )
    if cohort_id is not None:
        asked = asked.where(series.c.cohort_id == cohort_id)
    return [(row[0], Platform(row[1])) for row in connection.execute(asked)]


def find_cohort(connection: Connection, platform: Platform, ref: str) -> str | None:
    """The id of the cohort that meets in that series, or in one occurrence of it; or None."""
    series, session, cohort = tables.series, tables.session, tables.cohort
    whole = (
        select(series.c.cohort_id)
        .join(cohort, cohort.c.id == series.c.cohort_id)
        .where(
            cohort.c.platform == platform.value,
            series.c.platform == platform.value,
            series.c.series_ref == ref,
        )
    )
    part = (
        select(session.c.cohort_id)
        .join(cohort, cohort.c.id == session.c.cohort_id)
        .where(cohort.c.platform == platform.value, session.c.occurrence_ref == ref)
    )
    return connection.execute(union(whole, part)).scalars().first()
