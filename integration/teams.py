"""Teams as a `MeetingProvider`: a cohort is one recurring calendar event with its online meeting.

One POST makes all sessions, one join link and the invitations; `transactionId` makes a repeated
POST harmless. Times go out as wall time with the zone's name; what Exchange made of them is read
back as instants. https://learn.microsoft.com/graph/api/user-post-events
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from course.model import ParticipantEvent, Platform
from integration import teams_call_records, teams_calls
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
from integration.teams_client import GraphCalls
from integration.teams_login import roles_of
from integration.teams_meetings import Meetings
from integration.teams_values import (
    CALENDAR,
    WRITE_CALENDAR,
    event_path,
    instant,
    join_url_of,
    pages,
    utc,
)
from integration.teams_watches import Watches

IS_OFF = "The course does not take place."
ELSEWHERE = (
    "The sessions are held elsewhere from now on. Your own page is the same as before and leads "
    "there."
)
MARK = "circle-"
AROUND = timedelta(weeks=26)  # where instances may be that the plan does not know (any more)


class TeamsProvider:
    """Teams behind Circle's words. Building it touches no network."""

    platform = Platform.TEAMS
    watches = True
    invites_with_series = True  # the event's attendees; everybody has the same join link

    def __init__(
        self,
        *,
        tenant_id: str,
        client_id: str,
        client_secret: str | None,
        client_certificate: Path | None,
        graph_url: str,
        login_url: str,
        engagements_version: str,
        clock: Callable[[], datetime],
        pace: Pace | None = None,
    ) -> None:
        self._tenant_id = tenant_id
        self._graph = GraphCalls(
            tenant_id=tenant_id,
            client_id=client_id,
            client_secret=client_secret,
            client_certificate=client_certificate,
            graph_url=graph_url,
            login_url=login_url,
            clock=clock,
            pace=pace,
        )
        self._meetings = Meetings(self._graph, reports=engagements_version)
        self._watches = Watches(self._graph)

    def check_access(self) -> datetime | None:
        """Fetch a token."""
        self._graph.token()
        return self._graph.login.told_at

    def granted(self) -> frozenset[str] | None:
        """The application permissions in the token."""
        return roles_of(self._graph.token())

    def create_series(self, plan: SeriesPlan) -> Series:
        """POST /users/{id}/events; attendees see only themselves and get one invitation."""
        zone = ZoneInfo(plan.timezone)
        first, last = (slot.starts_at.astimezone(zone) for slot in (plan.slots[0], plan.slots[-1]))
        weeks = (last.date() - first.date()).days // 7 + 1
        day = first.strftime("%A").lower()
        body = {
            "subject": plan.name,
            "body": {"contentType": "HTML", "content": "Please join with your full name."},
            "start": _wall(first, plan.timezone),
            "end": _wall(first + plan.usual_length, plan.timezone),
            "recurrence": {
                "pattern": {
                    "type": "weekly",
                    "interval": 1,
                    "daysOfWeek": [day],
                    "firstDayOfWeek": "sunday",
                },
                "range": {
                    "type": "numbered",
                    "startDate": first.date().isoformat(),
                    "numberOfOccurrences": weeks,
                    "recurrenceTimeZone": plan.timezone,
                },
            },
            "attendees": [_attendee(invitee) for invitee in plan.invitees],
            "hideAttendees": True,
            "allowNewTimeProposals": False,
            "responseRequested": False,
            "isOnlineMeeting": True,
            "onlineMeetingProvider": "teamsForBusiness",
            "transactionId": _marker(plan),
        }
        path = f"v1.0/users/{quote(plan.organiser, safe='@')}/events"
        try:
            answer = self._graph.call(
                "POST", path, needs=WRITE_CALENDAR, body=body, headers=CALENDAR
            )
        except ProviderError as e:
            # A replay may be answered with 409 instead of the event: then it stands there. When
            # looking fails as well, what counts is that the create may have happened.
            try:
                found = self.find_series(plan)
            except ProviderError:
                raise e from None
            if found is None:
                raise
            return found
        return self._series(answer.body, plan.organiser)

    def find_series(self, plan: SeriesPlan) -> Series | None:
        """Look for our transaction id among the organiser's events of that subject."""
        subject = plan.name.replace("'", "''")
        rows = pages(
            self._graph,
            f"v1.0/users/{quote(plan.organiser, safe='@')}/events",
            needs=WRITE_CALENDAR,
            params={"$filter": f"subject eq '{subject}'"},
            headers=CALENDAR,
        )
        mine = (row for row in rows if row.get("transactionId") == _marker(plan))
        return next((self._series(row, plan.organiser) for row in mine), None)

    def made_by_us(self, organiser: str) -> tuple[tuple[str, str], ...]:
        """GET /users/{id}/events: those whose transaction id is ours."""
        rows = pages(
            self._graph,
            f"v1.0/users/{quote(organiser, safe='@')}/events",
            needs=WRITE_CALENDAR,
            params={},
            headers=CALENDAR,
        )
        return tuple(
            (str(row.get("id")), str(row.get("subject")))
            for row in rows
            if str(row.get("transactionId")).startswith(MARK)
        )

    def _series(self, event: dict[str, Any], organiser: str) -> Series:
        ref = event.get("id")
        if not isinstance(ref, str) or not ref:
            raise ProviderError(
                "Graph's answer names no event.", permanent=False, outcome_unknown=True
            )
        return Series(ref=ref, organiser_ref=organiser, join_url=join_url_of(event))

    def list_occurrences(self, series: Series, plan: SeriesPlan) -> tuple[Occurrence, ...]:
        """GET /users/{id}/events/{id}/instances, over the plan and half a year around it."""
        rows = pages(
            self._graph,
            f"{event_path(series, series.ref)}/instances",
            needs=WRITE_CALENDAR,
            params={
                "startDateTime": utc(plan.slots[0].starts_at - AROUND),
                "endDateTime": utc(plan.slots[-1].starts_at + AROUND),
            },
            headers=CALENDAR,
        )
        found = []
        for row in rows:
            begins, ends = instant(row.get("start")), instant(row.get("end"))
            if row.get("isCancelled") is True or begins is None or ends is None:
                continue
            found.append(Occurrence(ref=str(row.get("id")), starts_at=begins, length=ends - begins))
        return tuple(sorted(found, key=lambda o: (o.starts_at, o.ref)))

    def adjust_occurrence(
        self,
        series: Series,
        occurrence_ref: str,
        slot: Slot,
        *,
        timezone: str,
        current: Occurrence | None = None,
    ) -> None:
        """PATCH one instance; it becomes an exception of the series."""
        begins = slot.starts_at.astimezone(ZoneInfo(timezone))
        body = {"end": _wall(begins + slot.length, timezone)}
        if current is None or current.starts_at != slot.starts_at:
            body["start"] = _wall(begins, timezone)
        self._graph.call(
            "PATCH",
            event_path(series, occurrence_ref),
            needs=WRITE_CALENDAR,
            body=body,
            headers=CALENDAR,
        )

    def extend_series(self, series: Series, plan: SeriesPlan) -> None:
        """PATCH the master's recurrence; Exchange may make every instance anew."""
        path = event_path(series, series.ref)
        answer = self._graph.call(
            "GET", path, needs=WRITE_CALENDAR, params={"$select": "recurrence"}, headers=CALENDAR
        )
        found = answer.body.get("recurrence")
        pattern, span = (found.get("pattern"), found.get("range")) if found else (None, None)
        if not isinstance(pattern, dict) or not isinstance(span, dict):
            raise ProviderError("Teams shows no series to make longer.", permanent=True)
        begins = date.fromisoformat(str(span.get("startDate")))
        last = plan.slots[-1].starts_at.astimezone(ZoneInfo(plan.timezone)).date()
        weeks = -(-(last - begins).days // 7) + 1
        if weeks <= int(span.get("numberOfOccurrences") or 0):
            return
        span = {
            "type": "numbered",
            "startDate": begins.isoformat(),
            "numberOfOccurrences": weeks,
            "recurrenceTimeZone": plan.timezone,
        }
        self._graph.call(
            "PATCH",
            path,
            needs=WRITE_CALENDAR,
            body={"recurrence": {"pattern": pattern, "range": span}},
            headers=CALENDAR,
        )

    def drop_occurrence(self, series: Series, occurrence_ref: str) -> None:
        """DELETE one instance."""
        try:
            self._graph.call("DELETE", event_path(series, occurrence_ref), needs=WRITE_CALENDAR)
        except ProviderError as e:
            if not e.gone:
                raise

    def cancel_series(self, series: Series, *, moved_on: bool = False) -> None:
        """POST …/cancel on the master: everybody invited is told once."""
        try:
            self._graph.call(
                "POST",
                f"{event_path(series, series.ref)}/cancel",
                needs=WRITE_CALENDAR,
                body={"comment": ELSEWHERE if moved_on else IS_OFF},
            )
        except ProviderError as e:
            if not e.gone:
                raise

    def resolve_meeting(self, series: Series) -> Series:
        """The online meeting behind the event."""
        return self._meetings.resolve(series)

    def invite(self, series: Series, invitee: Invitee, *, tried: bool) -> Invitation:
        """Add an attendee; the shared link is everybody's invitation. Repeating does no harm."""
        del tried
        attendees = self._attendees(series)
        if not any(_address(a) == invitee.email.casefold() for a in attendees):
            self._put_attendees(series, [*attendees, _attendee(invitee)])
        return Invitation(marker=invitee.marker, join_url=series.join_url)

    def withdraw(self, series: Series, invitee: Invitee, invitation_ref: str | None) -> None:
        """Take an attendee off; the others hear nothing of it."""
        del invitation_ref
        attendees = self._attendees(series)
        left = [a for a in attendees if _address(a) != invitee.email.casefold()]
        if len(left) != len(attendees):
            self._put_attendees(series, left)

    def _attendees(self, series: Series) -> list[dict[str, Any]]:
        answer = self._graph.call(
            "GET",
            event_path(series, series.ref),
            needs=WRITE_CALENDAR,
            params={"$select": "attendees"},
            headers=CALENDAR,
        )
        found = answer.body.get("attendees")
        return [a for a in found if isinstance(a, dict)] if isinstance(found, list) else []

    def _put_attendees(self, series: Series, attendees: list[dict[str, Any]]) -> None:
        """PATCH replaces the whole list, so it is always sent whole."""
        kept = [{k: a[k] for k in ("emailAddress", "type") if k in a} for a in attendees]
        self._graph.call(
            "PATCH",
            event_path(series, series.ref),
            needs=WRITE_CALENDAR,
            body={"attendees": kept},
            headers=CALENDAR,
        )

    def fetch_record(
        self,
        series: Series,
        *,
        window_from: datetime,
        window_to: datetime,
        known_instances: tuple[str, ...],
    ) -> PlatformRecord:
        """Every attendance report that overlaps the window."""
        del known_instances  # Graph's live notifications name no instance
        return self._meetings.record(series, window_from=window_from, window_to=window_to)

    def start_watch(self, request: WatchRequest) -> Watch:
        """Subscribe to the call events of the meeting."""
        return self._watches.start(request)

    def start_change_watch(
        self,
        mailbox_ref: str,
        *,
        notification_url: str,
        lifecycle_url: str,
        client_state: str,
        expires_at: datetime,
    ) -> Watch:
        """Subscribe to the organiser's calendar."""
        return self._watches.start_calendar(
            mailbox_ref,
            notification_url=notification_url,
            lifecycle_url=lifecycle_url,
            client_state=client_state,
            expires_at=expires_at,
        )

    def renew_watch(
        self, watch_ref: str, expires_at: datetime, certificate: Certificate | None = None
    ) -> Watch:
        """Prolong a subscription."""
        return self._watches.renew(watch_ref, expires_at, certificate)

    def stop_watch(self, watch_ref: str) -> None:
        """End a subscription."""
        self._watches.stop(watch_ref)

    def live_watches(self) -> Mapping[str, datetime]:
        """GET /subscriptions."""
        return self._watches.live()

    def fetch_call_record(self, record_ref: str, *, with_events: bool) -> CallRecord:
        """GET /communications/callRecords/{id}."""
        return teams_call_records.fetch(self._graph, record_ref, with_events=with_events)

    def join_call(self, series: Series, callback_url: str) -> str:
        """POST /communications/calls."""
        return teams_calls.join(self._graph, series, self._tenant_id, callback_url)

    def keep_call(self, call_ref: str) -> None:
        """POST /communications/calls/{id}/keepAlive."""
        teams_calls.keep_alive(self._graph, call_ref)

    def leave_call(self, call_ref: str) -> None:
        """DELETE /communications/calls/{id}."""
        teams_calls.leave(self._graph, call_ref)

    def live_media(self, instances: tuple[str, ...]) -> tuple[ParticipantEvent, ...]:
        """Graph has nothing to poll; the calling bot is told."""
        del instances
        return ()

    def lost_deliveries(self, since: datetime, until: datetime) -> tuple[str, ...]:
        """Graph repeats for four hours and keeps no log."""
        del since, until
        return ()


def _marker(plan: SeriesPlan) -> str:
    return f"{MARK}{plan.marker}"


def _wall(at: datetime, timezone: str) -> dict[str, str]:
    return {"dateTime": f"{at:%Y-%m-%dT%H:%M:%S}", "timeZone": timezone}


def _attendee(invitee: Invitee) -> dict[str, Any]:
    return {
        "emailAddress": {"address": invitee.email, "name": invitee.name},
        "type": "required",
    }


def _address(attendee: dict[str, Any]) -> str:
    email = attendee.get("emailAddress")
    return str(email.get("address") or "").casefold() if isinstance(email, dict) else ""
