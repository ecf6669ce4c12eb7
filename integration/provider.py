"""What Circle asks of a meeting platform, in Circle's words; no platform is named here.

`MeetingProvider` is a Protocol: nothing is inherited, and the type checker compares the Zoom
provider, the Teams provider and the fake with it. Every method is one remote call or a few
reading ones, is safe to repeat unless it says otherwise, and raises nothing but `ProviderError`.
Providers never sleep for long and never loop: waiting belongs to the workflow that has a record
to wait on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from course.model import ParticipantEvent, Platform


class ProviderError(Exception):
    """The platform did not do what was asked. The message is a sentence for staff, without secrets.

    `permanent`: trying again will not help (refused, missing permission, unknown host).
    `retry_after`: how long the platform asked us to wait; a long one means a daily limit.
    `outcome_unknown`: the call may have taken effect (reply lost, cut or garbled): look before
    repeating it.
    `gone`: what the call was about does not exist on the platform (any more).
    """

    def __init__(
        self,
        message: str,
        *,
        permanent: bool,
        retry_after: timedelta | None = None,
        outcome_unknown: bool = False,
        gone: bool = False,
    ) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = retry_after
        self.outcome_unknown = outcome_unknown
        self.gone = gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One planned session: its instant and its length."""

    starts_at: datetime
    length: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitee:
    """A person to invite, as the platform needs them. `marker` is our carer id."""

    marker: str
    name: str
    email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesPlan:
    """What the platform is asked to make. `marker` is our cohort id: it finds the series again.

    `slots` are in order, on one local wall-clock time in `timezone`, whole weeks apart (a skipped
    Saturday is a gap of two). The platform makes a weekly series of `usual_length`; slots of other
    lengths and gaps are mended afterwards, one occurrence at a time.
    """

    marker: str
    name: str
    organiser: str
    timezone: str
    slots: tuple[Slot, ...]
    usual_length: timedelta
    invitees: tuple[Invitee, ...] = ()
    co_organisers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One occurrence as the platform reports it."""

    ref: str
    starts_at: datetime
    length: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The platform's object for all eight sessions.

    `ref` names it in later calls, `organiser_ref` is the host as the platform's calls want it,
    `meeting_ref` is the platform's second object behind the series where it has one (read by
    `resolve_meeting`), `join_url` the link everybody shares. `occurrences` is empty when the
    platform did not report them with the answer: ask `list_occurrences`.
    """

    ref: str
    organiser_ref: str
    join_url: str = ""
    meeting_ref: str | None = None
    occurrences: tuple[Occurrence, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """How one carer gets in. `ref` is the platform's id of a personal invitation, if it has one."""

    marker: str
    join_url: str
    ref: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A subscription to live notifications of one series, where the platform needs one."""

    ref: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What notifications are to be encrypted to: a public certificate (DER) and our name for it."""

    ref: str
    der: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRequest:
    """What to subscribe to and where to. `client_state` is the shared secret of this watch."""

    series: Series
    notification_url: str
    lifecycle_url: str
    client_state: str
    certificate: Certificate
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformRecord:
    """The platform's own record of one session, already in our words.

    `complete`: a held instance was found, and of each that was found there is a list of people. An
    incomplete record proves nobody's absence. A stay without an end names somebody of whom the
    platform has no times, or not yet.
    """

    events: tuple[ParticipantEvent, ...]
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """What the platform noted of one call's media. `events` name no series and no connection."""

    join_url: str
    begins_at: datetime
    ends_at: datetime
    events: tuple[ParticipantEvent, ...]


CALL_RECORDS = "call records"  # what may be watched for changes beside a mailbox


class MeetingProvider(Protocol):
    """A meeting platform. `watches` says whether live notifications need `start_watch`."""

    @property
    def platform(self) -> Platform: ...

    @property
    def watches(self) -> bool: ...

    @property
    def invites_with_series(self) -> bool:
        """`create_series` invites `plan.invitees` itself: no `invite` calls at opening."""

    def check_access(self) -> datetime | None:
        """Prove that the platform accepts our credentials; fetches a token and nothing else.

        The time by the platform's own clock, where it tells.
        """

    def granted(self) -> frozenset[str] | None:
        """The names of the permissions that our token bears; None where it does not show them.

        Fetches a token and nothing else.
        """

    def find_series(self, plan: SeriesPlan) -> Series | None:
        """The series made earlier for `plan.marker`, or None. Read-only."""

    def made_by_us(self, organiser: str) -> tuple[tuple[str, str], ...]:
        """(ref, name) of every series in that account that bears a marker of ours. Read-only."""

    def create_series(self, plan: SeriesPlan) -> Series:
        """Make the weekly series. Not repeatable by itself: call `find_series` first on a retry."""

    def list_occurrences(self, series: Series, plan: SeriesPlan) -> tuple[Occurrence, ...]:
        """The occurrences as they stand now, in order of their instants."""

    def adjust_occurrence(
        self,
        series: Series,
        occurrence_ref: str,
        slot: Slot,
        *,
        timezone: str,
        current: Occurrence | None = None,
    ) -> None:
        """Give one occurrence that start and length; what `current` has already is not sent.

        Never touches the others.
        """

    def extend_series(self, series: Series, plan: SeriesPlan) -> None:
        """Make the series reach to the plan's last slot; already so counts as done.

        Occurrences that were adjusted or dropped may come back as they were: compare afterwards.
        """

    def drop_occurrence(self, series: Series, occurrence_ref: str) -> None:
        """Cancel one occurrence. Already gone counts as done."""

    def cancel_series(self, series: Series, *, moved_on: bool = False) -> None:
        """Cancel everything. Already gone counts as done.

        `moved_on`: the sessions are held elsewhere, so nobody is told that they are off.
        """

    def resolve_meeting(self, series: Series) -> Series:
        """The series with `meeting_ref` and `join_url` filled in. Read-only."""

    def invite(self, series: Series, invitee: Invitee, *, tried: bool) -> Invitation:
        """Invite one person. `tried`: an earlier call may have done it, so look first."""

    def withdraw(self, series: Series, invitee: Invitee, invitation_ref: str | None) -> None:
        """Take one person's invitation back. Already gone counts as done."""

    def fetch_record(
        self,
        series: Series,
        *,
        window_from: datetime,
        window_to: datetime,
        known_instances: tuple[str, ...],
    ) -> PlatformRecord:
        """What the platform itself recorded of the instances that overlap the window."""

    def start_watch(self, request: WatchRequest) -> Watch:
        """Subscribe to the series' live notifications, replacing an older subscription."""

    def start_change_watch(
        self,
        mailbox_ref: str,
        *,
        notification_url: str,
        lifecycle_url: str,
        client_state: str,
        expires_at: datetime,
    ) -> Watch:
        """Subscribe to changes of the series in a mailbox, where the platform needs that.

        With `CALL_RECORDS` for a mailbox: to the calls that the platform has noted.
        """

    def renew_watch(
        self, watch_ref: str, expires_at: datetime, certificate: Certificate | None = None
    ) -> Watch:
        """Prolong a subscription; from now on encrypted to `certificate`, where one is given."""

    def stop_watch(self, watch_ref: str) -> None:
        """End a subscription. Already gone counts as done."""

    def live_watches(self) -> Mapping[str, datetime]:
        """Our subscriptions as the platform knows them: until when each lives."""

    def fetch_call_record(self, record_ref: str, *, with_events: bool) -> CallRecord:
        """Whose call the platform noted, and `with_events` what it noted of it."""

    def join_call(self, series: Series, callback_url: str) -> str:
        """Let our bot join the series' meeting, to hear of its roster; the call's ref."""

    def keep_call(self, call_ref: str) -> None:
        """Keep our bot in a call."""

    def leave_call(self, call_ref: str) -> None:
        """Take our bot out of a call. Already gone counts as done."""

    def live_media(self, instances: tuple[str, ...]) -> tuple[ParticipantEvent, ...]:
        """What the platform has sampled of cameras and microphones in these live instances;
        nothing where it has no such thing."""

    def lost_deliveries(self, since: datetime, until: datetime) -> tuple[str, ...]:
        """The deliveries in that span that the platform gave up on, as they would have come;
        none where it keeps no such log."""
