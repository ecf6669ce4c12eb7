"""The steps of opening a cohort: read our database, make one remote call, write down what came.

No transaction is open during a remote call. Every step may run twice (a kill can fall between the
platform's answer and our note of it), so each looks before it acts where acting twice would show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TypedDict

from course.model import Carer, Cohort, CohortState, Platform
from course.store import cohorts
from course.store import series as series_store
from course.store.database import Database
from course.store.series import StoredSeries
from integration.arrangement import Arrangement, arrange, describe
from integration.provider import (
    Invitee,
    MeetingProvider,
    Occurrence,
    ProviderError,
    Series,
    SeriesPlan,
    Slot,
)
from integration.subscriptions import Subscriptions


class Change(TypedDict):
    """One mend of the series. `week` None: the occurrence goes."""

    ref: str
    week: int | None
    starts_at: str
    seconds: float


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


class Opening:
    """Opens one cohort, step by step; knows no platform by name."""

    def __init__(
        self,
        *,
        database: Database,
        providers: Mapping[Platform, MeetingProvider],
        subscriptions: Subscriptions,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._providers = providers
        self._subscriptions = subscriptions
        self._clock = clock

    def create(self, cohort_id: str) -> list[Change] | None:
        """Make the series, or find what an earlier try made. Its occurrences if they came along."""
        cohort, stored = self._read(cohort_id)
        if stored.series_ref is not None:
            return None
        provider, plan = self._providers[cohort.platform], self._plan(cohort)
        made = provider.find_series(plan) if stored.attempted_at is not None else None
        if made is None:
            self._note(cohort, attempted_at=self._clock())
            try:
                made = provider.create_series(plan)
            except ProviderError as e:
                if not e.outcome_unknown:
                    self._note(cohort, attempted_at=None)
                raise
        self._note(
            cohort,
            series_ref=made.ref,
            organiser_ref=made.organiser_ref,
            meeting_ref=made.meeting_ref,
            join_url=made.join_url or None,
        )
        return _as_json(made.occurrences) or None

    def compare(self, cohort_id: str, known: list[Change] | None) -> list[Change]:
        """What must be mended so that the platform holds what was planned; notes who is who."""
        cohort, stored = self._read(cohort_id)
        occurrences = (
            tuple(_from_json(change) for change in known)
            if known
            else self._occurrences(cohort, stored)
        )
        found = arrange(cohort.sessions, occurrences, timezone=cohort.timezone)
        if found.missing and known:
            return self.compare(cohort_id, None)  # the answer to the create may be short: ask
        with self._database.write() as connection:
            for week, ref in found.refs.items():
                cohorts.set_occurrence(connection, cohort_id, week, ref)
        if found.missing:
            raise ProviderError(
                f"The platform made another series than the one asked for: "
                f"{describe(found, cohort.sessions, timezone=cohort.timezone)}. "
                "Cancel this cohort and open it again.",
                permanent=True,
            )
        return self._changes(found)

    def _changes(self, found: Arrangement) -> list[Change]:
        return _as_json(found.drops) + [
            Change(
                ref=o.ref,
                week=week,
                starts_at=o.starts_at.isoformat(),
                seconds=o.length.total_seconds(),
            )
            for week, o in found.adjustments
        ]

    def difference(self, cohort_id: str) -> str:
        """What still differs after mending, as a sentence for staff."""
        cohort, stored = self._read(cohort_id)
        found = arrange(
            cohort.sessions, self._occurrences(cohort, stored), timezone=cohort.timezone
        )
        return (
            "The platform does not keep the timetable: "
            f"{describe(found, cohort.sessions, timezone=cohort.timezone)}. "
            "Put it right on the platform, or cancel this cohort and open it again."
        )

    def mend(self, cohort_id: str, change: Change) -> None:
        """Drop or adjust one occurrence."""
        cohort, stored = self._read(cohort_id)
        provider, series = self._providers[cohort.platform], self._series(stored)
        session = cohort.session(change["week"]) if change["week"] is not None else None
        if session is None:
            provider.drop_occurrence(series, change["ref"])
            return
        provider.adjust_occurrence(
            series,
            change["ref"],
            Slot(starts_at=session.starts_at, length=session.length),
            timezone=cohort.timezone,
            current=_from_json(change),
        )

    def resolve(self, cohort_id: str) -> None:
        """Find the platform's object behind the series and the link that everybody shares."""
        cohort, stored = self._read(cohort_id)
        found = self._providers[cohort.platform].resolve_meeting(self._series(stored))
        self._note(
            cohort,
            meeting_ref=found.meeting_ref,
            organiser_ref=found.organiser_ref,
            join_url=found.join_url or None,
        )

    def to_invite(self, cohort_id: str) -> list[str]:
        """Ids of the carers who need a call of their own: one for each address."""
        cohort, _ = self._read(cohort_id)
        if self._providers[cohort.platform].invites_with_series:
            return []
        return [carers[0].id for carers in self._by_address(cohort).values()]

    def invite(self, cohort_id: str, carer_id: str) -> None:
        """Invite one carer and keep the link."""
        cohort, stored = self._read(cohort_id)
        carer = next(c for c in cohort.carers if c.id == carer_id)
        if carer.invitation_ref is not None:
            return
        with self._database.write() as connection:
            enrolled = cohorts.read_enrolments(connection, cohort_id)
            tried = any(e.carer.id == carer_id and e.invitation_tried for e in enrolled)
            series_store.save_invitation(
                connection, carer_id, cohort.platform, ref=None, join_url=None
            )
        invitation = self._providers[cohort.platform].invite(
            self._series(stored),
            Invitee(marker=carer.id, name=carer.name, email=carer.email),
            tried=tried,
        )
        with self._database.write() as connection:
            series_store.save_invitation(
                connection,
                carer_id,
                cohort.platform,
                ref=invitation.ref,
                join_url=invitation.join_url,
            )

    def note_refusal(self, cohort_id: str, carer_id: str, problem: str) -> None:
        """Keep why a carer could not be invited; the others go on."""
        cohort, _ = self._read(cohort_id)
        with self._database.write() as connection:
            series_store.save_invitation(
                connection, carer_id, cohort.platform, ref=None, join_url=None, problem=problem
            )

    def share_invitations(self, cohort_id: str) -> None:
        """Give the shared link to whoever has no link of their own.

        Two carers with one address are one registrant to the platform, so the second gets the
        first one's link; the register then never counts the link alone for the second.
        """
        cohort, stored = self._read(cohort_id)
        with self._database.write() as connection:
            links = {e.carer.id: e for e in cohorts.read_enrolments(connection, cohort_id)}
            for carers in self._by_address(cohort).values():
                first = links[carers[0].id]
                if self._providers[cohort.platform].invites_with_series:
                    ref, join_url, problem, takers = None, stored.join_url, None, carers
                else:
                    ref, join_url = first.carer.invitation_ref, first.platform_join_url
                    problem, takers = first.problem, carers[1:]
                for carer in takers:
                    series_store.save_invitation(
                        connection,
                        carer.id,
                        cohort.platform,
                        ref=ref,
                        join_url=join_url,
                        problem=problem,
                    )

    def watch(self, cohort_id: str) -> None:
        """Subscribe to live notifications where the platform needs that."""
        cohort, stored = self._read(cohort_id)
        if self._providers[cohort.platform].watches:
            self._subscriptions.ensure(cohort_id, cohort.platform, self._series(stored))

    def finish(self, cohort_id: str) -> str:
        """Mark the cohort ready, or name what is left for a person to do."""
        with self._database.write() as connection:
            problems = [
                e.problem for e in cohorts.read_enrolments(connection, cohort_id) if e.problem
            ]
            state, problem = CohortState.READY, None
            if problems:
                state = CohortState.NEEDS_ATTENTION
                problem = f"{len(problems)} carers could not be invited: {problems[0]}"
            cohorts.set_state(connection, cohort_id, state, problem)
        return state.value

    def tell(self, cohort_id: str, message: str) -> str:
        """Show staff what is going wrong while the trying goes on."""
        with self._database.write() as connection:
            if not cohorts.cancel_requested(connection, cohort_id):
                cohorts.set_state(
                    connection, cohort_id, CohortState.NEEDS_ATTENTION, f"{message} Still trying."
                )
        return CohortState.NEEDS_ATTENTION.value

    def give_up(self, cohort_id: str, message: str) -> str:
        """Refused for good: failed when nothing stands on the platform, else a person must look."""
        with self._database.write() as connection:
            cohort = self._cohort(cohorts.read_cohort(connection, cohort_id))
            if cohorts.cancel_requested(connection, cohort_id):
                return cohort.state.value
            state = CohortState.NEEDS_ATTENTION if cohort.series_ref else CohortState.FAILED
            cohorts.set_state(connection, cohort_id, state, message)
        return state.value

    def remove(self, cohort_id: str) -> None:
        """Take everything off the platform again and mark the cohort cancelled."""
        cohort, stored = self._read(cohort_id, cancelling=True)
        self._subscriptions.end(cohort_id)
        provider = self._providers[cohort.platform]
        series = self._series(stored) if stored.series_ref else None
        if series is None and stored.attempted_at is not None:
            series = provider.find_series(self._plan(cohort))
        if series is not None:
            provider.cancel_series(series)
        with self._database.write() as connection:
            series_store.update_series(
                connection, cohort_id, cohort.platform, cancelled_at=self._clock()
            )
            cohorts.set_state(connection, cohort_id, CohortState.CANCELLED)

    def _read(self, cohort_id: str, *, cancelling: bool = False) -> tuple[Cohort, StoredSeries]:
        with self._database.read() as connection:
            cohort = self._cohort(cohorts.read_cohort(connection, cohort_id))
            stored = series_store.read_series(connection, cohort_id, cohort.platform)
            stopped = not cancelling and cohorts.cancel_requested(connection, cohort_id)
        if stopped:
            raise ProviderError("The cohort is being cancelled.", permanent=True)
        if cohort.platform not in self._providers:
            raise ProviderError(
                "This cohort's platform is no longer configured: put its settings back.",
                permanent=False,
            )
        return cohort, stored or StoredSeries(cohort_id=cohort_id, platform=cohort.platform)

    def _cohort(self, cohort: Cohort | None) -> Cohort:
        if cohort is None:
            raise ProviderError("The cohort is not in the database any more.", permanent=True)
        return cohort

    def _note(self, cohort: Cohort, **changes: datetime | str | None) -> None:
        with self._database.write() as connection:
            series_store.update_series(connection, cohort.id, cohort.platform, **changes)

    def _occurrences(self, cohort: Cohort, stored: StoredSeries) -> tuple[Occurrence, ...]:
        provider = self._providers[cohort.platform]
        return provider.list_occurrences(self._series(stored), self._plan(cohort))

    @staticmethod
    def _series(stored: StoredSeries) -> Series:
        return Series(
            ref=stored.series_ref or "",
            organiser_ref=stored.organiser_ref or "",
            meeting_ref=stored.meeting_ref,
            join_url=stored.join_url or "",
        )

    @staticmethod
    def _by_address(cohort: Cohort) -> dict[str, list[Carer]]:
        found: dict[str, list[Carer]] = {}
        for carer in cohort.carers:
            if carer.withdrawn_at is None:
                found.setdefault(carer.email.casefold(), []).append(carer)
        return found

    def _plan(self, cohort: Cohort) -> SeriesPlan:
        usual = max((s.length for s in cohort.sessions), default=timedelta())
        return SeriesPlan(
            marker=cohort.id,
            name=cohort.name,
            organiser=cohort.organiser,
            timezone=cohort.timezone,
            slots=tuple(Slot(starts_at=s.starts_at, length=s.length) for s in cohort.sessions),
            usual_length=usual,
            invitees=tuple(
                Invitee(marker=carers[0].id, name=carers[0].name, email=carers[0].email)
                for carers in self._by_address(cohort).values()
            ),
            co_organisers=(),
        )
