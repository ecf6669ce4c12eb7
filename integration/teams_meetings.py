"""The online meeting behind a series, and the attendance reports of its calls.

https://learn.microsoft.com/graph/api/onlinemeeting-get and
https://learn.microsoft.com/graph/api/meetingattendancereport-list
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import parse_qs, quote, urlsplit

from course.model import ParticipantEvent
from integration.provider import PlatformRecord, ProviderError, Series
from integration.teams_client import GraphCalls
from integration.teams_record import report_events
from integration.teams_values import (
    CALENDAR,
    READ_MEETINGS,
    READ_REPORTS,
    READ_USERS,
    WRITE_CALENDAR,
    event_path,
    join_url_of,
    pages,
    rows,
    utc_instant,
)

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Meetings:
    """Reads meetings and reports. `reports` is the version that has camera times: beta today."""

    def __init__(self, graph: GraphCalls, *, reports: str) -> None:
        self._graph = graph
        self._reports = reports

    def resolve(self, series: Series) -> Series:
        """The online meeting behind the event, found by its join link."""
        join_url = series.join_url or self._read_join_url(series)
        organiser = self._object_id(series.organiser_ref, join_url)
        self._graph.same_mailbox(series.organiser_ref, organiser)
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
            "GET", event_path(series, series.ref), needs=WRITE_CALENDAR, headers=CALENDAR
        )
        found = join_url_of(answer.body)
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

    def record(
        self,
        series: Series,
        *,
        window_from: datetime,
        window_to: datetime,
    ) -> PlatformRecord:
        """Every attendance report that overlaps the window; one is made each time a call ends."""
        if series.meeting_ref is None:
            raise ProviderError("The series has no online meeting yet.", permanent=True)
        base = (
            f"{self._reports}/users/{series.organiser_ref}/onlineMeetings/"
            f"{quote(series.meeting_ref, safe='')}/attendanceReports"
        )
        events: list[ParticipantEvent] = []
        shown = []
        for row in pages(self._graph, base, needs=READ_REPORTS):
            begins, ends = (
                utc_instant(row, "meetingStartDateTime"),
                utc_instant(row, "meetingEndDateTime"),
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
            records = rows(answer.body.get("attendanceRecords"))
            following = answer.body.get("attendanceRecords@odata.nextLink")
            if isinstance(following, str):
                records += list(pages(self._graph, following, needs=READ_REPORTS))
            found = report_events(answer.body, records, series_ref=series.ref)
            shown.append(bool(records))
            events += found
        return PlatformRecord(events=tuple(events), complete=bool(shown) and all(shown))
