"""What needs a person in one cohort: a pure function of its report and of what went wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from course.attendance import OVER_AFTER
from course.model import (
    Cohort,
    CohortState,
    MessageKind,
    RegisterState,
    SessionRegister,
    SessionState,
    Verdict,
)
from course.reports import AttendanceReport

_SAYS = {
    Verdict.UNDETERMINED: "a person must say whether this carer attended",
    Verdict.PARTIAL: "was there for a part; a person decides what follows",
    Verdict.ABSENT: "missed a session; the course is for those who attend all, so perhaps our "
    "next group will be more suitable",
}
_MESSAGES = {
    MessageKind.ABSENCE: "says that they cannot come",
    MessageKind.CONTEST: "thinks that the register is wrong",
    MessageKind.TOGETHER: "is not alone at this device; attest it if you saw both",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionItem:
    """One thing that waits for a person.

    `ref`: a participant whom nobody knows. `message`: what a carer told us, to be settled.
    """

    kind: str
    since: datetime
    says: str
    week: int | None = None
    carer_id: str | None = None
    ref: str | None = None
    message: int | None = None
    reasons: tuple[str, ...] | None = None


def items_of(
    cohort: Cohort, report: AttendanceReport, troubles: Iterable[AttentionItem]
) -> list[AttentionItem]:
    """Everything that waits in this cohort, the oldest first.

    `troubles`: what does not follow from attendance, such as a letter that could not be sent.
    """
    items = [*_of_cohort(cohort), *troubles]
    for register in report.registers:
        items += _messages(register)
        if register.state in (RegisterState.PROVISIONAL, RegisterState.CLOSED):
            items += _of_register(register)
    return sorted(items, key=lambda i: (i.since, i.says, i.carer_id or "", i.ref or ""))


def next_turn(cohort: Cohort, now: datetime) -> datetime | None:
    """When time alone may next change where everybody stands; None: never again.

    Until a session ends all its verdicts are pending, so its beginning changes nothing.
    """
    planned = [s for s in cohort.sessions if s.state is SessionState.SCHEDULED]
    turns = [at for s in planned for at in (s.ends_at, s.ends_at + OVER_AFTER)]
    return min((at for at in turns if at > now), default=None)


def _of_cohort(cohort: Cohort) -> Iterator[AttentionItem]:
    if cohort.state in (CohortState.NEEDS_ATTENTION, CohortState.FAILED):
        yield AttentionItem(
            kind="cohort", since=cohort.created_at, says=cohort.problem or "needs a person"
        )


def _messages(register: SessionRegister) -> Iterator[AttentionItem]:
    """What carers told us from the join page and nobody has dealt with."""
    for carer_id, week in register.weeks.items():
        for message in week.messages:
            if message.settled_at is None:
                yield AttentionItem(
                    kind=message.kind.value,
                    week=week.week,
                    carer_id=carer_id,
                    message=message.id,
                    since=message.sent_at,
                    says=f"{_MESSAGES[message.kind]}: {message.text}",
                )


def _of_register(register: SessionRegister) -> Iterator[AttentionItem]:
    since = register.session.ends_at
    for carer_id, week in register.weeks.items():
        if week.verdict in _SAYS and week.correction is None:
            yield AttentionItem(
                kind=week.verdict.value,
                week=week.week,
                carer_id=carer_id,
                since=since,
                says=_SAYS[week.verdict],
                reasons=week.reasons,
            )
        for flag in week.flags:
            yield AttentionItem(
                kind="identity", week=week.week, carer_id=carer_id, since=since, says=flag
            )
    for seen in register.unmatched:
        yield AttentionItem(
            kind="unmatched",
            week=seen.week,
            ref=seen.ref,
            since=since,
            says=f"{seen.display_name or 'somebody'} was there and nobody knows who it was",
        )
