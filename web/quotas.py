"""How much one person may take away or begin; counted in the audit trail, so restarts count on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from course.store import access
from course.store.database import Database
from web.access import Caller
from web.limits import too_many

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """The practice's own limits. A theft of everything takes long enough to be seen."""

    exports_per_hour: int = 600
    cohorts_per_day: int = 2000

    def check_export(self, database: Database, caller: Caller, now: datetime) -> None:
        """Refuse when this person took too many files away lately."""
        actions = ("report.export", "certificate.make")
        _check(database, caller, actions, HOUR, self.exports_per_hour, "files", now)

    def check_opening(self, database: Database, caller: Caller, now: datetime) -> None:
        """Refuse when this person opened too many cohorts lately."""
        _check(database, caller, ("cohort.open",), DAY, self.cohorts_per_day, "new cohorts", now)


def _check(
    database: Database,
    caller: Caller,
    actions: tuple[str, ...],
    within: timedelta,
    most: int,
    told: str,
    now: datetime,
) -> None:
    with database.read() as connection:
        done = access.done_since(
            connection, actor=caller.actor, actions=actions, since=now - within
        )
    if len(done) >= most:
        raise too_many(told, sorted(done)[-most] + within - now)
