"""Where everybody stands and what needs a person, kept in rows for lists across all cohorts.

Nothing here is counted up: a cohort's rows are thrown away and derived anew from its evidence
whenever something about it changed. Whoever derives takes the cohort's next turn with it; who
finds that another one was quicker derives once more, so that the newest evidence always wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, delete, exists, func, insert, or_, select, union, update

from course.attendance import OPEN_BEFORE
from course.attention import AttentionItem, items_of, next_turn
from course.completion import Standing
from course.model import Cohort, EventKind, SessionState
from course.reports import build_report
from course.restriction import veiled
from course.store import cohorts, evidence, facilitator_letters, mail, series, tables, watches
from course.store.database import STORAGE_TROUBLE, Database, insert_new
from course.store.tombstones import read_tombstones

# Raise it when other standings follow from the same evidence: those of a release before, and those
# that it goes on deriving beside this one, are then found to differ.
DERIVATION = 2
AT_A_LOOK = 10  # cohorts that a reader brings up to date; more are left to the chore
_ABOUT = {
    "evening": "tomorrow's session",
    "missing": "who was missing",
    "moved": "the move to the other platform",
}
_TRIES = 20
_MOST_CHANGES = 10_000  # in one statement; what is left over is found again


class Audience(StrEnum):
    """Who sees an item."""

    ALL = "all"
    ADMINS = "admins"
    OTHERS = "others"


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """What was derived of a cohort, with what it was derived from; `cohort` None: it is gone.

    `items`: as an admin sees them. `veiled`: as everybody else does.
    """

    cohort_id: str
    cohort: Cohort | None
    turn: int
    changes: tuple[int, ...]
    mark: str
    at: datetime
    items: Sequence[AttentionItem] = ()
    veiled: Sequence[AttentionItem] = ()
    carers: dict[str, Standing]
    households: dict[str, Standing]


def derive(connection: Connection, cohort_id: str, *, now: datetime) -> Derived:
    """From the evidence alone. What may change meanwhile is read first, so that it shows."""
    change, derivation = tables.cohort_change, tables.derivation
    turn = connection.execute(
        select(derivation.c.turn).where(derivation.c.cohort_id == cohort_id)
    ).scalar()
    changes = connection.execute(
        select(change.c.id).where(change.c.cohort_id == cohort_id).limit(_MOST_CHANGES)
    )
    found: dict[str, Any] = {
        "cohort_id": cohort_id,
        "turn": turn or 0,
        "changes": tuple(changes.scalars()),
        "at": now,
    }
    cohort = cohorts.read_cohort(connection, cohort_id)
    if cohort is None:
        return Derived(**found, cohort=None, mark="", carers={}, households={})
    mark = _mark(connection, cohort_id)
    report = build_report(cohort, evidence.read_evidence(connection, cohort), now=now)
    troubles = list(_troubles(connection, cohort, now))
    items = items_of(cohort, report, troubles)
    for_others = veiled(report)
    return Derived(
        **found,
        cohort=cohort,
        mark=mark,
        items=items,
        veiled=items if for_others is report else items_of(cohort, for_others, troubles),
        carers=report.carers,
        households=report.households,
    )


def _mark(connection: Connection, cohort_id: str) -> str:
    """Another one whenever other rows would be derived of the cohort."""
    return f"{DERIVATION} {evidence.mark(connection, cohort_id) or ''}"


def _troubles(connection: Connection, cohort: Cohort, now: datetime) -> Iterator[AttentionItem]:
    cohort_id = cohort.id
    for watch in watches.live_watches(connection, cohort_id):
        if watch.problem:
            yield AttentionItem(kind="subscription", since=watch.made_at, says=watch.problem)
    for left in series.left_over(connection, cohort_id):
        if left.problem and left.series.ended_at:
            yield AttentionItem(
                kind="leftover",
                since=left.series.ended_at,
                says=f"The former series on {left.series.platform.capitalize()} still stands: "
                f"{left.problem} It is tried again.",
            )
    for letter in mail.read_mail(connection, cohort_id):
        if letter.problem and not letter.is_overtaken:
            yield AttentionItem(
                kind="mail", carer_id=letter.carer_id, since=letter.made_at, says=letter.problem
            )
    if cohort.next_session(now) is not None:
        yield from _untold_facilitators(connection, cohort)
    for stone in read_tombstones(connection, cohort_ids=[cohort_id]):
        if stone.problem:
            yield AttentionItem(kind="erasure", since=stone.erased_at, says=stone.problem)


def _untold_facilitators(connection: Connection, cohort: Cohort) -> Iterator[AttentionItem]:
    """Whose newest mail was refused: the next one that arrives settles it."""
    people = dict(enumerate(cohort.facilitators))
    for letter in facilitator_letters.newest_refusals(connection, cohort.id):
        if letter.refused_at is not None and letter.position in people:
            kind, _, _ = letter.letter.partition(".")
            yield AttentionItem(
                kind="mail",
                since=letter.refused_at,
                says=f"{people[letter.position].name} was not told by mail about {_ABOUT[kind]}. "
                f"Tell them yourself. {letter.problem}",
            )


def store(connection: Connection, derived: Derived) -> bool:
    """Put it in the place of what was there; False when somebody else took this turn."""
    cohort_id, cohort, table = derived.cohort_id, derived.cohort, tables.derivation
    if cohort is not None:
        values = {
            "mark": derived.mark,
            "derived_at": derived.at,
            "checked_at": derived.at,
            "next_at": next_turn(cohort, derived.at),
        }
        insert_new(connection, table, [{"cohort_id": cohort_id, "turn": 0, **values}])
        taken = connection.execute(
            update(table)
            .where(table.c.cohort_id == cohort_id, table.c.turn == derived.turn)
            .values(turn=derived.turn + 1, **values)
        )
        if taken.rowcount == 0:
            return False
        _replace(connection, derived, cohort)
    change = tables.cohort_change
    connection.execute(delete(change).where(change.c.id.in_(derived.changes)))
    return True


def _replace(connection: Connection, derived: Derived, cohort: Cohort) -> None:
    standing, item = tables.standing, tables.attention_item
    connection.execute(delete(standing).where(standing.c.cohort_id == cohort.id))
    connection.execute(delete(item).where(item.c.cohort_id == cohort.id))
    stands = [
        {
            "carer_id": carer.id,
            "cohort_id": cohort.id,
            "household": carer.household,
            "all_sessions": derived.carers[carer.id].all_sessions.value,
            "household_stands": derived.households[carer.household].all_sessions.value,
            "missed_weeks": list(derived.carers[carer.id].missed_weeks),
        }
        for carer in cohort.carers
    ]
    waits = [
        {
            "cohort_id": cohort.id,
            "place": place,
            "audience": audience.value,
            "kind": one.kind,
            "week": one.week,
            "carer_id": one.carer_id,
            "since": one.since,
            "told": _told(one),
        }
        for place, (audience, one) in enumerate(_for_whom(derived))
    ]
    for table, rows in ((standing, stands), (item, waits)):
        if rows:
            connection.execute(insert(table), rows)


def _for_whom(derived: Derived) -> Iterator[tuple[Audience, AttentionItem]]:
    """Each item once, with who sees it: two versions only where somebody is restricted."""
    items, veiled_items = set(derived.items), set(derived.veiled)
    for item in derived.items:
        yield Audience.ALL if item in veiled_items else Audience.ADMINS, item
    for item in derived.veiled:
        if item not in items:
            yield Audience.OTHERS, item


def _told(item: AttentionItem) -> dict[str, Any]:
    """What is sealed: it may name people, or quote them."""
    told = {
        "ref": item.ref,
        "message": item.message,
        "says": item.says,
        "reasons": None if item.reasons is None else list(item.reasons),
    }
    return {name: value for name, value in told.items() if value is not None}


def bring_up_to_date(connection: Connection, cohort_id: str, *, now: datetime) -> None:
    """Within a transaction that changed the cohort: what it changed shows as soon as it does."""
    for _ in range(_TRIES):
        if store(connection, derive(connection, cohort_id, now=now)):
            return


def refresh(database: Database, cohort_id: str, *, now: datetime) -> None:
    """Derive in a reading transaction, which holds nobody up, and store in a short one.

    After too many turns that others took the cohort stays noted as changed.
    """
    for _ in range(_TRIES):
        with database.read() as connection:
            derived = derive(connection, cohort_id, now=now)
        with database.write() as connection:
            if store(connection, derived):
                return


def refresh_few(
    database: Database, *, now: datetime, only_ids: Sequence[str] | None = None
) -> None:
    """For whoever is about to read: where few cohorts changed, their rows are current at once."""
    with database.read() as connection:
        changed = behind(connection, now=now, only_ids=only_ids, limit=AT_A_LOOK)
    refresh_now(database, changed, now=now)


def refresh_now(database: Database, cohort_ids: Iterable[str], *, now: datetime) -> None:
    """The same for cohorts that are known to have changed. Trouble keeps nobody from reading:
    the next minute's chore catches up."""
    with suppress(*STORAGE_TROUBLE):
        for cohort_id in cohort_ids:
            refresh(database, cohort_id, now=now)


