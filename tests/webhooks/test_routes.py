"""The webhook addresses over HTTP: verify, store, answer; each answer means what it says."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest
import responses
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlalchemy import text
from werkzeug.test import Client

from course.model import Platform
from course.store import cohorts, mailboxes, notifications, registers, watches
from course.store import series as series_store
from course.store.database import Database
from course.store.watches import StoredWatch
from integration.provider import ProviderError
from integration.teams_keys import SigningKeys
from sandbox.graph_encryption import encrypt
from tests.factories import FIRST, make_cohort
from tests.fakes import FakeClock, FakeProvider
from tests.integration.test_teams_keys import LOGIN, jwk
from tests.trouble import held_by_somebody
from tests.webhooks.bridge import over
from tests.webhooks.test_teams import CLIENT, KEY, TENANT, guest, roster, token
from tests.webhooks.test_zoom import SECRET, joined, raw, sign
from web.health import Metrics
from webhooks.errands import Errands
from webhooks.evidence import TeamsReader, ZoomReader
from webhooks.inbox import Inbox
from webhooks.rereading import Rereader
from webhooks.routes import Receivers
from webhooks.teams_content import make_certificate

NOW = datetime(2027, 1, 16, 10, 5, tzinfo=UTC)
PRIVATE_PEM, CERTIFICATE_PEM = make_certificate(NOW)


@dataclass
class Hooks:
    """The receivers on a real database."""

    receivers: Receivers
    client: Client
    database: Database
    inbox: Inbox
    clock: FakeClock
    rereader: Rereader
    keys: dict[str, Any] = field(default_factory=dict)
    woken: list[bool] = field(default_factory=list)
    changed: list[tuple[Platform, str, datetime]] = field(default_factory=list)

    def zoom(self, body: bytes, headers: dict[str, str] | None = None) -> Any:
        return self.client.post(
            "/webhooks/zoom", data=body, headers=sign(body) if headers is None else headers
        )

    def teams(self, *items: dict[str, Any], tokens: list[str] | None = None) -> Any:
        body = {"value": list(items), "validationTokens": [token()] if tokens is None else tokens}
        return self.client.post("/webhooks/teams", json=body)

    def rows(self, table: str, column: str = "count(*)") -> Any:
        with self.database.read() as connection:
            return connection.execute(text(f"SELECT {column} FROM {table}")).scalars().all()


def at_once(errand: Callable[[], object]) -> None:
    """Errands for tests that look at what they did: nobody has to wait for them."""
    errand()


@pytest.fixture
def hooks(database: Database) -> Iterator[Hooks]:
    """A Teams cohort with one confirmed subscription, and a Zoom account."""
    inbox, clock = Inbox(database), FakeClock(NOW)
    platform = FakeProvider(Platform.TEAMS)
    keys: dict[str, Any] = {"k1": KEY.public_key()}
    fetched: list[str | None] = []

    def signing_keys(*, unknown: str | None = None) -> Mapping[str, Any]:
        fetched.append(unknown)
        if not keys:
            raise ProviderError("The keys could not be fetched.", permanent=False)
        return keys

    private = load_pem_private_key(PRIVATE_PEM, password=None)
    assert isinstance(private, rsa.RSAPrivateKey)
    reader = TeamsReader(
        database=database,
        audience=CLIENT,
        tenant_id=TENANT,
        keys_at_hand=signing_keys,
        signing_keys=signing_keys,
        private_keys={"c1": private},
        fetch_call_record=platform.fetch_call_record,
    )
    zoom_reader = ZoomReader(
        secrets=[SECRET], account_id="A", sent_direction="output", client_id="client"
    )
    woken: list[bool] = []
    changed: list[tuple[Platform, str, datetime]] = []

    def note_change(platform: Platform, series_ref: str, *, at: datetime, cause: str) -> None:
        assert cause
        changed.append((platform, series_ref, at))

    receivers = Receivers(
        inbox=inbox,
        zoom_reader=zoom_reader,
        teams_reader=reader,
        wake=lambda: woken.append(True),
        changed=note_change,
        later=at_once,
        counted=Metrics(),
        clock=clock,
        threads=ThreadPoolExecutor(2),
    )
    with database.write() as connection:
        cohorts.insert_cohort(
            connection, make_cohort(platform=Platform.TEAMS, series_ref=None), {"carer-1": "t"}
        )
        series_store.update_series(connection, "cohort-1", Platform.TEAMS, series_ref="series")
        watches.insert_watch(
            connection,
            StoredWatch(
                id="w1",
                cohort_id="cohort-1",
                platform=Platform.TEAMS,
                series_ref="series",
                client_state="state-1",
                certificate_ref="c1",
                made_at=NOW,
                watch_ref="sub-1",
                expires_at=NOW + timedelta(days=2),
                renewal_due_at=NOW + timedelta(days=1),
            ),
        )
    yield Hooks(
        receivers,
        Client(over(receivers)),
        database,
        inbox,
        clock,
        Rereader(database, {Platform.TEAMS: reader, Platform.ZOOM: zoom_reader}),
        keys,
        woken,
        changed,
    )
    inbox.close()


def item(**changes: Any) -> dict[str, Any]:
    public = x509.load_pem_x509_certificate(CERTIFICATE_PEM).public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    return {
        "subscriptionId": "sub-1",
        "clientState": "state-1",
        "changeType": "updated",
        "tenantId": TENANT,
        "encryptedContent": encrypt(roster(guest()), public, "c1"),
    } | changes


def test_a_genuine_zoom_notification_is_stored_once_however_often_it_comes(hooks: Hooks) -> None:
    for _ in range(3):
        assert hooks.zoom(raw(joined())).status_code == 204
    assert hooks.rows("participant_event", "told_as") == ["meeting.participant_joined"]
    assert hooks.rows("participant_event") == [1]


def test_a_forged_one_leaves_no_trace_and_every_forgery_gets_the_same_answer(hooks: Hooks) -> None:
    body = raw(joined())
    answers = [
        hooks.zoom(body, {}),
        hooks.zoom(body, sign(body, secret="other")),
        hooks.zoom(body, sign(b"other")),
        hooks.zoom(body, sign(body, stamp="1")),
        hooks.zoom(b"\xff", sign(body)),
    ]
    assert {(a.status_code, a.data) for a in answers} == {(401, answers[0].data)}
    assert hooks.rows("notification") == [0]


def test_what_zoom_signed_and_nobody_can_read_is_kept_in_quarantine(hooks: Hooks) -> None:
    for body in (b"{", b'{"event": 7}', b"\xff"):
        assert hooks.zoom(body).status_code == 400
    assert hooks.rows("notification", "state") == ["quarantined"] * 3


def test_a_time_of_a_wrong_type_is_not_taken_for_now(hooks: Hooks) -> None:
    told = joined(join_time=1700000000)
    del told["event_ts"]
    for body in (told, joined() | {"event_ts": "x"}, joined(user_name=5)):
        assert hooks.zoom(raw(body)).status_code == 400
    assert hooks.rows("notification", "state") == ["quarantined"] * 3
    assert hooks.rows("participant_event") == [0]


def test_another_account_is_not_stored_and_an_unknown_event_is(hooks: Hooks) -> None:
    other = joined()
    other["payload"]["account_id"] = "B"
    assert hooks.zoom(raw(other)).status_code == 204
    assert hooks.rows("notification") == [0]
    assert hooks.zoom(raw({"event": "meeting.new", "payload": {}})).status_code == 204
    assert hooks.rows("notification", "reason") == ["unknown kind"]


def test_too_much_is_refused_before_it_is_read(hooks: Hooks) -> None:
    answer = hooks.client.post("/webhooks/zoom", data=b"a" * (1 << 20) + b"a")
    assert answer.status_code == 413
    chunked = hooks.client.post(
        "/webhooks/zoom",
        input_stream=io.BytesIO(b"a" * ((1 << 20) + 10)),
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert chunked.status_code == 413


def test_the_check_of_the_address_is_proved_and_remembered(hooks: Hooks) -> None:
    body = raw({"event": "endpoint.url_validation", "payload": {"plainToken": "abc"}})
    answer = hooks.zoom(body)
    assert answer.status_code == 200
    assert set(answer.json) == {"plainToken", "encryptedToken"}
    assert hooks.rows("notification", "kind") == ["endpoint.url_validation"]
    forged = raw({"event": "endpoint.url_validation", "payload": {"plainToken": "v0:1:{}"}})
    assert hooks.zoom(forged).status_code == 400
    assert hooks.zoom(body, {}).status_code == 401


def test_a_locked_database_is_503_and_never_a_false_success(hooks: Hooks) -> None:
    with held_by_somebody(hooks.database):
        answer = hooks.zoom(raw(joined()))
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"


def test_graphs_handshake_is_plain_text_and_inert(hooks: Hooks) -> None:
    for path in ("/webhooks/teams", "/webhooks/teams/lifecycle"):
        answer = hooks.client.post(path, query_string={"validationToken": "a <script> b"})
        assert (answer.status_code, answer.text) == (200, "a <script> b")
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_good_item_is_read_and_a_repeat_is_nothing_new(hooks: Hooks) -> None:
    good = item()
    assert hooks.teams(good).status_code == 202
    assert hooks.teams(good).status_code == 202
    assert hooks.rows("participant_event", "series_ref") == ["series"]
    assert hooks.rows("notification", "state") == ["done"]


@pytest.mark.parametrize(
    "bad",
    [
        {"clientState": "guess"},
        {"clientState": None},
        {"subscriptionId": "another"},
        {"encryptedContent": None},
        {"encryptedContent": {"encryptionCertificateId": "c1"}},
    ],
)
def test_a_bad_item_is_dropped_with_202_and_takes_no_good_one_with_it(
    hooks: Hooks, bad: dict[str, Any]
) -> None:
    assert hooks.teams(item(**bad)).status_code == 202
    assert hooks.rows("notification") == [0]
    assert hooks.teams(item(**bad), item()).status_code == 202
    assert hooks.rows("notification") == [1]


def test_without_a_good_token_nothing_is_believed(hooks: Hooks) -> None:
    for tokens in ([], [token(aud="another")], [token(), token(appid="another")]):
        assert hooks.teams(item(), tokens=tokens).status_code == 202
    assert hooks.rows("notification") == [0]


def test_what_cannot_be_checked_yet_waits_and_is_read_later(hooks: Hooks) -> None:
    key = hooks.keys.pop("k1")
    assert hooks.teams(item()).status_code == 202
    assert hooks.rows("notification", "state") == ["waiting"]
    assert hooks.rows("participant_event") == [0]
    assert hooks.rereader.read_waiting() == 0
    hooks.keys["k1"] = key
    assert hooks.rereader.read_waiting() == 1
    assert hooks.rows("participant_event") == [1]
    assert hooks.rereader.read_waiting() == 0


@responses.activate
def test_nobody_waits_for_a_key_server_that_takes_the_call_and_does_not_answer(
    hooks: Hooks,
) -> None:
    server, address = Event(), f"{LOGIN}/keys"

    def answer(_request: object) -> tuple[int, dict[str, str], str]:
        assert server.wait(20)
        return 200, {}, json.dumps({"keys": [jwk(KEY, "k1")]})

    responses.add_callback(responses.GET, address, answer)
    keys = SigningKeys(login_url=LOGIN, tenant_id=TENANT, jwks_url=address)
    private = load_pem_private_key(PRIVATE_PEM, password=None)
    assert isinstance(private, rsa.RSAPrivateKey)
    reader = TeamsReader(
        database=hooks.database,
        audience=CLIENT,
        tenant_id=TENANT,
        keys_at_hand=keys.at_hand,
        signing_keys=keys.current,
        private_keys={"c1": private},
        fetch_call_record=FakeProvider(Platform.TEAMS).fetch_call_record,
    )
    client = Client(over(replace(hooks.receivers, teams_reader=reader)))
    forged = item(clientState="guess")
    for sent in (item(), forged, item(), item()):
        body = {"value": [sent], "validationTokens": [token()]}
        assert client.post("/webhooks/teams", json=body).status_code == 202
    assert not server.is_set()  # all were answered while it stood still
    assert hooks.rows("notification", "state") == ["waiting"] * 3
    server.set()
    assert Rereader(hooks.database, {Platform.TEAMS: reader}).read_waiting() == 3
    assert hooks.rows("notification", "state") == ["done"] * 3


def test_an_item_that_overtakes_the_answer_to_our_own_create_is_taken(hooks: Hooks) -> None:
    with hooks.database.write() as connection:
        watches.update_watch(connection, "w1", watch_ref=None)
    hooks.teams(item(subscriptionId="not known yet"))
    assert hooks.rows("participant_event") == [1]


@pytest.mark.parametrize(
    ("kind", "ref"), [("reauthorizationRequired", "sub-1"), ("subscriptionRemoved", None)]
)
def test_what_graph_says_of_a_subscription_is_noted_before_the_answer(
    hooks: Hooks, kind: str, ref: str | None
) -> None:
    told = {"subscriptionId": "sub-1", "clientState": "state-1", "lifecycleEvent": kind}
    forged = told | {"clientState": "guess"}
    for body in (forged, told):
        answer = hooks.client.post("/webhooks/teams/lifecycle", json={"value": [body]})
        assert answer.status_code == 202
        if body is forged:
            assert hooks.woken == []
    with hooks.database.read() as connection:
        (watch,) = watches.live_watches(connection)
    assert (watch.watch_ref, watch.renewal_due_at) == (ref, NOW)
    assert hooks.woken == [True]


def test_a_batch_that_is_none_is_answered_and_forgotten(hooks: Hooks) -> None:
    for body in (b"", b"{", b'{"value": 7}', json.dumps({"value": [7]}).encode()):
        assert hooks.client.post("/webhooks/teams", data=body).status_code == 202
    assert hooks.rows("notification") == [0]


def test_a_platform_that_is_not_configured_is_our_trouble_not_theirs(database: Database) -> None:
    inbox = Inbox(database)
    receivers = Receivers(
        inbox=inbox,
        zoom_reader=None,
        teams_reader=None,
        wake=lambda: None,
        changed=lambda *_, **__: None,
        later=at_once,
        counted=Metrics(),
        clock=lambda: NOW,
        threads=ThreadPoolExecutor(2),
    )
    for path in ("/webhooks/zoom", "/webhooks/teams", "/webhooks/teams/lifecycle"):
        assert Client(over(receivers)).post(path, data=b"{}").status_code == 503
    inbox.close()


def test_what_a_thread_does_not_answer_in_time_is_not_stored_and_says_so(hooks: Hooks) -> None:
    """Two threads stand still in the first two; the third one's turn never comes."""
    goes_on, begun = Event(), list[int]()

    class StandingStill(TeamsReader):
        def __init__(self) -> None:
            pass

        def read(self, body: bytes, *, received_at: datetime) -> Any:
            begun.append(len(body))
            assert goes_on.wait(20), received_at
            return [], []

        def lifecycle(self, body: bytes, *, now: datetime) -> Any:
            return self.read(body, received_at=now)[0]

    threads = ThreadPoolExecutor(2)
    standing = replace(hooks.receivers, teams_reader=StandingStill(), threads=threads, within=0.05)
    client = Client(over(standing))
    for path in ("/webhooks/teams", "/webhooks/teams/lifecycle", "/webhooks/teams"):
        answer = client.post(path, data=b"{}")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    goes_on.set()
    threads.shutdown()
    assert len(begun) == 2  # nobody waits for the third answer, so nothing is done for it


