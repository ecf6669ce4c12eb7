"""Cohorts, their sessions, carers and series: the named queries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, RowMapping, exists, func, insert, select

from course.model import (
    AllSessions,
    Carer,
    Cohort,
    CohortState,
    Facilitator,
    Platform,
    Session,
    SessionState,
)
from course.restriction import RESTRICTED
from course.store import cohort_queries as queries
from course.store import tables
from course.store.hashing import token_hash
from course.store.returning import who_was_here
from course.store.rules import read_rule, rule_json
from course.store.series import read_series
from course.store.tombstones import welcome_back

AT_ONCE = 10_000  # ids in one statement; SQLite takes 32,766


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """A carer with the links that let them in; for eyes that may see addresses only."""

    carer: Carer
    join_token: str
    platform_join_url: str | None = None
    invitation_tried: bool = False
    problem: str | None = None


def insert_cohort(connection: Connection, cohort: Cohort, join_tokens: dict[str, str]) -> None:
    """Store a new cohort with its sessions and carers; `join_tokens` maps carer id to token."""
    zone_day = cohort.sessions[0].starts_at.date()
    connection.execute(
        insert(tables.cohort).values(
            id=cohort.id,
            name=cohort.name,
            platform=cohort.platform.value,
            state=cohort.state.value,
            problem=cohort.problem,
            organiser=cohort.organiser,
            timezone=cohort.timezone,
            first_session_on=zone_day,
            rule=rule_json(cohort.rule),
            created_at=cohort.created_at,
            version=cohort.version,
        )
    )
    connection.execute(
        insert(tables.session),
        [
            {
                "cohort_id": cohort.id,
                "week": s.week,
                "topic": s.topic,
                "starts_at": s.starts_at,
                "ends_at": s.ends_at,
                "state": s.state.value,
                "occurrence_ref": s.occurrence_ref,
            }
            for s in cohort.sessions
        ],
    )
    for position, person in enumerate(cohort.facilitators):
        connection.execute(
            insert(tables.facilitator).values(
                cohort_id=cohort.id, position=position, name=person.name, email=person.email
            )
        )
    insert_carers(connection, cohort.id, cohort.carers, join_tokens)
    connection.execute(
        insert(tables.series).values(cohort_id=cohort.id, platform=cohort.platform.value)
    )


def insert_carers(
    connection: Connection, cohort_id: str, carers: Sequence[Carer], join_tokens: dict[str, str]
) -> None:
    """Enrol carers."""
    for carer in carers:
        welcome_back(connection, cohort_id, [("name", carer.name), ("email", carer.email)])
        connection.execute(
            insert(tables.carer).values(
                id=carer.id,
                cohort_id=cohort_id,
                household=carer.household,
                position=carer.position,
                name=carer.name,
                email=carer.email,
                phone=carer.phone,
                enrolled_at=carer.enrolled_at,
                withdrawn_at=carer.withdrawn_at,
                join_token=join_tokens[carer.id],
                join_token_hash=token_hash(join_tokens[carer.id]),
                transferred_from=carer.transferred_from,
            )
        )


def read_cohort(connection: Connection, cohort_id: str) -> Cohort | None:
    """One cohort, or None."""
    row = connection.execute(queries.COHORT, {"cohort_id": cohort_id}).mappings().one_or_none()
    return _cohort(connection, row) if row is not None else None


def _cohort(connection: Connection, row: RowMapping) -> Cohort:
    cohort_id, platform = row["id"], Platform(row["platform"])
    of_cohort = {"cohort_id": cohort_id}
    sessions = connection.execute(queries.SESSIONS, of_cohort).mappings()
    facilitators = connection.execute(queries.FACILITATORS, of_cohort).mappings()
    organisers = connection.execute(
        queries.ORGANISERS_ELSEWHERE, {**of_cohort, "platform": platform.value}
    ).scalars()
    series = read_series(connection, cohort_id, platform)
    return Cohort(
        id=cohort_id,
        name=row["name"],
        platform=platform,
        state=CohortState(row["state"]),
        problem=row["problem"],
        timezone=row["timezone"],
        organiser=row["organiser"],
        rule=read_rule(row["rule"]),
        sessions=tuple(
            Session(
                week=s["week"],
                topic=s["topic"],
                starts_at=s["starts_at"],
                ends_at=s["ends_at"],
                state=SessionState(s["state"]),
                occurrence_ref=s["occurrence_ref"],
                sequence=s["sequence"],
                platforms=tuple(Platform(name) for name in (s["platforms"] or "").split()),
            )
            for s in sessions
        ),
        carers=tuple(e.carer for e in read_enrolments(connection, cohort_id)),
        facilitators=tuple(Facilitator(name=f["name"], email=f["email"]) for f in facilitators),
        series_ref=series.series_ref if series else None,
        created_at=row["created_at"],
        version=row["version"],
        settled_version=row["settled_version"],
        settled_at=row["settled_at"],
        remake_version=row["remake_version"],
        drifted_at=row["drifted_at"],
        moved_at=row["moved_at"],
        former_organisers=tuple(organisers),
        cancel_requested=row["cancel_requested_at"] is not None,
    )


def read_carer_names(
    connection: Connection, carer_ids: Iterable[str], *, to_admin: bool
) -> dict[str, str]:
    """How these carers are called before these eyes, by id."""
    table, names, ids = tables.carer, dict[str, str](), sorted(carer_ids)
    asked = select(table.c.id, table.c.name, table.c.restricted_at)
    for some in range(0, len(ids), AT_ONCE):
        wanted = table.c.id.in_(ids[some : some + AT_ONCE])
        for carer_id, name, restricted_at in connection.execute(asked.where(wanted)):
            names[carer_id] = RESTRICTED if restricted_at and not to_admin else name
    return names


def organisers(connection: Connection) -> list[tuple[Platform, str]]:
    """Whose accounts host cohorts, on which platform."""
    table = tables.cohort
    rows = connection.execute(
        select(table.c.platform, table.c.organiser)
        .distinct()
        .order_by(table.c.platform, table.c.organiser)
    )
    return [(Platform(row[0]), row[1]) for row in rows]


def read_names(connection: Connection) -> dict[str, str]:
    """The name of each cohort by its id, the newest first."""
    table = tables.cohort
    rows = connection.execute(
        select(table.c.id, table.c.name).order_by(table.c.created_at.desc(), table.c.id)
    )
    return {row[0]: row[1] for row in rows}


def page_of_cohorts(
    connection: Connection,
    *,
    state: CohortState | None = None,
    platform: Platform | None = None,
    stands: AllSessions | None = None,
    only_ids: Sequence[str] | None = None,
    limit: int,
    offset: int,
) -> tuple[list[Cohort], int]:
    """Cohorts, the newest first, and how many there are in all.

    `stands`: those with a household that stands there. `only_ids` restricts to those that the
    caller may see.
    """
    table = tables.cohort
    query = select(table)
    if state is not None:
        query = query.where(table.c.state == state.value)
    if platform is not None:
        query = query.where(table.c.platform == platform.value)
    if stands is not None:
        standing = tables.standing
        there = select(standing.c.cohort_id).where(standing.c.household_stands == stands.value)
        query = query.where(table.c.id.in_(there))
    if only_ids is not None:
        query = query.where(table.c.id.in_(only_ids))
    total = connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()
    ordered = query.order_by(table.c.created_at.desc(), table.c.id).limit(limit).offset(offset)
    rows = connection.execute(ordered).mappings().all()
    return [_cohort(connection, row) for row in rows], total


@dataclass(frozen=True, slots=True, kw_only=True)
class Coming:
    """A cohort that is still to begin, with room."""

    id: str
    name: str
    platform: Platform
    first_session_at: datetime
    places_left: int


def with_places(
    connection: Connection, *, after: datetime, places: int, limit: int
) -> list[Coming]:
    """The next cohorts that begin after that and have fewer households than `places`."""
    table, session, carer = tables.cohort, tables.session, tables.carer
    earlier = session.alias()
    used = (
        select(func.count(carer.c.household.distinct()))
        .where(carer.c.cohort_id == table.c.id, carer.c.withdrawn_at.is_(None))
        .correlate(table)
        .scalar_subquery()
    )
    # In the order of their beginnings, so that only the first few are looked at however many
    # cohorts there are.
    rows = connection.execute(
        select(table.c.id, table.c.name, table.c.platform, session.c.starts_at, used)
        .join(session, session.c.cohort_id == table.c.id)
        .where(
            session.c.week == 1,
            session.c.starts_at > after,
            ~exists().where(earlier.c.cohort_id == table.c.id, earlier.c.starts_at <= after),
            table.c.state == CohortState.READY.value,
            used < places,
        )
        .order_by(session.c.starts_at, table.c.id)
        .limit(limit)
    )
    return [
        Coming(
            id=row[0],
            name=row[1],
            platform=Platform(row[2]),
            first_session_at=row[3],
            places_left=places - row[4],
        )
        for row in rows
    ]


def find_namesake(
    connection: Connection, *, platform: Platform, name: str, first_session_on: date
) -> str | None:
    """The id of a live cohort with that name, platform and first Saturday, or None.

    Names are sealed: those that begin on that day are compared here.
    """
    table = tables.cohort
    rows = connection.execute(
        select(table.c.id, table.c.name).where(
            table.c.platform == platform.value,
            table.c.first_session_on == first_session_on,
            table.c.state.not_in([CohortState.CANCELLED.value, CohortState.FAILED.value]),
        )
    )
    return next((row.id for row in rows if row.name.lower() == name.lower()), None)


def cohorts_in_state(connection: Connection, state: CohortState) -> list[str]:
    """Ids of the cohorts in that state."""
    return list(
        connection.execute(
            select(tables.cohort.c.id).where(tables.cohort.c.state == state.value)
        ).scalars()
    )


def moved_since(connection: Connection, since: datetime) -> list[str]:
    """Ids of the cohorts that moved to another platform since then, and were not cancelled."""
    table = tables.cohort
    return list(
        connection.execute(
            select(table.c.id)
            .where(table.c.moved_at > since, table.c.state != CohortState.CANCELLED.value)
            .order_by(table.c.id)
        ).scalars()
    )


def read_version(connection: Connection, cohort_id: str) -> int | None:
    """How many changes staff have made, or None when there is no such cohort."""
    return connection.execute(
        select(tables.cohort.c.version).where(tables.cohort.c.id == cohort_id)
    ).scalar()


def read_platform(connection: Connection, cohort_id: str) -> Platform | None:
    """Where a cohort meets, or None when there is no such cohort."""
    found = connection.execute(
        select(tables.cohort.c.platform).where(tables.cohort.c.id == cohort_id)
    ).scalar()
    return Platform(found) if found is not None else None


def naming(connection: Connection, email: str) -> list[str]:
    """The cohorts that name this address as a facilitator's. Addresses are sealed: all are read."""
    table = tables.facilitator
    rows = connection.execute(select(table.c.cohort_id, table.c.email).order_by(table.c.cohort_id))
    wanted = email.strip().casefold()
    return list(dict.fromkeys(r.cohort_id for r in rows if r.email.strip().casefold() == wanted))


