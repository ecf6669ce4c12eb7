"""Who was it? From a connection to a carer, or to nobody with suggestions.

The order: a personal invitation, an exact e-mail address, a person's remembered word, then the
exact full name together with the carer's own join page opened shortly before. A name alone is
only ever a suggestion. A changed name never takes an identity away or to somebody else.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from nicknames import NickNamer
from rapidfuzz import fuzz

from course.connections import Connection
from course.model import (
    ERASED,
    Carer,
    Cohort,
    EventKind,
    Evidence,
    Link,
    Participant,
    Role,
    Suggestion,
)

JOIN_PAGE_BEFORE = timedelta(minutes=10)
JOIN_PAGE_AFTER = timedelta(minutes=2)
DROPPED_FOR = timedelta(minutes=1)
LEAST_SCORE = 0.6
ALIKE = 70  # percent, of two words
NICKNAME_SCORE = 0.9
MOST_SUGGESTIONS = 3
NAME_GONE = "name no longer kept"  # how whoever was nobody's is called after some weeks

_DEVICE = re.compile(
    r"\((?:she|he|they)[^)]*\)|\(guest\)|\(external\)|\(unverified\)"
    r"|['’]?s?\s+(?:iphone|ipad|phone|laptop|macbook|galaxy|tablet|pc|computer)\b.*$",
    re.IGNORECASE,
)
# Two or more words of letters, none of which names a device.
_FULL_NAME = re.compile(
    r"(?!.*\b(?:iphone|ipad|phone|laptop|macbook|galaxy|tab|tablet|pc|computer|desktop|guest"
    r"|user|zoom|teams|family|home)\b)[^\W\d]+(?: [^\W\d]+)+"
)
_NUMBER = re.compile(r"\+?(?=(?:\D*\d){3})[\d*][\d* ().-]{5,}")
_NOTE_TAKER = re.compile(
    r"\b(?:otter\.ai|otterpilot|fireflies|read\.ai|fathom|tl;?dv|note\s?taker|notetaker"
    r"|meeting notes|recorder bot)\b",
    re.IGNORECASE,
)


@lru_cache(maxsize=1)
def _nicknames() -> NickNamer:
    return NickNamer()


def is_phone_number(name: str) -> bool:
    """Whether a displayed name is a telephone number, maybe with digits starred out."""
    return bool(_NUMBER.fullmatch(name.strip()))


@lru_cache(maxsize=4096)
def normalise(name: str) -> str:
    """A name for comparing: without case, accents, punctuation and device suffixes."""
    text = unicodedata.normalize("NFKD", _DEVICE.sub("", name))
    text = "".join(c for c in text if not unicodedata.combining(c)).casefold()
    return " ".join(re.sub(r"[^\w\s]|_", " ", text).split())


def plain_name(name: str) -> str:
    """A full name for exact comparison: only case, accents and spacing are forgiven."""
    text = unicodedata.normalize("NFKD", name)
    return " ".join("".join(c for c in text if not unicodedata.combining(c)).casefold().split())


def plain_names(connection: Connection) -> frozenset[str]:
    """The names that it was shown under, for exact comparison."""
    return frozenset(plain_name(name) for name in connection.names)


def _keys(participants: Iterable[Participant], connection_ref: str) -> list[str]:
    """What a participant may be remembered by, the most lasting first."""
    seen = list(participants)
    names = [n for n in (plain_name(p.display_name) for p in seen) if n]
    return [
        *(f"email {p.email.casefold()}" for p in seen if p.email),
        *(f"account {p.account_ref}" for p in seen if p.account_ref and p.stable_account),
        *(f"name {name}" for name in names[:1]),
        *(f"name {name}" for name in names[1:]),
        *(f"account {p.account_ref}" for p in seen if p.account_ref and not p.stable_account),
        f"connection {connection_ref}",
    ]


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def name_is_gone(connection: Connection) -> bool:
    """Whether it was somebody whom nobody knew, and whose name is no longer kept."""
    return bool(connection.names) and all(n.startswith(NAME_GONE) for n in connection.names)


def participant_key(connection: Connection) -> str:
    """A short name for whoever it was, safe in an address and the same in later weeks."""
    return _short(_keys(connection.participants, connection.ref)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a connection was. `carer_id` None and `known` True: known, and not a carer.

    `how` is a sentence's end for the evidence; `shared_with` are carers who have the same link or
    address, for whom this connection proves nothing.
    """

    carer_id: str | None
    known: bool
    how: str
    shared_with: tuple[str, ...] = ()
    link: Link | None = None
    by_join_page: bool = False


