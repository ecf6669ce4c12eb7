"""A scene that is played by the clock: each thing at its moment, and the record after the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.config import SandboxConfig
from sandbox.delivery import Courier
from sandbox.pace import Pace
from sandbox.scene import Act, Person, Scene
from sandbox.zoom_account import ZoomStandIn
from sandbox.zoom_meetings import Meeting
from sandbox.zoom_stage import ZoomStage
from tests.fakes import FakeClock

STARTS = datetime(2027, 1, 9, 10, tzinfo=UTC)
AFTERWARDS = STARTS + timedelta(hours=1)


class Ear(Courier):
    """Hears instead of sending, and may do something about it."""

    def __init__(self, then: Callable[[str], None] = lambda _: None) -> None:
        super().__init__()
        self.heard: list[dict[str, Any]] = []
        self._then = then

    def deliver(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        assert url and headers["x-zm-signature"]
        self.heard.append(json.loads(body))
        self._then(self.heard[-1]["event"])
        return 204

    def events(self) -> list[str]:
        return [told["event"].removeprefix("meeting.") for told in self.heard]


def room() -> tuple[ZoomStandIn, Meeting]:
    zoom = ZoomStandIn(SandboxConfig(), FakeClock(AFTERWARDS))
    meeting = Meeting(
        id=81,
        uuid="series",
        host_id=zoom.host_id,
        host_email=zoom.config.zoom_host,
        asked={"topic": "Course", "timezone": "Europe/London", "duration": 30},
        created_at=STARTS,
        occurrences=[],
    )
    zoom.account.meetings[81] = meeting
    return zoom, meeting


def scene() -> Scene:
    """Three minutes, with Maya's camera off from the second one on."""
    return Scene(
        series_ref="81",
        starts_at=STARTS,
        opens=-0.5,
        closes=3,
        people={"host": Person(name="Dr Alma Lee", host=True), "maya": Person(name="Maya Patel")},
        acts=(
            Act(at=-0.2, person="maya", deed="wait"),
            Act(at=0, person="maya", deed="join"),
            Act(at=1, person="maya", deed="camera_off"),
        ),
    )


def pace(now: datetime) -> Pace:
    return Pace(clock=FakeClock(now), sampled=timedelta(seconds=30))


def test_everything_is_told_in_the_order_of_its_moments_and_then_recorded() -> None:
    zoom, meeting = room()
    recorded_when_told: list[int] = []
    ear = Ear(then=lambda _: recorded_when_told.append(len(meeting.instances)))
    played = ZoomStage(zoom, ear).play(scene(), pace(AFTERWARDS))
    assert played["failed"] == []
    moments = [told["event_ts"] for told in ear.heard]
    assert moments == sorted(moments)
    assert ear.events()[0] == "started"
    assert set(recorded_when_told) == {0}  # no platform has a record of what is not over
    (held,) = meeting.instances
    assert [row["name"] for row in held.rows if row["status"] == "in_meeting"] == [
        "Dr Alma Lee",
        "Maya Patel",
    ]


def test_the_camera_is_looked_at_as_often_as_the_pace_says() -> None:
    zoom, _ = room()
    ear = Ear()
    ZoomStage(zoom, ear).play(scene(), pace(AFTERWARDS))
    user_id = next(
        told["payload"]["object"]["participant"]["user_id"]
        for told in ear.heard
        if told["event"] == "meeting.participant_joined"
        and told["payload"]["object"]["participant"]["user_name"] == "Maya Patel"
    )
    looks = [
        told["payload"]["object"]["participant"]["qos"]
        for told in ear.heard
        if told["event"] == "meeting.participant_qos"
        and told["payload"]["object"]["participant"]["user_id"] == user_id
    ]
    assert [any(row["type"] == "video_output" for row in rows) for rows in looks] == [
        *(True, True),
        *(False, False, False, False),
    ]


def test_nothing_is_told_before_its_moment() -> None:
    zoom, _ = room()
    clock = FakeClock(STARTS - timedelta(minutes=5))
    told_at: list[float] = []
    ear = Ear(then=lambda _: told_at.append(clock().timestamp() * 1000))
    waiting = Pace(
        clock=clock,
        sampled=timedelta(seconds=30),
        wait=lambda seconds: clock.move(timedelta(seconds=seconds)),
    )
    ZoomStage(zoom, ear).play(scene(), waiting)
    assert told_at == [told["event_ts"] for told in ear.heard]
    assert clock() == STARTS + timedelta(minutes=3)
