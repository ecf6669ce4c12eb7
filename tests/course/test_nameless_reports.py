"""Reports of media that name nobody: they count for the one stay that had just their times."""

from __future__ import annotations

from datetime import timedelta

import pytest

from course.connections import Connection, build_connections
from course.intervals import total
from course.media import judge_camera, judge_microphone
from course.model import EventKind, Level, ParticipantEvent, Source
from tests.course.evidence import at, event


def stay(ref: str, begins: float, ends: float) -> list[ParticipantEvent]:
    return [event(EventKind.JOINED, begins, ref), event(EventKind.LEFT, ends, ref)]


WHOLE = ((at(0), at(60)),)


def used(begins: float, ends: float) -> ParticipantEvent:
    """A microphone was used in a stay of those times."""
    return event(
        EventKind.MICROPHONE,
        begins,
        None,
        until_at=at(ends),
        level=Level.SENDING,
        source=Source.PLATFORM_RECORD,
    )


def by_ref(*events: ParticipantEvent) -> dict[str, Connection]:
    return {c.ref: c for c in build_connections(events)}


def test_the_only_stay_with_those_times_is_meant() -> None:
    found = by_ref(*stay("a", 0, 60), *stay("b", 5, 60), used(0.2, 60.5))
    assert judge_microphone([found["a"]], WHOLE) == "connected"
    assert judge_microphone([found["b"]], WHOLE) == "unknown"
    assert not found["a"].is_record  # its presence is still what was pushed


@pytest.mark.parametrize(("begins", "ends"), [(1, 60), (0, 62), (30, 40)])
def test_other_times_are_nobodys(begins: float, ends: float) -> None:
    found = by_ref(*stay("a", 0, 60), used(begins, ends))
    assert judge_microphone([found["a"]], WHOLE) == "unknown"


def test_two_stays_with_the_same_times_leave_it_open() -> None:
    found = by_ref(*stay("a", 0, 60), *stay("b", 0.1, 60), used(0, 60))
    assert {judge_microphone([c], WHOLE) for c in found.values()} == {"unknown"}


def test_the_records_own_stay_is_asked_where_nothing_was_pushed() -> None:
    recorded = event(EventKind.STAY, 0, "r", until_at=at(60), source=Source.PLATFORM_RECORD)
    found = by_ref(recorded, used(0, 60))
    assert judge_microphone([found["r"]], WHOLE) == "connected"


def test_a_state_says_nothing_of_the_time_before_it_and_a_switch_does() -> None:
    present = [(at(0), at(60))]

    def camera(source: Source) -> tuple[timedelta, timedelta]:
        told = event(EventKind.CAMERA, 30, "a", level=Level.ON, source=source)
        moves = (
            [event(EventKind.STAY, 0, "a", until_at=at(60), source=source)]
            if source is Source.PLATFORM_RECORD
            else stay("a", 0, 60)
        )
        found = judge_camera(list(by_ref(*moves, told).values()), present, present)
        return total(found.on), total(found.off)

    half = timedelta(minutes=30)
    assert camera(Source.CALL_BOT) == (half, timedelta())
    assert camera(Source.PLATFORM_RECORD) == (half, half)


def test_from_when_nobody_knows_a_camera_is_unknown_again() -> None:
    found = by_ref(
        *stay("a", 0, 60),
        event(EventKind.CAMERA, 0, "a", level=Level.ON, source=Source.CALL_BOT),
        event(EventKind.CAMERA, 20, "a", level=None, source=Source.CALL_BOT),
    )
    whole = [(at(0), at(60))]
    judged = judge_camera(list(found.values()), whole, whole)
    assert (total(judged.on), total(judged.off)) == (timedelta(minutes=20), timedelta())
