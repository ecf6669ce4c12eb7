"""A report for fewer eyes: of one household or one carer alone, or without addresses.

Everybody is judged first, as ever; then what is about others is left out, and their names are
taken out of the sentences that stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from course.attendance import Judge
from course.identity import is_phone_number
from course.model import Carer, CarerWeek, Cohort, Evidence, SessionRegister
from course.reports import AttendanceReport, build_report

Rewrite = Callable[[str], str]
ANOTHER = "another person"
NO_ADDRESS = "(address not shown)"
NO_NUMBER = "(number not shown)"
_ADDRESS = re.compile(
    r"[^\s@“”\"'<>(),;]+@[^\s@“”\"'<>(),;]+|(?:https?://|www\.)[^\s“”\"'<>]+", re.I
)
# Nine digits or stars from + or 0 on, or ten in a row: no date and no time of day is that long.
_NUMBER = re.compile(
    r"(?<![\w.:-])(?:(?=(?:[ ().-]*[\d*+]){9})[+0][\d* ().-]{7,}[\d*]|[\d*]{10,})(?!\w)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Only:
    """Whom a report is about: one household, one carer, or (neither) everybody."""

    household: str | None = None
    carer_id: str | None = None

    def of(self, cohort: Cohort) -> tuple[Carer, ...]:
        """The carers whom it is about; none when it names nobody of this cohort."""
        return tuple(
            c
            for c in cohort.carers
            if self.household in (None, c.household) and self.carer_id in (None, c.id)
        )

    @property
    def is_everybody(self) -> bool:
        """Whether nothing is narrowed."""
        return self.household is None and self.carer_id is None


def narrowed(
    cohort: Cohort, evidence: Evidence, only: Only, *, now: datetime
) -> tuple[AttendanceReport, Rewrite]:
    """The report of those alone, and what takes the others' names out of any further text."""
    report = build_report(cohort, evidence, now=now)
    if only.is_everybody:
        return report, str
    kept = only.of(cohort)
    hide = _hiding_others(cohort, evidence, kept, now=now)
    staying = {
        household
        for household in {c.household for c in kept}
        # Where a household stands tells of each of its carers.
        if all(c in kept for c in cohort.carers if c.household == household)
    }
    ids = {c.id for c in kept}
    return replace(
        report,
        cohort=replace(cohort, carers=kept),
        registers=tuple(_alone(register, ids, hide) for register in report.registers),
        carers={carer: s for carer, s in report.carers.items() if carer in ids},
        households={h: s for h, s in report.households.items() if h in staying},
        tested={carer: t for carer, t in report.tested.items() if carer in ids},
        apart=tuple(own for meeting in report.apart if (own := meeting.of(ids)) is not None),
    ), hide


def _alone(register: SessionRegister, ids: Collection[str], hide: Rewrite) -> SessionRegister:
    weeks = {
        carer: replace(week, offered_with=week.offered_with if week.offered_with in ids else None)
        for carer, week in register.weeks.items()
        if carer in ids
    }
    return rewritten(replace(register, weeks=weeks, unmatched=()), hide)


def _hiding_others(
    cohort: Cohort, evidence: Evidence, kept: Collection[Carer], *, now: datetime
) -> Rewrite:
    """Takes others' names out; out of what people wrote themselves also in small letters."""
    others = [c.name for c in cohort.carers if c not in kept]
    own = [c.name for c in kept]
    shown = Judge(cohort, evidence, now=now).names_of_others({c.id for c in kept})
    in_sentences = hiding(others, shown=shown, kept=own)
    in_writing = hiding(others, shown=shown, kept=own, any_case=True)
    written = {
        *(correction.reason for correction in evidence.corrections),
        *(attestation.reason for attestation in evidence.attestations),
        *(message.text for message in evidence.messages),
    }
    hidden = {text: told for text in written if (told := in_writing(text)) != text}

    def hide(text: str) -> str:
        for whole in sorted(hidden, key=len, reverse=True):
            text = text.replace(whole, hidden[whole])
        return in_sentences(text)

    return hide


def hiding(
    others: Iterable[str], *, shown: Iterable[str], kept: Iterable[str], any_case: bool = False
) -> Rewrite:
    """Puts `ANOTHER` for other carers' names, whole or in part, and for what others were shown as.

    Single words count only with a capital letter, unless `any_case`: “will come” is not Will. What
    is a word of a kept name as well stays.
    """
    spared = {word.casefold() for name in kept for word in _words(name)}
    whole = {
        r"\s+".join(re.escape(part) for part in name.split())
        for name in {*others, *shown}
        if name.split() and not {w.casefold() for w in _words(name)} <= spared
    }
    words = {
        form
        for name in others
        for word in _words(name)
        if word.casefold() not in spared and len(word) > 1
        for form in (word, word.capitalize(), word.upper())
        if any_case or form != form.lower() or form.lower() == form.upper()
    }
    parts = [f"(?i:{name})" for name in sorted(whole, key=lambda n: (-len(n), n))]
    case = "(?i:{})" if any_case else "{}"
    parts += [case.format(re.escape(w)) for w in sorted(words, key=lambda w: (-len(w), w))]
    if not parts:
        return str
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(parts)})(?!\w)")
    again = re.compile(rf"{ANOTHER}(?:[ -]{ANOTHER})+")
    return lambda text: again.sub(ANOTHER, pattern.sub(ANOTHER, text))


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", name)


def without_addresses(report: AttendanceReport) -> AttendanceReport:
    """For those who see no addresses: no address, link or telephone number in any text, nor what
    families wrote.
    """

    def hide(text: str) -> str:
        if is_phone_number(text):
            return NO_NUMBER
        return _NUMBER.sub(NO_NUMBER, _ADDRESS.sub(NO_ADDRESS, text))

    carers = tuple(replace(c, name=hide(c.name)) for c in report.cohort.carers)
    registers = [rewritten(register, hide) for register in report.registers]
    return replace(
        report,
        cohort=replace(report.cohort, carers=carers),
        registers=tuple(
            replace(r, weeks={c: replace(week, messages=()) for c, week in r.weeks.items()})
            for r in registers
        ),
        apart=tuple(m for meeting in report.apart if (m := meeting.without((), hide)) is not None),
    )


def rewritten(register: SessionRegister, rewrite: Rewrite) -> SessionRegister:
    """The register with every free text in it rewritten."""

    def week(found: CarerWeek) -> CarerWeek:
        return replace(
            found,
            reasons=tuple(rewrite(text) for text in found.reasons),
            flags=tuple(rewrite(text) for text in found.flags),
            messages=tuple(replace(m, text=rewrite(m.text)) for m in found.messages),
        )

    return replace(
        register,
        weeks={carer: week(found) for carer, found in register.weeks.items()},
        unmatched=tuple(
            replace(seen, display_name=rewrite(seen.display_name)) for seen in register.unmatched
        ),
        notes=tuple(rewrite(note) for note in register.notes),
    )
