"""From evidence to verdicts: what one session's register says of every carer, and why.

Pure: the same evidence, in any order and any number of times, gives an equal register. Unknown is
a value throughout: what the evidence cannot decide is `undetermined` and asks a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from course.connections import Connection
from course.identity import Identity, Roster, participant_key
from course.instances import Instance, find_instances, instances_by_week
from course.intervals import Span, intersect, minutes, total
from course.media import Camera, judge_camera, judge_microphone
from course.model import (
    Carer,
    CarerWeek,
    Cohort,
    Correction,
    Evidence,
    RegisterEntry,
    RegisterState,
    Rule,
    Session,
    SessionRegister,
    SessionState,
    Source,
    Unmatched,
    Verdict,
)
from course.presence import Held, Presence, find_held, find_presence, remarkable

OVER_AFTER = timedelta(minutes=30)  # a session nobody has ended is taken to be over by then
OPEN_BEFORE = timedelta(minutes=30)

Found = list[tuple[Instance, Connection]]


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
        sheet = _Sheet(
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
        ended = instances and all(i.ended_at is not None for i in instances)
        if self._now < session.ends_at + OVER_AFTER and not (
            ended and self._now >= session.starts_at
        ):
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    """One session while its carers are judged."""

    session: Session
    state: RegisterState
    entry: RegisterEntry
    held: Held
    rule: Rule
    now: datetime

    def judge(self, carer: Carer, found: Found, how: dict[str, Identity]) -> CarerWeek:
        """One carer's week from the connections that are theirs."""
        over = self.state in (RegisterState.PROVISIONAL, RegisterState.CLOSED)
        presence = find_presence(found, self.held, now=self.now, over=over)
        connections = [c for _, c in found]
        camera = judge_camera(connections, presence.counted)
        week = self._measured(presence, camera, judge_microphone(connections), found, how)
        why_pending = self._pending(carer, over=over)
        if why_pending is not None:
            return replace(week, verdict=Verdict.PENDING, reasons=(why_pending, *week.reasons))
        verdict, reasons = self._decide(presence, camera, week.microphone)
        return replace(week, verdict=verdict, reasons=(*reasons, *week.reasons))

    def _pending(self, carer: Carer, *, over: bool) -> str | None:
        if self.session.state is SessionState.CANCELLED:
            return "this session was cancelled"
        if carer.enrolled_at >= self.session.ends_at:
            return "not enrolled yet"
        if carer.withdrawn_at is not None and carer.withdrawn_at <= self.session.starts_at:
            return "withdrawn before this session"
        if not over:
            return "still to come" if self.state is RegisterState.SCHEDULED else "being held"
        return None

    def _measured(
        self,
        presence: Presence,
        camera: Camera,
        microphone: str,
        found: Found,
        how: dict[str, Identity],
    ) -> CarerWeek:
        held, counted = total(self.held.spans), presence.counted
        late = left_early = 0
        reasons: list[str] = []
        if counted and self.held.held_from is not None and self.held.held_to is not None:
            late = int(minutes(counted[0][0] - self.held.held_from))
            left_early = int(minutes(self.held.held_to - counted[-1][1]))
            if timedelta(minutes=late) >= self.rule.late_after:
                reasons.append(f"joined {late} minutes late")
            if timedelta(minutes=left_early) >= self.rule.late_after and self.state not in (
                RegisterState.LIVE,
                RegisterState.SCHEDULED,
            ):
                reasons.append(f"left {left_early} minutes before the end")
        if counted and camera.share is not None:
            told = (
                f"camera on for {minutes(camera.on):.0f} of {minutes(camera.present):.0f} minutes"
            )
            if minutes(camera.unknown) >= 1:
                told += f", {minutes(camera.unknown):.0f} without a report"
            reasons.append(told)
        reasons += [*remarkable(found, presence), *presence.remarks]
        sources = {e.source for _, c in found for e in c.events}
        for who in how.values():
            if who.link is not None:
                sources.add(Source.FACILITATOR)
                reasons.append(f"identified because {who.how}")
            if who.by_join_page:
                sources.add(Source.JOIN_PAGE)
                reasons.append(f"identified by {who.how}")
        return CarerWeek(
            week=self.session.week,
            verdict=Verdict.PENDING,
            minutes_present=round(minutes(total(counted)), 1),
            share_present=round(total(counted) / held, 2) if held else None,
            late_minutes=late,
            left_early_minutes=left_early,
            camera=camera.label,
            camera_share=camera.share,
            microphone=microphone,
            intervals=counted,
            sources=tuple(sorted(sources)),
            reasons=tuple(dict.fromkeys(reasons)),
            event_keys=tuple(sorted({e.key for _, c in found for e in c.events})),
        )

    def _decide(
        self, presence: Presence, camera: Camera, microphone: str
    ) -> tuple[Verdict, tuple[str, ...]]:
        """The verdict from presence, camera and microphone; each may be met, not met or open."""
        if not self.held.spans:
            return Verdict.UNDETERMINED, (
                "no sign that this session was held; it is nobody's absence",
            )
        if not presence.possible:
            return self._not_seen(presence)
        held = total(self.held.spans)
        asked = f"the rule asks for {self.rule.presence:.0%}"
        stayed = (
            f"present for {minutes(total(presence.counted)):.0f} of {minutes(held):.0f} minutes"
        )
        if total(presence.possible) / held < self.rule.presence:
            return Verdict.PARTIAL, (f"{stayed}; {asked}",)
        if total(presence.certain) / held < self.rule.presence:
            return Verdict.UNDETERMINED, (
                f"present for at least {minutes(total(presence.certain)):.0f} and at most "
                f"{minutes(total(presence.possible)):.0f} of {minutes(held):.0f} minutes; {asked}",
            )
        met = camera.meets(self.rule.camera)
        if met is False:
            return Verdict.PARTIAL, (
                stayed,
                f"the camera was on too little; the rule asks for {self.rule.camera:.0%}",
            )
        if self.rule.microphone == "connected" and microphone == "absent":
            return Verdict.PARTIAL, (stayed, "no microphone was connected")
        if met is None:
            return Verdict.UNDETERMINED, (
                stayed,
                "the camera was not reported, so whether it was on a person must say"
                if camera.share is None
                else "the camera was reported for too little of the time; a person must say",
            )
        return Verdict.ATTENDED, (stayed,)

    def _not_seen(self, presence: Presence) -> tuple[Verdict, tuple[str, ...]]:
        if presence.waited:
            return Verdict.UNDETERMINED, (
                "was in the waiting room and never let in; a person must look",
            )
        if self.entry.record_complete:
            return Verdict.ABSENT, (
                "not seen in any notification nor in the platform's own record",
            )
        if self.state is RegisterState.CLOSED:
            return Verdict.UNDETERMINED, (
                "not seen in any notification, and the platform has no record of this session",
            )
        return Verdict.UNDETERMINED, (
            "not seen in any notification; the platform's own record has not come yet",
        )


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
