"""From evidence to verdicts: what one session's register says of every carer, and why.

Pure: the same evidence, in any order and any number of times, gives an equal register. Unknown is
a value throughout: what the evidence cannot decide is `undetermined` and asks a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from course.connections import Connection
from course.identity import Identity, Roster, participant_key
from course.instances import Instance, find_instances, instances_by_week
from course.intervals import Span, intersect, minutes, total
from course.model import (
    CarerWeek,
    Cohort,
    Correction,
    Evidence,
    RegisterEntry,
    RegisterState,
    Session,
    SessionRegister,
    SessionState,
    Source,
    Unmatched,
    Verdict,
)
from course.presence import Held, find_held
from course.verdicts import Found, Sheet

OVER_AFTER = timedelta(minutes=30)  # a session nobody has ended is taken to be over by then
OPEN_BEFORE = timedelta(minutes=30)


class Judge:
    """Judges the sessions of one cohort; sorts its evidence once."""

    def __init__(self, cohort: Cohort, evidence: Evidence, *, now: datetime) -> None:
        self._cohort = cohort
        self._now = now
        self._roster = Roster(cohort, evidence)
        self._corrections = {(c.week, c.carer_id): c for c in evidence.corrections}
        self._entries = {entry.week: entry for entry in evidence.registers}
        instances = find_instances(evidence.events)
        self._weeks, self.apart = instances_by_week(cohort.sessions, instances)

    def register(self, session: Session) -> SessionRegister:
        """The register of one session."""
        instances = self._weeks[session.week]
        entry = self._entries.get(session.week, RegisterEntry(week=session.week))
        state = self._state(session, instances, entry)
        held = find_held(session, instances, now=self._now)
        identities = {
            (i.ref, i.started_at, c.ref): self._roster.identify(c)
            for i in instances
            for c in i.connections
        }
        by_carer: dict[str, Found] = {}
        strangers: Found = []
        shared: dict[str, str] = {}
        for instance in instances:
            for connection in instance.connections:
                who = identities[(instance.ref, instance.started_at, connection.ref)]
                if who.carer_id in self._roster.carers and who.carer_id is not None:
                    by_carer.setdefault(who.carer_id, []).append((instance, connection))
                    if connection.was_present:
                        shared.update(dict.fromkeys(who.shared_with, who.carer_id))
                elif not who.known:
                    strangers.append((instance, connection))
        sheet = Sheet(
            session=session,
            state=state,
            entry=entry,
            held=held,
            rule=self._cohort.rule,
            now=self._now,
        )
        found = {
            carer.id: sheet.judge(
                carer,
                by_carer.get(carer.id, []),
                {
                    c.ref: identities[(i.ref, i.started_at, c.ref)]
                    for i, c in by_carer.get(carer.id, [])
                },
            )
            for carer in self._cohort.carers
        }
        found = self._ask_for_the_second(found, shared)
        weeks = {
            carer_id: _corrected(week, self._corrections.get((session.week, carer_id)))
            for carer_id, week in found.items()
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

    def connections_of(self, session: Session, carer_id: str) -> list[tuple[Connection, Identity]]:
        """The connections that count for one carer, with the reason why."""
        return [
            (connection, who)
            for instance in self._weeks[session.week]
            for connection in instance.connections
            if (who := self._roster.identify(connection)).carer_id == carer_id
        ]

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

    def _ask_for_the_second(
        self, found: dict[str, CarerWeek], shared: dict[str, str]
    ) -> dict[str, CarerWeek]:
        """Whoever may have sat at another's device, or has another's link, is not called absent."""
        answer = dict(found)
        for carer in self._cohort.carers:
            week = found[carer.id]
            if week.verdict is not Verdict.ABSENT and not (
                week.verdict is Verdict.UNDETERMINED and not week.intervals
            ):
                continue
            owner = self._roster.carers.get(shared.get(carer.id, ""))
            if owner is not None:
                reason = (
                    f"has the same link as {owner.name}, who was there; "
                    "whether both were there a person must say"
                )
            else:
                partner = next(
                    (
                        c
                        for c in self._cohort.carers
                        if c.household == carer.household
                        and c.id != carer.id
                        and found[c.id].intervals
                    ),
                    None,
                )
                if partner is None:
                    continue
                reason = (
                    f"not seen, but {partner.name} of the same household was there; whether they "
                    "shared one device a person must say"
                )
            answer[carer.id] = replace(week, verdict=Verdict.UNDETERMINED, reasons=(reason,))
        return answer

    def _unmatched(self, session: Session, strangers: Found, held: Held) -> tuple[Unmatched, ...]:
        by_key: dict[str, list[Connection]] = {}
        for _, connection in strangers:
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
