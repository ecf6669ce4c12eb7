"""The calls that our bot joined: one for each session, to hear of cameras and microphones."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from course.model import Platform
from course.store import tables
from course.store.hashing import token_hash

_CALL = [column for column in tables.bot_call.c if column.name != "changed_in"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BotCall:
    """One call. `call_ref` is None until the platform has confirmed it.

    It is stored before the platform is asked: the platform calls back, at an address with a
    secret of this call's own, before it answers.
    """

    id: str
    cohort_id: str
    week: int
    platform: Platform
    series_ref: str
    secret_hash: str
    asked_at: datetime
    call_ref: str | None = None
    kept_alive_at: datetime | None = None
    ended_at: datetime | None = None
    problem: str | None = None


def insert_call(connection: Connection, call: BotCall) -> None:
    """Store a call that is about to be joined."""
    values = {**asdict(call), "platform": call.platform.value}
    connection.execute(insert(tables.bot_call).values(**values))


def note_call(
    connection: Connection,
    call_id: str,
    *,
    call_ref: str | None,
    kept_alive_at: datetime | None,
    ended_at: datetime | None = None,
    problem: str | None = None,
) -> None:
    """Note what became of a call."""
    connection.execute(
        update(tables.bot_call)
        .where(tables.bot_call.c.id == call_id)
        .values(call_ref=call_ref, kept_alive_at=kept_alive_at, ended_at=ended_at, problem=problem)
    )


def hold_call(connection: Connection, call_id: str) -> dict[str, int]:
    """Keep other processes from changing what is known of this call until the end of this; in
    which roster each of its participants last changed.
    """
    table = tables.bot_call
    found = connection.execute(
        select(table.c.changed_in).where(table.c.id == call_id).with_for_update()
    )
    return found.scalar() or {}


def note_rosters(connection: Connection, call_id: str, changed_in: dict[str, int]) -> None:
    """Note in which roster each participant last changed; empty when the call is over."""
    connection.execute(
        update(tables.bot_call)
        .where(tables.bot_call.c.id == call_id)
        .values(changed_in=changed_in or None)
    )


def live_calls(connection: Connection) -> list[BotCall]:
    """The calls that have not ended."""
    table = tables.bot_call
    rows = connection.execute(
        select(*_CALL).where(table.c.ended_at.is_(None)).order_by(table.c.asked_at, table.c.id)
    ).mappings()
    return [BotCall(**{**row, "platform": Platform(row["platform"])}) for row in rows]


def is_called(connection: Connection, cohort_id: str, week: int) -> bool:
    """Whether that session has a call that has not ended."""
    return any((c.cohort_id, c.week) == (cohort_id, week) for c in live_calls(connection))


def find_call(connection: Connection, secret: str) -> BotCall | None:
    """The call with that secret, ended or not; found by hash, in even time."""
    table = tables.bot_call
    row = (
        connection.execute(select(*_CALL).where(table.c.secret_hash == token_hash(secret)))
        .mappings()
        .one_or_none()
    )
    return BotCall(**{**row, "platform": Platform(row["platform"])}) if row else None