def behind(
    connection: Connection,
    *,
    now: datetime,
    only_ids: Sequence[str] | None = None,
    limit: int | None = None,
) -> list[str]:
    """The cohorts that changed, or that time has changed, since their rows were derived."""
    change, derivation = tables.cohort_change, tables.derivation
    changed = select(change.c.cohort_id).distinct()
    turned = select(derivation.c.cohort_id).where(derivation.c.next_at <= now)
    if only_ids is not None:
        changed = changed.where(change.c.cohort_id.in_(only_ids))
        turned = turned.where(derivation.c.cohort_id.in_(only_ids))
    found: dict[str, None] = {}
    for asked in (changed, turned):
        found.update(dict.fromkeys(connection.execute(asked.limit(limit)).scalars()))
    return list(found)[:limit]


def has_changed(connection: Connection, cohort_id: str, *, now: datetime) -> bool:
    """Whether one cohort's rows are not of its newest evidence."""
    if behind(connection, now=now, only_ids=[cohort_id], limit=1):
        return True
    table = tables.derivation
    stored = select(table.c.mark).where(table.c.cohort_id == cohort_id)
    return connection.execute(stored).scalar() != _mark(connection, cohort_id)


def with_new_facts(
    connection: Connection, *, since: datetime, until: datetime, now: datetime
) -> list[str]:
    """The cohorts of which facts arrived in that span that count now.

    A verdict falls when its session is over: while one is held by plan, only the news that it
    ended counts. So ten o'clock, when everybody joins, costs nothing here.
    """
    event, session = tables.participant_event, tables.session
    told = [
        select(series.c.cohort_id)
        .join(
            event,
            (event.c.platform == series.c.platform) & (event.c.series_ref == series.c.series_ref),
        )
        .where(
            event.c.received_at > since,
            event.c.received_at <= until,
            or_(
                event.c.kind == EventKind.INSTANCE_ENDED.value,
                ~exists().where(
                    session.c.cohort_id == series.c.cohort_id,
                    session.c.state == SessionState.SCHEDULED.value,
                    session.c.starts_at <= now + OPEN_BEFORE,
                    session.c.ends_at > now,
                ),
            ),
        )
        for series in (tables.series, tables.former_series)
    ]
    return sorted(connection.execute(union(*told)).scalars())


