"""Which sessions are history: closed, held, being held, or judged by a person.

Their facts are judged by their own times and their corrections by the week's number, so another
day for one of them would leave the facts where they are and take the corrections along.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from course.attendance import Judge
from course.model import Cohort, Evidence, RegisterState, SessionRegister


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """Why a session must stay on its day, and what staff can do instead."""

    says: str
    instead: str = ""


def find_past(cohort: Cohort, evidence: Evidence, *, now: datetime) -> Mapping[int, Past]:
    """The weeks that are history. One that is over and of which there is no sign is none."""
    judge = Judge(cohort, evidence, now=now)
    found = {s.week: _past(judge.register(s), now=now) for s in cohort.sessions}
    return {week: past for week, past in found.items() if past is not None}


def _past(register: SessionRegister, *, now: datetime) -> Past | None:
    session = register.session
    if register.state is RegisterState.CLOSED:
        return Past(
            says=f"The register of week {session.week} is closed", instead="Correct verdicts."
        )
    began = session.starts_at <= now
    if began and (now < session.ends_at or register.state is RegisterState.LIVE):
        return Past(says=f"Week {session.week} has begun")
    if register.held_from is not None:
        return Past(says=f"Week {session.week} was held", instead="Correct verdicts instead.")
    if began and any(week.correction is not None for week in register.weeks.values()):
        return Past(
            says=f"Somebody has judged week {session.week}",
            instead=f"Take the corrections of week {session.week} back first.",
        )
    return None
