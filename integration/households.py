"""Households that are to be enrolled: who is new, who comes back, and under which reference.

Each enrolment is a carer of its own, also of somebody who comes back: the weeks before stay with
the earlier one, and nobody is asked for weeks in which they did not take part.
"""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from course.identity import plain_name
from course.model import Carer, Cohort

LONGEST_REFERENCE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCarer:
    """A carer to enrol."""

    name: str
    email: str
    phone: str | None = None

    def is_called_like(self, carer: Carer) -> bool:
        """Whether both have one name; only case, accents and spacing are forgiven."""
        return plain_name(self.name) == plain_name(carer.name)

    def has_address_of(self, carer: Carer) -> bool:
        """Whether both have one e-mail address."""
        return self.email.casefold() == carer.email.casefold()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewHousehold:
    """A household that booked: one or two carers."""

    reference: str
    carers: tuple[NewCarer, ...]


def draft_carers(
    households: Sequence[NewHousehold],
    *,
    enrolled_at: datetime,
    came_from: Sequence[str | None] = (),
    after: int = 0,
) -> tuple[tuple[Carer, ...], dict[str, str]]:
    """New carers with an id each, and the token of each one's own join page (192 random bits).

    `came_from`: of each, who they were in an earlier enrolment. `after`: how many the household
    has or had.
    """
    people = [
        (household.reference, position, person)
        for household in households
        for position, person in enumerate(household.carers, start=after)
    ]
    origins = came_from or [None] * len(people)
    carers = tuple(
        Carer(
            id=uuid.uuid4().hex,
            name=person.name,
            email=person.email,
            phone=person.phone,
            household=reference,
            position=position,
            enrolled_at=enrolled_at,
            transferred_from=origin,
        )
        for (reference, position, person), origin in zip(people, origins, strict=True)
    )
    return carers, {carer.id: secrets.token_urlsafe(24) for carer in carers}


def who_is_new(cohort: Cohort, household: NewHousehold) -> tuple[NewCarer, ...] | None:
    """Who is to be enrolled under that reference; None: it is another household's.

    One that has left is the same one when somebody of it comes back: other people would be shown
    its weeks. Beside a carer who stays, the other one may come.
    """
    known = [c for c in cohort.carers if c.household == household.reference]
    staying = [c for c in known if c.withdrawn_at is None]
    if not known:
        return household.carers
    if not staying:
        back = any(
            p.is_called_like(c) or p.has_address_of(c) for p in household.carers for c in known
        )
        return household.carers if back else None
    here = {
        c.id: p
        for c in staying
        for p in household.carers
        if p.is_called_like(c) and p.has_address_of(c)
    }
    coming = tuple(p for p in household.carers if p not in here.values())
    return coming if coming and len(here) == len(staying) else None


def earlier_enrolments(
    cohort: Cohort, reference: str, coming: Sequence[NewCarer]
) -> list[str | None]:
    """Who each that comes back was before: whoever left that household under that name.

    Of several of one name (a father and his son) the one with the same address; where no address
    tells, nobody: to be taken for another is worse than to begin anew.
    """
    went_on = {c.transferred_from for c in cohort.carers}
    left = [
        c
        for c in cohort.carers
        if c.household == reference and c.withdrawn_at is not None and c.id not in went_on
    ]
    found: list[str | None] = []
    for person in coming:
        alike = [c for c in left if person.is_called_like(c)]
        same = [c for c in alike if person.has_address_of(c)]
        known = same or (alike if len(alike) == 1 and _only(coming, person) else [])
        found.append(known[0].id if len(known) == 1 else None)
    return found


def _only(coming: Sequence[NewCarer], person: NewCarer) -> bool:
    """Whether nobody else of that name comes with them."""
    return sum(plain_name(other.name) == plain_name(person.name) for other in coming) == 1


def reference_there(target: Cohort, household: NewHousehold, came_from: Collection[str]) -> str:
    """What a household is called in the cohort that it is transferred to.

    As it was called there before, as where it comes from, or else by the next free number.
    """
    live = {c.household for c in target.carers if c.withdrawn_at is None}
    before = [c.household for c in target.carers if c.id in came_from and c.household not in live]
    if before:
        return before[-1]
    if household.reference not in live and who_is_new(target, household) is not None:
        return household.reference
    return free_reference(target, household.reference)


def free_reference(cohort: Cohort, like: str) -> str:
    """A reference in the same style that nobody has or had: the next number."""
    taken = {c.household for c in cohort.carers}
    found = re.fullmatch(r"(.*?)([0-9]{0,9})", like, re.DOTALL)
    stem, digits = found.groups() if found else (like, "")
    if not digits:
        stem, digits = f"{like}-", "1"
    numbers = [
        int(rest)
        for reference in {*taken, f"{stem}{digits}"}
        if re.fullmatch("[0-9]{1,9}", rest := reference.removeprefix(stem), re.ASCII)
        and reference.startswith(stem)
    ]
    number = str(max(numbers) + 1).zfill(len(digits))
    return f"{stem[: LONGEST_REFERENCE - len(number)]}{number}"
