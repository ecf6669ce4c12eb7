"""Meetings on a cohort's links that count for no session: told, and shown apart.

A rehearsal on a Friday, a catch-up that a facilitator held on the usual link, a session held at
quite another hour: no verdict rests on them, and who asks where the evidence went finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from course.connections import Connection
from course.identity import name_is_gone, participant_key
from course.instances import Instance
from course.intervals import Span, minutes, total
from course.model import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """One such meeting: minutes by carer, and each stranger's displayed name and minutes.

    `ended_at` is its last sign of life where nobody told its end. `is_rehearsal`: it was announced.
    """

    platform: Platform
    began_at: datetime
    ended_at: datetime
    is_rehearsal: bool
    carers: Mapping[str, float]
    strangers: tuple[tuple[str, float], ...]

    def of(self, carer_ids: Collection[str]) -> Apart | None:
        """What it tells of these alone; None when none of them was there."""
        own = {who: present for who, present in self.carers.items() if who in carer_ids}
        return replace(self, carers=own, strangers=()) if own else None

    def without(self, carer_ids: Collection[str], hide: Callable[[str], str]) -> Apart | None:
        """What it tells of all but these, whose names `hide` takes out; None: of nobody."""
        rest = {who: present for who, present in self.carers.items() if who not in carer_ids}
        strangers = tuple((hide(name), present) for name, present in self.strangers)
        return replace(self, carers=rest, strangers=strangers) if rest or strangers else None


def apart(
    instance: Instance,
    carers: Mapping[str, Iterable[Connection]],
    strangers: Iterable[Connection],
    *,
    is_rehearsal: bool,
) -> Apart | None:
    """The meeting as people can read it; None when nobody was seen in it."""
    began_at, ended_at = instance.span
    by_carer = {
        carer_id: _minutes(present, ended_at)
        for carer_id, found in carers.items()
        if (present := [c for c in found if c.was_present])
    }
    by_key: dict[str, list[Connection]] = {}
    for connection in strangers:
        if connection.was_present and not name_is_gone(connection):
            by_key.setdefault(participant_key(connection), []).append(connection)
    unknown = sorted(
        (next((name for c in found for name in c.names), ""), _minutes(found, ended_at))
        for found in by_key.values()
    )
    if not by_carer and not unknown:
        return None
    platforms = {event.platform for c in instance.connections for event in c.events}
    return Apart(
        platform=min(platforms),
        began_at=began_at,
        ended_at=ended_at,
        is_rehearsal=is_rehearsal,
        carers=by_carer,
        strangers=tuple(unknown),
    )


def _minutes(connections: Sequence[Connection], ended_at: datetime) -> float:
    spans: list[Span] = []
    for connection in connections:
        spans += connection.spans
        if connection.open_from is not None:
            spans.append((connection.open_from, ended_at))
    return round(minutes(total(spans)), 1)
