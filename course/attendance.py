"""From evidence to verdicts: what one session's register says of every carer, and why.

Pure: the same evidence, in any order and any number of times, gives an equal register. Unknown is
a value throughout: what the evidence cannot decide is `undetermined` and asks a person.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from course.apart import Apart, apart
from course.connections import MEDIA, Connection
from course.doubts import ask_about_strangers, ask_for_the_second, link_flags
from course.frozen import thawed
from course.identity import Identity, Roster, name_is_gone, participant_key
from course.instances import (
    Instance,
    all_recorded,
    find_instances,
    instances_by_week,
    window_of,
)
from course.intervals import Span, intersect, minutes, total
from course.model import (
    Carer,
    CarerWeek,
    Cohort,
    Correction,
    EventKind,
    Evidence,
    MessageKind,
    ParticipantEvent,
    RegisterEntry,
    RegisterState,
    Session,
    SessionRegister,
    SessionState,
    Source,
    Suggestion,
    Tested,
    Unmatched,
)
from course.presence import Held, find_held
from course.record_rows import settle_rows
from course.rehearsal import rehearsal_spans, seen_in_rehearsal
from course.verdicts import Found, Sheet

OVER_AFTER = timedelta(minutes=30)  # a session nobody has ended is taken to be over by then
OPEN_BEFORE = timedelta(minutes=30)
Mine = list[tuple[Instance, Connection, Identity | None]]  # None: the partner's, by attestation


class Judge:
    """Judges the sessions of one cohort; sorts its evidence once."""

    def __init__(self, cohort: Cohort, evidence: Evidence, *, now: datetime) -> None:
        self._cohort = cohort
        self._now = now
        self._evidence = evidence
        self._roster = Roster(cohort, evidence)
        self._of_carers = [e for e in evidence.events if e.carer_id is not None]
        self._corrections = {(c.week, c.carer_id): c for c in evidence.corrections}
        self._entries = {entry.week: entry for entry in evidence.registers}
        self._instances = find_instances(evidence.events)
        self._rehearsals = rehearsal_spans(evidence.rehearsals, cohort.sessions)
        self._weeks, self.apart = instances_by_week(
            cohort.sessions, self._instances, self._rehearsals
        )

    def register(self, session: Session) -> SessionRegister:
        """The register of one session."""
        instances = self._weeks[session.week]
        entry = self._entries.get(session.week, RegisterEntry(week=session.week))
        if entry.frozen is not None:
            return self._thawed(session, entry.frozen)
        if any(i.is_recorded for i in instances) and not all_recorded(instances):
            # Notifications that came later tell of a part that the record does not have.
            entry = replace(entry, record_complete=False)
        state = self._state(session, instances, entry)
        held = find_held(session, instances, now=self._now)
        mine, strangers, shared = self._sort(instances)
        attested = {a.carer_id: a for a in self._evidence.attestations if a.week == session.week}
        for carer_id, attestation in attested.items():
            theirs = mine.get(attestation.with_carer_id, [])
            mine.setdefault(carer_id, []).extend((i, c, None) for i, c, _ in theirs)
        sheet = Sheet(
            session=session,
            state=state,
            entry=entry,
            held=held,
            rule=self._cohort.rule,
            now=self._now,
        )
        ticks = self.ticks(session)

        def judge(carer: Carer, more: Sequence[tuple[Instance, Connection]] = ()) -> CarerWeek:
            own = mine.get(carer.id, [])
            return sheet.judge(
                carer,
                [*((i, c) for i, c, _ in own), *more],
                [who for _, _, who in own if who is not None],
                ticks=ticks.get(carer.id, ()),
                attested=attested.get(carer.id),
            )

        found = {carer.id: judge(carer) for carer in self._cohort.carers}
        found = ask_for_the_second(self._cohort, self._evidence, found, shared)
        found = ask_about_strangers(self._cohort, self._roster, found, strangers, judge)
        weeks = {
            carer.id: self._finish(session, carer, found[carer.id], mine.get(carer.id, []))
            for carer in self._cohort.carers
        }
        return SessionRegister(
            session=session,
            state=state,
            held_from=held.held_from,
            held_to=held.held_to if state is not RegisterState.LIVE else None,
            weeks=weeks,
            unmatched=self._unmatched(session, strangers, held),
            notes=self._notes(state, entry, held, instances),
        )

    def _thawed(self, session: Session, frozen: dict[str, Any]) -> SessionRegister:
        """A register whose evidence is gone; people's words still come on top of it."""
        found = thawed(session, frozen, self._cohort.carers)
        weeks = {
            carer.id: self._finish(session, carer, found.weeks[carer.id], [])
            for carer in self._cohort.carers
        }
        return replace(found, weeks=weeks)

    def _sort(self, instances: Sequence[Instance]) -> tuple[dict[str, Mine], Found, dict[str, str]]:
        """Each carer's connections, those of nobody known, and who shares whose link."""
        mine: dict[str, Mine] = {}
        strangers: Found = []
        shared: dict[str, str] = {}
        for instance, connection, who in self._identified(instances):
            if who.carer_id is not None:
                mine.setdefault(who.carer_id, []).append((instance, connection, who))
                if connection.was_present:
                    shared.update(dict.fromkeys(who.shared_with, who.carer_id))
            elif not who.known:
                strangers.append((instance, connection))
        return mine, strangers, shared

    def _identified(
        self, instances: Sequence[Instance]
    ) -> list[tuple[Instance, Connection, Identity]]:
        before: list[Connection] = []
        found: list[tuple[Instance, Connection, Identity]] = []
        pairs = [(i, c) for i in instances for c in i.connections]
        for instance, connection in sorted(pairs, key=lambda pair: (pair[1].began_at, pair[1].ref)):
            found.append((instance, connection, self._roster.identify(connection, before)))
            before.append(connection)
        return settle_rows(found)

    def people(
        self, session: Session
    ) -> tuple[dict[str, list[tuple[Instance, Connection]]], Found]:
        """Each carer's connections in one session, and those of nobody known."""
        mine, strangers, _ = self._sort(self._weeks[session.week])
        return {who: [(i, c) for i, c, _ in found] for who, found in mine.items()}, strangers

    def strangers_apart(self, before: datetime) -> list[Connection]:
        """Connections of nobody known that count for no session, and were over before that."""
        return [c for _, c in self._sort(self.apart)[1] if c.last_seen_at < before]

    def meetings_apart(self) -> tuple[Apart, ...]:
        """What was held on the cohort's links and counts for no session, in order of time."""
        found = []
        for instance in self.apart:
            mine, strangers, _ = self._sort([instance])
            known = {who: [c for _, c, _ in seen] for who, seen in mine.items()}
            announced = bool(intersect([instance.span], self._rehearsals))
            unknown = [c for _, c in strangers]
            found.append(apart(instance, known, unknown, is_rehearsal=announced))
        return tuple(one for one in found if one is not None)

    def tested(self) -> dict[str, Tested]:
        """Who showed that their devices work, by carer: the last time counts."""
        found: dict[str, list[Tested]] = {}
        before: list[Connection] = []
        seen = seen_in_rehearsal(self._instances, self._rehearsals)
        for connection, at in sorted(seen, key=lambda pair: (pair[0].began_at, pair[0].ref)):
            who = self._roster.identify(connection, before)
            before.append(connection)
            if who.carer_id in self._roster.carers and who.carer_id is not None:
                found.setdefault(who.carer_id, []).append(Tested(at=at, in_rehearsal=True))
        checks: dict[tuple[str, datetime], set[EventKind]] = {}
        for event in self._of_carers:
            if event.source is Source.JOIN_PAGE and event.kind in MEDIA and event.carer_id:
                checks.setdefault((event.carer_id, event.occurred_at), set()).add(event.kind)
        for (carer_id, at), kinds in checks.items():
            if kinds == set(MEDIA):
                found.setdefault(carer_id, []).append(Tested(at=at, in_rehearsal=False))
        return {
            carer_id: max(times, key=lambda t: (t.at, t.in_rehearsal))
            for carer_id, times in sorted(found.items())
        }

    def suggest(self, connection: Connection) -> tuple[Suggestion, ...]:
        """Who it might be, the best first; never a match."""
        return self._roster.suggest(connection)

    def ticks(self, session: Session) -> dict[str, list[ParticipantEvent]]:
        """What facilitators ticked, and the join page's own check, by carer."""
        begins, ends = window_of(session)
        ticks: dict[str, list[ParticipantEvent]] = {}
        for event in self._of_carers:
            if event.kind in MEDIA and begins <= event.occurred_at < ends and event.carer_id:
                ticks.setdefault(event.carer_id, []).append(event)
        return ticks

    def _finish(self, session: Session, carer: Carer, week: CarerWeek, mine: Mine) -> CarerWeek:
        """What people said on top of what the evidence says."""
        own = [c for _, c, who in mine if who is not None and who.link is None]
        said = tuple(
            m for m in self._evidence.messages if (m.week, m.carer_id) == (session.week, carer.id)
        )
        reasons = [
            "told us beforehand that they could not come"
            for m in said
            if m.kind is MessageKind.ABSENCE
        ]
        week = replace(
            week,
            flags=link_flags(self._cohort, self._roster, carer, own),
            messages=said,
            reasons=(*week.reasons, *reasons),
        )
        return _corrected(week, self._corrections.get((session.week, carer.id)))

    def connections_of(self, session: Session, carer_id: str) -> list[tuple[Connection, str]]:
        """The connections that count for one carer, with the reason why."""
        attested = {
            a.with_carer_id: a
            for a in self._evidence.attestations
            if (a.week, a.carer_id) == (session.week, carer_id)
        }
        found = []
        for _, connection, who in self._identified(self._weeks[session.week]):
            if who.carer_id == carer_id:
                found.append((connection, who.how))
            elif who.carer_id in attested:
                found.append((connection, f"{attested[who.carer_id].made_by} attested it"))
        return found

    def all_connections_of(self, carer_id: str) -> list[Connection]:
        """Every connection taken for that carer's, in sessions and apart from them."""
        return [
            connection
            for instances in (*self._weeks.values(), self.apart)
            for _, connection, who in self._identified(instances)
            if who.carer_id == carer_id
        ]

    def names_of_others(self, carer_ids: Collection[str]) -> set[str]:
        """Every name shown that is not plainly one of these carers' own.

        Somebody else's full name on a carer's own link is somebody else's name.
        """
        names: set[str] = set()
        for instances in self._weeks.values():
            for _, connection, who in self._identified(instances):
                if who.carer_id in carer_ids and who.carer_id is not None:
                    names.update(self._roster.unlike(who.carer_id, [connection]))
                else:
                    names.update(connection.names)
        return names

    def _state(
        self, session: Session, instances: Sequence[Instance], entry: RegisterEntry
    ) -> RegisterState:
        if entry.closed_at is not None:
            return RegisterState.CLOSED
        if session.state is SessionState.CANCELLED:
            return RegisterState.SCHEDULED
        if self._now < session.starts_at - OPEN_BEFORE and not instances:
            return RegisterState.SCHEDULED
        ends = [i.ended_at for i in instances if i.ended_at is not None]
        # A rehearsal that ended before the planned start does not end the session.
        ended = len(ends) == len(instances) and max(ends, default=session.starts_at)
        if ended and ended > session.starts_at:
            return RegisterState.PROVISIONAL
        if self._now < session.ends_at + OVER_AFTER:
            return RegisterState.LIVE
        return RegisterState.PROVISIONAL

    def _unmatched(self, session: Session, strangers: Found, held: Held) -> tuple[Unmatched, ...]:
        by_key: dict[str, list[Connection]] = {}
        for _, connection in strangers:
            if name_is_gone(connection):
                continue  # nobody can say any more who that was
            if connection.was_present or connection.waited:
                by_key.setdefault(participant_key(connection), []).append(connection)
        listed = []
        for ref, connections in by_key.items():
            spans: list[Span] = []
            for connection in connections:
                spans += connection.spans
                if connection.open_from is not None and held.held_to is not None:
                    spans.append((connection.open_from, max(held.held_to, connection.open_from)))
            names = [name for c in connections for name in c.names]
            listed.append(
                Unmatched(
                    week=session.week,
                    ref=ref,
                    display_name=names[0] if names else "",
                    minutes_present=round(minutes(total(intersect(spans, held.spans))), 1),
                    suggestions=self._roster.suggest(connections[0]),
                )
            )
        return tuple(sorted(listed, key=lambda u: (u.display_name, u.ref)))

    def _notes(
        self,
        state: RegisterState,
        entry: RegisterEntry,
        held: Held,
        instances: Sequence[Instance],
    ) -> tuple[str, ...]:
        notes = [entry.problem] if entry.problem else []
        if state in (RegisterState.PROVISIONAL, RegisterState.CLOSED):
            if not instances:
                notes.append("there is no sign that this session was held")
            elif not held.end_was_told:
                notes.append("the end of the session was not reported; it is inferred")
        return tuple(notes)


def _corrected(week: CarerWeek, correction: Correction | None) -> CarerWeek:
    """A person's word replaces the verdict; what the evidence said stays readable."""
    if correction is None:
        return week
    kind = correction.kind.value.replace("_", " ")
    reason = f"{kind} by {correction.made_by}: {correction.reason} (evidence: {week.verdict.value})"
    return replace(
        week,
        verdict=correction.verdict,
        correction=correction,
        reasons=(reason, *week.reasons),
        sources=tuple(sorted({*week.sources, Source.FACILITATOR})),
    )
