"""A carer whose data are restricted: kept, and shown to nobody but an admin. Pure."""

from __future__ import annotations

from dataclasses import replace

from course.completion import Standing
from course.model import AllSessions, Carer, CarerWeek, Cohort, Verdict
from course.narrowing import hiding, rewritten
from course.reports import AttendanceReport

RESTRICTED = "restricted"
WHY = "restricted at the carer's request; an admin can say more"


def shown_name(carer: Carer, *, to_admin: bool) -> str:
    """How a carer is called before these eyes."""
    return RESTRICTED if carer.restricted and not to_admin else carer.name


def veiled(report: AttendanceReport) -> AttendanceReport:
    """The report for everybody but an admin: of restricted carers it shows that they are there."""
    hidden = {carer.id for carer in report.cohort.carers if carer.restricted}
    if not hidden:
        return report
    theirs = {carer.household for carer in report.cohort.carers if carer.restricted}
    cohort = _veiled_cohort(report.cohort)
    kept = [c.name for c in report.cohort.carers if not c.restricted]
    own = [n for c in report.cohort.carers if c.restricted for n in (c.name, *c.former_names)]
    hide = hiding(own, shown=(), kept=kept)
    nothing = Standing(all_sessions=AllSessions.UNDETERMINED)
    return replace(
        report,
        cohort=cohort,
        carers={who: nothing if who in hidden else s for who, s in report.carers.items()},
        # Where a household stands tells of each of its carers.
        households={
            household: nothing if household in theirs else s
            for household, s in report.households.items()
        },
        registers=tuple(
            replace(
                rewritten(register, hide),
                weeks={
                    who: CarerWeek(week=found.week, verdict=Verdict.PENDING, reasons=(WHY,))
                    if who in hidden
                    else found
                    for who, found in rewritten(register, hide).weeks.items()
                },
            )
            for register in report.registers
        ),
        tested={who: tested for who, tested in report.tested.items() if who not in hidden},
        apart=tuple(
            rest for meeting in report.apart if (rest := meeting.without(hidden, hide)) is not None
        ),
    )


def _veiled_cohort(cohort: Cohort) -> Cohort:
    return replace(
        cohort,
        carers=tuple(
            replace(
                c,
                name=RESTRICTED,
                email="",
                phone=None,
                former_names=(),
                former_emails=(),
                former_phones=(),
            )
            if c.restricted
            else c
            for c in cohort.carers
        ),
    )
