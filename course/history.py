"""Which sessions are history: closed, held, being held, or judged by a person.

Their facts are judged by their own times and their corrections by the week's number, so another
day for one of them would leave the facts where they are and take the corrections along.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from course.attendance import Judge
from course.instances import find_instances, weeks_going_on
from course.model import Cohort, Evidence, RegisterState, SessionRegister
from course.rehearsal import rehearsal_spans


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """Why a session must stay on its day, and what staff can do instead."""

    says: str
    instead: str = ""


def find_past(cohort: Cohort, evidence: Evidence, *, now: datetime) -> Mapping[int, Past]:
    """The weeks that are history. One that is over and of which there is no sign is none."""
    judge, begun = Judge(cohort, evidence, now=now), find_begun(cohort, evidence, now=now)
    found = {
        s.week: _past(judge.register(s), is_on=s.week in begun, now=now) for s in cohort.sessions
    }
    return {week: past for week, past in found.items() if past is not None}


def find_begun(cohort: Cohort, evidence: Evidence, *, now: datetime) -> frozenset[int]:
    """The weeks in whose meeting somebody is now, though their planned start may be to come.

    While an announced rehearsal lasts they are there for that.
    """
    rehearsals = rehearsal_spans(evidence.rehearsals, cohort.sessions)
    if any(begin <= now < end for begin, end in rehearsals):
        return frozenset()
    return weeks_going_on(cohort.sessions, find_instances(evidence.events), now=now)


def _past(register: SessionRegister, *, is_on: bool, now: datetime) -> Past | None:
    session = register.session
    if register.state is RegisterState.CLOSED:
        return Past(
            says=f"The register of week {session.week} is closed", instead="Correct verdicts."
        )
    began = session.starts_at <= now
    if is_on or (began and (now < session.ends_at or register.state is RegisterState.LIVE)):
        return Past(says=f"Week {session.week} has begun")
    if register.held_from is not None:
        return Past(says=f"Week {session.week} was held", instead="Correct verdicts instead.")
    if began and any(week.correction is not None for week in register.weeks.values()):
        return Past(
            says=f"Somebody has judged week {session.week}",
            instead=f"Take the corrections of week {session.week} back first.",
        )
    return None
