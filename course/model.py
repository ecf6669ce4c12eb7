"""The words of the course as values: cohort, session, household, carer, participant event, verdict.

Everything here is frozen and knows no database, no network and no platform. `_at` is an aware UTC
datetime, `_on` a date, a length is a `timedelta`, `_ref` is a platform's identifier and `_id` ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

# Stands in a participant's `invitation_ref`, before a random id, once the carer it was is erased.
ERASED = "erased:"


class Platform(StrEnum):
    """Where a cohort meets."""

    ZOOM = "zoom"
    TEAMS = "teams"


class CohortState(StrEnum):
    """How far the platform agrees with what staff asked for."""

    OPENING = "opening"
    READY = "ready"
    NEEDS_ATTENTION = "needs_attention"
    FAILED = "failed"
    CANCELLED = "cancelled"


class SessionState(StrEnum):
    """Whether a session is still to be held as planned."""

    SCHEDULED = "scheduled"
    CANCELLED = "cancelled"


class RegisterState(StrEnum):
    """How final a session's verdicts are.

    `provisional`: the session is over, the platform's own record has not been merged yet.
    """

    SCHEDULED = "scheduled"
    LIVE = "live"
    PROVISIONAL = "provisional"
    CLOSED = "closed"


class Verdict(StrEnum):
    """Our conclusion for one carer and one session."""

    ATTENDED = "attended"
    PARTIAL = "partial"
    ABSENT = "absent"
    UNDETERMINED = "undetermined"
    PENDING = "pending"


class AllSessions(StrEnum):
    """Where a carer or a household stands against the all-sessions rule."""

    ON_TRACK = "on_track"
    AT_RISK = "at_risk"
    MISSED = "missed"
    COMPLETED = "completed"
    UNDETERMINED = "undetermined"


class CorrectionKind(StrEnum):
    """What a person says with a correction; only `correction` is counted as a plain verdict."""

    CORRECTION = "correction"
    CATCH_UP = "catch_up"
    CAMERA_EXEMPT = "camera_exempt"
    EXCUSED = "excused"


class HouseholdRule(StrEnum):
    """Whether each carer of a household must attend, or any one of them."""

    EVERY_CARER = "every_carer"
    ANY_CARER = "any_carer"


class Source(StrEnum):
    """Who told us a fact."""

    WEBHOOK = "webhook"
    PLATFORM_RECORD = "platform_record"
    JOIN_PAGE = "join_page"
    FACILITATOR = "facilitator"
    CALL_BOT = "call_bot"
    DASHBOARD = "dashboard"
    MEDIA_STREAM = "media_stream"


class EventKind(StrEnum):
    """What was observed.

    `joined` and `left` are pushed while a session runs and are paired by `connection_ref`.
    `stay` is a whole attendance interval from the platform's own record (`until_at` set).
    `waiting` is the waiting room or lobby: never presence.
    `seen` says only who somebody was (a rename, a late identity); it proves no presence.
    `camera` and `microphone` carry a `level`; with `until_at` they are a sample that covers
    that span, without it a change that holds until the next one. With a `carer_id` they are what a
    facilitator ticked for the session in that span, or what the join page's own check found.
    """

    INSTANCE_STARTED = "instance_started"
    INSTANCE_ENDED = "instance_ended"
    JOINED = "joined"
    LEFT = "left"
    WAITING = "waiting"
    STAY = "stay"
    SEEN = "seen"
    CAMERA = "camera"
    MICROPHONE = "microphone"
    JOIN_PAGE_OPENED = "join_page_opened"


class Level(StrEnum):
    """How much an observation of a camera or a microphone proves.

    `device_present` < `sending`/`not_sending` < `on`/`off`. A muted microphone is `off` and yet
    connected. `partly` is said by people only.
    """

    DEVICE_PRESENT = "device_present"
    SENDING = "sending"
    NOT_SENDING = "not_sending"
    ON = "on"
    OFF = "off"
    PARTLY = "partly"


class MessageKind(StrEnum):
    """What a carer tells us from the join page, or what staff note about one."""

    ABSENCE = "absence"
    CONTEST = "contest"
    NOTE = "note"
    TOGETHER = "together"


class Role(StrEnum):
    """What the platform says a participant is."""

    ATTENDEE = "attendee"
    ORGANISER = "organiser"
    BOT = "bot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """Whoever the platform saw, not yet known to be a carer. All but the role may be missing.

    `invitation_ref`: the platform's id of a personal invitation (strongest evidence of who it is).
    `account_ref`: the platform's id of a signed-in account or guest. `stable_account` says that
    this id is the same on every visit, so that it may be remembered. `by_phone`: they dialled in.
    `note`: what the platform added in its own words, such as why they left; nothing is ever
    decided by it.
    """

    display_name: str = ""
    email: str = ""
    invitation_ref: str | None = None
    account_ref: str | None = None
    stable_account: bool = False
    by_phone: bool = False
    role: Role = Role.ATTENDEE
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantEvent:
    """One observed fact, in our words. The same fact told twice has the same `key`.

    `series_ref` or `instance_ref` may be missing, never both (except for the join page, which is
    known by `carer_id`). `instance_ref` is one held meeting where the platform names it.
    `connection_ref` is one device's stay. `seat_ref` is the platform's second name for a
    connection, under which some media reports speak of it. A notification that tells just this
    fact is kept as this fact: `told_as` is then the platform's name for it; of others the
    `notification_id` is kept. `received_at`: when it was told to us.
    """

    key: str
    platform: Platform
    kind: EventKind
    occurred_at: datetime
    source: Source
    series_ref: str | None = None
    instance_ref: str | None = None
    instance_started_at: datetime | None = None
    until_at: datetime | None = None
    connection_ref: str | None = None
    seat_ref: str | None = None
    participant: Participant | None = None
    level: Level | None = None
    carer_id: str | None = None
    notification_id: str | None = None
    told_as: str | None = None
    received_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What counts as attending; stamped on the cohort when it opens, never rewritten after.

    `presence` and `camera` are shares from 0 to 1 of the time that the session was really held
    and of the time present. `microphone` is `connected` or `any`.
    """

    presence: float = 0.8
    camera: float = 0.5
    microphone: str = "connected"
    late_after: timedelta = timedelta(minutes=10)
    household: HouseholdRule = HouseholdRule.EVERY_CARER
    satisfied_by: frozenset[CorrectionKind] = frozenset(
        {CorrectionKind.CATCH_UP, CorrectionKind.CAMERA_EXEMPT}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One of the eight Saturdays. `sequence` is raised by each change, for calendars.

    `platforms`: where it was held, or begun and gone on with, before the cohort moved to another
    platform; empty: where the cohort meets.
    """

    week: int
    topic: str
    starts_at: datetime
    ends_at: datetime
    state: SessionState = SessionState.SCHEDULED
    occurrence_ref: str | None = None
    sequence: int = 0
    platforms: tuple[Platform, ...] = ()

    @property
    def length(self) -> timedelta:
        """Planned length."""
        return self.ends_at - self.starts_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Carer:
    """The adult whose attendance is recorded. `position` orders the carers of a household.

    `invitation_ref` is what the platform calls this carer's personal link; two carers with one
    e-mail address may share it; `former_invitation_refs` are links that are gone, by which older
    evidence still knows them. `enrolled_at` is when they were enrolled, `transferred_from` the
    same person's id in the cohort they came from; `was_here_as` their id in this cohort before they
    went to another one and came back; `phone` is for a call when they are missing.
    `former_names`, `former_emails` and `former_phones` are those that were put right since:
    older evidence knows them by these. `restricted`: kept, but neither shown to anybody but an
    admin nor written to.
    """

    id: str
    name: str
    email: str
    household: str
    position: int
    enrolled_at: datetime
    phone: str | None = None
    withdrawn_at: datetime | None = None
    invitation_ref: str | None = None
    former_invitation_refs: tuple[str, ...] = ()
    transferred_from: str | None = None
    was_here_as: str | None = None
    former_names: tuple[str, ...] = ()
    former_emails: tuple[str, ...] = ()
    former_phones: tuple[str, ...] = ()
    restricted: bool = False

    @property
    def order(self) -> tuple[list[str | int], str, int, str]:
        """Where the carer stands in every list: household by household, H2 before H10."""
        return natural_order(self.household), self.household, self.position, self.id


def natural_order(text: str) -> list[str | int]:
    """By which people sort numbered names: words and numbers in turn."""
    return [
        int(part) if number % 2 else part
        for number, part in enumerate(re.split(r"([0-9]{1,9})", text.casefold()))
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facilitator:
    """Who runs the sessions and reads the reports."""

    name: str
    email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """One group of households taking the course once, on one platform.

    `version` counts the changes that staff made, `settled_version` those that were carried out;
    `drifted_at`: somebody changed the series on the platform itself; `remake_version`: staff asked,
    with that version, to make a deleted series again. `moved_at`: it came to this platform from
    the other one, where `former_organisers` were the hosts.
    """

    id: str
    name: str
    platform: Platform
    state: CohortState
    timezone: str
    organiser: str
    rule: Rule
    sessions: tuple[Session, ...]
    carers: tuple[Carer, ...]
    facilitators: tuple[Facilitator, ...] = ()
    series_ref: str | None = None
    problem: str | None = None
    created_at: datetime
    version: int = 1
    settled_version: int = 0
    settled_at: datetime | None = None
    remake_version: int = 0
    drifted_at: datetime | None = None
    moved_at: datetime | None = None
    former_organisers: tuple[str, ...] = ()
    cancel_requested: bool = False

    def held_on(self, session: Session) -> tuple[Platform, ...]:
        """Where a session of this cohort was or will be held."""
        return session.platforms or (self.platform,)

    def session(self, week: int) -> Session | None:
        """The session of that week, or None."""
        return next((s for s in self.sessions if s.week == week), None)

    def partners(self, carer: Carer) -> tuple[Carer, ...]:
        """Who takes part, or took part, beside a carer in the household; who stays comes first.

        Never the carer's own earlier enrolment, nor whoever came only after they had left.
        """
        beside = (
            c
            for c in self.carers
            if c.household == carer.household
            and c.id != carer.id
            and (carer.withdrawn_at is None or c.enrolled_at < carer.withdrawn_at)
            and (c.withdrawn_at is None or carer.enrolled_at < c.withdrawn_at)
        )
        return tuple(sorted(beside, key=lambda c: c.withdrawn_at is not None))

    def next_session(self, now: datetime) -> Session | None:
        """The session being held, or the next one; None when all are over."""
        coming = (
            s
            for s in self.sessions
            if s.ends_at > now
            and s.state is SessionState.SCHEDULED
            and (s.starts_at <= now or not self.cancel_requested)
        )
        return min(coming, key=lambda s: s.starts_at, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A person's override of one verdict, with the reason and who gave it."""

    week: int
    carer_id: str
    verdict: Verdict
    kind: CorrectionKind
    reason: str
    made_by: str
    made_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A person's word on who an unmatched participant is; remembered for the later weeks.

    `ref` is `identity.participant_key(...)`. `carer_id` None: known, and not a carer.
    """

    ref: str
    carer_id: str | None
    made_by: str
    made_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """A person's word that a carer sat at another carer's device in one session."""

    week: int
    carer_id: str
    with_carer_id: str
    reason: str
    made_by: str
    made_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a carer said from the join page about one week; it decides nothing.

    `absence`: they will not come. `contest`: they think that the verdict is wrong. `settled_at`:
    when a person of the practice dealt with it. `together`: both carers are at this one's device;
    a facilitator who sees both attests it. A `note` is staff's own, settled from the start by
    whoever wrote it, and never shown to the carer.
    """

    id: int
    kind: MessageKind
    week: int
    carer_id: str
    text: str
    sent_at: datetime
    settled_at: datetime | None = None
    settled_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """A time offered for trying the meeting out; whoever is seen then is tested, never attended.

    `withdrawn_at`: it was taken back before it began.
    """

    id: str
    starts_at: datetime
    ends_at: datetime
    offered_by: str
    offered_at: datetime
    withdrawn_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """When a carer last showed that their devices work: by the page's check, or in a rehearsal."""

    at: datetime
    in_rehearsal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterEntry:
    """What is stored about one session's register: whether and when the platform's record came.

    `record_complete`: the platform's own record was fetched and shows the session.
    `record_digest`: what it showed when it was last fetched. `resync_at`: when it shall be fetched
    again, because two readings have not agreed yet or notifications may have been lost;
    `trouble_since`: since when it was tried in vain. `frozen`: what the report said, once the
    evidence is not kept any more (`course.frozen`).
    """

    week: int
    closed_at: datetime | None = None
    record_fetched_at: datetime | None = None
    record_complete: bool = False
    record_digest: str | None = None
    resync_at: datetime | None = None
    trouble_since: datetime | None = None
    problem: str | None = None
    frozen: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that the verdicts of one cohort rest on."""

    events: tuple[ParticipantEvent, ...] = ()
    corrections: tuple[Correction, ...] = ()
    links: tuple[Link, ...] = ()
    registers: tuple[RegisterEntry, ...] = ()
    attestations: tuple[Attestation, ...] = ()
    messages: tuple[Message, ...] = ()
    rehearsals: tuple[Rehearsal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraTold:
    """What one source said of a camera while its carer was present; lengths in minutes."""

    source: Source
    on_minutes: float
    off_minutes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CarerWeek:
    """Our conclusion about one carer in one session, with what it rests on.

    `camera_on_minutes` and `camera_unknown_minutes` are of `minutes_present`; `camera_told` has
    what each source said, the strongest first; `camera_on` and `camera_off` are when it was known
    to be so, and the same for the microphone (off: muted). `flags` are doubts about who it was, for
    a person to look at. `offered_with`: the carer beside whom a person attested this one in another
    week.
    """

    week: int
    verdict: Verdict
    minutes_present: float = 0.0
    share_present: float | None = None
    late_minutes: int = 0
    left_early_minutes: int = 0
    camera: str = "unknown"
    camera_share: float | None = None
    camera_on_minutes: float = 0.0
    camera_unknown_minutes: float = 0.0
    camera_told: tuple[CameraTold, ...] = ()
    camera_on: tuple[tuple[datetime, datetime], ...] = ()
    camera_off: tuple[tuple[datetime, datetime], ...] = ()
    microphone: str = "unknown"
    microphone_on: tuple[tuple[datetime, datetime], ...] = ()
    microphone_off: tuple[tuple[datetime, datetime], ...] = ()
    intervals: tuple[tuple[datetime, datetime], ...] = ()
    sources: tuple[Source, ...] = ()
    reasons: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()
    offered_with: str | None = None
    correction: Correction | None = None
    event_keys: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """Who an unmatched participant might be. A suggestion, never a match."""

    carer_id: str
    score: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """A participant whom the evidence does not tie to a carer."""

    week: int
    ref: str
    display_name: str
    minutes_present: float
    suggestions: tuple[Suggestion, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRegister:
    """All verdicts of one session. `held_from`/`held_to` are the time it was really held."""

    session: Session
    state: RegisterState
    held_from: datetime | None
    held_to: datetime | None
    weeks: dict[str, CarerWeek]
    unmatched: tuple[Unmatched, ...] = ()
    notes: tuple[str, ...] = ()
