"""Erasing a carer from every table, in one transaction.

What others' verdicts rest on stays as bare times under a random id: a partner who was attested at
the carer's device attended all the same. Everything else of the carer goes: names, addresses,
links, messages, corrections, media, and their name in what others wrote.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Table,
    and_,
    delete,
    insert,
    literal,
    or_,
    select,
    union,
    update,
)

from course.attendance import Judge
from course.connections import MEDIA
from course.forgotten import Marks, Trait
from course.identity import plain_name
from course.model import Carer, Cohort, ParticipantEvent
from course.narrowing import hiding
from course.store import standings, tables
from course.store.evidence import event_values, read_evidence
from course.store.hashing import token_hash
from course.store.rewriting import Rewrite, rewrite

GONE = "somebody who was erased"
# Free text in which a carer may be named, and whose cohort it belongs to.
_WRITTEN = (
    tables.correction.c.reason,
    tables.attestation.c.reason,
    tables.message.c.text,
    tables.rule_change.c.reason,
    tables.register.c.problem,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """Everything by which a carer can be found. `shared_email`: another carer has it as well, so
    neither the address nor the invitation tells whose a fact is. `enrolments`: the ids of the same
    person, who is no other carer for having left and come back.
    """

    carer: Carer
    enrolments: frozenset[str]
    token_hash: str
    events: tuple[ParticipantEvent, ...]
    names: frozenset[str]
    traits: frozenset[Trait]
    shared_email: bool
    way_in: tuple[tuple[str, str | None], ...]


def same_person(connection: Connection, carer_id: str) -> list[str]:
    """The ids of that person in every cohort, by the transfers that led from one to the next."""
    table, found, new = tables.carer, set[str](), {carer_id}
    while new:
        found |= new
        rows = connection.execute(
            select(table.c.id, table.c.transferred_from).where(
                or_(table.c.id.in_(new), table.c.transferred_from.in_(new))
            )
        ).all()
        new = {of for row in rows for of in row if of is not None} - found
    known = connection.execute(
        select(table.c.id)
        .where(table.c.id.in_(found), table.c.erased_at.is_(None))
        .order_by(table.c.enrolled_at, table.c.id)
    )
    return list(known.scalars())


def same_address(connection: Connection, email: str, but: Iterable[str]) -> list[tuple[str, str]]:
    """(cohort id, carer id) of other carers with that address. Addresses are sealed: all are read.

    Whether each is the same person only somebody of the practice can say.
    """
    table, apart = tables.carer, set(but)
    rows = connection.execute(
        select(table.c.cohort_id, table.c.id, table.c.email)
        .where(table.c.erased_at.is_(None))
        .order_by(table.c.cohort_id, table.c.id)
    )
    wanted = email.casefold()
    return [
        (row.cohort_id, row.id)
        for row in rows
        if row.id not in apart and row.email.casefold() == wanted
    ]


def find_traces(connection: Connection, cohort: Cohort, carer: Carer, *, now: datetime) -> Traces:
    """Look for a carer in everything that is stored of their cohort."""
    evidence = read_evidence(connection, cohort)
    enrolments = frozenset({carer.id, *same_person(connection, carer.id)})
    others = [c for c in cohort.carers if c.id not in enrolments]
    # A number shows who dialled in.
    names = {carer.name, *carer.former_names, carer.phone or "", *carer.former_phones}
    emails = {e.casefold() for e in (carer.email, *carer.former_emails)}
    namesakes = {plain_name(n) for c in others for n in (c.name, *c.former_names)}
    shared = any({c.email.casefold(), *c.former_emails} & emails for c in others)
    way_in = _way_in(connection, carer.id)
    judge = Judge(cohort, evidence, now=now)
    found = {e.key: e for c in judge.all_connections_of(carer.id) for e in c.events}
    names |= {e.participant.display_name for e in found.values() if e.participant}
    own_names = {n for n in map(plain_name, names) if n} - namesakes
    traits: set[Trait] = {("carer", carer.id), *(("name", n) for n in own_names)}
    if not shared:
        traits |= {("email", e) for e in emails}
        traits |= {("invitation", ref) for _, ref in way_in if ref}
        traits |= {
            ("account", e.participant.account_ref)
            for e in found.values()
            if e.participant and e.participant.account_ref
        }
    found |= {e.key: e for e in evidence.events if e.carer_id == carer.id or _shows(e, traits)}
    refs = {e.connection_ref for e in found.values() if e.connection_ref}
    seats = {e.seat_ref for e in found.values() if e.seat_ref}
    found |= {
        e.key: e
        for e in evidence.events
        if e.connection_ref in refs or (e.connection_ref is None and e.seat_ref in seats)
    }
    # What was seen of them in another enrolment stays with that one: somebody may have been
    # attested at their device then.
    for one in enrolments - {carer.id}:
        for key in {e.key for c in judge.all_connections_of(one) for e in c.events}:
            found.pop(key, None)
    hashed = connection.execute(
        select(tables.carer.c.join_token_hash).where(tables.carer.c.id == carer.id)
    ).scalar_one()
    return Traces(
        carer=carer,
        enrolments=enrolments,
        token_hash=hashed,
        events=tuple(found.values()),
        names=frozenset(n for n in names if plain_name(n) in own_names),
        traits=frozenset({*traits, ("token", hashed)}),
        shared_email=shared,
        way_in=way_in,
    )


def _way_in(connection: Connection, carer_id: str) -> tuple[tuple[str, str | None], ...]:
    """(platform, invitation) of every way in that they have or had; a former one's platform is
    not kept and not needed."""
    invitation, former = tables.invitation, tables.former_invitation
    rows = connection.execute(
        union(
            select(invitation.c.platform, invitation.c.invitation_ref).where(
                invitation.c.carer_id == carer_id
            ),
            select(literal(""), former.c.invitation_ref).where(former.c.carer_id == carer_id),
        )
    )
    return tuple((row[0], row[1]) for row in rows)


def _shows(event: ParticipantEvent, traits: set[Trait]) -> bool:
    seen = event.participant
    return seen is not None and bool(
        traits
        & {
            ("email", seen.email.casefold()),
            ("invitation", seen.invitation_ref or ""),
            ("name", plain_name(seen.display_name)),
        }
    )


def erase(
    connection: Connection, cohort: Cohort, traces: Traces, marks: Marks, *, now: datetime
) -> None:
    """Take the carer out of every table. What reads the cohort afterwards finds no trace."""
    carer = traces.carer
    attested = _keep_attested(connection, carer.id, cohort.id, marks.id, now)
    _strip_events(connection, traces.events, marks, keep_media=attested)
    hide = _hider(cohort, traces)
    _clean_deliveries(connection, cohort.id, traces)
    for column in _WRITTEN:
        rewrite(connection, column, hide, column.table.c.cohort_id == cohort.id)
    rewrite(connection, tables.cohort.c.problem, hide, tables.cohort.c.id == cohort.id)
    for table in (tables.register, tables.register_version):
        _drop_verdicts(connection, table, cohort.id, carer.id)
    _thaw_without(connection, cohort.id, carer.id, hide)
    _clean_audit(connection, carer.id, hide)
    for table in tables_of_carers():
        connection.execute(delete(table).where(table.c.carer_id == carer.id))
    table = tables.carer
    # Whom a restored backup brings back is erased one enrolment after the other: those before and
    # after this one are still one person.
    earlier = connection.execute(
        select(table.c.transferred_from).where(table.c.id == carer.id)
    ).scalar()
    connection.execute(
        update(table).where(table.c.transferred_from == carer.id).values(transferred_from=earlier)
    )
    connection.execute(delete(table).where(table.c.id == carer.id))
    standings.bring_up_to_date(connection, cohort.id, now=now)  # others' items may name them


def tables_of_carers() -> list[Table]:
    """Every table with rows of one carer each, also those that are still to be invented."""
    return [
        table
        for table in tables.metadata.sorted_tables
        if "carer_id" in table.c and table.c.carer_id.references(tables.carer.c.id)
    ]


def _keep_attested(
    connection: Connection, carer_id: str, cohort_id: str, shell_id: str, now: datetime
) -> bool:
    """Whether others were attested at this carer's device; that then points to an empty shell."""
    table = tables.attestation
    beside = and_(table.c.with_carer_id == carer_id, table.c.carer_id != carer_id)
    if connection.execute(select(table.c.id).where(beside).limit(1)).first() is None:
        return False
    token = uuid.uuid4().hex
    connection.execute(
        insert(tables.carer).values(
            id=shell_id,
            cohort_id=cohort_id,
            household=f"erased {shell_id}",
            position=0,
            name="",
            email="",
            enrolled_at=now,
            withdrawn_at=now,
            join_token=token,
            join_token_hash=token_hash(token),
            erased_at=now,
        )
    )
    connection.execute(update(table).where(beside).values(with_carer_id=shell_id))
    return True


