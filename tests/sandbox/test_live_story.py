"""The session that is played to be watched: who comes when, at every speed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sandbox.live_story import EXAMPLE, OPENS, TABLET, Invited, Story, begins_at, live_story

STARTS = datetime(2027, 1, 9, 10, tzinfo=UTC)
FAMILIES = [
    Invited(
        name=name,
        household=household,
        join_page=f"https://circle.example/join/{name}",
        invitation_ref=f"ref of {name}",
    )
    for household, carers in EXAMPLE.items()
    for name in carers
]


def played(speed: float, carers: list[Invited] = FAMILIES) -> Story:
    return live_story(carers, series_ref="81", starts_at=STARTS, minutes=30, speed=speed)


def deeds(story: Story, name: str) -> list[tuple[str, float]]:
    people = story.scene.people
    return [
        (act.deed, round(act.at, 2)) for act in story.scene.acts if people[act.person].name == name
    ]


def test_in_real_time_families_come_as_families_come() -> None:
    story = played(1)
    assert deeds(story, "Maya Patel") == [("wait", -2.7), ("join", -1.9)]
    assert deeds(story, "Dev Patel") == [("join", 12.0)]
    assert deeds(story, "Owen Davies")[-1] == ("camera_off", 4.5)
    assert deeds(story, "Lena Fischer")[-1] == ("leave", 18.0)
    assert [deed for deed, _ in deeds(story, TABLET)] == ["wait", "join"]
    assert deeds(story, "Ruth Cohen") == []  # she sits beside Daniel
    assert deeds(story, "Niamh Byrne") == []  # hers is the tablet


@pytest.mark.parametrize("speed", [1, 10, 30])
def test_played_faster_the_same_happens_closer_together(speed: float) -> None:
    slow, fast = played(1).scene, played(speed).scene
    assert [round(a.at * speed, 6) for a in fast.acts] == [round(a.at, 6) for a in slow.acts]
    assert (fast.opens * speed, fast.closes * speed) == (OPENS, 30)
    assert all(fast.opens < act.at < fast.closes for act in fast.acts)


@pytest.mark.parametrize("speed", [1, 10, 30])
def test_everybody_with_an_own_link_presses_its_button_just_before_they_arrive(
    speed: float,
) -> None:
    story = played(speed)
    arrived: dict[str, datetime] = {}
    for act in story.scene.acts:
        at = STARTS + timedelta(minutes=act.at)
        arrived.setdefault(story.scene.people[act.person].name, at)
    names = [press.join_page.rpartition("/")[2] for press in story.presses]
    assert sorted([*names, TABLET]) == sorted(arrived)
    for press, name in zip(story.presses, names, strict=True):
        assert timedelta() < arrived[name] - press.at <= timedelta(minutes=1)
    assert [n for n, press in zip(names, story.presses, strict=True) if press.both] == [
        "Daniel Cohen"
    ]


def test_whoever_comes_on_a_tablet_has_not_used_their_own_link() -> None:
    (tablet,) = [p for p in played(10).scene.people.values() if p.name == TABLET]
    assert tablet.invitation_ref is None


@pytest.mark.parametrize("households", [0, 1, 12, 40])
def test_a_cohort_of_any_size_can_be_played(households: int) -> None:
    carers = [
        Invited(name=f"Carer {n}", household=f"H{n}", join_page="https://circle.example/join/x")
        for n in range(households)
    ]
    scene = played(10, carers).scene
    assert len(scene.people) == households + 1  # and the host
    assert all(scene.opens < act.at < scene.closes for act in scene.acts)


@pytest.mark.parametrize("speed", [1, 10, 30])
def test_the_start_is_a_whole_second_that_leaves_time_to_open_the_room(speed: float) -> None:
    now = datetime(2027, 1, 4, 9, 0, 0, 250_000, tzinfo=UTC)
    ready_in = timedelta(seconds=4)
    starts_at = begins_at(now, speed=speed, ready_in=ready_in)
    assert starts_at.microsecond == 0
    opens_in = starts_at + timedelta(minutes=OPENS / speed) - now
    assert ready_in <= opens_in < ready_in + timedelta(seconds=1)
