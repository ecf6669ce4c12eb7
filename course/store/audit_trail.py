"""The audit trail as a chain: a line that is changed, taken out or put in shows.

Each line carries a keyed hash over itself and the line before. The key, and which line is the last,
are sealed in `audit_head`: whoever has the database alone can neither make a line nor drop the last
ones unseen. What they can do is put back an older copy of the whole database; the count and the
last hash that `circle doctor` prints are for comparing with what was noted elsewhere.

A line's `detail` is in the chain by its own hash only, so that it can be taken away for good when
a person is erased. Whoever writes holds the head's row, so that no two lines follow the same one.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from course.store import tables
from course.store.database import insert_new

START = "0" * 64
ONLY = 1  # the head's only row


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What an examination of the trail found; `broken_at` is the first line that does not fit."""

    lines: int
    erased: int
    last: str
    broken_at: int | None = None
    fault: str = ""


def fresh_head() -> dict[str, str]:
    """Before the first line: a key of its own, and nothing to follow."""
    return {"key": secrets.token_hex(32), "anchor": START, "last": START}


def digest(key: str, value: object) -> str:
    """The keyed hash of a JSON value."""
    told = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hmac.new(bytes.fromhex(key), told.encode(), hashlib.sha256).hexdigest()


def line_hash(key: str, previous: str, line: Mapping[str, Any], detail_hash: str) -> str:
    """The hash of one line that follows `previous`."""
    at = line["at"].astimezone(UTC).isoformat()
    told = [previous, at, line["actor"], line["action"], line["subject"], detail_hash]
    return digest(key, told)


def doer(key: str, actor: str, action: str) -> str:
    """By which to find what one person did, whose name is sealed."""
    return digest(key, [actor, action])[:32]


def chained(head: Mapping[str, str], line: Mapping[str, Any]) -> dict[str, str]:
    """The columns that bind a line to the one before."""
    key, detail = head["key"], line["detail"]
    detail_hash = "" if detail is None else digest(key, detail)
    return {
        "done_by": doer(key, line["actor"], line["action"]),
        "detail_hash": detail_hash,
        "previous_hash": head["last"],
        "hash": line_hash(key, head["last"], line, detail_hash),
    }


def append(connection: Connection, **line: Any) -> None:
    """Add a line: at, actor, action, subject, detail."""
    head = _held_head(connection)
    bound = chained(head, line)
    connection.execute(insert(tables.audit).values(**line, **bound))
    _save_head(connection, {**head, "last": bound["hash"]})


def done_by(connection: Connection, actor: str, action: str) -> str:
    """How the trail's lines name that person doing that."""
    head = _head(connection)
    return doer(head["key"], actor, action) if head else ""


def person(connection: Connection, name: str, *, keep: bool = False) -> str:
    """By which to find what is kept of a person whose name is sealed, however it is spaced or
    capitalised. `keep`: something is about to be kept, so the key is made if there is none yet.
    """
    head = _held_head(connection) if keep else _head(connection)
    if head is None:
        return ""
    return digest(head["key"], ["person", plain_person(name)])[:32]


def plain_person(name: str) -> str:
    """A name of staff as it is compared."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def check(connection: Connection) -> Checked:
    """Follow the chain from its anchor to its last line."""
    head = _head(connection)
    table = tables.audit
    query = select(table).order_by(table.c.id).execution_options(yield_per=1_000)
    with connection.execute(query) as rows:
        return _followed(head, rows)


def _followed(head: Mapping[str, str] | None, rows: Iterable[Row[*tuple[Any, ...]]]) -> Checked:
    if head is None:
        first = next(iter(rows), None)
        if first is None:
            return Checked(lines=0, erased=0, last=START)
        return Checked(lines=0, erased=0, last=START, broken_at=first.id, fault="the head is gone")
    lines, erased, previous, met = 0, 0, head["anchor"], head["last"] == head["anchor"]
    for row in rows:
        fault = _fault(head["key"], previous, row._mapping)
        if fault:
            return Checked(lines=lines, erased=erased, last=previous, broken_at=row.id, fault=fault)
        lines, previous = lines + 1, row.hash
        erased += row.detail is None and row.detail_hash != ""
        met = met or row.hash == head["last"]
    fault = "" if met else "the last lines are gone"
    return Checked(
        lines=lines, erased=erased, last=previous, broken_at=None if met else -1, fault=fault
    )


def _fault(key: str, previous: str, row: Mapping[Any, Any]) -> str:
    if row["previous_hash"] != previous:
        return "it does not follow the line before: lines were taken out or put in"
    own = line_hash(key, previous, row, row["detail_hash"])
    if row["hash"] != own or row["done_by"] != doer(key, row["actor"], row["action"]):
        return "it was changed"
    if row["detail"] is not None and row["detail_hash"] != digest(key, row["detail"]):
        return "its detail was changed"
    return ""


def forget_before(connection: Connection, before: datetime) -> int:
    """Drop the lines of before then; the chain begins after them. How many were dropped."""
    head = _held_head(connection)
    table = tables.audit
    kept = connection.execute(
        select(table.c.id).where(table.c.at >= before).order_by(table.c.id).limit(1)
    ).scalar()
    old = table.c.id < kept if kept is not None else table.c.id.is_not(None)
    last = connection.execute(
        select(table.c.hash).where(old).order_by(table.c.id.desc()).limit(1)
    ).scalar()
    if last is None:
        return 0
    _save_head(connection, {**head, "anchor": last})
    return int(connection.execute(delete(table).where(old)).rowcount)


def _head(connection: Connection) -> dict[str, str] | None:
    found = connection.execute(select(tables.audit_head.c.state)).scalar()
    return found if isinstance(found, dict) else None


def _held_head(connection: Connection) -> dict[str, str]:
    """The head, held until the transaction ends; SQLite has one writer anyway."""
    query = select(tables.audit_head.c.state).with_for_update()
    found = connection.execute(query).scalar()
    if found is None:
        insert_new(connection, tables.audit_head, [{"id": ONLY, "state": fresh_head()}])
        found = connection.execute(query).scalar_one()
    return dict(found)


def _save_head(connection: Connection, state: dict[str, str]) -> None:
    connection.execute(update(tables.audit_head).values(state=state))