def _strip_events(
    connection: Connection, events: Iterable[ParticipantEvent], marks: Marks, *, keep_media: bool
) -> None:
    table = tables.participant_event
    for event in events:
        if event.carer_id is not None or (event.kind in MEDIA and not keep_media):
            connection.execute(delete(table).where(table.c.key == event.key))
            continue
        columns = [column.name for column in table.c]
        values = dict(zip(columns, event_values(marks.stripped(event)), strict=True))
        connection.execute(update(table).where(table.c.key == event.key).values(**values))


def _hider(cohort: Cohort, traces: Traces) -> Rewrite:
    """Takes the carer's names and addresses out of a text."""
    kept = [c.name for c in cohort.carers if c.id not in traces.enrolments]
    own = (traces.carer.name, *traces.carer.former_names)
    hide = hiding(own, shown=traces.names, kept=kept, any_case=True)
    emails = () if traces.shared_email else (traces.carer.email, *traces.carer.former_emails)
    phones = (traces.carer.phone or "", *traces.carer.former_phones)
    whole = [*emails, *phones, traces.carer.id]
    pattern = re.compile("|".join(re.escape(text) for text in whole if text), re.IGNORECASE)
    return lambda text: hide(pattern.sub(GONE, text))


def _drop_verdicts(connection: Connection, table: Table, cohort_id: str, carer_id: str) -> None:
    keys = list(table.primary_key)
    rows = connection.execute(
        select(*keys, table.c.verdicts).where(
            table.c.cohort_id == cohort_id, table.c.verdicts.is_not(None)
        )
    ).all()
    for row in rows:
        if carer_id in row.verdicts:
            left = {carer: told for carer, told in row.verdicts.items() if carer != carer_id}
            ours = and_(*(key == value for key, value in zip(keys, row, strict=False)))
            connection.execute(update(table).where(ours).values(verdicts=left))


