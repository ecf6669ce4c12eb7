"""Zoom as a `MeetingProvider`: a cohort is one recurring meeting, a session one occurrence.

Times go out as local wall time without `Z` together with the zone's name: with `Z` Zoom takes them
as UTC, an hour wrong all summer. What Zoom made of them is read back as instants.
https://developers.zoom.us/docs/api/meetings/
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from course.model import ParticipantEvent, Platform
from integration import zoom_dashboard
from integration.http import Answer
from integration.pace import Pace
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
from integration.zoom_client import ZoomCalls
from integration.zoom_deliveries import lost_deliveries
from integration.zoom_record import ZoomRecords
from integration.zoom_values import instant, pages, rows

RECURRING_FIXED = 8
MARK = "Circle cohort "
WEEKLY = 2


class ZoomProvider:
    """Zoom behind Circle's words. Building it touches no network."""

    platform = Platform.ZOOM
    watches = False  # webhooks are subscribed to once, in the app's own settings
    invites_with_series = False

    def __init__(
        self,
        *,
        account_id: str,
        client_id: str,
        client_secret: str,
        api_url: str,
        oauth_url: str,
        clock: Callable[[], datetime],
        app_id: str = "",
        pace: Pace | None = None,
        dashboard: bool = False,
        sent_direction: str = "output",
        monotonic: Callable[[], float] = time.monotonic,
        allowed: Callable[[], None] = lambda: None,
    ) -> None:
        self._calls = ZoomCalls(
            account_id=account_id,
            client_id=client_id,
            client_secret=client_secret,
            api_url=api_url,
            oauth_url=oauth_url,
            clock=clock,
            pace=pace,
            monotonic=monotonic,
            allowed=allowed,
        )
        self._zoom = self._calls.client
        self._records = ZoomRecords(self._zoom)
        self._app_id = app_id
        self._dashboard = dashboard
        self._sent_direction = sent_direction

    def check_access(self) -> datetime | None:
        """Fetch a token."""
        self._calls.tokens.current()
        return self._calls.tokens.told_at

    def granted(self) -> frozenset[str] | None:
        """The scopes that came with the token."""
        self._calls.tokens.current()
        return self._calls.tokens.scopes

    def create_series(self, plan: SeriesPlan) -> Series:
        """POST /users/{userId}/meetings; one weekly meeting over all slots and gaps."""
        zone = ZoneInfo(plan.timezone)
        first, last = (slot.starts_at.astimezone(zone) for slot in (plan.slots[0], plan.slots[-1]))
        weeks = (last.date() - first.date()).days // 7 + 1
        body = {
            "topic": plan.name[:200],
            "type": RECURRING_FIXED,
            "start_time": _local(first),
            "timezone": plan.timezone,
            "duration": _minutes(plan.usual_length),
            "agenda": _marker(plan),
            "recurrence": {
                "type": WEEKLY,
                "repeat_interval": 1,
                # Zoom counts from 1 = Sunday, as text; Python's isoweekday has 7 = Sunday.
                "weekly_days": str(first.isoweekday() % 7 + 1),
                "end_times": weeks,
            },
            "settings": {
                "approval_type": 0,
                "registration_type": 1,
                "registrants_confirmation_email": False,
                "registrants_email_notification": False,
                "allow_multiple_devices": True,
                "waiting_room": True,
                "join_before_host": False,
                "host_video": True,
                "participant_video": True,
                "mute_upon_entry": True,
                "meeting_authentication": False,
                "auto_recording": "none",
                "device_testing": True,
            },
        }
        if plan.co_organisers:
            body["settings"] |= {"alternative_hosts": ";".join(plan.co_organisers)}  # type: ignore[operator]
        path = f"/users/{quote(plan.organiser, safe='@')}/meetings"
        return self._series(self._zoom.meeting.post_request(path, data=body), plan.organiser)

    def find_series(self, plan: SeriesPlan) -> Series | None:
        """Look for the marker: Zoom has no key that makes a repeated create harmless.

        The list may shorten the agenda, so a meeting with the right topic is read whole.
        """
        listed = pages(
            lambda query: self._zoom.meeting.list(
                user_id=quote(plan.organiser, safe="@"), type="scheduled", **query
            ),
            "meetings",
        )
        for row in listed:
            if row.get("topic") != plan.name[:200] or row.get("type") != RECURRING_FIXED:
                continue
            found = self._zoom.meeting.get(id=str(row.get("id")))
            if str(found.body.get("agenda", "")) == _marker(plan):
                return self._series(found, plan.organiser)
        return None

    def made_by_us(self, organiser: str) -> tuple[tuple[str, str], ...]:
        """GET /users/{userId}/meetings: those whose agenda is our marker."""
        listed = pages(
            lambda query: self._zoom.meeting.list(
                user_id=quote(organiser, safe="@"), type="scheduled", **query
            ),
            "meetings",
        )
        # A series is listed once for each of its occurrences.
        found = {
            str(row.get("id")): str(row.get("topic"))
            for row in listed
            if str(row.get("agenda", "")).startswith(MARK)
        }
        return tuple(found.items())

    def _series(self, answer: Answer, organiser: str) -> Series:
        number = answer.body.get("id")
        if not isinstance(number, int | str) or not str(number):
            raise ProviderError(
                "Zoom's answer names no meeting.", permanent=False, outcome_unknown=True
            )
        return Series(
            ref=str(number),
            organiser_ref=organiser,
            join_url=str(answer.body.get("join_url") or ""),
            occurrences=_occurrences(answer.body.get("occurrences")),
        )

    def list_occurrences(self, series: Series, plan: SeriesPlan) -> tuple[Occurrence, ...]:
        """GET /meetings/{meetingId}, the past ones included."""
        del plan
        answer = self._zoom.meeting.get(id=series.ref, show_previous_occurrences="true")
        return _occurrences(answer.body.get("occurrences"))

    def adjust_occurrence(
        self,
        series: Series,
        occurrence_ref: str,
        slot: Slot,
        *,
        timezone: str,
        current: Occurrence | None = None,
    ) -> None:
        """PATCH /meetings/{meetingId}?occurrence_id=…

        The id must stand in the query: in the body (where zoomus's own `update` puts it) it is
        ignored and the whole series changes.
        """
        body: dict[str, Any] = {}
        if current is None or current.starts_at != slot.starts_at:
            body |= {
                "start_time": _local(slot.starts_at.astimezone(ZoneInfo(timezone))),
                "timezone": timezone,
            }
        if current is None or current.length != slot.length:
            body["duration"] = _minutes(slot.length)
        if body:
            self._zoom.meeting.patch_request(
                f"/meetings/{series.ref}",
                params={"occurrence_id": _named(occurrence_ref)},
                data=body,
            )

    def extend_series(self, series: Series, plan: SeriesPlan) -> None:
        """PATCH /meetings/{meetingId} with the whole pattern and more weeks.

        A single field of the pattern is refused, and the occurrences are made anew.
        """
        answer = self._zoom.meeting.get(id=series.ref, show_previous_occurrences="true")
        there, pattern = _occurrences(answer.body.get("occurrences")), answer.body.get("recurrence")
        if not there or not isinstance(pattern, dict):
            raise ProviderError("Zoom shows no series to make longer.", permanent=True)
        zone = ZoneInfo(plan.timezone)
        last = plan.slots[-1].starts_at.astimezone(zone).date()
        short = (last - there[-1].starts_at.astimezone(zone).date()).days
        if short <= 0:
            return
        weeks = int(pattern.get("end_times") or len(there)) + -(-short // 7)
        kept = {k: pattern[k] for k in ("type", "repeat_interval", "weekly_days") if k in pattern}
        self._zoom.meeting.patch_request(
            f"/meetings/{series.ref}", data={"recurrence": {**kept, "end_times": weeks}}
        )

    def drop_occurrence(self, series: Series, occurrence_ref: str) -> None:
        """DELETE one occurrence."""
        self._delete(series, occurrence_id=_named(occurrence_ref))

    def cancel_series(self, series: Series, *, moved_on: bool = False) -> None:
        """DELETE the meeting with all its occurrences; Zoom tells the registrants."""
        self._delete(series, cancel_meeting_reminder="false" if moved_on else "true")

    def _delete(self, series: Series, **query: str) -> None:
        if not series.ref:
            raise ProviderError("There is no meeting to delete.", permanent=True)
        try:
            self._zoom.meeting.delete(id=series.ref, **query)
        except ProviderError as e:
            if not e.gone:
                raise

    def resolve_meeting(self, series: Series) -> Series:
        """Zoom has no second object behind the meeting."""
        return series

    def invite(self, series: Series, invitee: Invitee, *, tried: bool) -> Invitation:
        """POST /meetings/{meetingId}/registrants: one personal link, valid for all sessions.

        Whoever an earlier try registered keeps that link: whether a second registration gives the
        same one is not documented, and Zoom allows three per person and day.
        """
        known = self._registrant(series, invitee.email) if tried else None
        if known is not None:
            return _invitation(known, invitee)
        first, _, last = invitee.name.strip().partition(" ")
        body = {"email": invitee.email, "first_name": first[:64] or "Carer", "auto_approve": True}
        if last.strip():
            body["last_name"] = last.strip()[:64]
        answer = self._zoom.meeting.post_request(f"/meetings/{series.ref}/registrants", data=body)
        return _invitation(answer.body, invitee)

    def _registrant(self, series: Series, email: str) -> dict[str, Any] | None:
        rows = pages(
            lambda query: self._zoom.meeting.list_registrants(
                id=series.ref, status="approved", **query
            ),
            "registrants",
        )
        same = (r for r in rows if str(r.get("email", "")).casefold() == email.casefold())
        return next(same, None)

    def withdraw(self, series: Series, invitee: Invitee, invitation_ref: str | None) -> None:
        """PUT /meetings/{meetingId}/registrants/status: the personal link stops working."""
        person = {"email": invitee.email}
        if invitation_ref is not None:
            person["id"] = invitation_ref
        try:
            self._zoom.meeting.put_request(
                f"/meetings/{series.ref}/registrants/status",
                data={"action": "cancel", "registrants": [person]},
            )
        except ProviderError as e:
            if not e.gone:
                raise

    def fetch_record(
        self,
        series: Series,
        *,
        window_from: datetime,
        window_to: datetime,
        known_instances: tuple[str, ...],
    ) -> PlatformRecord:
        """Every instance that was held in the window, with everybody who was in it."""
        return self._records.fetch(
            series,
            window_from=window_from,
            window_to=window_to,
            known_instances=known_instances,
        )

    def start_watch(self, request: WatchRequest) -> Watch:
        """Zoom needs no subscription per meeting."""
        del request
        raise ProviderError("Zoom's webhooks are set up in its marketplace.", permanent=True)

    def start_change_watch(
        self,
        mailbox_ref: str,
        *,
        notification_url: str,
        lifecycle_url: str,
        client_state: str,
        expires_at: datetime,
    ) -> Watch:
        """Zoom tells of changed meetings without a subscription."""
        del mailbox_ref, notification_url, lifecycle_url, client_state, expires_at
        raise ProviderError("Zoom's webhooks are set up in its marketplace.", permanent=True)

    def renew_watch(
        self, watch_ref: str, expires_at: datetime, certificate: Certificate | None = None
    ) -> Watch:
        """Zoom needs no subscription per meeting."""
        del watch_ref, expires_at, certificate
        raise ProviderError("Zoom's webhooks are set up in its marketplace.", permanent=True)

    def stop_watch(self, watch_ref: str) -> None:
        """Zoom needs no subscription per meeting."""

    def live_watches(self) -> Mapping[str, datetime]:
        """Zoom needs no subscription per meeting."""
        return {}

    def fetch_call_record(self, record_ref: str, *, with_events: bool) -> CallRecord:
        """Zoom has no such records."""
        del with_events
        raise ProviderError(f"Zoom has no call record {record_ref}.", permanent=True)

    def join_call(self, series: Series, callback_url: str) -> str:
        """Zoom tells what is needed by webhook."""
        del series, callback_url
        raise ProviderError("No bot joins a meeting on Zoom.", permanent=True)

    def keep_call(self, call_ref: str) -> None:
        """No bot joins a meeting on Zoom."""

    def leave_call(self, call_ref: str) -> None:
        """No bot joins a meeting on Zoom."""

    def live_media(self, instances: tuple[str, ...]) -> tuple[ParticipantEvent, ...]:
        """From the dashboard, where it is switched on: it needs a Business plan."""
        if not self._dashboard:
            return ()
        return tuple(
            event
            for uuid in instances
            for event in zoom_dashboard.fetch(self._zoom, uuid, sent_direction=self._sent_direction)
        )

    def lost_deliveries(self, since: datetime, until: datetime) -> tuple[str, ...]:
        """From the log of our app, where its id is configured."""
        if not self._app_id:
            return ()
        return lost_deliveries(self._zoom, self._app_id, since, until)


def _marker(plan: SeriesPlan) -> str:
    return f"{MARK}{plan.marker}"


def _local(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}"


def _minutes(length: timedelta) -> int:
    return int(length.total_seconds() // 60)


def _named(occurrence_ref: str) -> str:
    """An empty id would make it a call about the whole series."""
    if not occurrence_ref.strip():
        raise ProviderError("An occurrence without id cannot be changed.", permanent=True)
    return occurrence_ref


def _occurrences(value: object) -> tuple[Occurrence, ...]:
    found = []
    for row in rows(value):
        begins, minutes = instant(row.get("start_time")), row.get("duration")
        if row.get("status") == "deleted" or begins is None or not isinstance(minutes, int):
            continue
        found.append(
            Occurrence(
                ref=str(row.get("occurrence_id")),
                starts_at=begins,
                length=timedelta(minutes=minutes),
            )
        )
    return tuple(sorted(found, key=lambda o: (o.starts_at, o.ref)))


def _invitation(row: dict[str, Any], invitee: Invitee) -> Invitation:
    """From the answer to a registration (`registrant_id`) or a row of the list (`id`)."""
    ref, link = row.get("registrant_id") or row.get("id"), row.get("join_url")
    if not ref or not isinstance(link, str) or not link:
        raise ProviderError(
            "Zoom registered the carer but gave no personal link.",
            permanent=False,
            outcome_unknown=True,
        )
    return Invitation(marker=invitee.marker, join_url=link, ref=str(ref))
