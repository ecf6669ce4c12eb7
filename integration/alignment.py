"""The steps that make a platform hold what was planned: series, occurrences, subscription, end.

The same steps open a cohort, follow a change, put back what somebody changed on the platform, and
cancel. Each may run twice (a kill can fall between the platform's answer and our note of it), so
each looks before it acts where acting twice would show.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NotRequired, TypedDict

from course.model import CohortState, SessionState
from course.store import changes, cohorts, registers
from course.store import series as series_store
from integration.arrangement import Arrangement, arrange, describe, is_as_made
from integration.durable import Superseded
from integration.holdings import Holding, Holdings
from integration.leftovers import is_needed
from integration.provider import Occurrence, ProviderError, Slot
from integration.reconciliation import TRIES
from integration.subscriptions import Subscriptions

DELETED = (
    "The series was deleted on the platform. Ask for a repair and it is made again, with new "
    "links behind the same personal pages; or cancel the cohort."
)


class Change(TypedDict):
    """One mend of the series. `week` None: the occurrence goes."""

    ref: str
    week: int | None
    starts_at: str
    seconds: float


class Made(TypedDict):
    """How far the series is. `occurrences`: those that came along when it was made.

    `resolved`: nothing is left to find out about it. `cancelling`: staff want it to go.
    `follows`: there was another before it, which may still stand.
    """

    cancelling: bool
    follows: NotRequired[bool]
    occurrences: list[Change] | None
    resolved: bool


class Compared(TypedDict):
    """What differs. `look_again`: mends are not what was expected, so read them back."""

    changes: list[Change]
    missing: bool
    gone: bool
    look_again: bool


def _as_json(occurrences: tuple[Occurrence, ...]) -> list[Change]:
    return [
        Change(
            ref=o.ref,
            week=None,
            starts_at=o.starts_at.isoformat(),
            seconds=o.length.total_seconds(),
        )
        for o in occurrences
    ]


def _from_json(change: Change) -> Occurrence:
    return Occurrence(
        ref=change["ref"],
        starts_at=datetime.fromisoformat(change["starts_at"]),
        length=timedelta(seconds=change["seconds"]),
    )


class Alignment:
    """One version of one cohort after the other, step by step; knows no platform by name."""

    def __init__(self, holdings: Holdings, subscriptions: Subscriptions) -> None:
        self._holdings = holdings
        self._database = holdings.database
        self._subscriptions = subscriptions

    def create(self, cohort_id: str, version: int) -> Made:
        """Make the series, or find what an earlier try made; not when staff want it to go."""
        held = self._holdings.read(cohort_id, version)
        # A platform that is watched meeting by meeting has an object of its own to be watched.
        resolved = not held.provider.watches or held.stored.meeting_ref is not None
        if held.cohort.cancel_requested or held.stored.series_ref is not None:
            return Made(
                cancelling=held.cohort.cancel_requested,
                follows=held.follows,
                occurrences=None,
                resolved=resolved,
            )
        plan = held.plan
        looks = held.stored.attempted_at is not None or held.restored
        made = held.provider.find_series(plan) if looks else None
        invited = False
        if made is None:
            self._holdings.note(held, attempted_at=held.now)
            try:
                made = held.provider.create_series(plan)
            except ProviderError as e:
                if not e.outcome_unknown:
                    self._holdings.note(held, attempted_at=None)
                raise
            invited = held.provider.invites_with_series
        with self._database.write() as connection:
            series_store.update_series(
                connection,
                cohort_id,
                held.cohort.platform,
                series_ref=made.ref,
                organiser_ref=made.organiser_ref,
                meeting_ref=made.meeting_ref,
                join_url=made.join_url or None,
            )
            for person in plan.invitees if invited else ():
                if cohorts.read_carer_cohort(connection, person.marker) is None:
                    continue  # erased while the platform was asked
                series_store.save_invitation(
                    connection, person.marker, held.cohort.platform, ref=None, join_url=None
                )
        return Made(
            cancelling=False,
            follows=held.follows,
            occurrences=_as_json(made.occurrences) or None,
            resolved=resolved,
        )

    def compare(self, cohort_id: str, version: int, known: list[Change] | None) -> Compared:
        """What must be mended so that the platform holds what was planned; notes who is who."""
        held = self._holdings.read(cohort_id, version)
        try:
            occurrences = (
                tuple(_from_json(change) for change in known) if known else held.occurrences()
            )
        except ProviderError as e:
            if not e.gone:
                raise
            if held.cohort.remake_version == version:
                return Compared(changes=[], missing=False, gone=True, look_again=False)
            self._note_drift(held, DELETED)
            raise ProviderError(DELETED, permanent=True) from e
        found = self._arranged(held, occurrences)
        with self._database.write() as connection:
            if cohorts.read_version(connection, cohort_id) != version:
                raise Superseded
            for week, ref in found.refs.items():
                changes.set_occurrence(connection, cohort_id, week, ref)
        expected = held.since is None and is_as_made(
            found,
            held.sessions,
            timezone=held.cohort.timezone,
            usual_length=held.plan.usual_length,
        )
        mends = _as_json(found.drops) + [
            Change(
                ref=o.ref,
                week=week,
                starts_at=o.starts_at.isoformat(),
                seconds=o.length.total_seconds(),
            )
            for week, o in found.adjustments
        ]
        return Compared(
            changes=mends,
            missing=bool(found.missing),
            gone=False,
            look_again=bool(mends) and not expected,
        )

    def forget(self, cohort_id: str, version: int) -> None:
        """The series is gone and staff want another: keep its evidence, forget its links."""
        held = self._holdings.read(cohort_id, version)
        self._subscriptions.end(cohort_id, held.cohort.platform)
        now = self._holdings.clock()
        with self._database.write() as connection:
            series_store.retire_series(
                connection, cohort_id, held.cohort.platform, now=now, removed_at=now
            )

    def extend(self, cohort_id: str, version: int) -> None:
        """Make the series long enough; the next comparison mends what that undid."""
        held = self._holdings.read(cohort_id, version)
        held.provider.extend_series(held.series, held.plan)

    def mend(self, cohort_id: str, version: int, change: Change) -> None:
        """Drop or adjust one occurrence."""
        held = self._holdings.read(cohort_id, version)
        session = held.cohort.session(change["week"]) if change["week"] is not None else None
        if session is None:
            held.provider.drop_occurrence(held.series, change["ref"])
            return
        held.provider.adjust_occurrence(
            held.series,
            change["ref"],
            Slot(starts_at=session.starts_at, length=session.length),
            timezone=held.cohort.timezone,
            current=_from_json(change),
        )

    def difference(self, cohort_id: str, version: int) -> str:
        """What still differs after mending, as a sentence for staff."""
        held = self._holdings.read(cohort_id, version)
        found = self._arranged(held, held.occurrences())
        return (
            "The platform does not keep the timetable: "
            f"{describe(found, held.sessions, timezone=held.cohort.timezone)}. "
            "Put it right on the platform and ask for a repair, or cancel this cohort and open "
            "it again."
        )

    def resolve(self, cohort_id: str, version: int) -> None:
        """Find the platform's object behind the series and the link that everybody shares."""
        held = self._holdings.read(cohort_id, version)
        if held.stored.meeting_ref is not None:
            return
        found = held.provider.resolve_meeting(held.series)
        self._holdings.note(
            held,
            meeting_ref=found.meeting_ref,
            organiser_ref=found.organiser_ref,
            join_url=found.join_url or None,
        )

    def watch(self, cohort_id: str, version: int) -> None:
        """Subscribe to live notifications where the platform needs that."""
        held = self._holdings.read(cohort_id, version)
        if held.provider.watches:
            self._subscriptions.ensure(cohort_id, held.cohort.platform, held.series)

    def finish(self, cohort_id: str, version: int) -> str:
        """Mark the cohort ready, or name what is left for a person to do."""
        with self._database.write() as connection:
            problems = [
                e.problem for e in cohorts.read_enrolments(connection, cohort_id) if e.problem
            ]
            state, problem = CohortState.READY, None
            if problems:
                state = CohortState.NEEDS_ATTENTION
                problem = (
                    f"{len(problems)} carers could not be invited: {problems[0]} "
                    "Put it right and ask for a repair."
                )
            if not changes.settle(
                connection, cohort_id, version, state, problem, now=self._holdings.clock()
            ):
                raise Superseded
        return state.value

    def tell(self, cohort_id: str, version: int, message: str) -> None:
        """Show staff what is going wrong while the trying goes on."""
        with self._database.write() as connection:
            changes.show_state(
                connection,
                cohort_id,
                version,
                CohortState.NEEDS_ATTENTION,
                f"{message} Still trying.",
            )

    def give_up(self, cohort_id: str, version: int, message: str) -> str:
        """Refused for good: failed when nothing stands on the platform, else a person must look."""
        with self._database.write() as connection:
            cohort = cohorts.read_cohort(connection, cohort_id)
            if cohort is None:
                return "gone"
            stands = series_store.all_series(connection, cohort_id)
            state = CohortState.NEEDS_ATTENTION if stands else CohortState.FAILED
            changes.settle(
                connection,
                cohort_id,
                version,
                state,
                message,
                now=self._holdings.clock(),
                drifted_at=cohort.drifted_at,
            )
        return state.value

    def remove(self, cohort_id: str, version: int) -> None:
        """Take everything off the platform again and mark the cohort cancelled.

        Of a series in which a session is held, or whose record is still to come, only what is to
        come goes now; `Leftovers` removes the rest.
        """
        held = self._holdings.read(cohort_id, version)
        with self._database.read() as connection:
            entries = registers.read_registers(connection, cohort_id)
        if held.stored.series_ref and is_needed(
            held.cohort, held.cohort.platform, entries, held.now
        ):
            self._drop_what_is_to_come(held)
            with self._database.write() as connection:
                changes.settle(
                    connection, cohort_id, version, CohortState.CANCELLED, None, now=held.now
                )
            return
        self._subscriptions.end(cohort_id, held.cohort.platform)
        series = held.series if held.stored.series_ref else None
        if series is None and held.stored.attempted_at is not None:
            series = held.provider.find_series(held.plan)
        if series is not None and held.stored.cancelled_at is None:
            held.provider.cancel_series(series)
        with self._database.write() as connection:
            series_store.update_series(
                connection,
                cohort_id,
                held.cohort.platform,
                cancelled_at=self._holdings.clock(),
            )
            changes.settle(
                connection,
                cohort_id,
                version,
                CohortState.CANCELLED,
                None,
                now=self._holdings.clock(),
            )

    def _drop_what_is_to_come(self, held: Holding) -> None:
        """Before the series itself can go. Where each one that is dropped sends everybody a message
        of the platform, only what would begin until then: the rest goes with one message.
        """
        until = held.now + TRIES[-1] + timedelta(days=1)
        # People may be in a session before its planned start: it was not dropped with the others.
        stays = {s.starts_at for s in held.cohort.sessions if s.state is SessionState.SCHEDULED}
        try:
            occurrences = held.occurrences()
        except ProviderError as e:
            if not e.gone:
                raise
            return  # somebody deleted the series on the platform itself
        for occurrence in occurrences:
            soon = occurrence.starts_at < until
            to_come = occurrence.starts_at > held.now and occurrence.starts_at not in stays
            if to_come and (soon or not held.provider.invites_with_series):
                held.provider.drop_occurrence(held.series, occurrence.ref)

    def look_for_drift(self, cohort_id: str) -> str:
        """Compare without mending: whether somebody changed the series on the platform itself.

        What is found is shown to staff and left as it is; what is right again is ready again.
        """
        held = self._holdings.read(cohort_id)
        cohort = held.cohort
        watched = cohort.state is CohortState.READY or cohort.drifted_at is not None
        if not watched or cohort.settled_version != cohort.version or cohort.cancel_requested:
            return cohort.state.value
        try:
            found = self._arranged(held, held.occurrences())
            says = "" if found.exact else self._drift(held, found)
        except ProviderError as e:
            if not e.gone:
                raise
            says = DELETED
        if says:
            self._note_drift(held, says)
        elif cohort.drifted_at is not None:
            with self._database.write() as connection:
                changes.settle(
                    connection, cohort_id, cohort.version, CohortState.READY, None, now=held.now
                )
        return says

    def _drift(self, held: Holding, found: Arrangement) -> str:
        return (
            "Somebody changed the series on the platform: "
            f"{describe(found, held.sessions, timezone=held.cohort.timezone)}. "
            "Ask for a repair to put it back, or move the session here too."
        )

    def _note_drift(self, held: Holding, says: str) -> None:
        with self._database.write() as connection:
            changes.settle(
                connection,
                held.cohort.id,
                held.cohort.version,
                CohortState.NEEDS_ATTENTION,
                says,
                now=held.now,
                drifted_at=held.cohort.drifted_at or held.now,
            )

    @staticmethod
    def _arranged(held: Holding, occurrences: tuple[Occurrence, ...]) -> Arrangement:
        return arrange(held.sessions, occurrences, timezone=held.cohort.timezone, since=held.since)
