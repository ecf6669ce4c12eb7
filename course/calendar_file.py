"""A cohort's sessions as an iCalendar file (RFC 5545): stable UIDs, so a change updates the entry.

The titles say nothing about the course: a family's calendar is seen by many eyes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from icalendar import Calendar, Event, vCalAddress, vText

from course.model import Carer, Cohort, Rehearsal, Session, SessionState

METHODS = ("PUBLISH", "REQUEST", "CANCEL")


def is_dropped(cohort: Cohort, carer: Carer, session: Session) -> bool:
    """Whether the session is off for this carer."""
    return (
        session.state is SessionState.CANCELLED
        or cohort.cancel_requested
        or carer.withdrawn_at is not None
    )


def calendar_file(
    cohort: Cohort,
    carer: Carer,
    *,
    join_url: str,
    method: str = "PUBLISH",
    sender: str = "",
    rehearsals: Sequence[Rehearsal] = (),
) -> bytes:
    """All sessions of a cohort for one carer, as text/calendar in UTF-8; rehearsals beside them.

    `method`: PUBLISH for a download, REQUEST or CANCEL for a mail from `sender`. SEQUENCE rises
    with each change of a session; dropping it is one more change.
    """
    entries = [
        _Entry(
            uid=f"{carer.id}-week-{session.week}@circle",
            sequence=session.sequence,
            dropped=is_dropped(cohort, carer, session),
            starts_at=session.starts_at,
            ends_at=session.ends_at,
            summary=f"Saturday session, week {session.week} of {len(cohort.sessions)}",
            description=f"Join here, with your camera and microphone on: {join_url}",
        )
        for session in cohort.sessions
    ]
    left = cohort.cancel_requested or carer.withdrawn_at is not None
    entries += [
        _Entry(
            uid=f"{carer.id}-rehearsal-{rehearsal.id}@circle",
            sequence=0,
            dropped=left or rehearsal.withdrawn_at is not None,
            starts_at=rehearsal.starts_at,
            ends_at=rehearsal.ends_at,
            summary="Rehearsal: try camera and microphone",
            description=f"Try everything out; it does not count as a session: {join_url}",
        )
        for rehearsal in rehearsals
    ]
    return _calendar(
        entries,
        zone=ZoneInfo(cohort.timezone),
        url=join_url,
        method=method,
        stamp=_stamp(cohort, carer, rehearsals),
        people=(sender, carer) if sender else None,
    )


def staff_calendar(cohort: Cohort, *, page_url: str, rehearsals: Sequence[Rehearsal] = ()) -> bytes:
    """All sessions of a cohort for who runs them; each entry leads to its live board.

    `page_url` is the cohort's page.
    """
    entries = [
        _Entry(
            uid=f"{cohort.id}-week-{session.week}@circle",
            sequence=session.sequence,
            dropped=session.state is SessionState.CANCELLED or cohort.cancel_requested,
            starts_at=session.starts_at,
            ends_at=session.ends_at,
            summary=f"{cohort.name}, week {session.week}",
            description=f"The live board: {page_url}/sessions/{session.week}",
        )
        for session in cohort.sessions
    ]
    entries += [
        _Entry(
            uid=f"{cohort.id}-rehearsal-{rehearsal.id}@circle",
            sequence=0,
            dropped=cohort.cancel_requested or rehearsal.withdrawn_at is not None,
            starts_at=rehearsal.starts_at,
            ends_at=rehearsal.ends_at,
            summary=f"{cohort.name}, rehearsal",
            description=f"Open the meeting of the sessions: {page_url}",
        )
        for rehearsal in rehearsals
    ]
    return _calendar(
        entries,
        zone=ZoneInfo(cohort.timezone),
        url=page_url,
        stamp=_stamp(cohort, None, rehearsals),
    )


def _calendar(
    entries: Sequence[_Entry],
    *,
    zone: ZoneInfo,
    url: str,
    stamp: datetime,
    method: str = "PUBLISH",
    people: tuple[str, Carer] | None = None,
) -> bytes:
    """`people`: who sends it to whom, where it goes by mail."""
    calendar = Calendar()
    calendar.add("prodid", "-//Circle//Sessions//EN")
    calendar.add("version", "2.0")
    calendar.add("method", method)
    for entry in entries:
        event = Event()
        event.add("uid", entry.uid)
        event.add("sequence", entry.sequence + (1 if entry.dropped else 0))
        event.add("status", "CANCELLED" if entry.dropped else "CONFIRMED")
        event.add("dtstamp", stamp)
        event.add("dtstart", entry.starts_at.astimezone(zone))
        event.add("dtend", entry.ends_at.astimezone(zone))
        event.add("summary", entry.summary)
        event.add("url", url)
        event.add("description", entry.description)
        event.add("class", "PRIVATE")
        if people is not None:
            sender, carer = people
            event.add("organizer", vCalAddress(f"mailto:{sender}"))
            attendee = vCalAddress(f"mailto:{carer.email}")
            attendee.params["CN"] = vText(carer.name)
            attendee.params["RSVP"] = vText("FALSE")
            event.add("attendee", attendee, encode=False)
        calendar.add_component(event)
    calendar.add_missing_timezones()
    return bytes(calendar.to_ical())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """What is entered: a session or a rehearsal."""

    uid: str
    sequence: int
    dropped: bool
    starts_at: datetime
    ends_at: datetime
    summary: str
    description: str


def _stamp(cohort: Cohort, carer: Carer | None, rehearsals: Sequence[Rehearsal]) -> datetime:
    """When this was last changed: the same file for the same facts."""
    known = [cohort.created_at, cohort.settled_at]
    if carer is not None:
        known += [carer.enrolled_at, carer.withdrawn_at]
    known += [at for r in rehearsals for at in (r.offered_at, r.withdrawn_at)]
    return max(at for at in known if at is not None)
