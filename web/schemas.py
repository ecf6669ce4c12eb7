"""What the API takes and gives. Unknown fields are refused, nothing is guessed from other types."""

from __future__ import annotations

import re
import unicodedata
from datetime import date, time
from typing import Annotated, Any, Literal

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from course.model import (
    AllSessions,
    CohortState,
    CorrectionKind,
    HouseholdRule,
    Platform,
    RegisterState,
    SessionState,
    Verdict,
)
from course.programme import COURSE, MOST_HOUSEHOLDS


def _plain(text: str) -> str:
    """One line of readable text."""
    text = text.strip()
    if not text:
        raise ValueError("must not be empty")
    if any(unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn") for c in text):
        raise ValueError("must not hold control characters")
    return text


def _address(text: str) -> str:
    try:
        return validate_email(text, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError as e:
        raise ValueError("is not an e-mail address") from e


def _phone(text: str) -> str:
    """A number as people write it: it is shown and rung, never judged."""
    text = " ".join(text.split())
    if not re.fullmatch(r"\+?[0-9 ()./-]+(?: ?(?:x|ext\.?) ?[0-9]+)?", text):
        raise ValueError("is not a telephone number; write it like 07700 900123")
    if not 5 <= sum(c.isdigit() for c in text) <= 20:
        raise ValueError("is not a telephone number; it has 5 to 20 digits")
    return text


def _of_our_time(day: date) -> date:
    """At the ends of the calendar there is no Saturday after, and no hour before."""
    if not 2000 <= day.year <= 2199:
        raise ValueError("must be a date between 2000 and 2199")
    return day


Day = Annotated[date, AfterValidator(_of_our_time)]
Name = Annotated[str, Field(max_length=200), AfterValidator(_plain)]
Email = Annotated[str, Field(max_length=128), AfterValidator(_address)]
Phone = Annotated[str, Field(max_length=40), AfterValidator(_phone)]
Reference = Annotated[str, Field(max_length=64), AfterValidator(_plain)]


class Strict(BaseModel):
    """Unknown fields are faults."""

    model_config = ConfigDict(extra="forbid", strict=True)


class PersonIn(Strict):
    """A person by name and address."""

    name: Name
    email: Email


class CarerIn(PersonIn):
    """A carer, with the number to ring when they are missing."""

    phone: Phone | None = None


class HouseholdIn(Strict):
    """A household with its one or two carers."""

    reference: Reference
    carers: list[CarerIn]  # one or two; counted in web/cohorts.py, beside their own faults


class FaultOut(BaseModel):
    """What is wrong in which line of a file; line 0: with the file as a whole."""

    line: int
    message: str


class FamiliesOut(BaseModel):
    """Families as they were read: `households` go into a cohort as they are."""

    households: list[HouseholdIn]
    carers: int
    faults: list[FaultOut]


class CohortIn(Strict):
    """What staff send to open a cohort; everything but the first three has the course's default."""

    name: Name
    platform: Platform
    first_session_on: Day
    skip_dates: Annotated[list[Day], Field(max_length=20)] = []
    organiser: Annotated[str, Field(max_length=200), AfterValidator(_plain)] | None = None
    session_minutes: int = COURSE.session_minutes
    first_session_minutes: int = COURSE.first_session_minutes
    starts_at: time = COURSE.starts_at
    household_rule: HouseholdRule = HouseholdRule.EVERY_CARER
    facilitators: Annotated[list[PersonIn], Field(max_length=20)] = []
    households: Annotated[list[HouseholdIn], Field(max_length=MOST_HOUSEHOLDS)] = []
    allow_past: bool = False


class SessionChange(Strict):
    """Another time, another length, or both, for one session."""

    starts_at: Annotated[AwareDatetime, AfterValidator(_of_our_time)] | None = None
    minutes: int | None = None


class RehearsalIn(Strict):
    """When carers may try the meeting out, before it matters."""

    starts_at: AwareDatetime
    minutes: Annotated[int, Field(ge=5, le=180)] = 30


class RehearsalOut(BaseModel):
    """The rehearsal that is offered; null: none."""

    rehearsal: dict[str, str] | None


class PlatformIn(Strict):
    """Where the remaining sessions are to be held; `organiser`: whose account hosts them there."""

    platform: Platform
    organiser: Annotated[str, Field(max_length=200), AfterValidator(_plain)] | None = None


class TransferIn(Strict):
    """Which household goes to which cohort."""

    household: Reference
    to_cohort: Annotated[str, Field(max_length=32)]


class TimetableQuery(BaseModel):
    """From which Saturday, without which ones (comma-separated dates)."""

    model_config = ConfigDict(extra="forbid")

    first_session_on: Day
    skip_dates: Annotated[str, Field(max_length=400)] = ""


class PlannedOut(BaseModel):
    """One session as it would be planned."""

    week: int
    topic: str
    starts_at: str
    ends_at: str


class SuggestedOut(BaseModel):
    """A Saturday on which families are usually away."""

    date: str
    why: str


class TimetableOut(BaseModel):
    """What opening a cohort would plan, and Saturdays that one may want to skip."""

    sessions: list[PlannedOut]
    suggested_skips: list[SuggestedOut]


class CorrectionIn(Strict):
    """A person's word against a verdict, with the reason."""

    verdict: Verdict
    reason: Annotated[str, Field(min_length=3, max_length=1000), AfterValidator(_plain)]
    kind: CorrectionKind = CorrectionKind.CORRECTION


class IdentityIn(Strict):
    """Who an unmatched participant was; null: known, and not a carer."""

    carer: Annotated[str, Field(max_length=32)] | None


class SharedDeviceIn(Strict):
    """At whose device a carer sat, and how it is known."""

    with_: Annotated[str, Field(alias="with", max_length=32)]
    reason: Annotated[str, Field(min_length=3, max_length=1000), AfterValidator(_plain)]


class TickIn(Strict):
    """What a facilitator saw; null takes an earlier tick back, what is left out stays."""

    camera: Literal["on", "off", "partly"] | None = None
    microphone: Literal["connected", "absent"] | None = None


class NoteIn(Strict):
    """A note of staff's own about a carer in one session."""

    text: Annotated[str, Field(min_length=1, max_length=500)]


class RuleIn(Strict):
    """What of the rule changes, and why. `preview`: only tell what would change."""

    presence: Annotated[float, Field(gt=0, le=1)] | None = None
    camera: Annotated[float, Field(ge=0, le=1)] | None = None
    microphone: Literal["connected", "any"] | None = None
    late_after_minutes: Annotated[int, Field(ge=1, le=120)] | None = None
    household: HouseholdRule | None = None
    satisfied_by: list[Literal["catch_up", "camera_exempt", "excused"]] | None = None
    reason: Annotated[str, Field(min_length=3, max_length=1000), AfterValidator(_plain)]
    preview: bool = False


class Page(BaseModel):
    """Which cohorts to list."""

    model_config = ConfigDict(extra="forbid")

    state: CohortState | None = None
    platform: Platform | None = None
    rule: Annotated[AllSessions | None, Field(description="With a household that stands there")] = (
        None
    )
    limit: Annotated[int, Field(ge=1, le=100)] = 50
    offset: Annotated[int, Field(ge=0, le=1_000_000)] = 0


class AttentionPage(BaseModel):
    """Which part of what needs a person."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=1000)] = 200
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class OneCarer(BaseModel):
    """Whose evidence."""

    model_config = ConfigDict(extra="forbid")

    carer: Annotated[str, Field(max_length=32)]


class OnlyThose(BaseModel):
    """Whom a report is about; without either, everybody."""

    model_config = ConfigDict(extra="forbid")

    household: Annotated[str, Field(max_length=64)] | None = None
    carer: Annotated[str, Field(max_length=32)] | None = None


class SessionOut(BaseModel):
    """One planned session."""

    week: int
    topic: str
    starts_at: str
    ends_at: str
    state: SessionState
    occurrence_ref: str | None
    platforms: list[Platform]


class CarerOut(BaseModel):
    """One carer; addresses and links are null for viewers."""

    id: str
    name: str
    email: str | None
    phone: str | None
    household: str
    join_url: str | None
    platform_join_url: str | None
    problem: str | None
    restricted: bool
    enrolled_at: str
    withdrawn_at: str | None
    transferred_from: str | None


class HouseholdOut(BaseModel):
    """One household with the fee of the programme, in pounds."""

    reference: str
    fee: int


class MailOut(BaseModel):
    """What became of the mail to the carers; nothing is sent without SMTP_URL and MAIL_FROM."""

    configured: bool
    sent: int
    waiting: int
    problems: list[str]


class StepOut(BaseModel):
    """One step of the opening: `done` of `of`."""

    says: str
    done: int
    of: int


class TransferredOut(BaseModel):
    """Where a household went, what it is called there, and a sentence that says so."""

    to_cohort: str
    household: str
    says: str


class CohortOut(BaseModel):
    """One cohort. `mail` and `progress` are given for one cohort, not in lists; `transferred` in
    the answer to a transfer."""

    id: str
    name: str
    platform: Platform
    state: CohortState
    problem: str | None
    series_ref: str | None
    organiser: str | None
    sessions: list[SessionOut]
    carers: list[CarerOut]
    households: list[HouseholdOut]
    mail: MailOut | None = None
    progress: list[StepOut] | None = None
    transferred: TransferredOut | None = None


class CohortsOut(BaseModel):
    """A page of cohorts."""

    cohorts: list[CohortOut]
    total: int
    next: str | None


class RuleOut(BaseModel):
    """The rule that judged."""

    presence: float
    camera: float
    microphone: str
    late_after_minutes: int
    household: HouseholdRule
    satisfied_by: list[CorrectionKind]


class HeldOut(BaseModel):
    """One session in the report."""

    week: int
    topic: str
    starts_at: str
    ends_at: str
    platforms: list[Platform]
    held_from: str | None
    held_to: str | None
    register_state: Annotated[RegisterState, Field(alias="register")]
    notes: list[str]
    version: int
    version_made_at: str | None


class WeekOut(BaseModel):
    """One carer's week in the report."""

    week: int
    verdict: Verdict
    minutes_present: float
    share_present: float | None
    late_minutes: int
    left_early_minutes: int
    camera: Literal["on", "off", "partly", "unknown"]
    camera_share: float | None
    camera_minutes: dict[str, float]
    camera_sources: list[dict[str, Any]]
    camera_intervals: dict[str, list[list[str]]]
    microphone: Literal["connected", "absent", "unknown"]
    microphone_intervals: dict[str, list[list[str]]]
    intervals: list[list[str]]
    sources: list[str]
    reasons: list[str]
    flags: list[str]
    messages: list[dict[str, Any]]
    offered_with: str | None
    corrected: bool
    correction: CorrectionKind | None


class TestedOut(BaseModel):
    """When a carer last tested camera and microphone: by the page's check or in a rehearsal."""

    at: str
    by: Literal["check", "rehearsal"]


class CarerReportOut(BaseModel):
    """One carer in the report. `tested` null: never tested camera and microphone."""

    id: str
    name: str
    household: str
    all_sessions: str
    missed_weeks: list[int]
    tested: TestedOut | None
    weeks: list[WeekOut]
    transferred_from: dict[str, Any] | None = None


class ApartOut(BaseModel):
    """A meeting on the cohort's link that counts for no session: who was seen, and how long."""

    platform: Platform
    begins: str = Field(alias="from")
    ends: str = Field(alias="to")
    rehearsal: bool
    carers: list[dict[str, Any]]
    unmatched: list[dict[str, Any]]


class ReportOut(BaseModel):
    """The attendance report."""

    cohort: dict[str, str]
    as_of: str
    rule: RuleOut
    sessions: list[HeldOut]
    carers: list[CarerReportOut]
    households: list[dict[str, Any]]
    unmatched: list[dict[str, Any]]
    apart: list[ApartOut]


class ChangedOut(ReportOut):
    """The report after a change, and the verdicts that are others now."""

    changed: list[dict[str, Any]]


class BoardOut(BaseModel):
    """The live board of one session; `carers` sorted by who needs a call."""

    cohort: dict[str, str]
    week: int
    topic: str
    starts_at: str
    ends_at: str
    register_state: Annotated[str, Field(alias="register")]
    as_of: str
    held_from: str | None
    counts: dict[str, int]
    carers: list[dict[str, Any]]
    strangers: list[dict[str, Any]]


class VersionsOut(BaseModel):
    """The versions of one closed register, the oldest first."""

    week: int
    versions: list[dict[str, Any]]


class EvidenceOut(WeekOut):
    """A verdict with every fact behind it."""

    carer: str
    facts: list[str]
    events: list[dict[str, Any]]
    notifications: list[dict[str, Any]]


class AttentionOut(BaseModel):
    """What needs a person, the oldest first.

    `total`: how many things there are in all; `next`: where more of them are. `behind`: how many
    cohorts have changed and will be looked at within minutes.
    """

    items: list[dict[str, Any]]
    total: int
    next: str | None
    behind: int


class ErasureIn(Strict):
    """Why a carer is erased. No names: it is kept."""

    reason: Annotated[str, Field(max_length=500), AfterValidator(_plain)]


class ErasedOut(BaseModel):
    """What was done, and other carers with the same address: maybe the same person, maybe not."""

    tombstones: list[str]
    erased_at: str
    platform: str
    same_address: list[dict[str, str]]


class CarerChange(Strict):
    """What to put right, or whether to restrict; always with the reason. `phone` null: there is
    none."""

    name: Name | None = None
    email: Email | None = None
    phone: Phone | None = None
    restricted: bool | None = None
    reason: Annotated[str, Field(max_length=500), AfterValidator(_plain)]


class CarerChangedOut(BaseModel):
    """The carer as they are stored now, and the verdicts that are others for it."""

    id: str
    name: str
    email: str
    phone: str | None
    restricted: bool
    platform: str | None
    changed: list[dict[str, Any]]


class Refusal(Strict):
    """Which request was refused, and on what ground."""

    request: Literal["access", "rectification", "restriction", "erasure"]
    reason: Annotated[str, Field(max_length=500), AfterValidator(_plain)]


class CopyOut(BaseModel):
    """Everything held on one carer, with purposes, periods, recipients and rights."""

    made_at: str
    recipients: list[str]
    rights: list[str]
    kept: list[dict[str, str]]
    courses: list[dict[str, Any]]
