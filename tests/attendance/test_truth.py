"""Invented sessions whose truth is known, told over HTTP: the report says what is true, or asks.

`make bench-truth` judges a hundred thousand of them through the same readers without HTTP.
"""

from __future__ import annotations

import random

import pytest

from bench.truth import teams_tells, zoom_tells
from bench.truth.trial import Score, run
from bench.truth.world import Platform as Where
from bench.truth.world import World, invent
from course.model import Platform
from course.store.database import Database
from integration.provider import PlatformRecord
from tests.attendance.room import Room

SECONDS = 7200  # as long as the session of the room


def worlds(where: Where, count: int) -> list[tuple[int, World]]:
    found: list[tuple[int, World]] = []
    seed = 0
    while len(found) < count:
        seed += 1
        world = invent(random.Random(seed), where)
        if world.length == SECONDS and len(world.instances) == 1 and world.rehearsal is None:
            found.append((seed, world))
    return found


@pytest.mark.parametrize("where", ["zoom", "teams"])
@pytest.mark.parametrize("number", range(3))
def test_a_verdict_over_http_is_the_truth_or_asks_a_person(
    database: Database, where: Where, number: int
) -> None:
    seed, world = worlds(where, 3)[number]
    luck = random.Random(seed)
    teller = (
        zoom_tells.ZoomTells(luck, world, mix="qss", loss=0.05, record=True)
        if where == "zoom"
        else teams_tells.TeamsTells(luck, world, mix="engagements", loss=0.05, record=True)
    )
    hearing = teller.tell()
    households: dict[str, tuple[str, ...]] = {}
    for person in world.carers:
        reference = f"H{person.household:02}"
        households[reference] = (*households.get(reference, ()), person.name)
    organiser = zoom_tells.HOST if where == "zoom" else teams_tells.HOST
    room = Room(database, Platform(where), households, organiser_ref=organiser)
    for person in world.carers:
        if person.opened_page_at is not None:
            room.open_page(person.name, person.opened_page_at / 60)
    for told in hearing.told:
        room.deliver(told)
    room.provider.record = PlatformRecord(events=tuple(hearing.recorded), complete=True)
    room.close()
    settled = 0
    for person in world.carers:
        week = room.week(person.name)
        if week["flags"] or week["verdict"] == "undetermined":
            continue
        truth = world.verdict(person, hears_microphones=hearing.hears(person))
        assert week["verdict"] == truth, (seed, person.name, week["reasons"])
        settled += 1
    assert settled >= len(world.carers) // 3, [
        room.week(p.name)["reasons"][:2] for p in world.carers
    ]
    room.inbox.close()


def test_three_hundred_invented_verdicts_hold_none_that_is_wrong() -> None:
    score = Score()
    seed = 40_000_000
    while score.verdicts.total() < 300:
        seed += 1
        run(seed, score)
    assert score.verdicts["wrong"] == 0, score.faults
    assert score.verdicts["right"] > 120
    # The baselines see the same and are often wrong: the bench can fail.
    assert all(counts["wrong"] > 30 for counts in score.baselines.values())