@pytest.mark.parametrize("name", ["meeting.updated", "meeting.deleted"])
def test_a_meeting_changed_on_zoom_is_told_once_stored(hooks: Hooks, name: str) -> None:
    news = {
        "event": name,
        "event_ts": int(NOW.timestamp() * 1000),
        "payload": {"account_id": "A", "object": {"id": 81000000001, "host_id": "h"}},
    }
    assert hooks.zoom(raw(news)).status_code == 204
    assert hooks.changed == [(Platform.ZOOM, "81000000001", NOW)]
    assert hooks.rows("notification") == [1]


def test_nobody_waits_for_the_workflow_engine_and_what_was_told_reaches_it_later(
    hooks: Hooks,
) -> None:
    engine, told = Event(), list[object]()
    errands = Errands()

    def changed(platform: Platform, series_ref: str, *, at: datetime, cause: str) -> None:
        assert at and cause
        assert engine.wait(20)
        told.append((platform, series_ref))

    def wake() -> None:
        assert engine.wait(20)
        told.append("woken")

    news = raw(
        {
            "event": "meeting.updated",
            "event_ts": int(NOW.timestamp() * 1000),
            "payload": {"account_id": "A", "object": {"id": 81000000001}},
        }
    )
    lifecycle = {
        "subscriptionId": "sub-1",
        "clientState": "state-1",
        "lifecycleEvent": "reauthorizationRequired",
    }
    with hooks.database.write() as connection:
        mailboxes.read_mailbox_watch(
            connection, Platform.TEAMS, "mailbox", fresh_state="calendar-state"
        )
    client = Client(over(replace(hooks.receivers, changed=changed, wake=wake, later=errands)))
    assert client.post("/webhooks/zoom", data=news, headers=sign(news)).status_code == 204
    items: list[Any] = [calendar_item(), lifecycle]
    for path, item in zip(("/webhooks/teams", "/webhooks/teams/lifecycle"), items, strict=True):
        assert client.post(path, json={"value": [item]}).status_code == 202
    assert told == []  # all three were answered while the engine stood still
    engine.set()
    errands.close(within=20)
    assert told == [(Platform.ZOOM, "81000000001"), (Platform.TEAMS, "event-1"), "woken"]


