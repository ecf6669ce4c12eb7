"""What staff change about a cohort that stands: pure rules first, then one transaction each.

Nothing remote happens here. A change raises the cohort's version; carrying it out on the platform
is the workflow's, which begins with whatever version is the newest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from course.history import Past, find_begun, find_past
from course.model import Cohort, CohortState, Platform, Session, SessionState
from course.programme import COURSE, MOST_HOUSEHOLDS
from course.store import access, changes, cohorts, evidence
from course.store import series as series_store
from course.store.database import Database, Transaction
from course.store.holding import hold_cohorts
from integration.households import (
    NewCarer,
    NewHousehold,
    draft_carers,
    earlier_enrolments,
    free_reference,
    reference_there,
    who_is_new,
)

SAME_CLICK = timedelta(minutes=1)


class Transferred(NamedTuple):
    """The versions of the old cohort and of the new one, and what the household is called there."""

    here: int | None
    there: int | None
    household: str


class Refused(Exception):
    """Staff's call cannot be done, and nothing was.

    `kind`: `not_configured`, `no_organiser`, `key_reused`, `duplicate`, `stale` (somebody else was
    faster), `unknown` (no such thing), `settled` (too late) or `unacceptable` (with its `field`).
    """

    def __init__(
        self, kind: str, message: str, *, cohort_id: str | None = None, field: str = ""
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.cohort_id = cohort_id
        self.field = field


def moved(
    cohort: Cohort,
    week: int,
    *,
    starts_at: datetime | None,
    minutes: int | None,
    past: Mapping[int, Past],
    now: datetime,
) -> Session:
    """The session as staff want it. Raises `Refused` for what no platform could keep."""
    session = _session(cohort, week)
    if session.starts_at <= now:
        raise Refused("settled", f"Week {week} has begun; it cannot be moved any more.")
    if week in past:
        raise _settled(past[week], "it cannot be moved any more")
    shortest = (
        COURSE.shortest_first_session_minutes if week == 1 else COURSE.shortest_session_minutes
    )
    longest = COURSE.longest_session_minutes
    if minutes is not None and not shortest <= minutes <= longest:
        raise Refused(
            "unacceptable", f"Week {week} lasts {shortest} to {longest} minutes.", field="minutes"
        )
    begins = starts_at or session.starts_at
    if begins <= now:
        raise Refused("unacceptable", "The new time lies in the past.", field="starts_at")
    length = timedelta(minutes=minutes) if minutes is not None else session.length
    zone = ZoneInfo(cohort.timezone)
    day = begins.astimezone(zone).date()
    for other in cohort.sessions:
        theirs = other.starts_at.astimezone(zone).date()
        if (other.week < week and day <= theirs) or (other.week > week and day >= theirs):
            raise Refused(
                "unacceptable",
                f"Week {week} must stay between its neighbours: week {other.week} is on "
                f"{theirs:%A %d %B %Y}, and each session builds on the last.",
                field="starts_at",
            )
    if begins == session.starts_at and length == session.length:
        return session
    return replace(
        session, starts_at=begins, ends_at=begins + length, sequence=session.sequence + 1
    )


def skipped(cohort: Cohort, week: int, *, past: Mapping[int, Past]) -> tuple[Session, ...]:
    """The sessions that change when that week's Saturday is skipped: each moves to the next slot.

    Each session builds on the last, so none is left out: the weeks from this one on move, and a
    Saturday is added at the end. Lengths stay with their weeks.
    """
    _session(cohort, week)
    later = [s for s in cohort.sessions if s.week >= week]
    if week in past:
        raise _settled(past[week], "it cannot be skipped any more")
    for one in later:
        if one.week in past:
            raise _settled(past[one.week], f"so week {week} cannot be skipped any more")
    zone = ZoneInfo(cohort.timezone)
    last = later[-1].starts_at.astimezone(zone)
    added = (last.replace(tzinfo=None) + timedelta(weeks=1)).replace(tzinfo=zone)
    starts = [s.starts_at for s in later[1:]] + [added.astimezone(cohort.created_at.tzinfo)]
    refs = [s.occurrence_ref for s in later[1:]] + [None]
    return tuple(
        replace(
            s,
            starts_at=begins,
            ends_at=begins + s.length,
            occurrence_ref=ref,
            sequence=s.sequence + 1,
        )
        for s, begins, ref in zip(later, starts, refs, strict=True)
    )


def _settled(past: Past, refusal: str) -> Refused:
    return Refused("settled", f"{past.says}; {refusal}. {past.instead}".strip())


def _session(cohort: Cohort, week: int) -> Session:
    session = cohort.session(week)
    if session is None:
        weeks = len(cohort.sessions)
        raise Refused("unknown", f"There is no week {week}; the weeks are 1 to {weeks}.")
    return session


class Amending:
    """Stores changes; each method returns the cohort's version to carry out, None for no change."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def move_session(
        self,
        cohort_id: str,
        week: int,
        *,
        starts_at: datetime | None,
        minutes: int | None,
        expected: int | None,
        actor: str,
    ) -> int | None:
        """Another time or length for one session."""
        with self._database.write() as connection:
            cohort = self._changeable(connection, cohort_id, expected)
            session = moved(
                cohort,
                week,
                starts_at=starts_at,
                minutes=minutes,
                past=self._past(connection, cohort),
                now=self._clock(),
            )
            if session == cohort.session(week):
                return None
            changes.save_session(connection, cohort_id, session)
            return self._changed(connection, cohort_id, actor, "session.move", f"/{week}")

    def skip_session(
        self, cohort_id: str, week: int, *, expected: int | None, actor: str
    ) -> int | None:
        """Skip one Saturday; another is added at the end.

        Without a version to compare, the same call again within a minute is the same click.
        """
        subject = f"{cohort_id}/{week}"
        with self._database.write() as connection:
            cohort = self._changeable(connection, cohort_id, expected)
            again = access.audited_since(
                connection,
                actor=actor,
                action="session.skip",
                subject=subject,
                since=self._clock() - SAME_CLICK,
            )
            if expected is None and again:
                return None
            for session in skipped(cohort, week, past=self._past(connection, cohort)):
                changes.save_session(connection, cohort_id, session)
            return self._changed(connection, cohort_id, actor, "session.skip", f"/{week}")

    def _past(self, connection: Transaction, cohort: Cohort) -> Mapping[int, Past]:
        found = evidence.read_evidence(connection, cohort)
        return find_past(cohort, found, now=self._clock())

    def enrol(
        self, cohort_id: str, household: NewHousehold, *, expected: int | None, actor: str
    ) -> int | None:
        """Enrol a household after the opening; the same household again changes nothing.

        One that left may come back, and the second carer beside the one who stays.
        """
        reference = household.reference
        with self._database.write() as connection:
            cohort = self._changeable(connection, cohort_id, expected)
            there = [
                NewCarer(name=c.name, email=c.email, phone=c.phone)
                for c in cohort.carers
                if c.household == reference and c.withdrawn_at is None
            ]
            if there == list(household.carers):
                return None
            coming = who_is_new(cohort, household)
            if coming is None:
                whose = "is another household of this cohort"
                if not there:
                    whose = "was another household, which has left and whose weeks are kept"
                raise Refused(
                    "unacceptable",
                    f"{reference} {whose}. Choose another reference, such as "
                    f"{free_reference(cohort, reference)}.",
                    field="reference",
                )
            self._insert(
                connection,
                cohort,
                replace(household, carers=coming),
                earlier_enrolments(cohort, reference, coming),
            )
            return self._changed(connection, cohort_id, actor, "household.enrol")

    def _insert(
        self,
        connection: Transaction,
        cohort: Cohort,
        household: NewHousehold,
        came_from: Sequence[str | None],
    ) -> None:
        reference = household.reference
        others = {c.household for c in cohort.carers if c.withdrawn_at is None} - {reference}
        if len(others) >= MOST_HOUSEHOLDS:
            raise Refused(
                "unacceptable",
                f"A cohort holds {MOST_HOUSEHOLDS} households at most. Open another one.",
                field="reference",
            )
        known = [c.position for c in cohort.carers if c.household == reference]
        carers, tokens = draft_carers(
            [household],
            enrolled_at=self._clock(),
            came_from=came_from,
            after=max(known, default=-1) + 1,
        )
        cohorts.insert_carers(connection, cohort.id, carers, tokens)

    def withdraw(
        self, cohort_id: str, carer_id: str, *, expected: int | None, actor: str
    ) -> int | None:
        """One carer takes part no more; already so changes nothing."""
        with self._database.write() as connection:
            cohort = self._changeable(connection, cohort_id, expected)
            carer = next((c for c in cohort.carers if c.id == carer_id), None)
            if carer is None:
                raise Refused("unknown", "There is no such carer in this cohort.")
            if carer.withdrawn_at is not None:
                return None
            changes.withdraw_carers(connection, [carer_id], now=self._clock())
            return self._changed(connection, cohort_id, actor, "carer.withdraw", f"/{carer_id}")

    def transfer(
        self,
        cohort_id: str,
        reference: str,
        to_cohort: str,
        *,
        expected: int | None,
        actor: str,
    ) -> Transferred:
        """Move a household to another cohort, where it may be called otherwise.

        What it attended before stays in the old cohort and is shown, not counted, in the new one.
        """
        if to_cohort == cohort_id:
            raise Refused("unacceptable", "The household is there already.", field="to_cohort")
        with self._database.write() as connection:
            hold_cohorts(connection, cohort_id, to_cohort)
            cohort = self._changeable(connection, cohort_id, expected)
            carers = [c for c in cohort.carers if c.household == reference]
            if not carers:
                raise Refused("unknown", f"There is no household {reference} in this cohort.")
            staying = [c for c in carers if c.withdrawn_at is None]
            if not staying:
                called = cohorts.find_transferred(connection, to_cohort, [c.id for c in carers])
                if called is not None:
                    return Transferred(None, None, called)
                raise Refused("settled", f"{reference} has been withdrawn already.")
            target = self._changeable(connection, to_cohort, None, field="to_cohort")
            household = NewHousehold(
                reference=reference,
                carers=tuple(NewCarer(name=c.name, email=c.email, phone=c.phone) for c in staying),
            )
            called = reference_there(
                target, household, {c.transferred_from for c in staying if c.transferred_from}
            )
            self._insert(
                connection, target, replace(household, reference=called), [c.id for c in staying]
            )
            changes.withdraw_carers(connection, [c.id for c in staying], now=self._clock())
            return Transferred(
                self._changed(connection, cohort_id, actor, "household.leave", f" to {to_cohort}"),
                self._changed(connection, to_cohort, actor, "household.join", f" from {cohort_id}"),
                called,
            )

    def repair(self, cohort_id: str, *, expected: int | None, actor: str) -> int:
        """Try again what was refused, and put back what was changed on the platform."""
        with self._database.write() as connection:
            self._changeable(connection, cohort_id, expected, even_failed=True)
            series_store.forget_refusals(connection, cohort_id)
            version = self._changed(connection, cohort_id, actor, "cohort.repair")
            changes.ask_to_remake(connection, cohort_id, version)
            return version

    def move_platform(
        self,
        cohort_id: str,
        platform: Platform,
        *,
        organiser: str | None,
        hosts: Mapping[Platform, str],
        expected: int | None,
        actor: str,
    ) -> int | None:
        """The remaining sessions meet on another platform; there already changes nothing.

        `hosts`: the platforms that are configured, each with its usual organiser, if there is one.
        """
        now = self._clock()
        with self._database.write() as connection:
            cohort = self._changeable(connection, cohort_id, expected, even_failed=True)
            if cohort.platform is platform:
                return None
            name = platform.value.capitalize()
            if platform not in hosts:
                raise Refused(
                    "unacceptable",
                    f"{name} is not configured here. An administrator can set it up; circle doctor "
                    "names what is missing.",
                    field="platform",
                )
            begun = find_begun(cohort, evidence.read_evidence(connection, cohort), now=now)
            if all(
                s.starts_at <= now or s.week in begun or s.state is SessionState.CANCELLED
                for s in cohort.sessions
            ):
                raise Refused("settled", "No session is still to come, so there is none to move.")
            earlier = series_store.read_series(connection, cohort_id, platform)
            host = organiser or (earlier.organiser if earlier else None) or hosts[platform]
            if not host:
                raise Refused(
                    "no_organiser",
                    f"Name the organiser whose account hosts the sessions on {name}, or set "
                    f"{platform.value.upper()}_HOST.",
                )
            changes.move_platform(connection, cohort, platform, host, now=now, begun=begun)
            series_store.forget_refusals(connection, cohort_id)
            return self._changed(connection, cohort_id, actor, "cohort.move", f" to {platform}")

    def cancel(self, cohort_id: str, *, expected: int | None, actor: str) -> int | None:
        """Take the cohort off the platform; already asked for changes nothing."""
        with self._database.write() as connection:
            cohort = self._known(connection, cohort_id, expected)
            if cohort.cancel_requested:
                return None
            now, past = self._clock(), self._past(connection, cohort)
            changes.request_cancel(connection, cohort_id, now=now)
            for session in cohort.sessions:
                if session.starts_at > now and session.week not in past:
                    dropped = replace(session, state=SessionState.CANCELLED)
                    changes.save_session(connection, cohort_id, dropped)
            return self._changed(connection, cohort_id, actor, "cohort.cancel")

    def _known(self, connection: Transaction, cohort_id: str, expected: int | None) -> Cohort:
        hold_cohorts(connection, cohort_id)
        cohort = cohorts.read_cohort(connection, cohort_id)
        if cohort is None:
            raise Refused("unknown", "There is no such cohort.")
        if expected is not None and expected != cohort.version:
            raise Refused(
                "stale",
                "Somebody changed this cohort since you read it. Read it again, then decide.",
                cohort_id=cohort_id,
            )
        return cohort

    def _changeable(
        self,
        connection: Transaction,
        cohort_id: str,
        expected: int | None,
        *,
        even_failed: bool = False,
        field: str = "",
    ) -> Cohort:
        cohort = self._known(connection, cohort_id, expected)
        if cohort.cancel_requested:
            raise Refused(
                "unacceptable" if field else "settled", "That cohort is cancelled.", field=field
            )
        if cohort.state is CohortState.FAILED and not even_failed:
            raise Refused(
                "unacceptable" if field else "settled",
                "This cohort could not be opened. Put right what is named, then ask for a repair.",
                field=field,
            )
        return cohort

    def _changed(
        self, connection: Transaction, cohort_id: str, actor: str, action: str, about: str = ""
    ) -> int:
        access.add_audit(
            connection,
            actor=actor,
            action=action,
            subject=f"{cohort_id}{about}",
            now=self._clock(),
        )
        return changes.raise_version(connection, cohort_id)
