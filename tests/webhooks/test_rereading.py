"""What could not be read at once is read later, or parked: never lost, in nobody's way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course.connections import build_connections
from course.intervals import total
from course.media import judge_camera
from course.model import EventKind, Level, Participant, ParticipantEvent, Platform, Source
from course.store import cohorts, evidence, notifications, registers
from course.store import series as series_store
from course.store.database import Database
from course.store.notifications import Notification
from course.store.pruning import joined, prune
from integration.provider import CallRecord, ProviderError
from integration.reconciliation import Reconciliation
from tests.factories import FIRST, NOW, make_cohort
from tests.fakes import FakeClock, FakeProvider
from webhooks.evidence import CALL_RECORD, TeamsReader, ZoomReader
from webhooks.inbox import Delivery, Inbox
from webhooks.rereading import MOST_ATTEMPTS, Rereader


class Stubborn:
    """A reader that fails on some notifications, as one with a fault does."""

    def __init__(self) -> None:
        self.fails_on = {"poison"}

    def read_again(self, notification: Notification) -> Delivery:
        if notification.id in self.fails_on:
            raise KeyError("nobody thought of this")
        return Delivery(
            notification=replace(notification, state="done", reason=None),
            events=(
                ParticipantEvent(
                    key=f"zoom:{notification.id}",
                    platform=Platform.ZOOM,
                    kind=EventKind.JOINED,
                    occurred_at=NOW,
                    source=Source.WEBHOOK,
                    series_ref="9",
                ),
            ),
        )


def waiting(ref: str, *, attempts: int = 0, kind: str = "k", body: str = "{}") -> Delivery:
    return Delivery(
        notification=Notification(
            id=ref,
            platform=Platform.TEAMS if kind == CALL_RECORD else Platform.ZOOM,
            received_at=NOW,
            kind=kind,
            body=body,
            state="waiting",
            attempts=attempts,
        )
    )


@pytest.fixture
def inbox(database: Database) -> Iterator[Inbox]:
    made = Inbox(database)
    yield made
    made.close()


def states(database: Database) -> dict[str, str]:
    with database.read() as connection:
        return {
            n.id: n.state for n in notifications.notifications_of(connection, ["poison", "good"])
        }


def test_a_poison_notification_is_parked_and_the_others_flow(
    database: Database, inbox: Inbox
) -> None:
    reader = Stubborn()
    rereader = Rereader(database, {Platform.ZOOM: reader})
    inbox.accept([waiting("poison", attempts=MOST_ATTEMPTS - 2), waiting("good")])
    assert rereader.read_waiting() == 1
    assert states(database) == {"poison": "waiting", "good": "done"}
    assert rereader.read_waiting() == 0
    assert states(database)["poison"] == "parked"
    assert rereader.read_waiting() == 0
    # A new version of the service can read it.
    reader.fails_on.clear()
    assert rereader.take_up_parked() == 1
    assert rereader.read_waiting() == 1
    assert states(database) == {"poison": "done", "good": "done"}


def test_many_that_keep_failing_do_not_stand_before_a_new_one(
    database: Database, inbox: Inbox
) -> None:
    reader = Stubborn()
    reader.fails_on |= {f"bad-{n}" for n in range(101)}
    rereader = Rereader(database, {Platform.ZOOM: reader})
    inbox.accept([waiting(f"bad-{n}", attempts=1) for n in range(101)])
    inbox.accept([waiting("good")])
    assert rereader.read_waiting() == 1


class Late:
    """A reader that can read what it was told in the first session, now that it has the key."""

    def read_again(self, notification: Notification) -> Delivery:
        told = ParticipantEvent(
            key="late",
            platform=Platform.ZOOM,
            kind=EventKind.STAY,
            occurred_at=FIRST,
            until_at=FIRST + timedelta(minutes=30),
            source=Source.WEBHOOK,
            series_ref="9",
            instance_ref="u",
            connection_ref="c",
            received_at=notification.received_at,
            participant=Participant(invitation_ref="r1"),
        )
        return Delivery(notification=replace(notification, state="done"), events=(told,))


def test_what_is_read_long_after_it_came_makes_a_new_version_of_a_closed_register(
    database: Database, inbox: Inbox
) -> None:
    clock = FakeClock(FIRST + timedelta(hours=5))
    with database.write() as connection:
        cohorts.insert_cohort(connection, make_cohort(series_ref=None), {"carer-1": "t"})
        series_store.update_series(connection, "cohort-1", Platform.ZOOM, series_ref="9")
        series_store.save_invitation(connection, "carer-1", Platform.ZOOM, ref="r1", join_url="u")
    desk = Reconciliation(database=database, providers={Platform.ZOOM: FakeProvider()}, clock=clock)
    desk.close("cohort-1", 1, actor="Ann")
    desk.note_late_evidence()
    told = waiting("good").notification
    assert told is not None
    inbox.accept([Delivery(notification=replace(told, received_at=FIRST))])
    assert Rereader(database, {Platform.ZOOM: Late()}).read_waiting() == 1
    clock.move(timedelta(minutes=1))
    assert [desk.note_late_evidence() for _ in range(2)] == [1, 0]


LINK = "https://teams.example/l/meetup-join/one"


def noted(**changes: object) -> CallRecord:
    begins, ends = FIRST, FIRST + timedelta(minutes=30)
    used = ParticipantEvent(
        key="teams:call:1",
        platform=Platform.TEAMS,
        kind=EventKind.MICROPHONE,
        occurred_at=begins,
        until_at=ends,
        source=Source.PLATFORM_RECORD,
        level=Level.SENDING,
    )
    made = CallRecord(join_url=LINK, begins_at=begins, ends_at=ends, events=(used,))
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.fixture
def teams(database: Database) -> FakeProvider:
    cohort = make_cohort(platform=Platform.TEAMS, series_ref=None)
    with database.write() as connection:
        cohorts.insert_cohort(connection, cohort, {"carer-1": "t"})
        series_store.update_series(
            connection, cohort.id, Platform.TEAMS, series_ref="series", join_url=LINK
        )
    return FakeProvider(Platform.TEAMS)


def calls(database: Database, provider: FakeProvider) -> Rereader:
    reader = TeamsReader(
        database=database,
        audience="",
        tenant_id="",
        keys_at_hand=lambda **_: {},
        signing_keys=lambda **_: {},
        private_keys={},
        fetch_call_record=provider.fetch_call_record,
    )
    return Rereader(database, {Platform.TEAMS: reader})


def test_a_call_that_was_noted_is_fetched_and_belongs_to_its_series(
    database: Database, inbox: Inbox, teams: FakeProvider
) -> None:
    rereader = calls(database, teams)
    teams.call_records["r1"] = noted()
    inbox.accept([waiting("good", kind=CALL_RECORD, body='{"record": "r1"}')])
    trouble = ProviderError("Graph does not answer.", permanent=False)
    teams.trouble.append(("fetch_call_record", trouble))
    assert rereader.read_waiting() == 0
    assert states(database)["good"] == "waiting"
    assert rereader.read_waiting() == 1
    with database.read() as connection:
        cohort = cohorts.read_cohort(connection, "cohort-1")
        assert cohort is not None
        (event,) = evidence.read_evidence(connection, cohort).events
        wanted = registers.read_register(connection, "cohort-1", 1).resync_at
    assert (event.kind, event.series_ref) == (EventKind.MICROPHONE, "series")
    assert wanted == FIRST + timedelta(minutes=30)  # its attendance report may be there as well


def test_a_call_that_the_platform_refuses_to_tell_is_parked_and_tried_at_the_next_start(
    database: Database, inbox: Inbox, teams: FakeProvider
) -> None:
    rereader = calls(database, teams)
    teams.call_records["r1"] = noted()
    inbox.accept([waiting("good", kind=CALL_RECORD, body='{"record": "r1"}')])
    refused = ProviderError("Graph refused: the permission is missing.", permanent=True)
    teams.trouble.append(("fetch_call_record", refused))
    for _ in range(3):
        assert rereader.read_waiting() == 0
    assert teams.calls == ["fetch_call_record"]
    assert states(database)["good"] == "parked"
    with database.read() as connection:
        assert notifications.parked_because(connection) == [
            "Graph refused: the permission is missing."
        ]
    rereader.take_up_parked()
    assert rereader.read_waiting() == 1


def test_other_peoples_calls_leave_nothing_behind(
    database: Database, inbox: Inbox, teams: FakeProvider
) -> None:
    teams.call_records["r1"] = noted(join_url="https://teams.example/l/meetup-join/other")
    inbox.accept([waiting("good", kind=CALL_RECORD, body='{"record": "r1"}')])
    assert calls(database, teams).read_waiting() == 0
    with database.read() as connection:
        (kept,) = notifications.notifications_of(connection, ["good"])
        cohort = cohorts.read_cohort(connection, "cohort-1")
        assert cohort is not None
        assert evidence.read_evidence(connection, cohort).events == ()
    assert (kept.state, kept.body) == ("dropped", None)
    assert teams.calls == ["fetch_call_record"]  # its link and times, and nothing else of it


def test_notifications_are_forgotten_after_their_time_and_what_waits_is_not(
    database: Database, inbox: Inbox
) -> None:
    old = Notification(
        id="old", platform=Platform.ZOOM, received_at=NOW, kind="k", body="what was said"
    )
    inbox.accept([Delivery(notification=old), waiting("good", body="still needed")])
    with database.write() as connection:
        assert prune(connection, before=NOW) == 0
        assert prune(connection, before=NOW + timedelta(seconds=1)) == 1
        kept = notifications.notifications_of(connection, ["old", "good"])
    assert [(n.id, n.body) for n in kept] == [("good", "still needed")]


def test_an_old_sessions_minutes_become_one_span_in_the_database(
    database: Database, inbox: Inbox
) -> None:
    reader = ZoomReader(secrets=[], account_id="A", sent_direction="output")
    for minute in range(3):
        rows = [
            {
                "date_time": (FIRST + timedelta(minutes=minute)).isoformat(),
                "type": f"{kind}_output",
                "details": {"bitrate": "63 kbps"},
            }
            for kind in ("video", "audio")
        ]
        told = {
            "event": "meeting.participant_qos",
            "payload": {"object": {"uuid": "u", "participant": {"user_id": "7", "qos": rows}}},
        }
        delivery = reader.read(json.dumps(told).encode(), received_at=NOW)
        assert delivery is not None
        inbox.accept([delivery])
    with database.write() as connection:
        assert len(evidence.instance_media(connection, "zoom", "u")) == 6
        assert prune(connection, before=NOW + timedelta(days=1)) == 3
        spans = evidence.instance_media(connection, "zoom", "u")
    assert {(e.kind, e.occurred_at, e.until_at) for e in spans} == {
        (kind, FIRST, FIRST + timedelta(minutes=3))
        for kind in (EventKind.CAMERA, EventKind.MICROPHONE)
    }


LEVELS = st.sampled_from([Level.SENDING, Level.NOT_SENDING])
SAMPLES = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from(["s1", "s2"]), LEVELS), min_size=1, max_size=60
)


@given(SAMPLES)
def test_minutes_that_became_spans_are_judged_exactly_alike(
    samples: list[tuple[int, str, Level]],
) -> None:
    """Whatever was sampled, in whatever gaps: the camera is on and off for the same time."""
    told = {
        f"zoom:{minute}:{seat}:{level}": ParticipantEvent(
            key=f"zoom:{minute}:{seat}:{level}",
            platform=Platform.ZOOM,
            kind=EventKind.CAMERA,
            occurred_at=FIRST + timedelta(minutes=minute),
            until_at=FIRST + timedelta(minutes=minute + 1),
            source=Source.WEBHOOK,
            instance_ref="u",
            seat_ref=seat,
            level=level,
            notification_id="n1",
        )
        for minute, seat, level in samples
    }
    stays = [
        ParticipantEvent(
            key=f"stay-{seat}",
            platform=Platform.ZOOM,
            kind=EventKind.STAY,
            occurred_at=FIRST,
            until_at=FIRST + timedelta(minutes=45),
            source=Source.WEBHOOK,
            series_ref="9",
            instance_ref="u",
            connection_ref=f"c-{seat}",
            seat_ref=seat,
        )
        for seat in ("s1", "s2")
    ]
    samples_told = list(told.values())
    gone, spans = joined(samples_told)
    kept = [e for e in samples_told if e.key not in gone] + spans
    assert len(kept) <= len(samples_told)
    assert joined(kept) == ([], [])
    whole = [(FIRST, FIRST + timedelta(minutes=45))]

    def camera(media: list[ParticipantEvent]) -> tuple[timedelta, timedelta]:
        found = judge_camera(list(build_connections([*stays, *media])), whole, whole)
        return total(found.on), total(found.off)

    assert camera(kept) == camera(samples_told)


def test_the_last_verified_delivery_is_known_whatever_it_was_kept_as(
    database: Database, inbox: Inbox
) -> None:
    with database.read() as connection:
        assert notifications.last_received(connection, Platform.ZOOM) is None
    at = datetime(2027, 1, 16, 10, tzinfo=UTC)
    fact = ParticipantEvent(
        key="zoom:1",
        platform=Platform.ZOOM,
        kind=EventKind.JOINED,
        occurred_at=at,
        source=Source.WEBHOOK,
        series_ref="9",
        told_as="meeting.participant_joined",
        received_at=at,
    )
    inbox.accept([Delivery(notification=None, events=(fact,))])
    with database.read() as connection:
        assert notifications.last_received(connection, Platform.ZOOM) == at
        assert notifications.last_received(connection, Platform.TEAMS) is None
