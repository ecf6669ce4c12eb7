"""The all-sessions rule: from verdicts and corrections to where a carer and a household stand.

It only proposes: an `undetermined` or `partial` week waits for a person, it never breaks the rule.
An exception that the cohort's rule does not take does: a person has spoken, and nobody is awaited.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from course.model import (
    AllSessions,
    CarerWeek,
    Cohort,
    CorrectionKind,
    HouseholdRule,
    RegisterState,
    Rule,
    SessionRegister,
    SessionState,
    Verdict,
    natural_order,
)

# From the best to the worst, for a household of which any one carer must attend.
_BEST_FIRST = (
    Verdict.ATTENDED,
    Verdict.PENDING,
    Verdict.UNDETERMINED,
    Verdict.PARTIAL,
    Verdict.ABSENT,
)
_WORST_FIRST = (
    AllSessions.MISSED,
    AllSessions.AT_RISK,
    AllSessions.UNDETERMINED,
    AllSessions.ON_TRACK,
    AllSessions.COMPLETED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where somebody stands, and which weeks were missed."""

    all_sessions: AllSessions
    missed_weeks: tuple[int, ...] = ()


def satisfies(week: CarerWeek, rule: Rule) -> bool:
    """Whether the week counts as done, by attending or by an accepted exception."""
    if week.correction is not None and excepted(week):
        return week.correction.kind in rule.satisfied_by
    return week.verdict is Verdict.ATTENDED


def excepted(week: CarerWeek) -> bool:
    """Whether a person accepted something in place of attending."""
    return week.correction is not None and week.correction.kind is not CorrectionKind.CORRECTION


def _counting(week: CarerWeek) -> Verdict:
    """What a week that does not satisfy the rule counts as: an exception that the rule does not
    take is an absence, whatever the verdict beside it, for nobody is awaited.
    """
    return Verdict.ABSENT if excepted(week) else week.verdict


def stand(weeks: Sequence[CarerWeek], rule: Rule, *, all_held: bool) -> Standing:
    """Where these weeks lead; `all_held`: no session is still to come."""
    missed, waiting, unknown, to_come = [], [], [], []
    for week in weeks:
        if satisfies(week, rule):
            continue
        counts_as = _counting(week)
        if counts_as is Verdict.PENDING:
            to_come.append(week.week)
        elif counts_as is Verdict.UNDETERMINED:
            unknown.append(week.week)
        elif counts_as is Verdict.PARTIAL:
            waiting.append(week.week)
        else:
            missed.append(week.week)
    if missed:
        return Standing(all_sessions=AllSessions.MISSED, missed_weeks=tuple(missed))
    if waiting or (unknown and not all_held):
        return Standing(all_sessions=AllSessions.AT_RISK)
    if unknown or (to_come and all_held):
        return Standing(all_sessions=AllSessions.UNDETERMINED)
    if to_come or not all_held:
        return Standing(all_sessions=AllSessions.ON_TRACK)
    return Standing(all_sessions=AllSessions.COMPLETED)


def carer_standings(cohort: Cohort, registers: Sequence[SessionRegister]) -> dict[str, Standing]:
    """Where each carer stands."""
    all_held = _all_held(registers)
    return {
        carer.id: stand([r.weeks[carer.id] for r in registers], cohort.rule, all_held=all_held)
        for carer in cohort.carers
    }


def household_standings(
    cohort: Cohort, registers: Sequence[SessionRegister], carers: Mapping[str, Standing]
) -> dict[str, Standing]:
    """Where each household stands, by the cohort's rule."""
    found: dict[str, Standing] = {}
    households: dict[str, list[str]] = {}
    staying = {c.household for c in cohort.carers if c.withdrawn_at is None}
    for carer in cohort.carers:
        # Who has left weighs no more on the others; a household that left stands as it left.
        if carer.withdrawn_at is None or carer.household not in staying:
            households.setdefault(carer.household, []).append(carer.id)
    for reference, members in sorted(
        households.items(), key=lambda item: (natural_order(item[0]), item[0])
    ):
        if cohort.rule.household is HouseholdRule.ANY_CARER:
            best = [best_week([r.weeks[m] for m in members], cohort.rule) for r in registers]
            found[reference] = stand(best, cohort.rule, all_held=_all_held(registers))
            continue
        standings = [carers[member] for member in members]
        worst = min((s.all_sessions for s in standings), key=_WORST_FIRST.index)
        weeks = sorted({week for s in standings for week in s.missed_weeks})
        found[reference] = Standing(all_sessions=worst, missed_weeks=tuple(weeks))
    return found


def best_week(weeks: Sequence[CarerWeek], rule: Rule) -> CarerWeek:
    """The week that counts for a household of which any one carer must attend.

    An excused absence is better than a plain one, whoever comes first in the household.
    """
    return min(
        weeks,
        key=lambda w: (not satisfies(w, rule), _BEST_FIRST.index(_counting(w)), not excepted(w)),
    )


def _all_held(registers: Sequence[SessionRegister]) -> bool:
    return all(
        r.session.state is SessionState.CANCELLED
        or r.state in (RegisterState.PROVISIONAL, RegisterState.CLOSED)
        for r in registers
    )
