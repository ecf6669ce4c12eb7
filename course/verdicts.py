"""One carer, one session: from presence, camera and microphone to a verdict with its reasons.

Each of the three may be met, not met or open. Whatever stays open asks a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from course.connections import Connection
from course.identity import Identity
from course.instances import Instance
from course.intervals import minutes, total
from course.media import (
    IN_WORDS,
    Camera,
    judge_camera,
    judge_microphone,
    microphone_times,
    only_silence,
)
from course.model import (
    Attestation,
    CameraTold,
    Carer,
    CarerWeek,
    EventKind,
    ParticipantEvent,
    RegisterEntry,
    RegisterState,
    Rule,
    Session,
    SessionState,
    Source,
    Verdict,
)
from course.presence import Held, Presence, find_presence, remarkable

Found = list[tuple[Instance, Connection]]
NOT_ENROLLED = "not enrolled yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One session while its carers are judged."""

    session: Session
    state: RegisterState
    entry: RegisterEntry
    held: Held
    rule: Rule
    now: datetime

    def judge(
        self,
        carer: Carer,
        found: Found,
        how: Iterable[Identity] = (),
        *,
        ticks: Sequence[ParticipantEvent] = (),
        attested: Attestation | None = None,
    ) -> CarerWeek:
        """One carer's week from the connections that are theirs, and why they are.

        `ticks`: what facilitators ticked of camera and microphone. `attested`: some of the
        connections are the partner's, because a person says that both sat there.
        """
        over = self.state in (RegisterState.PROVISIONAL, RegisterState.CLOSED)
        presence = find_presence(
            found,
            self.held,
            now=self.now,
            over=over,
            record_complete=self.entry.record_complete,
        )
        connections = [c for _, c in found]
        camera = judge_camera(
            connections,
            presence.possible,
            presence.certain,
            [e for e in ticks if e.kind is EventKind.CAMERA and e.source is Source.FACILITATOR],
        )
        microphone = judge_microphone(
            connections,
            presence.possible,
            [e for e in ticks if e.kind is EventKind.MICROPHONE],
        )
        week = self._measured(presence, camera, microphone, found)
        open_at, muted_at = microphone_times(connections, presence.counted)
        week = replace(week, microphone_on=open_at, microphone_off=muted_at)
        week = _with_sources(week, how, ticks, attested)
        why_pending = self._pending(carer, over=over)
        if why_pending is not None:
            return replace(week, verdict=Verdict.PENDING, reasons=(why_pending, *week.reasons))
        silent = week.microphone == "unknown" and only_silence(connections)
        verdict, reasons = self._decide(presence, camera, "silent" if silent else week.microphone)
        came_or_went = self._came_or_went(carer)
        if came_or_went and verdict in (Verdict.ABSENT, Verdict.PARTIAL):
            verdict, reasons = Verdict.UNDETERMINED, (came_or_went, *reasons)
        return replace(week, verdict=verdict, reasons=(*reasons, *week.reasons))

    def _pending(self, carer: Carer, *, over: bool) -> str | None:
        if self.session.state is SessionState.CANCELLED:
            return "this session was cancelled"
        if carer.enrolled_at >= self.session.ends_at:
            return NOT_ENROLLED
        if carer.withdrawn_at is not None and carer.withdrawn_at <= self.session.starts_at:
            return "withdrawn before this session"
        if not over:
            return "still to come" if self.state is RegisterState.SCHEDULED else "being held"
        return None

    def _came_or_went(self, carer: Carer) -> str | None:
        """Why this session may not be asked of the carer in full."""
        if carer.enrolled_at > self.session.starts_at:
            return "enrolled while it was being held; whether it counts a person must say"
        if carer.withdrawn_at is not None and carer.withdrawn_at < self.session.ends_at:
            return "withdrawn while it was being held; whether it counts a person must say"
        return None

    def _measured(
        self, presence: Presence, camera: Camera, microphone: str, found: Found
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
                f"camera seen in {minutes(total(camera.on)):.0f} of "
                f"{minutes(total(camera.present)):.0f} minutes"
            )
            if minutes(total(camera.unknown)) >= 1:
                told += f", {minutes(total(camera.unknown)):.0f} without data"
            who = " and ".join(IN_WORDS[telling.source] for telling in camera.by_source)
            reasons.append(f"{told} (told by {who})")
        reasons += camera.remarks
        reasons += [*remarkable(found, presence), *presence.remarks]
        return CarerWeek(
            week=self.session.week,
            verdict=Verdict.PENDING,
            minutes_present=round(minutes(total(counted)), 1),
            share_present=round(total(counted) / held, 2) if held else None,
            late_minutes=late,
            left_early_minutes=left_early,
            camera=camera.label,
            camera_share=camera.share,
            camera_on_minutes=round(minutes(total(camera.on)), 1),
            camera_unknown_minutes=round(minutes(total(camera.unknown)), 1),
            camera_told=tuple(
                CameraTold(
                    source=telling.source,
                    on_minutes=round(minutes(total(telling.on)), 1),
                    off_minutes=round(minutes(total(telling.off)), 1),
                )
                for telling in camera.by_source
            ),
            camera_on=camera.on,
            camera_off=camera.off,
            microphone=microphone,
            intervals=counted,
            sources=tuple(sorted({e.source for _, c in found for e in c.events})),
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
        if not presence.most:
            return self._not_seen(presence)
        held = total(self.held.spans)
        asked = f"the rule asks for {self.rule.presence:.0%}"
        stayed = (
            f"present for {minutes(total(presence.counted)):.0f} of {minutes(held):.0f} minutes"
        )
        if presence.most < self.rule.presence:
            if self.state is RegisterState.CLOSED and not self.entry.record_complete:
                return Verdict.UNDETERMINED, (
                    f"{stayed}; {asked}; without the platform's record nobody can tell whether "
                    "some of the time was not reported",
                )
            if presence.not_in_record:
                return Verdict.UNDETERMINED, (
                    f"{stayed}; {asked}; the platform's record does not name them, so some of "
                    "their time may be under another name",
                )
            return Verdict.PARTIAL, (f"{stayed}; {asked}",)
        if presence.least < self.rule.presence:
            return Verdict.UNDETERMINED, (f"{self._between(presence)}; {asked}",)
        met = camera.meets(self.rule.camera)
        if met is False:
            too_little = f"the camera was on too little; the rule asks for {self.rule.camera:.0%}"
            if self.state is RegisterState.CLOSED and not self.entry.record_complete:
                return Verdict.UNDETERMINED, (
                    stayed,
                    f"{too_little}; without the platform's record nobody can tell whether there "
                    "was another device",
                )
            return Verdict.PARTIAL, (stayed, too_little)
        if self.rule.microphone == "connected" and microphone == "absent":
            return Verdict.PARTIAL, (stayed, "no microphone was connected")
        if met is None:
            return Verdict.UNDETERMINED, (
                stayed,
                _camera_open(camera),
            )
        if self.rule.microphone == "connected" and microphone == "silent":
            return Verdict.UNDETERMINED, (
                stayed,
                "no sound came in the minutes that were reported; whether a microphone was "
                "connected a person must say",
            )
        return Verdict.ATTENDED, (stayed,)

    def _between(self, presence: Presence) -> str:
        """From how much to how much, where that is open."""
        held = self.held
        sure, maybe = minutes(total(presence.certain)), minutes(total(presence.possible))
        whole = f"{minutes(total(held.spans)):.0f} minutes"
        if held.least == held.most:
            return f"present for at least {sure:.0f} and at most {maybe:.0f} of {whole}"
        least, most = minutes(total(held.least)), minutes(total(held.most))
        return (
            f"present for {presence.least:.0%} to {presence.most:.0%}: the session was held for at "
            f"least {least:.0f} and at most {most:.0f} minutes, they were there for at least "
            f"{sure:.0f}"
        )

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


def _camera_open(camera: Camera) -> str:
    """Why nobody can tell whether the camera was on for long enough."""
    if camera.partly:
        return "a facilitator saw the camera on for a part; whether it was enough a person must say"
    if camera.share is None:
        return "the camera was not reported, so whether it was on a person must say"
    return "what was reported of the camera decides neither way; a person must say"


def _with_sources(
    week: CarerWeek,
    how: Iterable[Identity],
    ticks: Sequence[ParticipantEvent],
    attested: Attestation | None,
) -> CarerWeek:
    """The week with everything said that it rests on beside the connections themselves."""
    sources, reasons = set(week.sources), list(week.reasons)
    for who in how:
        if who.link is not None:
            sources.add(Source.FACILITATOR)
            reasons.append(f"identified because {who.how}")
        if who.by_join_page:
            sources.add(Source.JOIN_PAGE)
            reasons.append(f"identified by {who.how}")
    if attested is not None:
        sources.add(Source.FACILITATOR)
        reasons.append(
            f"{attested.made_by} attested on {attested.made_at:%-d %B %Y} that they sat together "
            f"at one device: {attested.reason}"
        )
    sources |= {tick.source for tick in ticks}
    return replace(
        week,
        sources=tuple(sorted(sources)),
        reasons=tuple(dict.fromkeys(reasons)),
        event_keys=tuple(sorted({*week.event_keys, *(tick.key for tick in ticks)})),
    )
