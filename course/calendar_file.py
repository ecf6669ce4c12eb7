"""A carer's sessions as an iCalendar file (RFC 5545): stable UIDs, so a change updates the entry.

The titles say nothing about the course: a family's calendar is seen by many eyes.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from icalendar import Calendar, Event, vCalAddress, vText

from course.model import Carer, Cohort, Session, SessionState

METHODS = ("PUBLISH", "REQUEST", "CANCEL")


def is_dropped(cohort: Cohort, carer: Carer, session: Session) -> bool:
    """Whether the session is off for this carer."""
    return (
        session.state is SessionState.CANCELLED
        or cohort.cancel_requested
        or carer.withdrawn_at is not None
    )


def calendar_file(
    cohort: Cohort, carer: Carer, *, join_url: str, method: str = "PUBLISH", sender: str = ""
) -> bytes:
    """All sessions of a cohort for one carer, as text/calendar in UTF-8.

    `method`: PUBLISH for a download, REQUEST or CANCEL for a mail from `sender`. SEQUENCE rises
    with each change of a session; dropping it is one more change.
    """
    calendar = Calendar()
    calendar.add("prodid", "-//Circle//Sessions//EN")
    calendar.add("version", "2.0")
    calendar.add("method", method)
    zone = ZoneInfo(cohort.timezone)
    for session in cohort.sessions:
        dropped = is_dropped(cohort, carer, session)
        event = Event()
        event.add("uid", f"{carer.id}-week-{session.week}@circle")
        event.add("sequence", session.sequence + (1 if dropped else 0))
        event.add("status", "CANCELLED" if dropped else "CONFIRMED")
        event.add("dtstamp", _stamp(cohort, carer))
        event.add("dtstart", session.starts_at.astimezone(zone))
        event.add("dtend", session.ends_at.astimezone(zone))
        event.add("summary", f"Saturday session, week {session.week} of {len(cohort.sessions)}")
        event.add("url", join_url)
        event.add("description", f"Join here, with your camera and microphone on: {join_url}")
        event.add("class", "PRIVATE")
        if sender:
            event.add("organizer", vCalAddress(f"mailto:{sender}"))
            attendee = vCalAddress(f"mailto:{carer.email}")
            attendee.params["CN"] = vText(carer.name)
            attendee.params["RSVP"] = vText("FALSE")
            event.add("attendee", attendee, encode=False)
        calendar.add_component(event)
    calendar.add_missing_timezones()
    return bytes(calendar.to_ical())


def _stamp(cohort: Cohort, carer: Carer) -> datetime:
    """When this was last changed: the same file for the same facts."""
    known = (cohort.created_at, cohort.settled_at, carer.enrolled_at, carer.withdrawn_at)
    return max(at for at in known if at is not None)
