"""What we hold about a cohort and its series, read before a remote call and noted after it.

Every step of a workflow begins here: the cohort as it is now, its series, its provider. A step of
an older version ends here too, because staff have asked for something else in the meantime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from course.model import Carer, Cohort, Platform, Session
from course.store import backup, cohorts
from course.store import series as series_store
from course.store.database import Database
from course.store.series import StoredSeries
from integration.durable import Superseded
from integration.provider import (
    Invitee,
    MeetingProvider,
    Occurrence,
    ProviderError,
    Series,
    SeriesPlan,
    Slot,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One cohort with its series and provider.

    `former`: how many series there were on this platform before; `follows`: there was one before,
    here or elsewhere. `restored`: all this comes from a backup, and the platform may know more.
    """

    cohort: Cohort
    stored: StoredSeries
    provider: MeetingProvider
    former: int
    follows: bool
    restored: bool
    now: datetime

    @property
    def since(self) -> datetime | None:
        """From when on the platform must hold what is planned; None: from the beginning.

        A course that began before it was opened is made whole, whatever the calendar says; once
        it stands, what has begun is history.
        """
        return self.now if self.cohort.settled_version or self.follows else None

    @property
    def series(self) -> Series:
        """The series as providers want it."""
        return Series(
            ref=self.stored.series_ref or "",
            organiser_ref=self.stored.organiser_ref or "",
            meeting_ref=self.stored.meeting_ref,
            join_url=self.stored.join_url or "",
        )

    @property
    def sessions(self) -> tuple[Session, ...]:
        """What the series must hold; a series made in place of another begins now."""
        left = tuple(s for s in self.cohort.sessions if s.starts_at >= self.now)
        return left if self.follows and left else self.cohort.sessions

    @property
    def plan(self) -> SeriesPlan:
        """The series as it is to be made."""
        return plan_of(
            self.cohort,
            self.sessions,
            organiser=self.cohort.organiser,
            former=self.former,
            invitees=tuple(invitee(carers[0]) for carers in self.by_address.values()),
        )

    @property
    def by_address(self) -> dict[str, list[Carer]]:
        """The carers who take part, by e-mail address: to the platform each is one person."""
        found: dict[str, list[Carer]] = {}
        for carer in self.cohort.carers:
            if carer.withdrawn_at is None:
                found.setdefault(carer.email.casefold(), []).append(carer)
        return found

    def occurrences(self) -> tuple[Occurrence, ...]:
        """Ask the platform what it holds. Raises `ProviderError`."""
        return self.provider.list_occurrences(self.series, self.plan)


def plan_of(
    cohort: Cohort,
    sessions: Sequence[Session],
    *,
    organiser: str,
    former: int,
    invitees: tuple[Invitee, ...] = (),
) -> SeriesPlan:
    """A cohort's series as providers want it; `former`: how many it had there before."""
    return SeriesPlan(
        marker=f"{cohort.id}-{former + 1}" if former else cohort.id,
        name=cohort.name,
        organiser=organiser,
        timezone=cohort.timezone,
        slots=tuple(Slot(starts_at=s.starts_at, length=s.length) for s in sessions),
        usual_length=max((s.length for s in sessions), default=timedelta()),
        invitees=invitees,
        co_organisers=(),
    )


def invitee(carer: Carer) -> Invitee:
    """A carer as providers want them."""
    return Invitee(marker=carer.id, name=carer.name, email=carer.email)


class Holdings:
    """Reads and notes holdings; no transaction is open during a remote call."""

    def __init__(
        self,
        *,
        database: Database,
        providers: Mapping[Platform, MeetingProvider],
        clock: Callable[[], datetime],
    ) -> None:
        self.database = database
        self.clock = clock
        self._providers = providers

    def read(self, cohort_id: str, version: int | None = None) -> Holding:
        """The cohort as it is now. Raises `Superseded` when its version is not `version`."""
        with self.database.read() as connection:
            cohort = cohorts.read_cohort(connection, cohort_id)
            if cohort is None or (version is not None and cohort.version != version):
                raise Superseded
            stored = series_store.read_series(connection, cohort_id, cohort.platform)
            known = series_store.all_series(connection, cohort_id)
            restored = backup.restored_at(connection) is not None
        if cohort.platform not in self._providers:
            raise ProviderError(
                "This cohort's platform is no longer configured: put its settings back.",
                permanent=False,
            )
        return Holding(
            cohort=cohort,
            stored=stored or StoredSeries(cohort_id=cohort_id, platform=cohort.platform),
            provider=self._providers[cohort.platform],
            former=sum(s.ended_at is not None and s.platform is cohort.platform for s in known),
            follows=any(s.ended_at is not None or s.platform is not cohort.platform for s in known),
            restored=restored,
            now=self.clock(),
        )

    def is_superseded(self, cohort_id: str, version: int) -> bool:
        """Whether staff have changed the cohort since."""
        with self.database.read() as connection:
            return cohorts.read_version(connection, cohort_id) != version

    def note(self, holding: Holding, **changes: datetime | str | None) -> None:
        """Write down what was learnt about the series."""
        with self.database.write() as connection:
            series_store.update_series(
                connection, holding.cohort.id, holding.cohort.platform, **changes
            )
