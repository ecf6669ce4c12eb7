"""Rehearsals: when one is announced, who was seen then. They test devices and attend nothing.

A rehearsal uses the session's own meeting. What was held at its announced time and was over before
a session began belongs to no week; whoever came and went during it is none of a session's either,
also where the meeting went on into one. Who stayed is counted from the session's start.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from course.connections import Connection
from course.instances import INSTANT, Instance
from course.intervals import Span, intersect, subtract
from course.model import Rehearsal, Session, SessionState


def coming_rehearsal(rehearsals: Iterable[Rehearsal], now: datetime) -> Rehearsal | None:
    """The rehearsal that is on or still to come; None when none is offered."""
    coming = [r for r in rehearsals if r.withdrawn_at is None and r.ends_at > now]
    return min(coming, key=lambda r: r.starts_at, default=None)


def rehearsal_spans(
    rehearsals: Iterable[Rehearsal], sessions: Iterable[Session]
) -> tuple[Span, ...]:
    """The announced times of rehearsals; a session that was moved there since goes before."""
    announced = [(r.starts_at, r.ends_at) for r in rehearsals if r.withdrawn_at is None]
    planned = [(s.starts_at, s.ends_at) for s in sessions if s.state is SessionState.SCHEDULED]
    return subtract(announced, planned)


def seen_in_rehearsal(
    instances: Iterable[Instance], rehearsals: Sequence[Span]
) -> list[tuple[Connection, datetime]]:
    """Who was more than waiting at a rehearsal's time, and when."""
    found = []
    for instance in instances:
        for connection in instance.connections:
            stayed = (
                connection.began_at,
                max(connection.last_seen_at, connection.began_at + INSTANT),
            )
            times = intersect([stayed], rehearsals)
            if times and connection.was_present:
                found.append((connection, times[0][0]))
    return found
