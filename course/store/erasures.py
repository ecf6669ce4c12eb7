"""The right to be forgotten, as the doors and the start of the service ask for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from course.forgotten import Marks
from course.model import Cohort, CohortState
from course.store import access, changes, cohorts, tables
from course.store.database import Connection, Database
from course.store.erasure import (
    GONE,
    Traces,
    erase,
    find_traces,
    forget_late,
    same_address,
    same_person,
)
from course.store.holding import hold_cohorts
from course.store.tombstones import (
    ErasureFile,
    Tombstone,
    new_marks,
    read_tombstones,
    save_tombstone,
)

FILE = "erasures.jsonl"
STILL_COMING = timedelta(minutes=10)  # how long other processes may not know of an erasure
FOLLOWED = (CohortState.OPENING, CohortState.READY, CohortState.NEEDS_ATTENTION)


class UnknownCarer(Exception):
    """There is no such carer (any more)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What was done: the tombstones, and other carers with the same address, for a person to
    decide whether each is the same person. (cohort id, carer id)
    """

    stones: tuple[Tombstone, ...]
    same_address: tuple[tuple[str, str], ...]


class Erasures:
    """Erases carers. `file`: where tombstones are kept beside the database."""

    def __init__(
        self, database: Database, *, data_dir: Path, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self.file = ErasureFile(data_dir / FILE, database.cipher)
        self._clock = clock

    def erase(self, carer_id: str, *, reason: str, actor: str) -> Erased:
        """Erase one person from every cohort that they were transferred through, in one go.

        When this returns nothing of them can be read from the database; taking them off the
        platform and out of the free pages of the files is done by the chore. Raises
        `UnknownCarer`.
        """
        now = self._clock()
        with self._database.read() as connection:  # takes a while where there are many addresses
            everywhere = same_person(connection, carer_id)
            emails = {self._find(connection, one, now)[1].carer.email for one in everywhere}
            alike = {
                other for email in emails for other in same_address(connection, email, everywhere)
            }
        with self._database.write() as connection:
            everywhere = self._held(connection, carer_id)
            if not everywhere:
                raise UnknownCarer(carer_id)
            found = [self._find(connection, one, now) for one in everywhere]
            stones = []
            for cohort, traces in found:
                marks, key = new_marks(traces.traits)
                stone = Tombstone(
                    id=marks.id,
                    cohort_id=cohort.id,
                    erased_at=now,
                    made_by=actor,
                    scope="carer",
                    reason=_without(reason, [traces for _, traces in found]),
                    hash_key=key,
                    hashes=tuple(sorted(marks.hashes)),
                )
                stones.append(self._carry_out(connection, cohort, traces, marks, stone))
            # On the disk before the commit: were it the other way round, a power cut in between
            # would leave an erasure that no restored backup hears of.
            self.file.append(stones)
        return Erased(stones=tuple(stones), same_address=tuple(sorted(alike)))

    def _held(self, connection: Connection, carer_id: str) -> list[str]:
        """That person's ids, in cohorts that nobody else changes until this is done."""
        held: set[str] = set()
        while True:
            everywhere = same_person(connection, carer_id)
            where = {cohorts.read_carer_cohort(connection, one) or "" for one in everywhere}
            if where <= held:
                return everywhere
            hold_cohorts(connection, *where)  # a transfer may have led on to another meanwhile
            held |= where

    def reapply(self) -> int:
        """Erase again whom a restored backup brought back; how many. For the start of the service.

        The file and the table complete each other.
        """
        listed = {stone.id: stone for stone in self.file.read()}
        with self._database.read() as connection:
            stored = {stone.id: stone for stone in read_tombstones(connection)}
        self.file.append([stone for key, stone in stored.items() if key not in listed])
        again = 0
        for stone in listed.values():
            if stone.id not in stored:
                with self._database.write() as connection:
                    again += self._reapply(connection, stone)
        return again

    def _reapply(self, connection: Connection, stone: Tombstone) -> int:
        now, marks = self._clock(), stone.marks
        hold_cohorts(connection, stone.cohort_id)
        cohort = cohorts.read_cohort(connection, stone.cohort_id)
        if cohort is None:  # a backup from before the cohort: nobody to forget
            return 0
        carer = next((c for c in cohort.carers if marks.know("carer", c.id)), None)
        if carer is None:
            save_tombstone(connection, stone)
            return forget_late(connection, cohort, [marks], since=None)
        traces = find_traces(connection, cohort, carer, now=now)
        self._carry_out(connection, cohort, traces, marks, stone)
        return 1

    def _find(self, connection: Connection, carer_id: str, now: datetime) -> tuple[Cohort, Traces]:
        cohort_id = cohorts.read_carer_cohort(connection, carer_id)
        cohort = cohorts.read_cohort(connection, cohort_id or "")
        carer = next((c for c in cohort.carers if c.id == carer_id), None) if cohort else None
        if cohort is None or carer is None:
            raise UnknownCarer(carer_id)
        return cohort, find_traces(connection, cohort, carer, now=now)

    def _carry_out(
        self,
        connection: Connection,
        cohort: Cohort,
        traces: Traces,
        marks: Marks,
        stone: Tombstone,
    ) -> Tombstone:
        erase(connection, cohort, traces, marks, now=self._clock())
        version = cohort.version
        if cohort.state in FOLLOWED and not cohort.cancel_requested:
            # Work on an older version ends, so that none of its steps goes on with the carer.
            version = changes.raise_version(connection, cohort.id)
        done = replace(
            stone,
            version=version,
            to_tell=_to_tell(connection, cohort, traces) or None,
            tell_at=self._clock(),
        )
        save_tombstone(connection, done)
        access.add_audit(
            connection,
            actor=stone.made_by,
            action="carer.erase",
            subject=f"{cohort.id}/{stone.id}",
            now=self._clock(),
            detail={"reason": stone.reason, "scope": stone.scope},
        )
        return done

    def forget_late(self) -> int:
        """Strip what came in while an erasure was made, from processes that did not know of it."""
        since = self._clock() - STILL_COMING
        with self._database.read() as connection:
            fresh = [s for s in read_tombstones(connection) if s.erased_at >= since]
        count = 0
        for stone in fresh:
            with self._database.write() as connection:
                hold_cohorts(connection, stone.cohort_id)
                cohort = cohorts.read_cohort(connection, stone.cohort_id)
                if cohort is not None:
                    count += forget_late(connection, cohort, [stone.marks], since=since)
        return count

    def seal_anew(self) -> None:
        """Write the file with the newest key."""
        with self._database.read() as connection:
            stones = read_tombstones(connection)
        known = {stone.id for stone in stones}
        stones += [stone for stone in self.file.read() if stone.id not in known]
        self.file.replace(stones)


def _without(reason: str, found: Sequence[Traces]) -> str:
    """The reason, should it hold the carer's own name or address, of whichever enrolment."""
    own = {text for t in found for text in (*t.names, t.carer.name, t.carer.email)}
    for text in sorted(own, key=len, reverse=True):
        reason = reason.replace(text, GONE)
    return reason


def _to_tell(connection: Connection, cohort: Cohort, traces: Traces) -> list[dict[str, Any]]:
    """Whom to take off which platform. An invitation that another carer uses as well stays."""
    if traces.shared_email:
        return []
    series = connection.execute(
        select(tables.series.c.platform).where(tables.series.c.cohort_id == cohort.id)
    ).scalars()
    refs = {platform: ref for platform, ref in traces.way_in if platform}
    emails = dict.fromkeys((traces.carer.email, *traces.carer.former_emails))
    return [
        {
            "platform": platform,
            "carer": traces.carer.id,
            "name": traces.carer.name,
            "email": email,
            "ref": refs.get(platform),
        }
        for platform in series
        for email in emails
    ]
