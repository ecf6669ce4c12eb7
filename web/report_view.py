"""A cohort's attendance as API and pages show it, and what people's words change in it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from course.model import AllSessions, Carer, Cohort, Verdict
from course.narrowing import Only, narrowed, without_addresses
from course.programme import COURSE
from course.reports import AttendanceReport, build_report, changes, report_json, roster
from course.restriction import veiled
from course.store import access, cohorts, evidence, revisions, standings
from course.store.database import Connection, Database
from course.store.holding import hold_cohorts
from web.access import Caller
from web.cohort_view import may_be_shown

MOST_PROPOSALS = 3


class ReportView:
    """Builds reports from what is stored."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def built(self, cohort: Cohort) -> AttendanceReport:
        """The report as values."""
        with self._database.read() as connection:
            return self._build(connection, cohort)

    def shown(self, cohort: Cohort, caller: Caller) -> dict[str, Any]:
        """The report as the API gives it: of other cohorts only what is for these eyes."""
        with self._database.read() as connection:
            report = self._shown(connection, self._build(connection, cohort), caller)
            changed = standings.has_changed(connection, cohort.id, now=self._clock())
        if changed:  # lists across all cohorts show no less than what was just looked at
            standings.refresh_now(self._database, [cohort.id], now=self._clock())
        return report

    def handed_out(self, cohort: Cohort, caller: Caller, *, only: Only) -> dict[str, Any]:
        """The report as somebody takes it away: of those alone, and with no more than they may see.

        Nothing in it names anybody else.
        """
        with self._database.read() as connection:
            found = evidence.read_evidence(connection, cohort)
            built, hide = narrowed(cohort, found, only, now=self._clock())
            report = self._shown(connection, built, caller)
        for household in report["households"]:
            for proposal in household["next_cohorts"]:
                proposal["name"] = hide(proposal["name"] or "") or None
        return report

    def week(self, cohort: Cohort, caller: Caller, week: int, carer_id: str) -> dict[str, Any]:
        """One carer's week of it."""
        report = self.shown(cohort, caller)
        carer = next(c for c in report["carers"] if c["id"] == carer_id)
        found: dict[str, Any] = next(w for w in carer["weeks"] if w["week"] == week)
        return found

    def changed(
        self,
        caller: Caller,
        cohort: Cohort,
        *,
        action: str,
        subject: str,
        write: Callable[[Connection], None],
        detail: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Do what a person asks for, and say which verdicts are others now.

        Closed registers that it touches get a new version; the audit trail says who did what.
        """
        now = self._clock()
        with self._database.write() as connection:
            hold_cohorts(connection, cohort.id)
            before = self._build(connection, cohort)
            write(connection)
            access.add_audit(
                connection,
                actor=caller.actor,
                action=action,
                subject=f"{cohort.id}/{subject}",
                now=now,
                detail=detail,
            )
            cohort = cohorts.read_cohort(connection, cohort.id) or cohort
            revisions.revise(connection, cohort, cause=action, actor=caller.actor, now=now)
            after = self._build(connection, cohort)
            report = self._shown(connection, after, caller)
            standings.bring_up_to_date(connection, cohort.id, now=now)
        return {**report, "changed": changed_json(before, after)}

    def _build(self, connection: Connection, cohort: Cohort) -> AttendanceReport:
        found = evidence.read_evidence(connection, cohort)
        return build_report(cohort, found, now=self._clock())

    def _shown(
        self, connection: Connection, built: AttendanceReport, caller: Caller
    ) -> dict[str, Any]:
        if not caller.sees_addresses:
            built = without_addresses(built)
        if caller.role != "admin":
            built = veiled(built)
        cohort, report = built.cohort, report_json(built)
        zone = ZoneInfo(cohort.timezone)
        for carer, shown in zip(roster(cohort), report["carers"], strict=True):
            shown["transferred_from"] = (
                self._earlier(connection, carer, caller)
                if carer.transferred_from and may_be_shown(cohort, carer.id, caller)
                else None
            )
        versions = revisions.latest_versions(connection, cohort.id)
        for shown in report["sessions"]:
            number, made_at = versions.get(shown["week"], (0, None))
            shown["version"] = number
            shown["version_made_at"] = made_at.astimezone(zone).isoformat() if made_at else None
        missed = {
            reference
            for reference, standing in built.households.items()
            if standing.all_sessions is AllSessions.MISSED
        }
        proposals = self._proposals(connection, cohort, caller) if missed else []
        for shown in report["households"]:
            shown["next_cohorts"] = proposals if shown["reference"] in missed else []
        return report

    def _proposals(
        self, connection: Connection, cohort: Cohort, caller: Caller
    ) -> list[dict[str, Any]]:
        """Groups that a household which missed a session may join instead; a person decides."""
        return [
            {
                **_named(caller, coming.id, coming.name),
                "platform": coming.platform.value,
                "first_session_at": coming.first_session_at.isoformat(),
                "places_left": coming.places_left,
            }
            for coming in cohorts.with_places(
                connection, after=self._clock(), places=COURSE.places, limit=MOST_PROPOSALS
            )
            if coming.id != cohort.id
        ]

    def _earlier(
        self, connection: Connection, carer: Carer, caller: Caller
    ) -> dict[str, Any] | None:
        """What a transferred carer attended in the cohort they came from: shown, not counted."""
        origin = cohorts.read_carer_cohort(connection, carer.transferred_from or "")
        cohort = cohorts.read_cohort(connection, origin) if origin else None
        if cohort is None or not may_be_shown(cohort, carer.transferred_from, caller):
            return None
        report = self._build(connection, cohort)
        named = _named(caller, cohort.id, cohort.name)
        return {
            "cohort": named["id"],
            "name": named["name"],
            "weeks": [
                {
                    "week": r.session.week,
                    "starts_at": r.session.starts_at.isoformat(),
                    "verdict": r.weeks[carer.transferred_from or ""].verdict.value,
                }
                for r in report.registers
                if r.weeks[carer.transferred_from or ""].verdict is not Verdict.PENDING
            ],
        }


def _named(caller: Caller, cohort_id: str, name: str) -> dict[str, str | None]:
    """Another cohort; whoever was not given it learns that it is there, and not which it is."""
    known = caller.may_see(cohort_id)
    return {"id": cohort_id if known else None, "name": name if known else None}


def changed_json(before: AttendanceReport, after: AttendanceReport) -> list[dict[str, Any]]:
    """Which verdicts are others now."""
    return [
        {"week": c.week, "carer": c.carer_id, "before": c.before, "after": c.after}
        for c in changes(before, after)
    ]