def test_what_is_stored_is_answered_so_though_nobody_can_look_at_the_change(hooks: Hooks) -> None:
    def broken(platform: Platform, series_ref: str, *, at: datetime, cause: str) -> None:
        raise RuntimeError(f"{platform} {series_ref} {at} {cause}")

    news = {
        "event": "meeting.deleted",
        "event_ts": int(NOW.timestamp() * 1000),
        "payload": {"account_id": "A", "object": {"id": 81000000001}},
    }
    body = raw(news)
    errands, done = Errands(), Event()
    client = Client(over(replace(hooks.receivers, changed=broken, later=errands)))
    assert client.post("/webhooks/zoom", data=body, headers=sign(body)).status_code == 204
    assert hooks.rows("notification") == [1]
    errands(done.set)
    errands.close(within=20)
    assert done.is_set()  # one that fails takes none of the later ones with it


def test_more_errands_than_can_wait_are_left_out_and_keep_nobody_waiting() -> None:
    going_on, begun, done = Event(), Event(), list[int]()
    errands = Errands(most=2)

    def stand() -> None:
        begun.set()
        going_on.wait(20)

    errands(stand)
    assert begun.wait(20)
    for number in range(5):
        errands(lambda number=number: done.append(number))  # type: ignore[misc]
    going_on.set()
    errands.close(within=20)
    assert done == [0, 1]


