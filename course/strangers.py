"""Taking out of the evidence who people were whom nobody knew, with every verdict as before. Pure.

Whether a carer attended may depend on a stranger: on when somebody was there, and on whether they
bore a carer's name. So times stay, and each name becomes another one, the same wherever it stood:
nobody can go back, and nothing that is compared comes out otherwise. What is a carer's own name, or
the name of a carer's device, is no stranger's and stays.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from course.attendance import Judge
from course.connections import Connection
from course.identity import NAME_GONE, normalise, plain_name
from course.model import Cohort, Evidence, Participant


@dataclass(frozen=True, slots=True, kw_only=True)
class Nameless:
    """What to keep of each fact instead, by its key, and the names that were taken out."""

    participants: dict[str, Participant]
    names: frozenset[str]
    stays: int

    def of(self, evidence: Evidence) -> Evidence:
        """The evidence with that in place."""
        return replace(
            evidence,
            events=tuple(
                replace(event, participant=self.participants[event.key])
                if event.key in self.participants
                else event
                for event in evidence.events
            ),
        )


def without_strangers(
    cohort: Cohort,
    evidence: Evidence,
    *,
    before: datetime,
    now: datetime,
    fresh: Callable[[], str] = lambda: secrets.token_hex(3),
) -> Nameless:
    """Find whoever is nobody's in sessions that ended, and at other times that were, before that.

    `fresh` makes a word that nothing else is called by.
    """
    judge = Judge(cohort, evidence, now=now)
    strangers = judge.strangers_apart(before)
    known: list[Connection] = []
    for session in cohort.sessions:
        mine, others = judge.people(session)
        known += [connection for found in mine.values() for _, connection in found]
        if session.ends_at < before:
            strangers += [connection for _, connection in others]
    masks = _Masks(_names_of_carers(cohort, known), fresh)
    changed: dict[str, Participant] = {}
    stays = 0
    for connection in strangers:
        found = {
            event.key: masked
            for event in connection.events
            if event.participant is not None
            and (masked := masks.put_on(event.participant)) != event.participant
        }
        stays += bool(found)
        changed |= found
    return Nameless(participants=changed, names=frozenset(masks.taken), stays=stays)


def _names_of_carers(cohort: Cohort, known: Iterable[Connection]) -> set[str]:
    names = {name for carer in cohort.carers for name in (carer.name, *carer.former_names)}
    names |= {name for connection in known for name in connection.names}
    return {form for name in names for form in (plain_name(name), normalise(name))}


@dataclass(slots=True)
class _Masks:
    spared: set[str]
    fresh: Callable[[], str]
    taken: set[str] = field(default_factory=set)
    worn: dict[str, str] = field(default_factory=dict)

    def put_on(self, seen: Participant) -> Participant:
        """The same participant, without anything that says who it was."""
        return replace(
            seen,
            display_name=self._name(seen.display_name),
            # By these two stays are taken for one person's, so each is another one's each time.
            email=self._mask("email", seen.email.casefold()),
            account_ref=self._mask("account", seen.account_ref or "") or None,
            invitation_ref=None,
            note="",
        )

    def _name(self, name: str) -> str:
        plain = plain_name(name)
        if not plain or {plain, normalise(name)} & self.spared or plain.startswith(NAME_GONE):
            return name
        self.taken.add(name)
        return self._mask("name", plain)

    def _mask(self, kind: str, value: str) -> str:
        if not value or value.startswith(NAME_GONE):
            return value
        return self.worn.setdefault(f"{kind} {value}", f"{NAME_GONE} ({self.fresh()})")