def longest_unchecked(connection: Connection, *, limit: int) -> list[str]:
    """The cohorts whose rows were compared with the evidence longest ago."""
    table = tables.derivation
    asked = select(table.c.cohort_id).order_by(table.c.checked_at, table.c.cohort_id).limit(limit)
    return list(connection.execute(asked).scalars())


def note_checked(connection: Connection, cohort_ids: Sequence[str], *, now: datetime) -> None:
    """These rows are of their cohorts' newest evidence."""
    table = tables.derivation
    connection.execute(
        update(table).where(table.c.cohort_id.in_(cohort_ids)).values(checked_at=now)
    )


def page_of_items(
    connection: Connection,
    *,
    to_admin: bool,
    only_ids: Sequence[str] | None,
    limit: int | None = None,
    offset: int = 0,
) -> tuple[list[tuple[str, str, AttentionItem]], int]:
    """(cohort id, its name, what waits) across all cohorts, the oldest first; how many in all."""
    item, cohort = tables.attention_item, tables.cohort
    hidden = Audience.OTHERS if to_admin else Audience.ADMINS
    counted = select(func.count()).select_from(item).where(item.c.audience != hidden.value)
    asked = (
        select(
            *(item.c.cohort_id, item.c.kind, item.c.since, item.c.week),
            *(item.c.carer_id, item.c.told),
        )
        .where(item.c.audience != hidden.value)
        .order_by(item.c.since, item.c.cohort_id, item.c.place)
    )
    if only_ids is not None:
        counted = counted.where(item.c.cohort_id.in_(only_ids))
        asked = asked.where(item.c.cohort_id.in_(only_ids))
    rows = connection.execute(asked.limit(limit).offset(offset)).all()
    total = connection.execute(counted).scalar_one()
    wanted = {row[0] for row in rows}
    named = select(cohort.c.id, cohort.c.name)
    if limit is not None:
        named = named.where(cohort.c.id.in_(wanted))
    names = {row[0]: row[1] for row in connection.execute(named)}
    found = []
    for cohort_id, kind, since, week, carer_id, told in rows:
        reasons = told.get("reasons")
        one = AttentionItem(
            kind=kind,
            since=since,
            week=week,
            carer_id=carer_id,
            ref=told.get("ref"),
            message=told.get("message"),
            says=told["says"],
            reasons=None if reasons is None else tuple(reasons),
        )
        found.append((cohort_id, names[cohort_id], one))
    return found, total