def calendar_item(**changes: Any) -> dict[str, Any]:
    return {
        "subscriptionId": "sub-9",
        "clientState": "calendar-state",
        "changeType": "updated",
        "resource": "Users/u/Events/event-1",
        "resourceData": {"@odata.type": "#Microsoft.Graph.Event", "id": "event-1"},
    } | changes


def test_a_changed_event_of_a_watched_calendar_is_told_and_of_another_is_not(hooks: Hooks) -> None:
    with hooks.database.write() as connection:
        mailboxes.read_mailbox_watch(
            connection, Platform.TEAMS, "mailbox", fresh_state="calendar-state"
        )
    forged = [
        calendar_item(clientState="wrong"),
        calendar_item(clientState=None),
        calendar_item(resourceData={"id": 7}),
        calendar_item(clientState="state-1"),  # a meeting's secret opens no calendar
    ]
    assert hooks.teams(*forged, tokens=[]).status_code == 202
    assert hooks.changed == []
    for _ in range(2):
        assert hooks.teams(calendar_item(), tokens=[]).status_code == 202
    assert {ref for _, ref, _ in hooks.changed} == {"event-1"}
    assert hooks.rows("notification") == [1]
    removed = {
        "clientState": "calendar-state",
        "subscriptionId": "sub-9",
        "lifecycleEvent": "subscriptionRemoved",
    }
    answer = hooks.client.post("/webhooks/teams/lifecycle", json={"value": [removed]})
    assert answer.status_code == 202
    assert hooks.woken == [True]
    with hooks.database.read() as connection:
        watch = mailboxes.find_mailbox_watch(connection, "calendar-state")
    assert watch is not None
    assert watch.watch_ref is None


