"""What Graph tells our bot in a call: believed by its token, and true while it lasts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from werkzeug.test import Client

from course.model import EventKind, Level, Platform
from course.store import bot_calls, cohorts, evidence
from course.store import series as series_store
from course.store.bot_calls import BotCall
from course.store.database import Database
from course.store.hashing import token_hash
from integration.calls import KEEP_EVERY, CallBot
from integration.provider import ProviderError
from tests.factories import make_cohort, make_sessions
from tests.fakes import FakeClock, FakeProvider
from tests.webhooks.bridge import over
from web.health import Metrics
from webhooks.calls_reader import CallsReader
from webhooks.inbox import Inbox
from webhooks.routes import Receivers

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CLIENT = "client"
COHORT = make_cohort(platform=Platform.TEAMS, series_ref=None)
STARTS = COHORT.sessions[0].starts_at


def bearer(*, key: Any = KEY, kid: str = "k1", algorithm: str = "RS256", **changes: Any) -> str:
    claims = {
        "aud": CLIENT,
        "iss": "https://graph.microsoft.com",
        "nbf": int(STARTS.timestamp()) - 60,
        "exp": int(STARTS.timestamp()) + 7200,
    } | changes
    told = {name: value for name, value in claims.items() if value is not None}
    return "Bearer " + jwt.encode(told, key, algorithm=algorithm, headers={"kid": kid})


def person(ref: str, name: str, *, camera: bool, muted: bool, **more: Any) -> dict[str, Any]:
    return {
        "@odata.type": "#microsoft.graph.participant",
        "id": ref,
        "isMuted": muted,
        "isInLobby": False,
        "info": {"identity": {"user": None, "guest": {"id": f"g-{ref}", "displayName": name}}},
        "mediaStreams": [
            {"mediaType": "audio", "label": "main-audio", "direction": "sendReceive"},
            {
                "mediaType": "video",
                "label": "main-video",
                "direction": "sendReceive" if camera else "receiveOnly",
            },
            {"mediaType": "videoBasedScreenSharing", "direction": "sendOnly"},
        ],
    } | more


class Desk:
    """A Teams cohort whose first session our bot has joined."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = FakeClock(STARTS)
        self.inbox = Inbox(database)
        self.keys: dict[str, Any] = {"k1": KEY.public_key()}
        self.client = self.process()
        with database.write() as connection:
            cohorts.insert_cohort(connection, COHORT, {"carer-1": "t"})
            series_store.update_series(connection, COHORT.id, Platform.TEAMS, series_ref="series")
            bot_calls.insert_call(
                connection,
                BotCall(
                    id="c1",
                    cohort_id=COHORT.id,
                    week=1,
                    platform=Platform.TEAMS,
                    series_ref="series",
                    secret_hash=token_hash("secret-1"),
                    asked_at=STARTS - timedelta(minutes=5),
                    call_ref="call-1",
                    kept_alive_at=STARTS,
                ),
            )

    def process(self) -> Client:
        """One of the processes that Graph's snapshots may come to."""
        reader = CallsReader(
            database=self.database, audience=CLIENT, keys_at_hand=self.signing_keys
        )
        receivers = Receivers(
            inbox=self.inbox,
            zoom_reader=None,
            teams_reader=None,
            calls_reader=reader,
            wake=lambda: None,
            changed=lambda *_, **__: None,
            later=lambda errand: errand(),
            counted=Metrics(),
            clock=self.clock,
            threads=ThreadPoolExecutor(2),
        )
        return Client(over(receivers))

    def signing_keys(self, *, unknown: str | None = None) -> Mapping[str, Any]:
        del unknown
        if not self.keys:
            raise ProviderError("The keys could not be fetched.", permanent=False)
        return self.keys

    def told(
        self,
        minute: float,
        data: Any,
        *,
        about: str = "/participants",
        token: str | None = None,
        secret: str = "secret-1",
    ) -> int:
        self.clock.now = STARTS + timedelta(minutes=minute)
        item = {
            "changeType": "updated",
            "resource": f"/communications/calls/call-1{about}",
            "resourceData": data,
        }
        answer = self.client.post(
            f"/webhooks/teams/calls/{secret}",
            data=json.dumps({"value": [item]}),
            headers={"Authorization": bearer() if token is None else token},
        )
        return answer.status_code

    def facts(self) -> list[tuple[EventKind, str | None, Level | None, float]]:
        with self.database.read() as connection:
            cohort = cohorts.read_cohort(connection, COHORT.id)
            assert cohort is not None
            found = evidence.read_evidence(connection, cohort).events
        return [
            (e.kind, e.connection_ref, e.level, (e.occurred_at - STARTS).total_seconds() / 60)
            for e in found
        ]


