"""What the platform holds against what was planned, in instants."""

from __future__ import annotations

from datetime import timedelta

from integration.arrangement import arrange, describe
from integration.provider import Occurrence
from tests.factories import make_sessions

HOUR = timedelta(hours=1)


def occurrences() -> list[Occurrence]:
    return [
        Occurrence(ref=f"o{s.week}", starts_at=s.starts_at, length=s.length)
        for s in make_sessions()
    ]


def test_what_agrees_needs_nothing() -> None:
    found = arrange(make_sessions(), occurrences(), timezone="Europe/London")
    assert found.exact
    assert found.refs == {week: f"o{week}" for week in range(1, 9)}


def test_an_hour_off_is_an_adjustment_of_that_week_only() -> None:
    held = occurrences()
    held[2] = Occurrence(ref="o3", starts_at=held[2].starts_at + HOUR, length=held[2].length)
    found = arrange(make_sessions(), held, timezone="Europe/London")
    assert [(week, o.ref) for week, o in found.adjustments] == [(3, "o3")]
    assert not found.drops
    assert "11:00" in describe(found, make_sessions(), timezone="Europe/London")


def test_a_lost_occurrence_is_missing_and_an_extra_one_goes() -> None:
    held = occurrences()[:7]
    extra = Occurrence(ref="x", starts_at=held[0].starts_at - 7 * 24 * HOUR, length=2 * HOUR)
    found = arrange(make_sessions(), [*held, extra], timezone="Europe/London")
    assert found.missing == (8,)
    assert [o.ref for o in found.drops] == ["x"]
    assert "week 8 is missing" in describe(found, make_sessions(), timezone="Europe/London")


def test_the_order_of_the_answer_does_not_matter() -> None:
    assert arrange(make_sessions(), occurrences()[::-1], timezone="Europe/London") == arrange(
        make_sessions(), occurrences(), timezone="Europe/London"
    )
