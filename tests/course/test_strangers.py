"""Whoever people were whom nobody knew: without their names every verdict is what it was."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from course.attendance import Judge
from course.identity import NAME_GONE
from course.model import Evidence, Participant, ParticipantEvent, RegisterEntry
from course.strangers import without_strangers
from tests.course.evidence import AFTER, cohort, held, record, stay

COHORT = cohort("Maya Patel", "Dev Patel")
NAMES = ("Maya Patel", "dev patel", "Maya", "Galaxy Tab", "Rhiannon Probert", "Dev's iPhone", "")
people = st.builds(
    Participant,
    display_name=st.sampled_from(NAMES),
    email=st.sampled_from(("", "", "somebody@example.net")),
    invitation_ref=st.sampled_from((None, None, None, "r1", "r2", "elsewhere")),
    account_ref=st.sampled_from((None, "a1", "a2")),
    stable_account=st.booleans(),
    by_phone=st.sampled_from((False, False, True)),
)
minutes = st.integers(-10, 125)


@st.composite
def facts(draw: st.DrawFn) -> list[ParticipantEvent]:
    """Stays of up to six devices, some told by notifications and some by the record."""
    told = list(held(-5, 118))
    for number in range(draw(st.integers(1, 6))):
        seen = draw(people)
        begin, end = sorted((draw(minutes), draw(minutes)))
        if draw(st.booleans()):
            told += stay(begin, draw(st.sampled_from((end, None))), f"live-{number}", seen)
        if draw(st.booleans()):
            told.append(
                record(
                    begin, end, f"row-{number}", draw(st.sampled_from((seen, seen, draw(people))))
                )
            )
    return told


def judged(evidence: Evidence) -> dict[str, Any]:
    """Everything that is said of everybody, but for the names of strangers in it."""
    found = Judge(COHORT, evidence, now=AFTER).register(COHORT.sessions[1])
    strangers = "|".join(map(re.escape, (name for name in NAMES if name)))

    def told(text: str) -> str:
        return re.sub(rf"“(?:{strangers}|{NAME_GONE} \(\w+\))”( and “[^”]*”)*", "“…”", text)

    return {
        "held": (found.held_from, found.held_to, found.state),
        **{
            who: replace(
                week,
                reasons=tuple(map(told, week.reasons)),
                flags=tuple(map(told, week.flags)),
            )
            for who, week in found.weeks.items()
        },
    }


@settings(max_examples=150, deadline=None)
@given(facts(), st.booleans())
def test_every_verdict_and_minute_is_what_it_was(
    events: list[ParticipantEvent], complete: bool
) -> None:
    entry = RegisterEntry(week=2, closed_at=AFTER, record_complete=complete)
    evidence = Evidence(events=tuple(events), registers=(entry,))
    words = (f"{number:x}" for number in itertools.count(1))
    found = without_strangers(COHORT, evidence, before=AFTER, now=AFTER, fresh=lambda: next(words))
    masked = found.of(evidence)
    assert judged(masked) == judged(evidence)
    again = without_strangers(COHORT, masked, before=AFTER, now=AFTER)
    assert again.participants == {}
    spared = {"Maya Patel", "dev patel", "Dev's iPhone"}
    kept = {
        e.participant.display_name
        for e in masked.events
        if e.key in found.participants and e.participant
    }
    own = {
        name
        for connections in Judge(COHORT, evidence, now=AFTER).people(COHORT.sessions[1])[0].values()
        for _, connection in connections
        for name in connection.names
    }
    assert all(n.startswith(NAME_GONE) or n in spared | own | {""} for n in kept)
    left = str(list(found.participants.values()))
    assert "example.net" not in left
    assert "'a1'" not in left
