"""Tombstones: what is left of an erased carer, in the database and in a file beside it.

The file (`erasures.jsonl` under `DATA_DIR`) is written before an erasure is committed and is to be
backed up apart from the database: after an old backup is restored it says whom to erase again. Like
the table it holds no personal data in clear; reasons and hash keys are sealed.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select, union_all, update

from course.forgotten import Forgotten, Marks, Trait, trait
from course.model import Platform
from course.store import tables
from course.store.cipher import Cipher
from course.store.database import insert_new


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """One erasure. `version`: the cohort's version that must be carried out before the platform
    is told; `to_tell`: whom to take off which platform, until that is done.
    """

    id: str
    cohort_id: str
    erased_at: datetime
    made_by: str
    scope: str
    reason: str
    hash_key: str = field(repr=False)
    hashes: tuple[str, ...]
    version: int = 0
    to_tell: list[dict[str, Any]] | None = field(default=None, repr=False)
    tell_at: datetime | None = None
    tries: int = 0
    problem: str | None = None
    compacted_at: datetime | None = None

    @property
    def marks(self) -> Marks:
        """For knowing them again."""
        return Marks(id=self.id, key=base64.b64decode(self.hash_key), hashes=frozenset(self.hashes))


def new_marks(traits: Iterable[Trait]) -> tuple[Marks, str]:
    """Marks under a fresh key, and that key as text."""
    key = secrets.token_bytes(32)
    blank = Marks(id=secrets.token_hex(16), key=key, hashes=frozenset())
    hashes = frozenset(blank.hash(trait(*found)) for found in traits if found[1])
    return Marks(id=blank.id, key=key, hashes=hashes), base64.b64encode(key).decode()


def save_tombstone(connection: Connection, stone: Tombstone) -> bool:
    """Keep it; False when it is there already."""
    values = {name: getattr(stone, name) for name in Tombstone.__dataclass_fields__}
    return bool(insert_new(connection, tables.tombstone, [values | {"hashes": [*stone.hashes]}]))


def read_tombstones(
    connection: Connection, *, cohort_ids: Sequence[str] | None = None
) -> list[Tombstone]:
    """All of them, or those of some cohorts, the oldest first."""
    table = tables.tombstone
    asked = select(table).order_by(table.c.erased_at, table.c.id)
    if cohort_ids is not None:
        asked = asked.where(table.c.cohort_id.in_(list(cohort_ids)))
    return [
        Tombstone(**{**row, "hashes": tuple(row["hashes"])})
        for row in connection.execute(asked).mappings()
    ]


def unfinished(connection: Connection) -> list[Tombstone]:
    """Those whose platform is not told yet, or whose bytes may still be in a file."""
    return [
        stone
        for stone in read_tombstones(connection)
        if stone.to_tell is not None or stone.compacted_at is None
    ]


def note_tombstone(connection: Connection, stone_id: str, **changes: Any) -> None:
    """Note how far an erasure is; the names are those of `Tombstone`."""
    table = tables.tombstone
    connection.execute(update(table).where(table.c.id == stone_id).values(**changes))


def read_forgotten(connection: Connection) -> Forgotten:
    """Everybody who was erased, for looking at what comes in."""
    table = tables.tombstone
    if connection.execute(select(table.c.id).limit(1)).first() is None:
        return Forgotten()
    of_cohort: dict[str, tuple[Marks, ...]] = {}
    for stone in read_tombstones(connection):
        of_cohort[stone.cohort_id] = (*of_cohort.get(stone.cohort_id, ()), stone.marks)
    found = {
        (Platform(row[0]), row[1]): of_cohort[row[2]]
        for row in connection.execute(
            union_all(
                *(
                    select(series.c.platform, series.c.series_ref, series.c.cohort_id).where(
                        series.c.cohort_id.in_(list(of_cohort)), series.c.series_ref.is_not(None)
                    )
                    for series in (tables.series, tables.former_series)
                )
            )
        )
    }
    return Forgotten(found)


def welcome_back(connection: Connection, cohort_id: str, traits: Sequence[Trait]) -> None:
    """Somebody with these traits is enrolled (again): by these nobody is taken off any more."""
    for stone in read_tombstones(connection, cohort_ids=[cohort_id]):
        marks = stone.marks
        again = {marks.hash(trait(*found)) for found in traits}
        if again & marks.hashes:
            left = [h for h in stone.hashes if h not in again]
            note_tombstone(connection, stone.id, hashes=left)


class ErasureFile:
    """The tombstones beside the database."""

    def __init__(self, path: Path, cipher: Cipher) -> None:
        self._path = path
        self._cipher = cipher

    def append(self, stones: Sequence[Tombstone]) -> None:
        """Add them; they are on the disk when this returns."""
        if not stones:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(f"{json.dumps(self._line(stone))}\n" for stone in stones).encode()
        handle = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(handle).st_size
            if size and os.pread(handle, 1, size - 1) != b"\n":
                lines = b"\n" + lines  # what a power cut left half written stands by itself
            os.write(handle, lines)
            os.fsync(handle)
        finally:
            os.close(handle)
        self._sync_folder()

    def replace(self, stones: Sequence[Tombstone]) -> None:
        """Write the file anew, sealed with the newest key; an interruption leaves the old one."""
        beside = self._path.with_name(f"{self._path.name}.new")
        beside.unlink(missing_ok=True)
        ErasureFile(beside, self._cipher).append(stones)
        if beside.exists():
            beside.replace(self._path)
            self._sync_folder()

    def _sync_folder(self) -> None:
        """A new name is on the disk once its folder is."""
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def read(self) -> list[Tombstone]:
        """Everything in it; a line that a power cut left half written is passed over."""
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        found: dict[str, Tombstone] = {}
        for line in lines:
            try:
                told = json.loads(line)
            except ValueError:
                continue
            found[told["id"]] = self._stone(told)
        return list(found.values())

    def _line(self, stone: Tombstone) -> dict[str, Any]:
        return {
            "id": stone.id,
            "cohort": stone.cohort_id,
            "erased_at": stone.erased_at.isoformat(),
            "made_by": stone.made_by,
            "scope": stone.scope,
            "reason": self._cipher.seal(stone.reason),
            "key": self._cipher.seal(stone.hash_key),
            "hashes": list(stone.hashes),
        }

    def _stone(self, told: dict[str, Any]) -> Tombstone:
        return Tombstone(
            id=told["id"],
            cohort_id=told["cohort"],
            erased_at=datetime.fromisoformat(told["erased_at"]),
            made_by=told["made_by"],
            scope=told["scope"],
            reason=self._cipher.open(told["reason"]),
            hash_key=self._cipher.open(told["key"]),
            hashes=tuple(told["hashes"]),
        )
