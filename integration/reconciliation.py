"""After a session: fetch the platform's own record, merge it, close the register.

The record is merged by storing it as participant events like any other; the verdicts are then the
same pure function of the evidence. Fetching twice, or late, changes nothing that was right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog

from course.attendance import Judge
from course.instances import all_recorded, find_instances, instances_by_week
from course.model import (
    Cohort,
    EventKind,
    Platform,
    RegisterEntry,
    RegisterState,
    Session,
    SessionState,
)
from course.rehearsal import rehearsal_spans
from course.reports import verdicts_json
from course.store import access, cohorts, evidence, looked, registers, revisions
from course.store.database import Connection, Database
from course.store.holding import hold_cohorts
from course.store.registers import WINDOW_AFTER, WINDOW_BEFORE
from course.store.series import StoredSeries
from integration.places import Places
from integration.provider import MeetingProvider, PlatformRecord, ProviderError, Series

# How long after a session's end its record is asked for again; it may come a day later.
TRIES = tuple(timedelta(minutes=m) for m in (5, 10, 20, 40, 120, 360, 720, 1440, 2160, 2880))

APART = timedelta(minutes=4)  # two readings at the same moment agree whatever they show
HELD = timedelta(minutes=5)  # whoever died while reading leaves it to another
FIRST_LOOK = timedelta(days=3)  # where nobody has looked before
AT_A_LOOK = timedelta(hours=1)  # of what came in, so that a week's is not read at once
LOOK_TWICE = timedelta(minutes=2)  # a commit may be seen a little after its time
AFTER_TROUBLE = timedelta(minutes=15)
AFTER_REFUSAL = timedelta(hours=6)  # a permission that was taken away may be given back
GIVEN_UP = "It is not asked for again by itself: when it can be had, close the register once more."
MISSED_FOR = timedelta(days=3)  # a service that was down for a weekend still makes its last try
TIMES_COME_WITHIN = timedelta(hours=6)
NOT_RECORDED = "The platform's own record shows nobody; open verdicts need a person."
PARTLY_RECORDED = "The platform's own record is not complete yet; open verdicts need a person."
UNHELD = (RegisterState.SCHEDULED, RegisterState.LIVE)

log = structlog.get_logger(__name__)


class NotYet(Exception):
    """The register cannot be closed now; the message says why and what to do."""


class _Reading(NamedTuple):
    """One reading of the record. `agreed`: it says what the last one said, and is complete."""

    complete: bool
    agreed: bool
    shows_somebody: bool


class Reconciliation:
    """Fetches platform records and closes registers."""

    def __init__(
        self,
        *,
        database: Database,
        providers: Mapping[Platform, MeetingProvider],
        clock: Callable[[], datetime],
        closed: Callable[[Cohort, int], None] = lambda _cohort, _week: None,
    ) -> None:
        """`closed` hears of every register that was closed, once it is stored."""
        self._database = database
        self._providers = providers
        self._clock = clock
        self._closed = closed
        self._places = Places(database, holder="reconciliation", wall=lambda: clock().timestamp())

    def close(self, cohort_id: str, week: int, *, actor: str) -> None:
        """A person closes the register: fetch the record, store it, close.

        A record that shows nothing closes the register all the same, but then proves nobody's
        absence. Raises `NotYet` before the session is over and `ProviderError` when the platform
        cannot be asked.
        """
        cohort, session = self._find(cohort_id, week)
        now = self._clock()
        if session.starts_at <= now and self._state(cohort, session, now) is RegisterState.LIVE:
            raise NotYet("This session is being held. Close its register when it is over.")
        reading = self._fetch(cohort, session)
        # Facts are judged by their own times: whatever the clock says, a record of a session that
        # was held and ended closes its register, and nothing else does before its time.
        if now < session.ends_at and self._state(cohort, session, now) in UNHELD:
            raise NotYet("This session is not over. Close its register when it is.")
        self._close(cohort, session, reading, actor=actor)

    def reconcile_due(self) -> int:
        """Fetch the records of sessions that ended lately; how many registers were closed.

        Asked for at growing intervals until two readings agree, for 48 hours; after that the
        register says that a person must look. A register that a person closed earlier is read until
        then all the same: what changed makes a new version of it.
        """
        now, closed = self._clock(), 0
        with self._database.read() as connection:
            everything = registers.due_records(
                connection, since=now - TRIES[-1] - MISSED_FOR, now=now
            )
        for cohort_id, week in everything:
            try:
                with self._alone_with(cohort_id) as alone:
                    closed += alone and self._reconcile(cohort_id, week)
            except ProviderError as e:
                again = AFTER_REFUSAL if e.permanent else AFTER_TROUBLE
                self._note(cohort_id, week, problem=str(e), again=again)
            except NotYet:
                continue
        return closed

    def note_late_evidence(self) -> int:
        """Make new versions of closed registers about which notifications came since the last look,
        however long ago that was. Making a version twice is impossible.
        """
        now, revised = self._clock(), 0
        with self._database.read() as connection:
            before = looked.looked_until(connection, looked.LATE_EVIDENCE)
        began = (before or now - FIRST_LOOK) - LOOK_TWICE
        while began < now:
            until = min(began + AT_A_LOOK, now)
            revised += self._revise(began, until)
            with self._database.write() as connection:
                looked.note_looked(connection, looked.LATE_EVIDENCE, before=before, until=until)
            before = began = until
        return revised

    def _revise(self, since: datetime, until: datetime) -> int:
        """The registers about which notifications came in that span; how many have changed."""
        with self._database.read() as connection:
            found = revisions.late_evidence(connection, since=since, until=until)
        revised = 0
        for cohort, weeks in found:
            with self._database.write() as connection:
                hold_cohorts(connection, cohort.id)
                changed = revisions.revise(
                    connection,
                    cohort,
                    cause=revisions.LATE,
                    actor="late notifications",
                    now=self._clock(),
                    weeks=weeks,
                )
            revised += len(changed)
        return revised

    @contextmanager
    def _alone_with(self, cohort_id: str) -> Iterator[bool]:
        """Whether no other process is reading a record of this cohort; none is meanwhile."""
        bucket = f"record {cohort_id}"
        taken = self._places.take(bucket, of=1, held=HELD.total_seconds())
        try:
            yield taken is not None
        finally:
            if taken is not None:
                self._places.give_back(bucket, *taken)

    def _reconcile(self, cohort_id: str, week: int) -> bool:
        """Judged now, not as when the round began: that may be long ago, and others may read."""
        cohort, session = self._find(cohort_id, week)
        now, entry = self._clock(), self._entry(cohort, week)
        age = now - session.ends_at
        last = entry.record_fetched_at - session.ends_at if entry.record_fetched_at else None
        due = [at for at in TRIES if at <= age and (last is None or at > last)]
        wanted = entry.resync_at is not None and entry.resync_at <= now
        too_soon = entry.record_fetched_at is not None and now - entry.record_fetched_at < APART
        if not wanted and (entry.closed_at is not None or not due or too_soon):
            return False
        reading = self._fetch(cohort, session)
        is_last = bool(due) and due[-1] == TRIES[-1]
        if reading.complete and (reading.agreed or is_last or entry.closed_at is not None):
            self._close(cohort, session, reading, actor="reconciliation")
            return True
        if is_last:
            has = "only a part" if reading.shows_somebody else "no record"
            self._note(
                cohort_id,
                week,
                problem=f"The platform has {has} of this session after 48 hours. "
                "A person must settle the open verdicts and close the register.",
            )
        return False

    def _fetch(self, cohort: Cohort, session: Session) -> _Reading:
        """Store what was recorded, on each platform on which the session was held.

        Of a session that was begun on one and gone on with on another, the record of one is better
        than none: it is stored, and the other one is asked for again.
        """
        with self._database.read() as connection:
            places = evidence.places_of(connection, cohort, session)
        if not places:
            raise NotYet("This cohort has no series on the platform yet.")
        records, trouble = [], None
        for place in places:
            try:
                records.append(self._record(cohort, session, place))
            except ProviderError as e:
                trouble = e
        if trouble is not None and not records:
            raise trouble
        record = PlatformRecord(
            events=tuple(event for one in records for event in one.events),
            complete=trouble is None
            and any(one.complete for one in records)
            and all(one.complete or not one.events for one in records),
        )
        with self._database.write() as connection:
            hold_cohorts(connection, cohort.id)
            evidence.save_events(connection, record.events)
            complete = self._is_complete(connection, cohort, session, record)
            entry = registers.read_register(connection, cohort.id, session.week)
            now, digest = self._clock(), _digest(record)
            before = entry.record_fetched_at
            agreed = (
                complete
                and digest == entry.record_digest
                and before is not None
                and now - before >= APART
            )
            registers.save_register(
                connection,
                cohort.id,
                replace(
                    entry,
                    record_fetched_at=now,
                    record_complete=entry.record_complete or complete,
                    record_digest=digest,
                    trouble_since=None,
                    resync_at=None
                    if agreed
                    else _next_try(session, now, soon=complete and not entry.record_complete),
                    problem=str(trouble) if trouble is not None else None,
                ),
            )
        return _Reading(complete=complete, agreed=agreed, shows_somebody=bool(record.events))

    def _record(self, cohort: Cohort, session: Session, place: StoredSeries) -> PlatformRecord:
        provider = self._providers.get(place.platform)
        if provider is None:
            raise ProviderError(
                f"{place.platform.value} is not configured, so its record cannot be fetched.",
                permanent=True,
            )
        with self._database.read() as connection:
            known = evidence.known_instances(connection, cohort, session, place.platform)
        return provider.fetch_record(
            Series(
                ref=place.series_ref or "",
                organiser_ref=place.organiser_ref or "",
                meeting_ref=place.meeting_ref,
                join_url=place.join_url or "",
            ),
            window_from=session.starts_at - WINDOW_BEFORE,
            window_to=session.ends_at + WINDOW_AFTER,
            known_instances=known,
        )

    def _is_complete(
        self, connection: Connection, cohort: Cohort, session: Session, record: PlatformRecord
    ) -> bool:
        """Whether the record shows the whole session: each part of it, and everybody with times.

        People without times may get them within hours; after that they are taken as they are.
        """
        undated = any(e.kind is EventKind.STAY and e.until_at is None for e in record.events)
        if undated and self._clock() < session.ends_at + TIMES_COME_WITHIN:
            return False
        found = evidence.read_evidence(connection, cohort)
        weeks, _ = instances_by_week(
            cohort.sessions,
            find_instances(found.events),
            rehearsal_spans(found.rehearsals, cohort.sessions),
        )
        return record.complete and all_recorded(weeks[session.week])

    def _close(self, cohort: Cohort, session: Session, reading: _Reading, *, actor: str) -> None:
        now = self._clock()
        with self._database.write() as connection:
            hold_cohorts(connection, cohort.id)
            entry = registers.read_register(connection, cohort.id, session.week)
            first = entry.closed_at is None
            entry = replace(
                entry,
                closed_at=entry.closed_at or now,
                problem=None
                if reading.complete or entry.record_complete
                else PARTLY_RECORDED
                if reading.shows_somebody
                else NOT_RECORDED,
            )
            registers.save_register(connection, cohort.id, entry)
            judge = Judge(cohort, evidence.read_evidence(connection, cohort), now=now)
            verdicts = verdicts_json(judge.register(session))
            registers.save_register(connection, cohort.id, entry, verdicts)
            changed = revisions.add_version(
                connection,
                cohort.id,
                session.week,
                verdicts=verdicts,
                cause=revisions.CLOSED if first else revisions.LATE,
                now=now,
            )
            if first or changed:
                access.add_audit(
                    connection,
                    actor=actor,
                    action="register.close" if first else "register.change",
                    subject=f"{cohort.id}/{session.week}",
                    now=now,
                )
        log.info(
            "register_closed",
            cohort=cohort.id,
            week=session.week,
            complete=reading.complete,
            first=first,
            changed=changed,
        )
        if first:
            self._closed(cohort, session.week)

    def _state(self, cohort: Cohort, session: Session, now: datetime) -> RegisterState:
        with self._database.read() as connection:
            judge = Judge(cohort, evidence.read_evidence(connection, cohort), now=now)
        return judge.register(session).state

    def _find(self, cohort_id: str, week: int) -> tuple[Cohort, Session]:
        with self._database.read() as connection:
            cohort = cohorts.read_cohort(connection, cohort_id)
        session = cohort.session(week) if cohort is not None else None
        if cohort is None or session is None:
            raise NotYet("There is no such session.")
        if session.state is SessionState.CANCELLED:
            raise NotYet("This session was cancelled; there is nothing to close.")
        return cohort, session

    def _entry(self, cohort: Cohort, week: int) -> RegisterEntry:
        with self._database.read() as connection:
            return registers.read_register(connection, cohort.id, week)

    def _note(
        self, cohort_id: str, week: int, *, problem: str, again: timedelta = AFTER_TROUBLE
    ) -> None:
        """A record that was wanted again is tried after `again`, for two days of trouble."""
        with self._database.write() as connection:
            hold_cohorts(connection, cohort_id)
            entry = registers.read_register(connection, cohort_id, week)
            now = self._clock()
            entry = replace(entry, problem=problem, record_fetched_at=now)
            if entry.resync_at is not None and entry.resync_at <= now:
                since = entry.trouble_since or now
                if now - since < TRIES[-1]:
                    entry = replace(entry, resync_at=now + again, trouble_since=since)
                else:
                    entry = replace(
                        entry,
                        resync_at=None,
                        trouble_since=None,
                        problem=f"{problem} {GIVEN_UP}",
                    )
            registers.save_register(connection, cohort_id, entry)


def _digest(record: PlatformRecord) -> str:
    """What a record shows, to see whether two readings agree."""
    keys = "\n".join(sorted(event.key for event in record.events))
    return hashlib.sha256(keys.encode()).hexdigest()[:32]


def _next_try(session: Session, now: datetime, *, soon: bool) -> datetime | None:
    """When to read the record again; None when two days have passed. `soon`: for the first time it
    was complete, so that the next reading may agree, however late this one came.
    """
    tries = (session.ends_at + offset for offset in TRIES)
    at = next((at for at in tries if at - now >= APART), None)
    return min(at, now + TRIES[0]) if at is not None and soon else at
