"""The parent's own weeks on their page: what the register says, and what they want to say.

An absence announced and a verdict contested decide nothing; both reach the facilitators. What the
camera check found is kept as "there is a camera", never a picture or a sound.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from course.model import (
    Carer,
    CarerWeek,
    Cohort,
    CorrectionKind,
    EventKind,
    Level,
    MessageKind,
    ParticipantEvent,
    RegisterState,
    Session,
    SessionState,
    Source,
    Verdict,
)
from course.reports import build_report
from course.store import evidence, statements
from course.store.database import Database

LONGEST = 500
OWN = (MessageKind.ABSENCE, MessageKind.CONTEST)
IN_WORDS = {
    Verdict.ATTENDED: "you were there",
    Verdict.PARTIAL: "you were there for a part",
    Verdict.ABSENT: "we did not see you",
    Verdict.UNDETERMINED: "your facilitators are looking at it",
    Verdict.PENDING: "still to come",
}
EXCEPTED = {
    CorrectionKind.CATCH_UP: "you caught up on it",
    CorrectionKind.CAMERA_EXEMPT: "you were there; the camera was not asked of you",
    CorrectionKind.EXCUSED: "you were excused",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnWeek:
    """One week as its carer sees it. `said` is what they told us of it themselves."""

    week: int
    day: datetime
    says: str
    may_announce: bool
    may_contest: bool
    said: dict[MessageKind, str]


class OwnWeeks:
    """Reads and writes what one carer may see and say."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def of(self, cohort: Cohort, carer: Carer) -> list[OwnWeek]:
        """The weeks, in order. A verdict is shown once its register is closed, not before."""
        with self._database.read() as connection:
            found = evidence.read_evidence(connection, cohort)
        now, zone = self._clock(), ZoneInfo(cohort.timezone)
        weeks = []
        for register in build_report(cohort, found, now=now).registers:
            session, own = register.session, register.weeks[carer.id]
            if session.state is SessionState.CANCELLED:
                continue
            closed = register.state is RegisterState.CLOSED
            over = now >= session.ends_at
            weeks.append(
                OwnWeek(
                    week=session.week,
                    day=session.starts_at.astimezone(zone),
                    says=_in_words(own, carer, session, closed=closed, now=now),
                    may_announce=not over,
                    may_contest=closed and own.verdict is not Verdict.PENDING,
                    said={m.kind: m.text for m in own.messages if m.kind in OWN},
                )
            )
        return weeks

    def say(self, cohort: Cohort, carer: Carer, week: int, kind: MessageKind, text: str) -> bool:
        """Keep what the carer says; an empty text takes it back. False when it is not the time."""
        allowed = {
            w.week: w.may_announce if kind is MessageKind.ABSENCE else w.may_contest
            for w in self.of(cohort, carer)
        }
        if not allowed.get(week):
            return False
        text = " ".join(text.replace("\0", "").split())[:LONGEST]
        now = self._clock()
        with self._database.write() as connection:
            statements.take_message_back(
                connection, cohort.id, week=week, carer_id=carer.id, kind=kind, now=now
            )
            if text:
                statements.add_message(
                    connection,
                    cohort.id,
                    week=week,
                    carer_id=carer.id,
                    kind=kind,
                    text=text,
                    now=now,
                )
        return True

    def together(self, cohort: Cohort, carer: Carer, week: int, *, both: bool) -> None:
        """Keep whether both carers are at this device, as they say on the way to the meeting."""
        now = self._clock()
        with self._database.write() as connection:
            about: dict[str, Any] = {
                "week": week,
                "carer_id": carer.id,
                "kind": MessageKind.TOGETHER,
                "now": now,
            }
            statements.take_message_back(connection, cohort.id, **about)
            if both:
                statements.add_message(
                    connection, cohort.id, text="we are both at this device", **about
                )

    def checked(self, cohort: Cohort, carer: Carer, *, camera: bool, microphone: bool) -> None:
        """Keep that the page's own check found a camera and a microphone, to the minute."""
        at = self._clock().replace(second=0, microsecond=0)
        found = [
            kind
            for kind, works in ((EventKind.CAMERA, camera), (EventKind.MICROPHONE, microphone))
            if works
        ]
        events = [
            ParticipantEvent(
                key=f"check:{_short(carer.id, kind, at.isoformat())}",
                platform=cohort.platform,
                kind=kind,
                occurred_at=at,
                source=Source.JOIN_PAGE,
                carer_id=carer.id,
                level=Level.DEVICE_PRESENT,
            )
            for kind in found
        ]
        if events:
            with self._database.write() as connection:
                evidence.save_events(connection, events)


def _in_words(
    own: CarerWeek, carer: Carer, session: Session, *, closed: bool, now: datetime
) -> str:
    if carer.enrolled_at >= session.ends_at:
        return "before you joined the course"
    if not closed:
        if now < session.starts_at:
            return IN_WORDS[Verdict.PENDING]
        return "on now" if now < session.ends_at else "being counted; please look again later"
    if own.correction is not None and own.correction.kind in EXCEPTED:
        return EXCEPTED[own.correction.kind]
    return IN_WORDS[own.verdict]


def _short(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
