"""Keeps the archive small: what was told is forgotten in time, what it proves is kept.

A course with minute-by-minute reports of cameras would otherwise keep two megabytes a session.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby

from sqlalchemy import Column, Connection, delete, select

from course.model import EventKind, ParticipantEvent
from course.store import tables
from course.store.evidence import instance_media, save_events


def prune(connection: Connection, *, before: datetime, limit: int = 5_000) -> int:
    """Forget notifications that were read before that; how many.

    What they told stays, as participant events; minutes of media that follow one another with the
    same level become one span, which is judged exactly alike. Nothing can come again by then: a
    signature is good for hours, and the platforms' own logs for days.
    """
    table = tables.notification
    old = connection.execute(
        select(table.c.id, table.c.platform, table.c.instance_ref)
        .where(table.c.received_at < before, table.c.state == "done")
        .order_by(table.c.received_at)
        .limit(limit)
    ).all()
    for platform, instance_ref in sorted({(row[1], row[2]) for row in old if row[2]}):
        gone, spans = joined(instance_media(connection, platform, instance_ref))
        _forget(connection, tables.participant_event.c.key, gone)
        save_events(connection, spans)
    _forget(connection, table.c.id, [row[0] for row in old])
    return len(old)


def _forget(connection: Connection, key: Column[str], values: Sequence[str]) -> None:
    for start in range(0, len(values), 500):
        some = values[start : start + 500]
        connection.execute(delete(key.table).where(key.in_(some)))


def joined(samples: Sequence[ParticipantEvent]) -> tuple[list[str], list[ParticipantEvent]]:
    """The keys of samples that follow one another, and the spans that stand for them. Pure."""

    def about(event: ParticipantEvent) -> tuple[str, EventKind]:
        return event.seat_ref or "", event.kind

    gone: list[str] = []
    spans: list[ParticipantEvent] = []
    ordered = sorted(samples, key=lambda e: (*about(e), e.occurred_at, e.key))
    for _, group in groupby(ordered, key=about):
        for run in _runs(list(group)):
            if len(run) > 1:
                gone += [event.key for event in run]
                spans.append(_span(run))
    return gone, spans


def _runs(samples: list[ParticipantEvent]) -> list[list[ParticipantEvent]]:
    """Samples that follow one another without a gap, with the same level."""
    runs: list[list[ParticipantEvent]] = []
    for sample in samples:
        last = runs[-1][-1] if runs else None
        if last and last.level is sample.level and last.until_at == sample.occurred_at:
            runs[-1].append(sample)
        else:
            runs.append([sample])
    return runs


def _span(run: list[ParticipantEvent]) -> ParticipantEvent:
    told = hashlib.sha256("\n".join(event.key for event in run).encode()).hexdigest()[:32]
    return replace(
        run[0],
        key=f"{run[0].platform.value}:span:{told}",
        until_at=run[-1].until_at,
        notification_id=None,
    )