class Roster:
    """Who may come: carers by everything that identifies them, facilitators, remembered words."""

    def __init__(self, cohort: Cohort, evidence: Evidence) -> None:
        self._by_invitation: dict[str, list[Carer]] = {}
        self._by_email: dict[str, list[Carer]] = {}
        self._by_name: dict[str, list[Carer]] = {}
        self._enrolments: dict[str, list[Carer]] = {}
        self.carers = {carer.id: carer for carer in cohort.carers}
        for carer in sorted(cohort.carers, key=lambda c: c.order):
            ever = self._ever(carer)
            same_person = self._enrolments.setdefault(ever[-1].id, [])
            same_person.append(carer)
            self._enrolments[carer.id] = same_person
            refs = {r for c in ever for r in (c.invitation_ref, *c.former_invitation_refs) if r}
            for ref in sorted(refs):
                self._by_invitation.setdefault(ref, []).append(carer)
            for email in {e.casefold() for c in ever for e in (c.email, *c.former_emails) if e}:
                self._by_email.setdefault(email, []).append(carer)
            for name in {plain_name(n) for n in (carer.name, *carer.former_names)}:
                self._by_name.setdefault(name, []).append(carer)
        self._staff_emails = {
            *(o.casefold() for o in (cohort.organiser, *cohort.former_organisers)),
            *(f.email.casefold() for f in cohort.facilitators),
        }
        self._staff_names = {plain_name(f.name) for f in cohort.facilitators} - set(self._by_name)
        self._links = {link.ref: link for link in evidence.links}
        self._opened: dict[str, list[datetime]] = {}
        for event in sorted(evidence.events, key=lambda e: e.occurred_at):
            if event.kind is EventKind.JOIN_PAGE_OPENED and event.carer_id is not None:
                self._opened.setdefault(event.carer_id, []).append(event.occurred_at)

    def _ever(self, carer: Carer) -> list[Carer]:
        """A carer with what they were in this cohort before they left and came back."""
        found = [carer]
        while earlier := self.carers.get(found[-1].was_here_as or found[-1].transferred_from or ""):
            found.append(earlier)
        return found

    def _enrolled_as(self, carer_id: str | None, at: datetime) -> str | None:
        """Who the person whom a word names was then: it holds also after they came back."""
        named = self.carers.get(carer_id or "")
        if named is None:
            return carer_id
        then = (c.id for c in (named, *self._enrolments[named.id]) if _took_part(c, at))
        return next(then, carer_id)

    def identify(self, connection: Connection, before: Sequence[Connection] = ()) -> Identity:
        """Who that was, by everything that was seen on the connection together.

        `before`: the connections of the same session that began earlier.
        """
        seen = connection.participants
        names = list(dict.fromkeys(plain_name(p.display_name) for p in seen if p.display_name))
        for ref in sorted({p.invitation_ref for p in seen if p.invitation_ref}):
            if ref.startswith(ERASED):
                who = ref.removeprefix(ERASED)
                return Identity(carer_id=who, known=True, how="somebody who was erased")
            if ref in self._by_invitation:
                carers = _taking_part(self._by_invitation[ref], connection.began_at)
                return self._one_of(carers, names, "personal link")
        if any(p.role is Role.BOT or _NOTE_TAKER.search(p.display_name) for p in seen):
            return Identity(carer_id=None, known=True, how="a note-taker or another program")
        emails = {p.email.casefold() for p in seen if p.email}
        if (
            any(p.role is Role.ORGANISER for p in seen)
            or emails & self._staff_emails
            or self._staff_names.intersection(names)
        ):
            return Identity(carer_id=None, known=True, how="a facilitator")
        for email in sorted(emails):
            if email in self._by_email:
                carers = _taking_part(self._by_email[email], connection.began_at)
                return self._one_of(carers, names, "e-mail address")
        for key in _keys(seen, connection.ref):
            link = self._links.get(_short(key))
            if link is not None:
                how = f"{link.made_by} said so"
                then = self._enrolled_as(link.carer_id, connection.began_at)
                return Identity(carer_id=then, known=True, how=how, link=link)
        return self._by_join_page(connection, names, before)

    def _one_of(self, carers: Sequence[Carer], names: Sequence[str], how: str) -> Identity:
        """One link or address for several carers: the name chooses, else the first of them."""
        chosen = next(
            (c for c in carers if {plain_name(n) for n in (c.name, *c.former_names)} & {*names}),
            carers[0],
        )
        others = tuple(c.id for c in carers if c.id != chosen.id)
        return Identity(carer_id=chosen.id, known=True, how=how, shared_with=others)

    def _by_join_page(
        self, connection: Connection, names: Sequence[str], before: Sequence[Connection]
    ) -> Identity:
        """`before`: the connections of the same session that began earlier.

        Whoever came under one carer's name is not another carer for having taken another's later.
        """
        for name in [name for name in names if name in self._by_name][:1]:
            carers = _taking_part(self._by_name[name], connection.began_at)
            if len(carers) != 1:
                continue
            if self._opened_near(carers[0].id, connection.began_at):
                how = "exact full name, and the own join page was opened just before"
            elif any(
                name in {plain_name(n) for n in earlier.names}
                and self._opened_near(carers[0].id, earlier.began_at)
                and _was_gone(earlier, connection.began_at)
                for earlier in before
            ):
                how = (
                    "came back under the exact full name; the own join page was opened just "
                    "before the first time"
                )
            else:
                continue
            return Identity(carer_id=carers[0].id, known=True, how=how, by_join_page=True)
        return Identity(carer_id=None, known=False, how="nothing but a name")

    def _opened_near(self, carer_id: str, at: datetime) -> bool:
        opened = self._opened.get(carer_id, [])
        place = bisect_left(opened, at - JOIN_PAGE_BEFORE)
        return place < len(opened) and opened[place] <= at + JOIN_PAGE_AFTER

    def unlike(self, carer_id: str, connections: Sequence[Connection]) -> tuple[str, ...]:
        """Full names that these connections were shown under, where none resembles the carer's.

        A device's name, a first name or a nickname is nothing remarkable; somebody else's full name
        on a personal link is.
        """
        carer = self.carers[carer_id]
        names = list(dict.fromkeys(name for c in connections for name in c.names))
        if any(_alike(name, own) for name in names for own in (carer.name, *carer.former_names)):
            return ()
        return tuple(n for n in names if _FULL_NAME.fullmatch(normalise(n)))

    def suggest(self, connection: Connection) -> tuple[Suggestion, ...]:
        """Who it might have been, best first; never a match."""
        best: dict[str, Suggestion] = {}
        likely = [
            carer
            for carer in self.carers.values()
            if carer in _taking_part(self._by_name[plain_name(carer.name)], connection.began_at)
        ]
        for name in connection.names:
            for carer in likely:
                found = _compare(name, carer)
                if found and (carer.id not in best or found.score > best[carer.id].score):
                    best[carer.id] = found
        ranked = sorted(best.values(), key=lambda s: (-s.score, s.carer_id))
        return tuple(ranked[:MOST_SUGGESTIONS])