def _thaw_without(connection: Connection, cohort_id: str, carer_id: str, hide: Rewrite) -> None:
    table = tables.register
    rows = connection.execute(
        select(table.c.week, table.c.frozen).where(
            table.c.cohort_id == cohort_id, table.c.frozen.is_not(None)
        )
    ).all()
    for row in rows:
        weeks = {who: kept for who, kept in row.frozen["weeks"].items() if who != carer_id}
        connection.execute(
            update(table)
            .where(table.c.cohort_id == cohort_id, table.c.week == row.week)
            .values(frozen={**row.frozen, "weeks": _hidden(weeks, hide)})
        )


def _clean_deliveries(connection: Connection, cohort_id: str, traces: Traces) -> None:
    """Deliveries as they came lose their body where it may name the carer."""
    table = tables.notification
    ours = union(
        *(
            select(series.c.series_ref).where(
                series.c.cohort_id == cohort_id, series.c.series_ref.is_not(None)
            )
            for series in (tables.series, tables.former_series)
        )
    )
    told_by = {e.notification_id for e in traces.events if e.notification_id}
    marks = {value for kind, value in traces.traits if kind != "name"}
    either = "|".join(re.escape(text.casefold()) for text in sorted({*traces.names, *marks}))
    named = re.compile(rf"(?<!\w)(?:{either})(?!\w)")
    near = or_(table.c.series_ref.in_(ours), table.c.series_ref.is_(None), table.c.state != "done")
    asked = select(table.c.id, table.c.body).where(near, table.c.body.is_not(None))
    for row in connection.execute(asked).all():
        if row.id in told_by or named.search(_plain_text(row.body)):
            _empty(connection, row.id)


def _plain_text(body: str) -> str:
    """As people read it: JSON may spell a letter as an escape."""
    try:
        return body.encode().decode("raw_unicode_escape").casefold() + body.casefold()
    except UnicodeDecodeError:
        return body.casefold()


def _empty(connection: Connection, notification_id: str) -> None:
    """A delivery that waited to be read has nothing left to be read."""
    table = tables.notification
    waits = table.c.state.in_(("waiting", "parked", "quarantined"))
    connection.execute(
        update(table).where(table.c.id == notification_id).values(body=None, reason=GONE)
    )
    connection.execute(
        update(table).where(table.c.id == notification_id, waits).values(state="dropped")
    )


def _clean_audit(connection: Connection, carer_id: str, hide: Rewrite) -> None:
    """The trail keeps who did what and when, to an id that leads to nobody any more.

    Its lines are chained: a detail can be taken away for good, and nothing can be changed.
    """
    table = tables.audit
    asked = select(table.c.id, table.c.subject, table.c.detail).where(table.c.detail.is_not(None))
    for row in connection.execute(asked).all():
        if carer_id in row.subject or _hidden(row.detail, hide) != row.detail:
            connection.execute(update(table).where(table.c.id == row.id).values(detail=None))


def _hidden(value: Any, hide: Rewrite) -> Any:
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, dict):
        return {name: _hidden(inner, hide) for name, inner in value.items()}
    if isinstance(value, list):
        return [_hidden(inner, hide) for inner in value]
    return value


def forget_late(
    connection: Connection, cohort: Cohort, found: Sequence[Marks], *, since: datetime | None
) -> int:
    """Strip what came in about erased carers while they were being erased; how many facts."""
    count = 0
    for event in read_evidence(connection, cohort).events:
        if since is not None and (event.received_at is None or event.received_at < since):
            continue
        marks = next((m for m in found if m.of(event)), None)
        if marks is not None:
            _strip_events(connection, [event], marks, keep_media=False)
            count += 1
    return count
