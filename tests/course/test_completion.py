"""The all-sessions rule proposes; it never turns not knowing into failing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from course.completion import best_week, stand
from course.model import (
    AllSessions,
    CarerWeek,
    Correction,
    CorrectionKind,
    Rule,
    Verdict,
)

A, P, N, U, W = (
    Verdict.ATTENDED,
    Verdict.PARTIAL,
    Verdict.ABSENT,
    Verdict.UNDETERMINED,
    Verdict.PENDING,
)


def weeks(*verdicts: Verdict) -> list[CarerWeek]:
    return [CarerWeek(week=n, verdict=v) for n, v in enumerate(verdicts, start=1)]


@pytest.mark.parametrize(
    ("verdicts", "all_held", "expected"),
    [
        ([A] * 8, True, AllSessions.COMPLETED),
        ([A, A, W, W, W, W, W, W], False, AllSessions.ON_TRACK),
        ([A, A, N, W, W, W, W, W], False, AllSessions.MISSED),
        ([A, P, W, W, W, W, W, W], False, AllSessions.AT_RISK),
        ([A, U, W, W, W, W, W, W], False, AllSessions.AT_RISK),
        ([A] * 7 + [U], True, AllSessions.UNDETERMINED),
        ([A] * 6 + [U, P], True, AllSessions.AT_RISK),
        ([W] + [A] * 7, True, AllSessions.UNDETERMINED),
        ([W] * 8, False, AllSessions.ON_TRACK),
    ],
)
def test_where_a_carer_stands(
    verdicts: list[Verdict],
    all_held: bool,
    expected: AllSessions,
) -> None:
    assert stand(weeks(*verdicts), Rule(), all_held=all_held).all_sessions is expected


def test_the_missed_weeks_are_named() -> None:
    assert stand(weeks(A, N, A, N), Rule(), all_held=False).missed_weeks == (2, 4)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (CorrectionKind.CATCH_UP, AllSessions.COMPLETED),
        (CorrectionKind.CAMERA_EXEMPT, AllSessions.COMPLETED),
        (CorrectionKind.EXCUSED, AllSessions.MISSED),
        (CorrectionKind.CORRECTION, AllSessions.MISSED),
    ],
)
def test_exceptions_count_as_the_rule_says(kind: CorrectionKind, expected: AllSessions) -> None:
    said = Correction(
        week=8,
        carer_id="c",
        verdict=N,
        kind=kind,
        reason="because",
        made_by="Dr Lee",
        made_at=datetime(2027, 3, 1, tzinfo=UTC),
    )
    last = CarerWeek(week=8, verdict=N, correction=said)
    assert stand([*weeks(*[A] * 7), last], Rule(), all_held=True).all_sessions is expected


@pytest.mark.parametrize("first_excused", [True, False])
def test_of_two_who_were_away_the_excused_one_counts_whoever_comes_first(
    *, first_excused: bool
) -> None:
    excused = Correction(
        week=2,
        carer_id="a",
        verdict=N,
        kind=CorrectionKind.EXCUSED,
        reason="a funeral",
        made_by="Ann",
        made_at=datetime(2027, 1, 16, tzinfo=UTC),
    )
    pair = [CarerWeek(week=2, verdict=N, correction=excused), CarerWeek(week=2, verdict=N)]
    best = best_week(pair if first_excused else pair[::-1], Rule())
    assert best.correction is excused
    assert stand([best], Rule(), all_held=False).all_sessions is AllSessions.MISSED


@pytest.mark.parametrize("verdict", [N, A, P, U])
def test_an_excuse_that_the_rule_does_not_take_waits_for_nobody_once_a_person_has_said_it(
    verdict: Verdict,
) -> None:
    excused = Correction(
        week=3,
        carer_id="a",
        verdict=verdict,
        kind=CorrectionKind.EXCUSED,
        reason="a funeral",
        made_by="Ann",
        made_at=datetime(2027, 1, 16, tzinfo=UTC),
    )
    week = CarerWeek(week=3, verdict=verdict, correction=excused)
    found = stand([*weeks(A, A), week], Rule(), all_held=True)
    assert (found.all_sessions, found.missed_weeks) == (AllSessions.MISSED, (3,))
    partner = CarerWeek(week=3, verdict=U)
    assert best_week([week, partner], Rule()) is partner  # who may still satisfy the rule
    taken = Rule(satisfied_by=frozenset({CorrectionKind.EXCUSED}))
    after = stand([*weeks(A, A), week], taken, all_held=True)
    assert after.all_sessions is AllSessions.COMPLETED
