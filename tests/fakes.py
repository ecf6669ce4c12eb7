"""Fakes that hold state: a meeting platform in memory, and a clock that a test moves."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from course.model import ParticipantEvent, Platform
from integration.provider import (
    CallRecord,
    Certificate,
    Invitation,
    Invitee,
    Occurrence,
    PlatformRecord,
    ProviderError,
    Series,
    SeriesPlan,
    Slot,
    Watch,
    WatchRequest,
)


class FakeClock:
    """A clock that stands until it is moved."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def move(self, by: timedelta) -> None:
        self.now += by


class FakeProvider:
    """A platform that remembers what it was asked. `trouble` is raised by the named calls, once.

    `after` is raised after the call has taken effect: the reply that got lost.
    """

    def __init__(
        self, platform: Platform = Platform.ZOOM, *, watches: bool = False, invites: bool = False
    ) -> None:
        self._platform = platform
        self._watches = watches
        self._invites = invites
        self._numbers = itertools.count(1)
        self.plans: dict[str, SeriesPlan] = {}
        self.occurrences: dict[str, list[Occurrence]] = {}
        self.invited: dict[str, dict[str, Invitation]] = {}
        self.call_records: dict[str, CallRecord] = {}
        self.delivery_log: list[str] = []
        self.media: list[ParticipantEvent] = []
        self.permissions: frozenset[str] | None = None
        self.joined: dict[str, tuple[str, str]] = {}
        self.encrypted_to: dict[str, str] = {}  # renewed with another certificate
        self.subscriptions: dict[str, WatchRequest] = {}
        self.calendars: dict[str, tuple[str, str]] = {}
        self.record = PlatformRecord(events=(), complete=False)
        self.calls: list[str] = []
        self.meanwhile: dict[str, Callable[[], object]] = {}  # what happens during such a call
        self.moved_on: list[str] = []
        self.trouble: list[tuple[str, ProviderError]] = []
        self.after: list[tuple[str, ProviderError]] = []
        self.shift: Callable[[Occurrence], Occurrence] = lambda occurrence: occurrence

    @property
    def platform(self) -> Platform:
        return self._platform

    @property
    def watches(self) -> bool:
        return self._watches

    @property
    def invites_with_series(self) -> bool:
        return self._invites

    def _called(self, name: str) -> None:
        self.meanwhile.pop(name, lambda: None)()
        self.calls.append(name)
        self._raise(self.trouble, name)

    def _raise(self, planned: list[tuple[str, ProviderError]], name: str) -> None:
        for item in list(planned):
            if item[0] == name:
                planned.remove(item)
                raise item[1]

    def check_access(self) -> datetime | None:
        self._called("check_access")
        return None

    def granted(self) -> frozenset[str] | None:
        self._called("granted")
        return self.permissions

    def find_series(self, plan: SeriesPlan) -> Series | None:
        self._called("find_series")
        for ref, known in self.plans.items():
            if known.marker == plan.marker:
                return self._series(ref)
        return None

    def made_by_us(self, organiser: str) -> tuple[tuple[str, str], ...]:
        self._called("made_by_us")
        return tuple(
            (ref, plan.name) for ref, plan in self.plans.items() if plan.organiser == organiser
        )

    def create_series(self, plan: SeriesPlan) -> Series:
        self._called("create_series")
        ref = str(next(self._numbers))
        zone = ZoneInfo(plan.timezone)
        first, last = (s.starts_at.astimezone(zone) for s in (plan.slots[0], plan.slots[-1]))
        self.plans[ref] = plan
        self.occurrences[ref] = [
            self.shift(
                Occurrence(
                    ref=f"{ref}-{n}", starts_at=first + timedelta(weeks=n), length=plan.usual_length
                )
            )
            for n in range((last.date() - first.date()).days // 7 + 1)
        ]
        self.invited[ref] = {}
        self._raise(self.after, "create_series")
        made = self._series(ref)
        # Zoom's answer brings the occurrences along, Graph's does not.
        return made if self._invites else replace(made, occurrences=tuple(self.occurrences[ref]))

    def _series(self, ref: str) -> Series:
        return Series(ref=ref, organiser_ref="organiser", join_url=f"https://zoom.us/j/{ref}")

    def list_occurrences(self, series: Series, plan: SeriesPlan) -> tuple[Occurrence, ...]:
        self._called("list_occurrences")
        if series.ref not in self.plans:
            raise ProviderError("It does not exist (any more).", permanent=True, gone=True)
        assert plan.timezone == self.plans[series.ref].timezone
        return tuple(sorted(self.occurrences[series.ref], key=lambda o: o.starts_at))

    def adjust_occurrence(
        self,
        series: Series,
        occurrence_ref: str,
        slot: Slot,
        *,
        timezone: str,
        current: Occurrence | None = None,
    ) -> None:
        self._called("adjust_occurrence")
        assert ZoneInfo(timezone)
        assert current is None or current.ref == occurrence_ref
        self.occurrences[series.ref] = [
            self.shift(replace(o, starts_at=slot.starts_at, length=slot.length))
            if o.ref == occurrence_ref
            else o
            for o in self.occurrences[series.ref]
        ]

    def extend_series(self, series: Series, plan: SeriesPlan) -> None:
        """As a platform may do it at worst: every occurrence is made anew, as it first was."""
        self._called("extend_series")
        zone = ZoneInfo(plan.timezone)
        made = self.plans[series.ref]
        first = made.slots[0].starts_at.astimezone(zone)
        weeks = (plan.slots[-1].starts_at.astimezone(zone).date() - first.date()).days // 7 + 1
        self.occurrences[series.ref] = [
            Occurrence(
                ref=f"{series.ref}-{n}",
                starts_at=first + timedelta(weeks=n),
                length=made.usual_length,
            )
            for n in range(weeks)
        ]

    def drop_occurrence(self, series: Series, occurrence_ref: str) -> None:
        self._called("drop_occurrence")
        self.occurrences[series.ref] = [
            o for o in self.occurrences[series.ref] if o.ref != occurrence_ref
        ]

    def cancel_series(self, series: Series, *, moved_on: bool = False) -> None:
        self._called("cancel_series")
        self.moved_on += [series.ref] if moved_on else []
        self.plans.pop(series.ref, None)
        self.occurrences.pop(series.ref, None)

    def resolve_meeting(self, series: Series) -> Series:
        self._called("resolve_meeting")
        return replace(series, meeting_ref=f"meeting-{series.ref}")

    def invite(self, series: Series, invitee: Invitee, *, tried: bool) -> Invitation:
        self._called("look and invite" if tried else "invite")
        made = Invitation(
            marker=invitee.marker,
            join_url=f"https://zoom.us/w/{series.ref}?tk={invitee.marker}",
            ref=f"registrant-{invitee.email}",
        )
        return self.invited[series.ref].setdefault(invitee.email, made)

    def withdraw(self, series: Series, invitee: Invitee, invitation_ref: str | None) -> None:
        self._called("withdraw")
        assert invitation_ref is None or invitation_ref.startswith("registrant-")
        self.invited[series.ref].pop(invitee.email, None)

    def fetch_record(
        self,
        series: Series,
        *,
        window_from: datetime,
        window_to: datetime,
        known_instances: tuple[str, ...],
    ) -> PlatformRecord:
        self._called("fetch_record")
        assert series.ref and window_from < window_to and isinstance(known_instances, tuple)
        return self.record

    def start_watch(self, request: WatchRequest) -> Watch:
        self._called("start_watch")
        ref = f"watch-{next(self._numbers)}"
        self.subscriptions = {
            r: w for r, w in self.subscriptions.items() if w.series.ref != request.series.ref
        }
        self.subscriptions[ref] = request
        return Watch(ref=ref, expires_at=request.expires_at)

    def start_change_watch(
        self,
        mailbox_ref: str,
        *,
        notification_url: str,
        lifecycle_url: str,
        client_state: str,
        expires_at: datetime,
    ) -> Watch:
        self._called("start_change_watch")
        assert notification_url and lifecycle_url
        ref = f"watch-{next(self._numbers)}"
        self.calendars[ref] = (mailbox_ref, client_state)
        return Watch(ref=ref, expires_at=expires_at)

    def renew_watch(
        self, watch_ref: str, expires_at: datetime, certificate: Certificate | None = None
    ) -> Watch:
        self._called("renew_watch")
        if watch_ref not in self.subscriptions and watch_ref not in self.calendars:
            raise ProviderError("The subscription is gone.", permanent=True, gone=True)
        if certificate is not None:
            self.encrypted_to[watch_ref] = certificate.ref
        return Watch(ref=watch_ref, expires_at=expires_at)

    def live_watches(self) -> Mapping[str, datetime]:
        return {ref: request.expires_at for ref, request in self.subscriptions.items()}

    def fetch_call_record(self, record_ref: str, *, with_events: bool) -> CallRecord:
        self._called("fetch_call_record with events" if with_events else "fetch_call_record")
        found = self.call_records[record_ref]
        return found if with_events else replace(found, events=())

    def join_call(self, series: Series, callback_url: str) -> str:
        self._called("join_call")
        ref = f"call-{next(self._numbers)}"
        self.joined[ref] = (series.ref, callback_url)
        return ref

    def keep_call(self, call_ref: str) -> None:
        self._called("keep_call")
        if call_ref not in self.joined:
            raise ProviderError("The call is over.", permanent=True, gone=True)

    def leave_call(self, call_ref: str) -> None:
        self._called("leave_call")
        self.joined.pop(call_ref, None)

    def live_media(self, instances: tuple[str, ...]) -> tuple[ParticipantEvent, ...]:
        self._called("live_media")
        return tuple(e for e in self.media if e.instance_ref in instances)

    def lost_deliveries(self, since: datetime, until: datetime) -> tuple[str, ...]:
        self._called("lost_deliveries")
        assert since < until
        return tuple(self.delivery_log)

    def stop_watch(self, watch_ref: str) -> None:
        self._called("stop_watch")
        self.subscriptions.pop(watch_ref, None)
        self.calendars.pop(watch_ref, None)
