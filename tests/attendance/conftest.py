"""Rooms on both platforms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from course.model import Platform
from course.store.database import Database
from tests.attendance.room import Room

MakeRoom = Callable[..., Room]


def _maker(database: Database, platform: Platform, made: list[Room]) -> MakeRoom:
    def make(*args: Any, **changes: Any) -> Room:
        made.append(Room(database, platform, *args, **changes))
        return made[-1]

    return make


@pytest.fixture(params=list(Platform), ids=lambda platform: platform.value)
def make_room(request: pytest.FixtureRequest, database: Database) -> Iterator[MakeRoom]:
    """A room on each platform in turn."""
    made: list[Room] = []
    yield _maker(database, request.param, made)
    for room in made:
        room.inbox.close()


@pytest.fixture
def make_zoom(database: Database) -> Iterator[MakeRoom]:
    """A room on Zoom."""
    made: list[Room] = []
    yield _maker(database, Platform.ZOOM, made)
    for room in made:
        room.inbox.close()


@pytest.fixture
def make_teams(database: Database) -> Iterator[MakeRoom]:
    """A room on Teams."""
    made: list[Room] = []
    yield _maker(database, Platform.TEAMS, made)
    for room in made:
        room.inbox.close()