def test_only_post_and_only_these_addresses(hooks: Hooks) -> None:
    refused = hooks.client.get("/webhooks/zoom")
    assert (refused.status_code, refused.headers["Allow"]) == (405, "POST")
    unknown = hooks.client.post("/webhooks/other")
    assert unknown.status_code == 404
    assert unknown.content_type == "application/problem+json"
    for answer in (refused, unknown, hooks.zoom(raw(joined()))):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_fault_of_our_own_shows_a_number_and_nothing_else(hooks: Hooks) -> None:
    def broken() -> datetime:
        raise RuntimeError("secret detail")

    receivers = replace(hooks.receivers, clock=broken)
    answer = Client(over(receivers)).post("/webhooks/zoom", data=b"{}")
    assert answer.status_code == 500
    assert "secret detail" not in answer.text


@pytest.mark.parametrize(("client", "flagged"), [("client", True), (None, True), ("other", False)])
def test_an_app_taken_out_of_the_account_is_flagged_until_a_person_settles_it(
    hooks: Hooks, client: str | None, flagged: bool
) -> None:
    payload = {"account_id": "A", "user_id": "u", "client_id": client}
    told = {"event": "app_deauthorized", "event_ts": 1800093601000, "payload": payload}
    assert hooks.zoom(raw(told)).status_code == 204
    with hooks.database.write() as connection:
        since = notifications.flagged_since(connection, Platform.ZOOM)
        assert since == (NOW if flagged else None)
        assert notifications.settle_flags(connection, Platform.ZOOM) == flagged
        assert notifications.flagged_since(connection, Platform.ZOOM) is None