def _taking_part(carers: Sequence[Carer], at: datetime) -> list[Carer]:
    """The carers whom something may name, those who took part then first.

    Whoever left and came back is two carers by one name: of them only the one who took part.
    """
    there = [c for c in carers if _took_part(c, at)]
    names = {plain_name(c.name) for c in there}
    return [*there, *(c for c in carers if c not in there and plain_name(c.name) not in names)]


def _took_part(carer: Carer, at: datetime) -> bool:
    return carer.enrolled_at <= at and (carer.withdrawn_at is None or at < carer.withdrawn_at)


def _was_gone(earlier: Connection, at: datetime) -> bool:
    """Whether that connection is not known to have lasted so long: nobody comes back while there.

    A dropped line is noticed late by the platform.
    """
    return earlier.open_from is not None or all(end <= at + DROPPED_FOR for _, end in earlier.spans)


def _nickname(ours: str, theirs: str) -> bool:
    """Whether the last names are the same and one first name is short for the other (English)."""
    first, second = ours.split(), theirs.split()
    if len(first) < 2 or len(second) < 2 or first[-1] != second[-1]:
        return False
    known = _nicknames()
    return first[0] in known.nicknames_of(second[0]) or second[0] in known.nicknames_of(first[0])


def _alike(shown: str, name: str) -> bool:
    """Whether somebody may be shown so: every word that is shown resembles one of the name."""
    ours, theirs = normalise(name).split(), normalise(shown).split()
    return _nickname(normalise(name), normalise(shown)) or all(
        any(fuzz.ratio(word, own) >= ALIKE for own in ours) for word in theirs
    )


def _compare(name: str, carer: Carer) -> Suggestion | None:
    ours, theirs = normalise(carer.name), normalise(name)
    if not theirs:
        return None
    if ours == theirs:
        score, why = 1.0, "the same full name"
    elif _nickname(ours, theirs):
        score, why = NICKNAME_SCORE, "the same last name, and a short form of the first"
    elif " " not in theirs:
        # One word alone: a first name says little, and the usual ratios say 100 to it.
        if theirs not in ours.split():
            return None
        score, why = LEAST_SCORE, "a part of the name is the same"
    else:
        score = fuzz.token_sort_ratio(ours, theirs) / 100
        why = "a similar name"
    if score < LEAST_SCORE:
        return None
    return Suggestion(carer_id=carer.id, score=round(score, 2), why=why)
