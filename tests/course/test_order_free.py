"""The same facts in any order, any number of times, give the same report to the byte."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from course.intervals import Span, intersect, subtract, total, union
from course.model import Evidence, Level, ParticipantEvent, RegisterEntry
from course.reports import build_report, report_json
from tests.course.evidence import (
    AFTER,
    at,
    camera,
    cohort,
    held,
    record,
    stay,
    who,
)

COHORT = cohort("Maya Patel", "Dev Patel")


def whole_session() -> list[ParticipantEvent]:
    return [
        *held(-5, 118),
        *stay(-3, 40, "a"),
        *stay(40, None, "b"),
        *stay(60, 118, "c", who("Dev Patel", "r2")),
        *stay(20, 20, "d"),
        *stay(10, 30, "e", who("Galaxy Tab", None)),
        camera(0, 30, Level.SENDING, "a"),
        camera(30, 40, Level.NOT_SENDING, "a"),
        camera(45, 100, Level.SENDING, "b"),
        record(-3, 118),
        record(60, 90, "record:2", who("Dev Patel", "r2")),
    ]


def as_bytes(events: list[ParticipantEvent]) -> bytes:
    entry = RegisterEntry(week=2, closed_at=AFTER, record_complete=True)
    evidence = Evidence(events=tuple(events), registers=(entry,))
    return json.dumps(report_json(build_report(COHORT, evidence, now=AFTER))).encode()


@settings(max_examples=60, deadline=None)
@given(st.permutations(whole_session()), st.lists(st.sampled_from(whole_session()), max_size=10))
def test_order_and_repetition_change_nothing(
    events: list[ParticipantEvent], again: list[ParticipantEvent]
) -> None:
    assert as_bytes([*events, *again]) == as_bytes(whole_session())


spans = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda p: (at(min(p)), at(max(p)))),
    max_size=8,
)


def minutes_of(found: list[Span] | tuple[Span, ...]) -> set[int]:
    return {m for m in range(60) if any(a <= at(m) and at(m + 1) <= b for a, b in found)}


@given(spans, spans)
def test_interval_algebra_agrees_with_counting_minutes(left: list[Span], right: list[Span]) -> None:
    assert minutes_of(union([*left, *right])) == minutes_of(left) | minutes_of(right)
    assert minutes_of(intersect(left, right)) == minutes_of(left) & minutes_of(right)
    assert minutes_of(subtract(left, right)) == minutes_of(left) - minutes_of(right)
    assert total(left).total_seconds() / 60 == len(minutes_of(left))