def test_a_delivery_that_our_reader_fails_on_is_kept_and_read_by_a_better_one(
    hooks: Hooks,
) -> None:
    """A fault of ours must not lose what Zoom will not send again."""

    class Faulty(ZoomReader):
        def read(self, body: bytes, *, received_at: datetime) -> Any:
            raise KeyError(len(body), received_at)

    faulty = Faulty(secrets=[SECRET], account_id="A", sent_direction="output")
    client = Client(over(replace(hooks.receivers, zoom_reader=faulty)))
    body = raw(joined())
    for _ in range(2):
        assert client.post("/webhooks/zoom", data=body, headers=sign(body)).status_code == 204
    assert hooks.rows("notification", "state") == ["waiting"]
    assert hooks.rows("participant_event") == [0]
    assert hooks.rereader.read_waiting() == 1
    assert hooks.rows("notification", "state") == ["done"]
    assert hooks.rows("participant_event", "told_as") == ["meeting.participant_joined"]


def test_a_missed_notification_has_the_sessions_record_read(hooks: Hooks) -> None:
    hooks.clock.now = FIRST + timedelta(minutes=10)
    with hooks.database.write() as connection:
        watches.update_watch(connection, "w1", renewed_at=FIRST - timedelta(hours=1))
    told = {"subscriptionId": "sub-1", "clientState": "state-1", "lifecycleEvent": "missed"}
    answer = hooks.client.post("/webhooks/teams/lifecycle", json={"value": [told]})
    assert answer.status_code == 202
    with hooks.database.read() as connection:
        found = {e.week: e.resync_at for e in registers.read_registers(connection, "cohort-1")}
    assert found == {1: hooks.clock.now}