def with_session_between(
    connection: Connection, *, since: datetime, until: datetime
) -> list[tuple[str, Platform, datetime]]:
    """(id, platform, start) of the sessions of live cohorts that begin in that span."""
    session, cohort = tables.session, tables.cohort
    rows = connection.execute(
        select(cohort.c.id, cohort.c.platform, session.c.starts_at)
        .join(session, session.c.cohort_id == cohort.c.id)
        .where(
            session.c.starts_at >= since,
            session.c.starts_at < until,
            session.c.state == SessionState.SCHEDULED.value,
            cohort.c.cancel_requested_at.is_(None),
        )
        .order_by(session.c.starts_at, cohort.c.id)
    )
    return [(row[0], Platform(row[1]), row[2]) for row in rows]


def find_transferred(
    connection: Connection, cohort_id: str, carer_ids: Sequence[str]
) -> str | None:
    """What the household of these carers is called in a cohort that they were transferred to."""
    table = tables.carer
    return (
        connection.execute(
            select(table.c.household)
            .where(table.c.cohort_id == cohort_id, table.c.transferred_from.in_(list(carer_ids)))
            .order_by(table.c.enrolled_at.desc(), table.c.position)
        )
        .scalars()
        .first()
    )


def read_carer_cohort(connection: Connection, carer_id: str) -> str | None:
    """The id of a carer's cohort, or None."""
    return connection.execute(
        select(tables.carer.c.cohort_id).where(tables.carer.c.id == carer_id)
    ).scalar()


