"""Who it was, and whether camera and microphone were on: never guessed, never doubled."""

from __future__ import annotations

from dataclasses import replace

from course.model import (
    Correction,
    CorrectionKind,
    EventKind,
    Level,
    Link,
    ParticipantEvent,
    Platform,
    Role,
    Source,
    Verdict,
)
from tests.course.evidence import (
    AFTER,
    at,
    camera,
    cohort,
    event,
    held,
    record,
    register,
    stay,
    week,
    who,
)

ON, OFF = Level.SENDING, Level.NOT_SENDING
NOBODY = None


def test_a_rename_changes_nothing_and_gives_the_other_nothing() -> None:
    two = cohort("Maya Patel", "Zoe Ash")
    two = replace(two, carers=(two.carers[0], replace(two.carers[1], household="H2")))
    events = [
        *held(),
        event(EventKind.JOINED, 0, "c1", participant=who("Maya Patel")),
        event(EventKind.LEFT, 120, "c1", participant=who("Zoe Ash")),
    ]
    found = register(events, of=two, closed=True)
    assert found.weeks["carer-1"].minutes_present == 120
    assert found.weeks["carer-2"].verdict is Verdict.ABSENT


def test_a_name_alone_is_only_ever_a_suggestion() -> None:
    found = register([*held(), *stay(0, 120, seen=who("Maya Patel", NOBODY))], closed=True)
    assert found.weeks["carer-1"].verdict is Verdict.UNDETERMINED  # not attended, not absent
    assert "were it Maya Patel" in found.weeks["carer-1"].reasons[0]
    (seen,) = found.unmatched
    assert (seen.display_name, seen.minutes_present) == ("Maya Patel", 120)
    assert seen.suggestions[0].carer_id == "carer-1"
    assert seen.suggestions[0].score == 1


def test_a_first_name_alone_is_a_weak_suggestion() -> None:
    found = register([*held(), *stay(0, 120, seen=who("Maya", NOBODY))])
    assert found.unmatched[0].suggestions[0].score == 0.6


def test_the_exact_name_with_the_own_join_page_just_before_is_a_match_and_says_so() -> None:
    opened = event(
        EventKind.JOIN_PAGE_OPENED, -8, None, carer_id="carer-1", source=Source.JOIN_PAGE
    )
    events = [*held(), *stay(0, 120, seen=who("maya  PATEL", NOBODY))]
    found = week([*events, opened])
    assert found.minutes_present == 120
    assert Source.JOIN_PAGE in found.sources
    assert any("join page" in reason for reason in found.reasons)
    early = replace(opened, occurred_at=at(-30), key="early")
    assert week([*events, early]).minutes_present == 0


def test_an_exact_address_is_a_match() -> None:
    seen = who("iPad", NOBODY, email="MAYA@example.com")
    assert week([*held(), *stay(0, 120, seen=seen)]).minutes_present == 120


def test_what_a_facilitator_said_once_is_remembered_and_taken_back() -> None:
    events = [*held(), *stay(0, 120, seen=who("Mum", NOBODY))]
    (seen,) = register(events).unmatched
    link = Link(ref=seen.ref, carer_id="carer-1", made_by="Dr Lee", made_at=AFTER)
    said = register(events, links=(link,))
    assert said.weeks["carer-1"].minutes_present == 120
    assert said.unmatched == ()
    other_connection = [*held(), *stay(0, 120, "another", seen=who("Mum", NOBODY))]
    assert register(other_connection, links=(link,)).weeks["carer-1"].minutes_present == 120
    not_a_carer = replace(link, carer_id=None)
    assert register(events, links=(not_a_carer,)).unmatched == ()


def test_facilitators_and_note_takers_are_never_carers_nor_strangers() -> None:
    events = [
        *held(),
        *stay(0, 120, "h", who("Anybody", NOBODY, role=Role.ORGANISER)),
        *stay(0, 120, "o", who("host", NOBODY, email="host@example.org")),
        *stay(0, 120, "n", who("Maya's Notetaker (Otter.ai)", NOBODY)),
        *stay(0, 120, "b", who("Bot", NOBODY, role=Role.BOT)),
    ]
    found = register(events)
    assert found.unmatched == ()
    assert found.weeks["carer-1"].minutes_present == 0


def test_the_second_carer_who_was_not_seen_may_have_shared_the_device() -> None:
    pair = cohort("Maya Patel", "Dev Patel")
    found = register([*held(), *stay(0, 120)], of=pair, closed=True)
    assert found.weeks["carer-2"].verdict is Verdict.UNDETERMINED
    assert "shared one device" in found.weeks["carer-2"].reasons[0]


def test_one_address_for_two_proves_nothing_for_the_second() -> None:
    pair = cohort("Maya Patel", "Dev Patel")
    pair = replace(pair, carers=tuple(replace(c, invitation_ref="r1") for c in pair.carers))
    found = register([*held(), *stay(0, 120, seen=who("family iPad"))], of=pair, closed=True)
    assert found.weeks["carer-1"].minutes_present == 120
    assert found.weeks["carer-2"].verdict is Verdict.UNDETERMINED
    assert "the same link" in found.weeks["carer-2"].reasons[0]
    by_name = register([*held(), *stay(0, 120, seen=who("Dev Patel"))], of=pair, closed=True)
    assert by_name.weeks["carer-2"].minutes_present == 120


