"""Knowing an erased carer again without keeping who it was: keyed hashes. Pure.

A late notification, the platform's record fetched once more, or a restored backup may bring an
erased carer back. What identified them is kept as HMACs under a key of each erasure's own; facts
that match lose everything personal before they are stored.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from course.connections import MEDIA
from course.identity import plain_name
from course.model import ERASED, Participant, ParticipantEvent, Platform

Trait = tuple[str, str]  # what kind of thing identifies somebody, and the thing
LONGEST = 320  # characters; no name and no address is longer


def trait(kind: str, value: str) -> Trait:
    """One thing that identifies a carer, in the form in which it is compared."""
    if kind == "name":
        return kind, plain_name(value)
    return kind, value.casefold() if kind == "email" else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What is kept of one erased carer: an id that says nothing, and keyed hashes."""

    id: str
    key: bytes = field(repr=False)
    hashes: frozenset[str]

    def hash(self, found: Trait) -> str:
        """The keyed hash of a trait."""
        return hmac.new(self.key, "\n".join(found).encode(), hashlib.sha256).hexdigest()[:32]

    def know(self, kind: str, value: str) -> bool:
        """Whether that identified the carer who was erased."""
        return bool(value) and self.hash(trait(kind, value)) in self.hashes

    def pseudonym(self, ref: str | None) -> str | None:
        """The same other name each time for one of the platform's; nobody can go back."""
        return None if ref is None else f"{ERASED}{self.hash(('ref', ref))[:20]}"

    def of(self, event: ParticipantEvent) -> bool:
        """Whether a fact is about them."""
        if event.carer_id is not None:
            return self.know("carer", event.carer_id)
        seen = event.participant
        if seen is None or (seen.invitation_ref or "").startswith(ERASED):
            return False
        return any(self.know(*found) for found in _traits(seen))

    def stripped(self, event: ParticipantEvent) -> ParticipantEvent:
        """The bare times of a fact about them."""
        seen = event.participant
        return replace(
            event,
            participant=None
            if seen is None
            else Participant(invitation_ref=f"{ERASED}{self.id}", role=seen.role),
            connection_ref=self.pseudonym(event.connection_ref),
            seat_ref=self.pseudonym(event.seat_ref),
            notification_id=None,
        )


def _traits(seen: Participant) -> Iterator[Trait]:
    yield "email", seen.email
    yield "invitation", seen.invitation_ref or ""
    yield "account", seen.account_ref or ""
    yield "name", seen.display_name


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Everybody who was erased, by the series in which they could turn up again."""

    by_series: Mapping[tuple[Platform, str], tuple[Marks, ...]] = field(default_factory=dict)

    def _candidates(self, platform: Platform, series_ref: str | None) -> Iterable[Marks]:
        if series_ref is not None:
            return self.by_series.get((platform, series_ref), ())
        return {m.id: m for found in self.by_series.values() for m in found}.values()

    def without(self, events: Iterable[ParticipantEvent]) -> list[ParticipantEvent]:
        """The facts, and of those about somebody erased at most the bare times of a stay."""
        if not self.by_series:
            return list(events)
        kept = []
        for event in events:
            candidates = self._candidates(event.platform, event.series_ref)
            marks = next((m for m in candidates if m.of(event)), None)
            if marks is None:
                kept.append(event)
            elif event.kind not in MEDIA and event.carer_id is None:
                kept.append(marks.stripped(event))
        return kept

    def named_in(self, platform: Platform, series_ref: str | None, body: str | None) -> bool:
        """Whether a delivery as it came names somebody who was erased."""
        if not self.by_series or not body:
            return False
        candidates = list(self._candidates(platform, series_ref))
        if not candidates:
            return False
        try:
            texts = set(_texts(json.loads(body)))
        except ValueError:
            return False
        return any(
            marks.know(kind, text)
            for marks in candidates
            for text in texts
            for kind in ("email", "invitation", "account", "name")
        )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if len(value) <= LONGEST:
            yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