def read_enrolments(connection: Connection, cohort_id: str) -> list[Enrolment]:
    """The cohort's carers with their links, by household and position."""
    rows = connection.execute(queries.ENROLMENTS, {"cohort_id": cohort_id}).mappings().all()
    was_here = who_was_here(connection, {row["id"]: row["transferred_from"] for row in rows})
    former = _former_invitations(connection, cohort_id)
    corrected = _former_names(connection, cohort_id)
    found = [
        Enrolment(
            carer=_carer(
                row,
                tuple(former.get(row["id"], ())),
                corrected.get(row["id"], ()),
                was_here.get(row["id"]),
            ),
            join_token=row["join_token"],
            platform_join_url=row["join_url"],
            invitation_tried=row["invited"] is not None,
            problem=row["problem"],
        )
        for row in rows
    ]
    return sorted(found, key=lambda enrolment: enrolment.carer.order)


def _former_invitations(connection: Connection, cohort_id: str) -> dict[str, list[str]]:
    """By carer; also those on a platform where the cohort met before."""
    rows = connection.execute(queries.FORMER_INVITATIONS, {"cohort_id": cohort_id})
    found: dict[str, list[str]] = {}
    for carer_id, ref in sorted(tuple(row) for row in rows):
        found.setdefault(carer_id, []).append(ref)
    return found