@pytest.fixture
def desk(database: Database) -> Iterator[Desk]:
    made = Desk(database)
    yield made
    made.inbox.close()


def test_a_snapshot_tells_who_came_and_the_next_who_left(desk: Desk) -> None:
    maya = person("p1", "Maya Patel", camera=True, muted=True)
    ours = person("p9", "Circle", camera=False, muted=True) | {
        "info": {"identity": {"application": {"id": CLIENT, "displayName": "Circle"}}}
    }
    waiting = person("p3", "Dev Okoro", camera=False, muted=True, isInLobby=True)
    assert desk.told(1, [maya, ours, waiting]) == 202
    assert desk.told(2, [maya, ours, waiting]) == 202  # the same again is nothing new
    assert desk.told(20, [ours]) == 202
    assert set(desk.facts()) == {
        (EventKind.JOINED, "p1", None, 1.0),
        (EventKind.CAMERA, "p1", Level.ON, 1.0),
        (EventKind.MICROPHONE, "p1", Level.OFF, 1.0),
        (EventKind.LEFT, "p1", None, 20.0),
    }


def test_a_snapshot_that_was_overtaken_makes_nobody_leave(desk: Desk) -> None:
    maya = person("p1", "Maya Patel", camera=False, muted=True, rosterSequenceNumber=3)
    switched = person("p1", "Maya Patel", camera=True, muted=True, rosterSequenceNumber=5)
    tom = person("p2", "Tom Becker", camera=True, muted=True, rosterSequenceNumber=4)
    assert desk.told(1, [switched, tom]) == 202
    desk.client = desk.process()
    assert desk.told(2, [maya]) == 202  # from before Tom came, and to another process
    assert {(kind, ref, level) for kind, ref, level, _ in desk.facts()} == {
        (EventKind.JOINED, "p1", None),
        (EventKind.CAMERA, "p1", Level.ON),
        (EventKind.MICROPHONE, "p1", Level.OFF),
        (EventKind.JOINED, "p2", None),
        (EventKind.CAMERA, "p2", Level.ON),
        (EventKind.MICROPHONE, "p2", Level.OFF),
    }


def test_a_camera_counts_while_it_is_on_and_is_unknown_when_the_bot_is_out(desk: Desk) -> None:
    desk.told(0, [person("p1", "Somebody", camera=False, muted=False)])
    desk.told(10, [person("p1", "Somebody", camera=True, muted=False)])
    desk.told(20, {"state": "terminated"}, about="")
    kinds = [(kind, level, at) for kind, _, level, at in desk.facts()]
    assert (EventKind.CAMERA, Level.OFF, 0) in kinds
    assert (EventKind.CAMERA, Level.ON, 10) in kinds
    assert (EventKind.CAMERA, None, 20) in kinds  # nobody knows from here on
    assert EventKind.LEFT not in {kind for kind, _, _ in kinds}  # the bot left, not the people
    with desk.database.read() as connection:
        assert bot_calls.live_calls(connection) == []


