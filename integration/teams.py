"""Teams as a `MeetingProvider`: a cohort is one recurring calendar event with its online meeting.

One POST makes all sessions, one join link and the invitations; `transactionId` makes a repeated
POST harmless. Times go out as wall time with the zone's name; what Exchange made of them is read
back as instants. https://learn.microsoft.com/graph/api/user-post-events
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit
from zoneinfo import ZoneInfo

from course.model import ParticipantEvent, Platform
from integration.provider import (
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
from integration.teams_record import report_events

CALENDAR = {"Prefer": 'outlook.timezone="UTC", IdType="ImmutableId"'}
WRITE_CALENDAR, READ_MEETINGS = "Calendars.ReadWrite", "OnlineMeetings.Read.All"
READ_REPORTS, READ_USERS = "OnlineMeetingArtifact.Read.All", "User.Read.All"
MOST_PAGES = 100
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# Exchange may answer with a Windows name. "Greenwich Standard Time" is Iceland's, without summer.
_WINDOWS_ZONES = {
    "GMT Standard Time": "Europe/London",
    "Greenwich Standard Time": "Atlantic/Reykjavik",
    "W. Europe Standard Time": "Europe/Berlin",
    "Romance Standard Time": "Europe/Paris",
    "UTC": "UTC",
    "tzone://Microsoft/Utc": "UTC",
}


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
    ) -> None:
        self._graph = GraphCalls(
            tenant_id=tenant_id,
            client_id=client_id,
            client_secret=client_secret,
            client_certificate=client_certificate,
            graph_url=graph_url,
            login_url=login_url,
            clock=clock,
        )
        self._reports = engagements_version

    def check_access(self) -> None:
        """Fetch a token."""
        self._graph.token()

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
        except ProviderError:
            # A replay may be answered with 409 instead of the event: then it stands there.
            found = self.find_series(plan)
            if found is None:
                raise
            return found
        return self._series(answer.body, plan.organiser)

    def find_series(self, plan: SeriesPlan) -> Series | None:
        """Look for our transaction id among the organiser's events of that subject."""
        subject = plan.name.replace("'", "''")
        rows = self._pages(
            f"v1.0/users/{quote(plan.organiser, safe='@')}/events",
            needs=WRITE_CALENDAR,
            params={"$filter": f"subject eq '{subject}'"},
            headers=CALENDAR,
        )
        mine = (row for row in rows if row.get("transactionId") == _marker(plan))
        return next((self._series(row, plan.organiser) for row in mine), None)

    def _series(self, event: dict[str, Any], organiser: str) -> Series:
        ref = event.get("id")
        if not isinstance(ref, str) or not ref:
            raise ProviderError(
                "Graph's answer names no event.", permanent=False, outcome_unknown=True
            )
        return Series(ref=ref, organiser_ref=organiser, join_url=_join_url(event))

    def list_occurrences(self, series: Series, plan: SeriesPlan) -> tuple[Occurrence, ...]:
        """GET /users/{id}/events/{id}/instances, over the plan and two days around it."""
        rows = self._pages(
            f"{_event(series, series.ref)}/instances",
            needs=WRITE_CALENDAR,
            params={
                "startDateTime": _utc(plan.slots[0].starts_at - timedelta(days=2)),
                "endDateTime": _utc(plan.slots[-1].starts_at + timedelta(days=2)),
            },
            headers=CALENDAR,
        )
        found = []
        for row in rows:
            begins, ends = _instant(row.get("start")), _instant(row.get("end"))
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
            _event(series, occurrence_ref),
            needs=WRITE_CALENDAR,
            body=body,
            headers=CALENDAR,
        )

    def drop_occurrence(self, series: Series, occurrence_ref: str) -> None:
        """DELETE one instance."""
        try:
            self._graph.call("DELETE", _event(series, occurrence_ref), needs=WRITE_CALENDAR)
        except ProviderError as e:
            if not e.gone:
                raise

    def cancel_series(self, series: Series) -> None:
        """POST …/cancel on the master: everybody invited is told once."""
        try:
            self._graph.call(
                "POST",
                f"{_event(series, series.ref)}/cancel",
                needs=WRITE_CALENDAR,
                body={"comment": "The course does not take place."},
            )
        except ProviderError as e:
            if not e.gone:
                raise

    def resolve_meeting(self, series: Series) -> Series:
        """The online meeting behind the event, found by its join link."""
        join_url = series.join_url or self._read_join_url(series)
        organiser = self._object_id(series.organiser_ref, join_url)
        # Encoded exactly once and whole: the link holds percent signs of its own.
        link = quote(join_url.replace("'", "''"), safe="")
        answer = self._graph.call(
            "GET",
            f"v1.0/users/{organiser}/onlineMeetings?$filter=JoinWebUrl%20eq%20'{link}'",
            needs=READ_MEETINGS,
        )
        found = answer.body.get("value")
        meeting = found[0] if isinstance(found, list) and found else {}
        ref = meeting.get("id") if isinstance(meeting, dict) else None
        if not isinstance(ref, str) or not ref:
            raise ProviderError(
                "Teams does not know the meeting of this series yet.",
                permanent=False,
                retry_after=timedelta(seconds=2),
            )
        return replace(
            series,
            organiser_ref=organiser,
            meeting_ref=ref,
            join_url=str(meeting.get("joinWebUrl") or join_url),
        )

    def _read_join_url(self, series: Series) -> str:
        """The link may come a moment after the event."""
        answer = self._graph.call(
            "GET", _event(series, series.ref), needs=WRITE_CALENDAR, headers=CALENDAR
        )
        found = _join_url(answer.body)
        if not found:
            raise ProviderError(
                "Teams has not made the meeting's link yet.",
                permanent=False,
                retry_after=timedelta(seconds=2),
            )
        return found

    def _object_id(self, organiser: str, join_url: str) -> str:
        """Online meetings are found only under the organiser's object id, never the address.

        The long join link names it; a short one does not, and then the directory is asked.
        """
        if _GUID.fullmatch(organiser):
            return organiser
        context = parse_qs(urlsplit(join_url).query).get("context", [""])[0]
        try:
            named = json.loads(context).get("Oid", "")
        except (ValueError, AttributeError):
            named = ""
        if isinstance(named, str) and _GUID.fullmatch(named):
            return named
        answer = self._graph.call(
            "GET",
            f"v1.0/users/{quote(organiser, safe='@')}",
            needs=f"{READ_USERS}, or set TEAMS_HOST to the organiser's object id,",
            params={"$select": "id"},
        )
        return str(answer.body.get("id") or organiser)

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
            _event(series, series.ref),
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
            _event(series, series.ref),
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
        """Every attendance report that overlaps the window; one is made each time a call ends."""
        del known_instances
        if series.meeting_ref is None:
            raise ProviderError("The series has no online meeting yet.", permanent=True)
        base = (
            f"{self._reports}/users/{series.organiser_ref}/onlineMeetings/"
            f"{quote(series.meeting_ref, safe='')}/attendanceReports"
        )
        events: list[ParticipantEvent] = []
        complete = False
        for row in self._pages(base, needs=READ_REPORTS):
            begins, ends = (
                _utc_instant(row, "meetingStartDateTime"),
                _utc_instant(row, "meetingEndDateTime"),
            )
            if begins is None or ends is None or ends < window_from or begins > window_to:
                continue
            report = quote(str(row.get("id")), safe="")
            answer = self._graph.call(
                "GET",
                f"{base}/{report}",
                needs=READ_REPORTS,
                params={"$expand": "attendanceRecords"},
            )
            records = _rows(answer.body.get("attendanceRecords"))
            following = answer.body.get("attendanceRecords@odata.nextLink")
            if isinstance(following, str):
                records += list(self._pages(following, needs=READ_REPORTS))
            found = report_events(answer.body, records, series_ref=series.ref)
            complete = complete or bool(records)
            events += found
        return PlatformRecord(events=tuple(events), complete=complete)

    def start_watch(self, request: WatchRequest) -> Watch:
        """Subscribe to the call events of the meeting (beta): joined, left, lobby.

        https://learn.microsoft.com/graph/changenotifications-for-onlinemeeting
        """
        body = {
            "changeType": "updated",
            "notificationUrl": request.notification_url,
            "lifecycleNotificationUrl": request.lifecycle_url,
            "resource": _resource(request.series.join_url),
            "expirationDateTime": _utc(request.expires_at),
            "clientState": request.client_state,
            "includeResourceData": True,
            "encryptionCertificate": b64encode(request.certificate_der).decode(),
            "encryptionCertificateId": request.certificate_ref,
            "latestSupportedTlsVersion": "v1_2",
        }
        try:
            answer = self._graph.call("POST", "beta/subscriptions", needs=READ_MEETINGS, body=body)
        except ProviderError as e:
            # One subscription per app and meeting: an older one, of a lost answer, is in the way.
            if not e.permanent or not self._clear(request.series.join_url):
                raise
            answer = self._graph.call("POST", "beta/subscriptions", needs=READ_MEETINGS, body=body)
        return _watch(answer.body, request.expires_at)

    def _clear(self, join_url: str) -> bool:
        """Delete our subscriptions to that meeting; whether there were any."""
        rows = list(self._pages("beta/subscriptions", needs=READ_MEETINGS))
        ours = [r for r in rows if r.get("resource") == _resource(join_url)]
        for row in ours:
            self.stop_watch(str(row.get("id")))
        return bool(ours)

    def renew_watch(self, watch_ref: str, expires_at: datetime) -> Watch:
        """PATCH /subscriptions/{id}."""
        answer = self._graph.call(
            "PATCH",
            f"beta/subscriptions/{quote(watch_ref, safe='')}",
            needs=READ_MEETINGS,
            body={"expirationDateTime": _utc(expires_at)},
        )
        return _watch({"id": watch_ref, **answer.body}, expires_at)

    def stop_watch(self, watch_ref: str) -> None:
        """DELETE /subscriptions/{id}."""
        try:
            self._graph.call(
                "DELETE", f"beta/subscriptions/{quote(watch_ref, safe='')}", needs=READ_MEETINGS
            )
        except ProviderError as e:
            if not e.gone:
                raise

    def _pages(
        self,
        path: str,
        *,
        needs: str,
        params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """All rows of a paged list. The next page's address is complete in itself."""
        for _ in range(MOST_PAGES):
            answer = self._graph.call("GET", path, needs=needs, params=params, headers=headers)
            yield from _rows(answer.body.get("value"))
            following = answer.body.get("@odata.nextLink")
            if not isinstance(following, str) or not following:
                return
            path, params = following, None


def _marker(plan: SeriesPlan) -> str:
    return f"circle-{plan.marker}"


def _wall(at: datetime, timezone: str) -> dict[str, str]:
    return {"dateTime": f"{at:%Y-%m-%dT%H:%M:%S}", "timeZone": timezone}


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"


def _attendee(invitee: Invitee) -> dict[str, Any]:
    return {
        "emailAddress": {"address": invitee.email, "name": invitee.name},
        "type": "required",
    }


def _address(attendee: dict[str, Any]) -> str:
    email = attendee.get("emailAddress")
    return str(email.get("address") or "").casefold() if isinstance(email, dict) else ""


def _event(series: Series, ref: str) -> str:
    if not ref.strip():
        raise ProviderError("An event without id cannot be changed.", permanent=True)
    return f"v1.0/users/{quote(series.organiser_ref, safe='@')}/events/{quote(ref, safe='')}"


def _resource(join_url: str) -> str:
    return (
        f"communications/onlineMeetings(joinWebUrl='{quote(join_url, safe='')}')/meetingCallEvents"
    )


def _join_url(event: dict[str, Any]) -> str:
    meeting = event.get("onlineMeeting")
    return str(meeting.get("joinUrl") or "") if isinstance(meeting, dict) else ""


def _rows(value: object) -> list[dict[str, Any]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _instant(value: object) -> datetime | None:
    """From Graph's wall time and zone; seven decimals are cut to six by Python itself."""
    if not isinstance(value, dict):
        return None
    name = str(value.get("timeZone") or "UTC")
    try:
        wall = datetime.fromisoformat(str(value.get("dateTime")))
        zone = ZoneInfo(_WINDOWS_ZONES.get(name, name))
    except (ValueError, KeyError, OSError):
        return None
    return (wall if wall.tzinfo else wall.replace(tzinfo=zone)).astimezone(UTC)


def _utc_instant(row: dict[str, Any], name: str) -> datetime | None:
    return _instant({"dateTime": row.get(name), "timeZone": "UTC"})


def _watch(body: dict[str, Any], asked: datetime) -> Watch:
    ref = body.get("id")
    if not isinstance(ref, str) or not ref:
        raise ProviderError(
            "Graph's answer names no subscription.", permanent=False, outcome_unknown=True
        )
    return Watch(ref=ref, expires_at=_utc_instant(body, "expirationDateTime") or asked)