_Was = tuple[str, str, str | None]


def _former_names(connection: Connection, cohort_id: str) -> dict[str, tuple[_Was, ...]]:
    """(name, address, number) as they were before each was put right, by carer."""
    rows = connection.execute(queries.FORMER_NAMES, {"cohort_id": cohort_id})
    found: dict[str, tuple[_Was, ...]] = {}
    for carer_id, name, email, phone in rows:
        found[carer_id] = (*found.get(carer_id, ()), (name, email, phone))
    return found


def _carer(
    row: RowMapping,
    former_invitation_refs: tuple[str, ...],
    corrected: tuple[_Was, ...],
    was_here_as: str | None,
) -> Carer:
    return Carer(
        id=row["id"],
        name=row["name"],
        email=row["email"],
        phone=row["phone"],
        household=row["household"],
        position=row["position"],
        enrolled_at=row["enrolled_at"],
        withdrawn_at=row["withdrawn_at"],
        invitation_ref=row["invitation_ref"],
        former_invitation_refs=former_invitation_refs,
        transferred_from=row["transferred_from"],
        was_here_as=was_here_as,
        former_names=tuple(dict.fromkeys(was[0] for was in corrected if was[0] != row["name"])),
        former_emails=tuple(dict.fromkeys(was[1] for was in corrected if was[1] != row["email"])),
        former_phones=tuple(
            dict.fromkeys(was[2] for was in corrected if was[2] and was[2] != row["phone"])
        ),
        restricted=row["restricted_at"] is not None,
    )


def find_by_join_token(connection: Connection, token: str) -> tuple[str, str] | None:
    """(cohort id, carer id) of a join token, or None."""
    row = connection.execute(
        select(tables.carer.c.cohort_id, tables.carer.c.id).where(
            tables.carer.c.join_token_hash == token_hash(token)
        )
    ).one_or_none()
    return (row[0], row[1]) if row is not None else None


def read_state(connection: Connection, cohort_id: str) -> CohortState | None:
    """The state of a cohort, or None."""
    state = connection.execute(
        select(tables.cohort.c.state).where(tables.cohort.c.id == cohort_id)
    ).scalar()
    return CohortState(state) if state is not None else None