@pytest.mark.parametrize(
    "token",
    [
        "",
        "Bearer",
        "Bearer nonsense",
        "Basic abc",
        bearer(key=OTHER),
        bearer(aud="other"),
        bearer(iss="https://sts.windows.net/other/"),
        bearer(exp=int(STARTS.timestamp()) - 4000),
        bearer(nbf=int(STARTS.timestamp()) + 4000),
        bearer(exp=None),
        bearer(aud=None),
        bearer(kid="k9"),
        "Bearer " + jwt.encode({"aud": CLIENT}, "", algorithm="none"),
    ],
)
def test_whoever_is_not_provably_microsoft_is_refused_and_leaves_no_trace(
    desk: Desk, token: str
) -> None:
    assert desk.told(1, [person("p1", "M", camera=True, muted=True)], token=token) == 401
    assert desk.facts() == []


def test_an_address_that_is_no_calls_own_is_refused(desk: Desk) -> None:
    data = [person("p1", "M", camera=True, muted=True)]
    assert desk.told(1, data, secret="guess") == 401
    assert desk.facts() == []


def test_without_keys_nothing_is_believed_and_it_is_to_be_sent_again(desk: Desk) -> None:
    desk.keys.clear()
    assert desk.told(1, [person("p1", "M", camera=True, muted=True)]) == 503
    desk.keys["k1"] = KEY.public_key()
    assert desk.told(1, [person("p1", "M", camera=True, muted=True)]) == 202


@pytest.mark.parametrize("data", [7, [7], [{"id": ""}], None])
def test_what_cannot_be_read_is_taken_and_forgotten(desk: Desk, data: Any) -> None:
    assert desk.told(1, data) == 202
    assert desk.facts() == []


def test_the_bot_is_in_every_session_that_is_held_and_in_no_other(database: Database) -> None:
    provider, clock = FakeProvider(Platform.TEAMS), FakeClock(STARTS - timedelta(hours=1))
    with database.write() as connection:
        cohorts.insert_cohort(connection, COHORT, {"carer-1": "t"})
        series_store.update_series(connection, COHORT.id, Platform.TEAMS, series_ref="series")
    bot = CallBot(
        database=database,
        providers={Platform.TEAMS: provider},
        public_url="https://circle.example",
        clock=clock,
    )
    assert bot.keep() == 0
    clock.now = STARTS - timedelta(minutes=4)
    provider.trouble.append(("join_call", ProviderError("Not now.", permanent=False)))
    assert [bot.keep() for _ in range(2)] == [0, 0]
    clock.move(timedelta(minutes=2))
    bot.keep()
    assert bot.keep() == 1  # asked anew, at an address of its own
    ((series_ref, address),) = provider.joined.values()
    assert series_ref == "series"
    assert address.startswith("https://circle.example/webhooks/teams/calls/")
    assert bot.keep() == 0
    clock.move(KEEP_EVERY)
    assert [bot.keep() for _ in range(2)] == [1, 0]
    provider.joined.clear()  # thrown out of the meeting
    clock.move(KEEP_EVERY)
    bot.keep()
    assert bot.keep() == 1
    clock.now = COHORT.sessions[0].ends_at + timedelta(minutes=41)
    assert bot.keep() == 1
    assert provider.joined == {}


def test_of_two_rounds_at_the_same_time_one_joins_a_session(database: Database) -> None:
    provider, clock = FakeProvider(Platform.TEAMS), FakeClock(STARTS)
    later = make_cohort(
        id="cohort-2",
        platform=Platform.TEAMS,
        series_ref=None,
        carers=(),
        sessions=make_sessions(STARTS + timedelta(minutes=74)),
    )
    with database.write() as connection:
        for cohort, ref in ((COHORT, "series"), (later, "later series")):
            cohorts.insert_cohort(connection, cohort, {carer.id: "t" for carer in cohort.carers})
            series_store.update_series(connection, cohort.id, Platform.TEAMS, series_ref=ref)
    bot, other = (
        CallBot(
            database=database,
            providers={Platform.TEAMS: provider},
            public_url="https://circle.example",
            clock=clock,
        )
        for _ in range(2)
    )
    bot.keep()
    clock.now = STARTS + timedelta(minutes=71)  # one session is left, the other joined
    provider.meanwhile["leave_call"] = other.keep
    bot.keep()
    assert [series for series, _ in provider.joined.values()] == ["later series"]
