"""What Graph accepts in an event: its properties, time zones, attendees and recurrence.

The error codes of Exchange's own refusals are documented for few of these cases; the others are
assumed. https://learn.microsoft.com/graph/api/resources/event
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from sandbox.graph_errors import GraphError

EVENT_FIELDS = {
    *("subject", "body", "start", "end", "recurrence", "attendees", "hideAttendees"),
    *("allowNewTimeProposals", "responseRequested", "isOnlineMeeting", "onlineMeetingProvider"),
    *("transactionId", "location", "categories", "isReminderOn", "importance", "sensitivity"),
    *("reminderMinutesBeforeStart", "showAs", "isAllDay", "locations"),
}
# "Greenwich Standard Time" is Iceland's, without summer time.
WINDOWS = {
    "GMT Standard Time": "Europe/London",
    "Greenwich Standard Time": "Atlantic/Reykjavik",
    "W. Europe Standard Time": "Europe/Berlin",
    "Romance Standard Time": "Europe/Paris",
    "UTC": "UTC",
}
WINDOWS_NAMES = {iana: windows for windows, iana in WINDOWS.items()}
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MOST_OCCURRENCES = 999


def invalid(message: str) -> GraphError:
    """A property with a wrong value."""
    return GraphError(400, "ErrorPropertyValidationFailure", message)


def check_names(asked: Mapping[str, Any]) -> None:
    """Refuse a property that an event does not have."""
    for name in asked:
        if name not in EVENT_FIELDS:
            raise GraphError(
                400,
                "RequestBodyRead",
                f"The property '{name}' does not exist on type 'microsoft.graph.event'. Make sure "
                "to only use property names that are defined by the type.",
            )
    for name in ("hideAttendees", "allowNewTimeProposals", "responseRequested", "isOnlineMeeting"):
        if not isinstance(asked.get(name, False), bool):
            raise GraphError(400, "RequestBodyRead", f"The property '{name}' must be a boolean.")
    if not isinstance(asked.get("subject", ""), str):
        raise GraphError(400, "RequestBodyRead", "The property 'subject' must be a string.")
    if asked.get("onlineMeetingProvider", "teamsForBusiness") != "teamsForBusiness":
        raise invalid("The online meeting provider is not allowed in this calendar.")
    check_attendees(asked.get("attendees", []))


def check_attendees(asked: object) -> None:
    """Each attendee is an address and a type."""
    if not isinstance(asked, list):
        raise GraphError(400, "RequestBodyRead", "The property 'attendees' must be a list.")
    for attendee in asked:
        email = attendee.get("emailAddress") if isinstance(attendee, dict) else None
        address = email.get("address") if isinstance(email, dict) else None
        if not isinstance(address, str) or "@" not in address:
            raise GraphError(400, "ErrorInvalidRecipients", "An attendee has no valid address.")
        if attendee.get("type", "required") not in ("required", "optional", "resource"):
            raise GraphError(400, "RequestBodyRead", "An attendee's type is not known.")


def read_zone(name: object) -> ZoneInfo:
    """A time zone by its Windows or its IANA name."""
    zone_name = WINDOWS.get(str(name), str(name))
    if zone_name not in _known_zones():
        raise GraphError(
            400,
            "TimeZoneNotSupportedException",
            "A valid TimeZone value must be specified. The following TimeZone value is not "
            f"supported: '{name}'.",
        )
    return ZoneInfo(zone_name)


@cache
def _known_zones() -> frozenset[str]:
    """Finding them walks the disk, so once."""
    return frozenset(available_timezones())


def read_point(value: object) -> datetime:
    """Wall time and zone to an instant. A `Z` or offset makes it an instant whatever the zone."""
    if not isinstance(value, dict) or not isinstance(value.get("dateTime"), str):
        raise invalid("A dateTimeTimeZone needs dateTime and timeZone.")
    zone = read_zone(value.get("timeZone") or "")
    try:
        wall = datetime.fromisoformat(value["dateTime"])
    except ValueError as e:
        raise invalid("dateTime is not valid.") from e
    return (wall if wall.tzinfo else wall.replace(tzinfo=zone)).astimezone(UTC)


def expand(asked: Mapping[str, Any], starts_at: datetime) -> list[datetime]:
    """The instants of a weekly numbered recurrence; wall time holds over clock changes."""
    recurrence = asked.get("recurrence")
    if not isinstance(recurrence, dict):
        raise GraphError(400, "ErrorInvalidRequest", "The stand-in makes recurring events only.")
    pattern, span = recurrence.get("pattern"), recurrence.get("range")
    if not isinstance(pattern, dict) or not isinstance(span, dict):
        raise invalid("A recurrence needs a pattern and a range.")
    if pattern.get("type") != "weekly" or span.get("type") != "numbered":
        raise GraphError(400, "ErrorInvalidRequest", "The stand-in knows weekly, numbered only.")
    zone = read_zone(asked["start"]["timeZone"])
    read_zone(span.get("recurrenceTimeZone") or asked["start"]["timeZone"])
    local = starts_at.astimezone(zone)
    try:
        begins_on = date.fromisoformat(str(span.get("startDate")))
    except ValueError as e:
        raise invalid("The recurrence range's startDate is not valid.") from e
    if begins_on != local.date():
        raise invalid("The recurrence range's startDate must be the date of start.")
    if pattern.get("daysOfWeek") != [DAYS[local.weekday()]]:
        raise invalid("The stand-in repeats on the start's own day of the week only.")
    count, interval = span.get("numberOfOccurrences"), pattern.get("interval", 1)
    if not isinstance(count, int) or not 1 <= count <= MOST_OCCURRENCES:
        raise invalid("numberOfOccurrences is missing or out of range.")
    if not isinstance(interval, int) or not 1 <= interval <= 99:
        raise invalid("interval is out of range.")
    wall, weeks = local.replace(tzinfo=None), timedelta(weeks=interval)
    return [(wall + weeks * n).replace(tzinfo=zone).astimezone(UTC) for n in range(count)]
