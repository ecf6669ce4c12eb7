"""How long somebody was there, whatever the platform told, lost, doubled or reordered."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from course.model import EventKind, ParticipantEvent, RegisterState, Rule, Source, Verdict
from tests.course.evidence import AFTER, at, cohort, event, held, record, register, stay, week, who

NO_CAMERA = cohort(rule=Rule(camera=0))


def present(events: list[ParticipantEvent]) -> float:
    return week([*held(), *events], of=NO_CAMERA).minutes_present


def test_two_devices_at_once_count_once() -> None:
    assert present([*stay(0, 60, "a"), *stay(30, 120, "b")]) == 120
    found = week([*held(), *stay(0, 60, "a"), *stay(30, 120, "b")], of=NO_CAMERA)
    assert "joined from two devices at once; the time counts once" in found.reasons


def test_rejoining_twenty_times_sums_to_the_union() -> None:
    events = [e for n in range(20) for e in stay(6 * n, 6 * n + 5, f"c{n}")]
    found = week([*held(), *events], of=NO_CAMERA)
    assert found.minutes_present == 100
    assert "left and came back 19 times" in found.reasons


def test_moving_between_rooms_is_continuous_in_either_order() -> None:
    move = [
        event(EventKind.LEFT, 50, "c1", participant=who()),
        event(EventKind.JOINED, 50, "c1", participant=who(), seat_ref="2"),
    ]
    assert present([*stay(0, 120), *move]) == 120
    assert present([*move[::-1], *stay(0, 120)]) == 120


def test_a_join_of_no_length_is_not_a_stay() -> None:
    found = week([*held(), *stay(10, 10)], of=NO_CAMERA, closed=True)
    assert (found.minutes_present, found.verdict) == (0, Verdict.ABSENT)


def test_leaving_from_inside_a_room_ends_there() -> None:
    events = [*stay(0, 50), event(EventKind.JOINED, 50, "c1", participant=who())]
    assert present([*events, event(EventKind.LEFT, 70, "c1", participant=who())]) == 70


def test_the_hosts_end_closes_whoever_did_not_leave() -> None:
    found = week([*held(), *stay(0, None)], of=NO_CAMERA)
    assert (found.minutes_present, found.verdict) == (120, Verdict.ATTENDED)


def test_an_end_that_was_never_told_asks_a_person_and_says_so() -> None:
    found = register([*held(end=None), *stay(0, None)], of=NO_CAMERA)
    assert found.weeks["carer-1"].verdict is Verdict.UNDETERMINED
    assert "the end of the session was not reported; it is inferred" in found.notes


def test_when_everybody_has_left_the_session_is_over_even_if_nobody_told() -> None:
    found = register([*held(end=None), *stay(0, 90)], of=NO_CAMERA)
    assert found.held_to == at(90)
    assert found.weeks["carer-1"].verdict is Verdict.ATTENDED


def test_a_leave_that_was_lost_before_a_rejoin_counts_no_more_than_was_seen() -> None:
    found = week([*held(), *stay(0, None, "a"), *stay(90, 120, "b")], of=NO_CAMERA)
    assert found.verdict is Verdict.UNDETERMINED
    assert "at least 30 and at most 120" in found.reasons[0]


def test_the_platforms_record_settles_what_notifications_left_open() -> None:
    events = [*held(), *stay(0, None, "a"), *stay(90, 120, "b")]
    found = week([*events, record(0, 40), record(90, 120, "record:2")], of=NO_CAMERA)
    assert (found.verdict, found.minutes_present) == (Verdict.PARTIAL, 70)


def test_a_join_that_was_lost_is_found_in_the_record() -> None:
    found = week([*held(), record(0, 120)], of=NO_CAMERA)
    assert found.verdict is Verdict.ATTENDED
    assert found.sources == (Source.PLATFORM_RECORD,)
    assert any("only in the platform's own record" in reason for reason in found.reasons)


def test_a_difference_between_record_and_notifications_is_shown() -> None:
    found = week([*held(), *stay(0, 60), record(0, 95)], of=NO_CAMERA)
    assert "the platform's record says 95 minutes, the notifications 60" in found.reasons


def test_the_waiting_room_is_not_presence() -> None:
    waited = event(EventKind.WAITING, 0, "c1", participant=who())
    found = week([*held(), waited], of=NO_CAMERA, closed=True)
    assert found.verdict is Verdict.UNDETERMINED
    assert "waiting room" in found.reasons[0]


def test_a_late_host_costs_nobody_anything() -> None:
    found = register([*held(15), *stay(15, 120)], of=NO_CAMERA)
    assert (found.held_from, found.held_to) == (at(15), at(120))
    assert found.weeks["carer-1"].share_present == 1
    assert found.weeks["carer-1"].late_minutes == 0


def test_ending_early_and_overrunning_never_go_beyond_the_whole() -> None:
    assert week([*held(-5, 90), *stay(-5, 90)], of=NO_CAMERA).share_present == 1
    assert week([*held(-5, 160), *stay(-5, 160)], of=NO_CAMERA).share_present == 1


def test_a_pause_between_two_instances_is_held_against_nobody() -> None:
    first = [event(e.kind, (e.occurred_at - at(0)).total_seconds() / 60, None) for e in held(0, 50)]
    second = [
        event(EventKind.INSTANCE_STARTED, 60, None, instance_ref="two"),
        event(EventKind.INSTANCE_ENDED, 120, None, instance_ref="two"),
        event(EventKind.JOINED, 60, "d", instance_ref="two", participant=who()),
        event(EventKind.LEFT, 120, "d", instance_ref="two", participant=who()),
    ]
    found = week([*first, *stay(0, 50), *second], of=NO_CAMERA)
    assert (found.minutes_present, found.share_present) == (110, 1)


def test_a_rehearsal_on_the_day_before_is_not_the_session() -> None:
    day = 24 * 60
    rehearsal = [
        event(EventKind.INSTANCE_STARTED, -day, None, instance_ref="rehearsal"),
        event(EventKind.INSTANCE_ENDED, -day + 30, None, instance_ref="rehearsal"),
        event(EventKind.JOINED, -day, "x", instance_ref="rehearsal", participant=who()),
        event(EventKind.LEFT, -day + 30, "x", instance_ref="rehearsal", participant=who()),
    ]
    assert week([*held(), *rehearsal], of=NO_CAMERA, closed=True).verdict is Verdict.ABSENT


@pytest.mark.parametrize(("minutes", "told"), [(9, False), (12, True)])
def test_lateness_is_told_from_ten_minutes_on(minutes: int, told: bool) -> None:
    found = week([*held(), *stay(minutes, 120)], of=NO_CAMERA)
    assert found.late_minutes == minutes
    assert (f"joined {minutes} minutes late" in found.reasons) is told


def test_a_stream_without_instance_names_is_cut_where_the_roster_is_empty() -> None:
    def live(kind: EventKind, minute: float, connection: str) -> ParticipantEvent:
        return event(kind, minute, connection, instance_ref=None, participant=who())

    trial = [live(EventKind.JOINED, -100, "t"), live(EventKind.LEFT, -80, "t")]
    real = [live(EventKind.JOINED, 0, "r"), live(EventKind.LEFT, 120, "r")]
    found = register([*trial, *real], of=NO_CAMERA)
    assert found.weeks["carer-1"].minutes_present == 120
    assert found.held_from == at(0)


def test_before_during_and_after_the_register_says_how_final_it_is() -> None:
    events = [*held(end=None), *stay(0, None)]
    assert register([], now=at(-60)).state is RegisterState.SCHEDULED
    live = register(events, of=NO_CAMERA, now=at(30))
    assert live.state is RegisterState.LIVE
    assert live.weeks["carer-1"].verdict is Verdict.PENDING
    assert live.weeks["carer-1"].minutes_present == 30
    assert register(events, now=AFTER).state is RegisterState.PROVISIONAL
    assert register(events, closed=True).state is RegisterState.CLOSED


def test_a_session_that_was_ended_is_over_by_its_own_facts_and_a_rehearsal_is_not() -> None:
    early = at(-10)
    assert register([*held(), *stay(0, 120)], now=early).state is RegisterState.PROVISIONAL
    rehearsal = [*held(-25, -15), *stay(-25, -15)]
    assert register(rehearsal, now=early).state is RegisterState.LIVE


def test_missing_evidence_is_never_absence() -> None:
    assert week([]).verdict is Verdict.UNDETERMINED
    assert week([*held()]).verdict is Verdict.UNDETERMINED
    assert week([*held()], closed=True).verdict is Verdict.ABSENT
    nobody = register([], closed=True)
    assert nobody.weeks["carer-1"].verdict is Verdict.UNDETERMINED
    assert "no sign that this session was held" in nobody.weeks["carer-1"].reasons[0]


def test_weeks_before_enrolment_and_after_withdrawal_are_pending() -> None:
    (carer,) = NO_CAMERA.carers
    late = replace(NO_CAMERA, carers=(replace(carer, enrolled_at=AFTER),))
    assert week([*held()], of=late, closed=True).reasons[0] == "not enrolled yet"
    the_day_before = at(0) - timedelta(days=1)
    gone = replace(NO_CAMERA, carers=(replace(carer, withdrawn_at=the_day_before),))
    assert week([*held()], of=gone, closed=True).verdict is Verdict.PENDING


def test_notifications_of_a_part_that_the_record_does_not_have_open_it_again() -> None:
    second = {"instance_ref": "two", "participant": who()}
    later = [
        event(EventKind.INSTANCE_STARTED, 60, None, instance_ref="two"),
        event(EventKind.JOINED, 60, "b", **second),
        event(EventKind.LEFT, 70, "b", **second),
        event(EventKind.INSTANCE_ENDED, 120, None, instance_ref="two"),
    ]
    first = [*held(end=60), *stay(0, 60, "a"), record(0, 60)]
    found = week([*first, *later], of=NO_CAMERA, closed=True)
    assert found.verdict is Verdict.UNDETERMINED
    assert "without the platform's record" in found.reasons[0]
