"""Cameras that are asked for or streamed while a session is held, and which side is "sent"."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from course.model import EventKind, Level, Participant, ParticipantEvent, Platform, Source
from course.store import cohorts, evidence
from course.store import series as series_store
from course.store.database import STORAGE_TROUBLE, Database
from course.store.notifications import Notification
from integration.calibration import Side, advice, compare
from integration.live_media import LiveMedia
from integration.media_streams import STARTED, STOPPED, MediaStreams, Stream
from integration.provider import ProviderError, Series, SeriesPlan, Slot
from integration.zoom_dashboard import media_events
from tests.factories import FIRST, make_cohort
from tests.fakes import FakeClock, FakeProvider
from tests.stand_ins import StandIns, stand_ins
from tests.trouble import without_room_for_facts
from webhooks.inbox import Delivery, Inbox

SERIES, SOON = "81000000001", FIRST + timedelta(minutes=10)


@pytest.fixture
def held(database: Database) -> Database:
    """A Zoom cohort whose first session is being held, in an instance that is known."""
    with database.write() as connection:
        cohorts.insert_cohort(connection, make_cohort(series_ref=None), {"carer-1": "t"})
        series_store.update_series(connection, "cohort-1", Platform.ZOOM, series_ref=SERIES)
        evidence.save_events(connection, [joined("S1", "Maya Patel")])
    return database


def joined(seat: str, name: str) -> ParticipantEvent:
    return ParticipantEvent(
        key=f"joined-{seat}",
        platform=Platform.ZOOM,
        kind=EventKind.JOINED,
        occurred_at=FIRST,
        source=Source.WEBHOOK,
        series_ref=SERIES,
        instance_ref="one",
        connection_ref=f"C-{seat}",
        seat_ref=seat,
        participant=Participant(display_name=name),
    )


def sampled(source: Source = Source.DASHBOARD) -> ParticipantEvent:
    return replace(
        joined("S1", ""),
        key=f"sampled-{source}",
        kind=EventKind.CAMERA,
        source=source,
        series_ref=None,
        connection_ref=None,
        participant=None,
        level=Level.SENDING,
        occurred_at=SOON - timedelta(minutes=2),
        until_at=SOON,
    )


def cameras(database: Database) -> list[tuple[str, Level | None]]:
    with database.read() as connection:
        found = evidence.instance_events(connection, "one")
    events = sorted((e for e in found if e.kind is EventKind.CAMERA), key=lambda e: e.occurred_at)
    return [(e.seat_ref or "", e.level) for e in events]


def test_the_dashboard_is_asked_every_few_minutes_while_a_session_is_held(held: Database) -> None:
    clock, zoom = FakeClock(FIRST - timedelta(minutes=10)), FakeProvider(Platform.ZOOM)
    zoom.media = [sampled()]
    media = LiveMedia(database=held, providers={Platform.ZOOM: zoom}, clock=clock)
    assert media.poll() == 0  # not yet
    clock.now = SOON
    assert media.poll() == 1
    assert cameras(held) == [("S1", Level.SENDING)]
    clock.move(timedelta(minutes=1))
    assert media.poll() == 0  # too soon
    clock.move(timedelta(minutes=2))
    assert media.poll() == 0  # nothing new
    assert zoom.calls.count("live_media") == 2
    clock.move(timedelta(hours=1))
    media.poll()
    assert zoom.calls.count("live_media") == 2  # over


def test_nothing_is_asked_where_quality_reports_are_pushed(held: Database) -> None:
    with held.write() as connection:
        evidence.save_events(connection, [sampled(Source.WEBHOOK)])
    zoom = FakeProvider(Platform.ZOOM)
    media = LiveMedia(database=held, providers={Platform.ZOOM: zoom}, clock=FakeClock(SOON))
    media.poll()
    assert zoom.calls.count("live_media") == 0


def test_a_dashboard_in_trouble_is_asked_again_later(held: Database) -> None:
    clock, zoom = FakeClock(SOON), FakeProvider(Platform.ZOOM)
    zoom.media = [sampled()]
    zoom.trouble.append(("live_media", ProviderError("Zoom is busy.", permanent=False)))
    media = LiveMedia(database=held, providers={Platform.ZOOM: zoom}, clock=clock)
    assert media.poll() == 0
    clock.move(timedelta(minutes=3))
    assert media.poll() == 1


def test_a_microphone_that_sent_nothing_is_told_for_every_minute() -> None:
    silent = [{"date_time": f"2027-01-09T10:0{n}:00Z", "video_output": {}} for n in range(5)]
    told = media_events(
        [{"user_id": "S1", "user_qos": silent}], uuid="one", sent_direction="output"
    )
    microphone = [e for e in told if e.kind is EventKind.MICROPHONE]
    assert {e.level for e in microphone} == {Level.NOT_SENDING}
    assert len(microphone) == 5


@pytest.fixture(scope="module")
def running() -> Iterator[StandIns]:
    with stand_ins() as found:
        yield found


def test_the_dashboard_of_the_stand_in_tells_camera_and_microphone_by_the_minute(
    running: StandIns,
) -> None:
    zoom = running.zoom(dashboard=True)
    plan = SeriesPlan(
        marker="media",
        name="Media",
        organiser=running.config.zoom_host,
        timezone="Europe/London",
        slots=tuple(
            Slot(starts_at=FIRST + timedelta(weeks=n), length=timedelta(minutes=30))
            for n in range(8)
        ),
        usual_length=timedelta(minutes=30),
    )
    series: Series = zoom.create_series(plan)
    people = {str(n): {"name": f"Carer {n}"} for n in range(12)}  # more than a page
    running.clock.now = FIRST + timedelta(minutes=5)
    scene = {
        "series_ref": series.ref,
        "starts_at": FIRST.isoformat(),
        "opens": 0,
        "closes": 4,
        "people": people,
        "acts": [{"at": 1, "person": n, "deed": "join", "camera": int(n) % 2 == 0} for n in people],
    }
    running.play(Platform.ZOOM, scene)
    record = zoom.fetch_record(
        series,
        window_from=FIRST - timedelta(minutes=30),
        window_to=FIRST + timedelta(hours=3),
        known_instances=(),
    )
    uuid = next(e.instance_ref for e in record.events if e.instance_ref)
    events = zoom.live_media((uuid,))
    told = [e for e in events if e.kind is EventKind.CAMERA]
    assert len({e.seat_ref for e in told}) == 12
    assert {e.level for e in told} == {Level.SENDING, Level.NOT_SENDING}
    assert all(e.source is Source.DASHBOARD and e.series_ref is None for e in told)
    assert len(told) == 12 * 3
    assert {e.level for e in events if e.kind is EventKind.MICROPHONE} == {Level.SENDING}
    assert running.zoom().live_media((uuid,)) == ()  # not switched on
    running.clock.move(timedelta(minutes=40))
    with pytest.raises(ProviderError):
        zoom.live_media((uuid,))  # no longer live


class FakeStream:
    """A joined media stream: it tells what a test lets happen."""

    def __init__(
        self,
        stream: Stream,
        *,
        on_camera: Callable[[list[int], bool], None],
        on_lost: Callable[[], None],
    ) -> None:
        self.stream, self.on_camera, self.on_lost = stream, on_camera, on_lost
        self.closed = False

    def close(self) -> None:
        self.closed = True


def announced(database: Database, kind: str, *, url: str = "wss://rtms-1.zoom.us/x") -> None:
    body = {"event": kind, "stream": {"id": "stream-1", "server_urls": url}}
    inbox = Inbox(database)
    inbox.accept(
        [
            Delivery(
                notification=Notification(
                    id=f"{kind}-{url}"[:32],
                    platform=Platform.ZOOM,
                    received_at=SOON,
                    kind=kind,
                    body=json.dumps(body),
                    instance_ref="one",
                )
            )
        ]
    )
    inbox.close()


def test_an_announced_stream_is_joined_heard_joined_again_and_left(held: Database) -> None:
    clock, joined_streams = FakeClock(SOON), list[FakeStream]()

    def connect(stream: Stream, **heard: Callable[..., None]) -> FakeStream:
        joined_streams.append(
            FakeStream(stream, on_camera=heard["on_camera"], on_lost=heard["on_lost"])
        )
        return joined_streams[-1]

    streams = MediaStreams(held, connect, clock=clock)
    streams.look()
    assert streams.live == 0
    announced(held, STARTED)
    clock.move(timedelta(seconds=10))
    streams.look()
    (first,) = joined_streams
    assert first.stream.ref == "stream-1"
    first.on_camera([1], True)
    clock.move(timedelta(seconds=1))
    streams.look()
    assert cameras(held) == [("1", Level.ON)]
    first.on_lost()  # from now on nobody knows
    clock.move(timedelta(seconds=1))
    streams.look()
    assert {level for _, level in cameras(held)} == {Level.ON, None}
    clock.move(timedelta(seconds=10))
    streams.look()
    assert len(joined_streams) == 1  # not at once
    clock.move(timedelta(seconds=30))
    streams.look()
    assert len(joined_streams) == 2
    announced(held, STOPPED)
    clock.move(timedelta(seconds=10))
    streams.look()
    assert joined_streams[1].closed
    clock.move(timedelta(minutes=5))
    streams.look()
    assert (streams.live, len(joined_streams)) == (0, 2)


def heard_streams(held: Database, clock: FakeClock) -> tuple[MediaStreams, list[FakeStream]]:
    """The worker with one announced stream that it has joined."""
    joined_streams: list[FakeStream] = []

    def connect(stream: Stream, **heard: Callable[..., None]) -> FakeStream:
        joined_streams.append(
            FakeStream(stream, on_camera=heard["on_camera"], on_lost=heard["on_lost"])
        )
        return joined_streams[-1]

    streams = MediaStreams(held, connect, clock=clock)
    clock.move(timedelta(seconds=10))
    streams.look()
    return streams, joined_streams


def test_after_a_sudden_end_nobody_knows_until_the_camera_is_switched_again(held: Database) -> None:
    clock = FakeClock(SOON)
    announced(held, STARTED)
    streams, (stream,) = heard_streams(held, clock)
    stream.on_camera([1], True)
    for _ in range(8):
        clock.move(timedelta(minutes=1))
        streams.look()
    # The process is killed here, without a word; another one starts ten minutes later.
    clock.move(timedelta(minutes=10))
    heard_streams(held, clock)
    told = [level for _, level in cameras(held)]
    assert told[-1] is None
    with held.read() as connection:
        events = evidence.instance_events(connection, "one")
    unknown_from = max(e.occurred_at for e in events)
    last_said = max(e.occurred_at for e in events if e.level is Level.ON)
    assert timedelta() < unknown_from - last_said < timedelta(seconds=1)
    assert last_said > SOON + timedelta(minutes=4)  # it was said again meanwhile


def test_what_could_not_be_stored_is_stored_at_the_next_look(held: Database) -> None:
    clock = FakeClock(SOON)
    announced(held, STARTED)
    streams, (stream,) = heard_streams(held, clock)
    stream.on_camera([1], True)
    stream.on_camera([1], False)
    with without_room_for_facts(held), pytest.raises(STORAGE_TROUBLE):
        streams.look()
    clock.move(timedelta(seconds=1))
    streams.look()
    assert sorted(level or "" for _, level in cameras(held)) == [Level.OFF, Level.ON]


def test_a_stream_anywhere_but_at_zoom_is_not_joined(held: Database) -> None:
    for number, url in enumerate(
        ("wss://evil.example/x", "ws://rtms.zoom.us/x", "", "wss://zoom.us.evil.example")
    ):
        announced(held, STARTED if number < 9 else STOPPED, url=url)

    def connect(stream: Stream, **heard: Callable[..., None]) -> FakeStream:
        raise AssertionError(f"{stream} was joined, {heard}")

    streams = MediaStreams(held, connect, clock=FakeClock(SOON + timedelta(minutes=1)))
    streams.look()
    assert streams.live == 0


def quality(seat: str, **sends: bool) -> Notification:
    rows = [
        [f"2027-01-09T10:0{minute}:00Z", kind, value]
        for minute in range(4)
        for kind, value in {"audio_output": True, **sends}.items()
    ]
    return Notification(
        id=f"q-{seat}",
        platform=Platform.ZOOM,
        received_at=SOON,
        kind="meeting.participant_qos",
        body=json.dumps({"participant": {"user_id": seat, "rows": rows}}),
    )


def test_two_people_show_which_side_is_sent() -> None:
    events = [joined("S1", "Camera On"), joined("S2", "Camera Off")]
    told = [
        quality("S1", video_output=True, video_input=True),
        quality("S2", video_output=False, video_input=True),  # who sees others receives video
    ]
    sides = compare(told, events, on="camera on", off="Camera Off")
    assert sides[0] == Side(name="output", on=(4, 4), off=(0, 4))
    assert [s.tells for s in sides] == [True, False]
    assert advice(sides, configured="output") == "QOS_SENT_DIRECTION=output is right."
    assert "Set QOS_SENT_DIRECTION=output" in advice(sides, configured="input")
    nobody = compare(told, events, on="Somebody", off="Camera Off")
    assert "Too little was reported" in advice(nobody, configured="output")
    same = compare(
        [told[0], quality("S2", video_output=True, video_input=True)],
        events,
        on="camera on",
        off="camera off",
    )
    assert "Neither side, or both" in advice(same, configured="output")