def test_a_camera_not_reported_is_unknown_not_off() -> None:
    found = week([*held(), *stay(0, 120)])
    assert (found.camera, found.camera_share) == ("unknown", None)
    assert found.verdict is Verdict.UNDETERMINED
    assert found.microphone == "unknown"


def test_a_camera_on_all_the_time_and_one_off_most_of_it() -> None:
    on = week([*held(), *stay(0, 120), camera(0, 120, ON)])
    assert (on.camera, on.verdict) == ("on", Verdict.ATTENDED)
    off = week([*held(), *stay(0, 120), camera(0, 10, ON), camera(10, 120, OFF)])
    assert (off.camera, off.verdict, off.camera_share) == ("off", Verdict.PARTIAL, 0.08)
    assert "camera seen in 10 of 120 minutes (told by the notifications)" in off.reasons


def test_a_camera_known_for_a_part_decides_only_when_the_rest_could_not_change_it() -> None:
    enough = week([*held(), *stay(0, 120), camera(0, 63, ON)])
    assert (enough.verdict, enough.camera) == (Verdict.ATTENDED, "on")
    assert any("in 63 of 120 minutes, 57 without data" in reason for reason in enough.reasons)
    # A minute "with video" may have had a second of it: at both ends of a stretch it is not sure.
    assert week([*held(), *stay(0, 120), camera(0, 61, ON)]).verdict is Verdict.UNDETERMINED
    open_ = week([*held(), *stay(0, 120), camera(0, 50, ON)])
    assert open_.verdict is Verdict.UNDETERMINED


def test_a_camera_is_on_when_it_is_on_at_any_device() -> None:
    events = [*held(), *stay(0, 120, "a"), *stay(0, 120, "b")]
    found = week([*events, camera(0, 120, ON, "a"), camera(0, 120, OFF, "b")])
    assert (found.camera, found.verdict) == ("on", Verdict.ATTENDED)


def test_a_camera_off_at_one_device_says_nothing_of_a_silent_other() -> None:
    events = [*held(), *stay(0, 120, "a"), *stay(0, 120, "b")]
    assert week([*events, camera(0, 120, OFF, "a")]).camera == "unknown"


def test_fifty_toggles_are_summed_and_the_first_tells_what_was_before() -> None:
    toggles = [
        event(EventKind.CAMERA, 2 * n, "c1", level=Level.OFF if n % 2 else Level.ON)
        for n in range(1, 51)
    ]
    found = week([*held(), *stay(0, 120), *toggles])
    # on until the first "off", 24 stretches of two minutes, and on from the last change on
    assert found.camera_share == round((2 + 24 * 2 + 20) / 120, 2)
    assert found.camera == "partly"


def test_media_that_names_only_the_seat_belongs_to_whoever_sat_there() -> None:
    joined = event(EventKind.JOINED, 0, "c1", participant=who(), seat_ref="7")
    seen = event(
        EventKind.CAMERA, 0, None, seat_ref="7", series_ref=None, until_at=at(120), level=ON
    )
    assert week([*held(), joined, seen]).camera == "on"
    row = replace(record(0, 120), seat_ref="7")
    assert week([*held(), row, seen]).camera == "on"


def test_only_positive_evidence_of_no_microphone_counts_against() -> None:
    base = [*held(), *stay(0, 120), camera(0, 120, ON)]

    def heard(level: Level) -> str:
        sample = event(EventKind.MICROPHONE, 0, "c1", until_at=at(120), level=level)
        return week([*base, sample]).microphone

    assert heard(Level.SENDING) == heard(Level.OFF) == heard(Level.DEVICE_PRESENT) == "connected"
    assert heard(Level.NOT_SENDING) == "absent"
    silent = event(EventKind.MICROPHONE, 0, "c1", until_at=at(120), level=Level.NOT_SENDING)
    assert week([*base, silent]).verdict is Verdict.PARTIAL
    assert week(base).verdict is Verdict.ATTENDED


def test_a_correction_replaces_the_verdict_and_keeps_what_the_evidence_said() -> None:
    said = Correction(
        week=2,
        carer_id="carer-1",
        verdict=Verdict.ATTENDED,
        kind=CorrectionKind.CORRECTION,
        reason="I saw her",
        made_by="Dr Lee",
        made_at=AFTER,
    )
    found = week([*held(), *stay(0, 120)], corrections=(said,))
    assert found.verdict is Verdict.ATTENDED
    assert found.reasons[0] == "correction by Dr Lee: I saw her (evidence: undetermined)"
    assert Source.FACILITATOR in found.sources


def test_nobody_is_matched_across_platform_words() -> None:
    seen = who("Maya Patel", NOBODY, account_ref="teamsvisitor:1")
    live = [
        replace(e, platform=Platform.TEAMS, instance_ref=None) for e in stay(0, 120, "p1", seen)
    ]
    assert register(live).unmatched[0].display_name == "Maya Patel"


def test_a_stream_that_says_nothing_more_says_nothing_of_the_camera() -> None:
    def told(minute: float) -> ParticipantEvent:
        return event(EventKind.CAMERA, minute, "c1", level=Level.ON, source=Source.MEDIA_STREAM)

    whole = week([*held(), *stay(0, 120), *(told(n) for n in range(0, 120, 5))], closed=True)
    assert (whole.verdict, whole.camera_on_minutes) == (Verdict.ATTENDED, 120)
    killed = week([*held(), *stay(0, 120), told(0), told(5)], closed=True)
    assert (killed.verdict, killed.camera_on_minutes) == (Verdict.UNDETERMINED, 11)
