"""Graph's values and addresses, as all of Teams' files read and write them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from integration.provider import ProviderError, Series
from integration.teams_client import GraphCalls

CALENDAR = {"Prefer": 'outlook.timezone="UTC", IdType="ImmutableId"'}
WRITE_CALENDAR, READ_MEETINGS = "Calendars.ReadWrite", "OnlineMeetings.Read.All"
READ_REPORTS, READ_USERS = "OnlineMeetingArtifact.Read.All", "User.Read.All"
MOST_PAGES = 100
# Exchange may answer with a Windows name. "Greenwich Standard Time" is Iceland's, without summer.
_WINDOWS_ZONES = {
    "GMT Standard Time": "Europe/London",
    "Greenwich Standard Time": "Atlantic/Reykjavik",
    "W. Europe Standard Time": "Europe/Berlin",
    "Romance Standard Time": "Europe/Paris",
    "UTC": "UTC",
    "tzone://Microsoft/Utc": "UTC",
}


def pages(
    graph: GraphCalls,
    path: str,
    *,
    needs: str,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Iterator[dict[str, Any]]:
    """All rows of a paged list. The next page's address is complete in itself."""
    for _ in range(MOST_PAGES):
        answer = graph.call("GET", path, needs=needs, params=params, headers=headers)
        yield from rows(answer.body.get("value"))
        following = answer.body.get("@odata.nextLink")
        if not isinstance(following, str) or not following:
            return
        path, params = following, None


def event_path(series: Series, ref: str) -> str:
    if not ref.strip():
        raise ProviderError("An event without id cannot be changed.", permanent=True)
    return f"v1.0/users/{quote(series.organiser_ref, safe='@')}/events/{quote(ref, safe='')}"


def join_url_of(event: dict[str, Any]) -> str:
    meeting = event.get("onlineMeeting")
    return str(meeting.get("joinUrl") or "") if isinstance(meeting, dict) else ""


def rows(value: object) -> list[dict[str, Any]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"


def instant(value: object) -> datetime | None:
    """From Graph's wall time and zone; seven decimals are cut to six by Python itself."""
    if not isinstance(value, dict):
        return None
    name = str(value.get("timeZone") or "UTC")
    try:
        wall = datetime.fromisoformat(str(value.get("dateTime")))
        zone = ZoneInfo(_WINDOWS_ZONES.get(name, name))
    except (ValueError, KeyError, OSError):
        return None
    if not 2000 <= wall.year < 2100:
        return None  # Graph writes year 1 for "none"
    return (wall if wall.tzinfo else wall.replace(tzinfo=zone)).astimezone(UTC)


def utc_instant(row: dict[str, Any], name: str) -> datetime | None:
    return instant({"dateTime": row.get(name), "timeZone": "UTC"})
