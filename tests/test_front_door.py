"""Which requests are for us, from where they come, and how many are too many."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import Client

from course.store import access, cohorts
from front_door import FrontDoor, front_door
from settings import Settings, SettingsError
from tests.factories import make_carer, make_cohort
from tests.webhooks.bridge import over
from tests.whole_app import PUBLIC, WholeApp, whole_app
from web.limits import RateLimit
from web.problems import Problem

DOOR = front_door(PUBLIC, ("internal.example",), ("10.0.0.0/8", "fd00::1"))


@pytest.fixture
def app(tmp_path: Path) -> WholeApp:
    return whole_app(tmp_path, exports_per_hour=3, cohorts_per_day=2)


def through(app: WholeApp, door: FrontDoor = DOOR) -> Client:
    """Asks the application as the HTTP server does."""
    return Client(over(app.service.receivers, app.flask, door=door))


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("circle.example", True),
        ("CIRCLE.example:443", True),
        ("internal.example", True),
        ("evil.example", False),
        ("circle.example.evil.example", False),
        ("circle.example@evil.example", False),
        ("evil.example/circle.example", False),
        ("127.0.0.1", True),
        ("[::1", False),
        ("", False),
        (None, False),
    ],
)
def test_a_request_for_another_host_is_none_of_ours(host: str | None, ours: bool) -> None:
    assert DOOR.is_ours("/", host, None) is ours
    assert DOOR.is_ours("/readyz", host, None)


def test_the_address_asked_for_must_be_ours_as_well_as_the_host() -> None:
    assert not DOOR.is_ours("/", "circle.example", "evil.example")
    assert not DOOR.is_ours("/", "evil.example", "circle.example")
    assert DOOR.is_ours("/", None, "circle.example:8000")


def test_a_service_for_this_machine_answers_to_this_machines_names_only() -> None:
    local = front_door("http://127.0.0.1:8000", (), ())
    for host in ("127.0.0.1:8000", "localhost:8000", "[::1]:8000"):
        assert local.is_ours("/", host, None)
    assert not local.is_ours("/", "rebound.example:8000", None)


@pytest.mark.parametrize("path", ["/", "/join/x", "/api/v1/cohorts"])
def test_every_door_but_the_probes_looks_at_the_host(app: WholeApp, path: str) -> None:
    answer = through(app).post(path, data=b"{}", headers={"Host": "evil.example"})
    assert answer.status_code == 421
    assert answer.json is not None
    assert "ALLOWED_HOSTS" in answer.json["detail"]
    assert "evil" not in answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert (
        through(app).post(path, data=b"{}", headers={"Host": "circle.example"}).status_code != 421
    )
    assert through(app).get("/healthz", headers={"Host": "10.1.2.3"}).status_code == 200


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("203.0.113.7", None, "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),  # not a proxy of ours: not believed
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.2.3.4, 198.51.100.1", "198.51.100.1"),  # the first was made up
        ("10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("fd00::1", "2001:db8::5", "2001:db8::5"),
        ("fd00::2", "2001:db8::5", "fd00::2"),
        ("", "198.51.100.1", ""),
    ],
)
def test_only_proxies_of_the_settings_are_believed(
    peer: str, forwarded: str | None, found: str
) -> None:
    assert DOOR.client(peer, forwarded) == found


def test_by_default_no_proxy_is_believed() -> None:
    assert front_door(PUBLIC, (), ()).client("127.0.0.1", "198.51.100.1") == "127.0.0.1"


def test_wrong_hosts_and_proxies_are_faults_of_the_settings() -> None:
    for name, value in {"allowed_hosts": "https://x.example", "trusted_proxies": "all"}.items():
        with pytest.raises(SettingsError, match=name.upper()):
            Settings.load(**{name: value})
    read = Settings.load(allowed_hosts="A.example, b.example", trusted_proxies="10.0.0.0/8")
    assert read.allowed_hosts == ("a.example", "b.example")


def test_guessing_from_one_address_keeps_nobody_else_out(app: WholeApp) -> None:
    client = app.flask.test_client(use_cookies=False)
    token = app.bearer("admin")["Authorization"].removeprefix("Bearer ")

    def tried(address: str, token: str = "guess") -> Any:
        return client.post(
            "/signin", data={"token": token}, environ_base={"REMOTE_ADDR": address}, base_url=PUBLIC
        )

    for _ in range(20):
        assert tried("203.0.113.7").status_code == 401
    refused = tried("203.0.113.7", token)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
    assert refused.content_type == "application/problem+json"
    assert tried("203.0.113.8", token).status_code == 303
    assert tried("2001:db8:1::1", token).status_code == 303
    app.clock.move(timedelta(seconds=61))
    assert tried("203.0.113.7", token).status_code == 303


def test_an_office_behind_one_address_signs_in_at_nine(app: WholeApp) -> None:
    client = app.flask.test_client(use_cookies=False)
    for _ in range(60):
        token = app.bearer("facilitator", "cohort-1")["Authorization"].removeprefix("Bearer ")
        answer = client.post("/signin", data={"token": token}, base_url=PUBLIC)
        assert answer.status_code == 303


def test_at_ten_everybody_gets_in_whatever_somebody_guesses(app: WholeApp) -> None:
    client = app.flask.test_client(use_cookies=False)
    for number in range(600):
        assert client.get(f"/join/guess-{number}", base_url=PUBLIC).status_code == 404
    refused = client.get("/join/guess-600", base_url=PUBLIC)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
    assert client.get("/join/join-token-1", base_url=PUBLIC).status_code == 200
    for _ in range(59):
        assert client.get("/join/join-token-2", base_url=PUBLIC).status_code == 200
    assert client.post("/join/join-token-2", base_url=PUBLIC).status_code == 303
    assert client.get("/join/join-token-2", base_url=PUBLIC).status_code == 429
    assert client.get("/join/join-token-1", base_url=PUBLIC).status_code == 200


def test_files_are_taken_away_so_many_in_an_hour_by_each_person(app: WholeApp) -> None:
    client = app.flask.test_client(use_cookies=False)
    ann, bo = app.bearer("admin"), app.bearer("viewer", "cohort-1")
    path = "/api/v1/cohorts/cohort-1/attendance.csv"
    for _ in range(3):
        assert client.get(path, headers=ann, base_url=PUBLIC).status_code == 200
        app.clock.move(timedelta(minutes=10))
    refused = client.get(path, headers=ann, base_url=PUBLIC)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1800")
    assert refused.json and refused.json["detail"] == "Wait 30 minutes, then try again."
    assert client.get(path, headers=bo, base_url=PUBLIC).status_code == 200
    app.clock.move(timedelta(minutes=31))
    assert client.get(path, headers=ann, base_url=PUBLIC).status_code == 200


def test_the_limit_on_new_cohorts_is_a_persons_for_a_day(app: WholeApp) -> None:
    client = app.flask.test_client(use_cookies=False)
    headers = app.bearer("admin", name="Ann")
    with app.service.database.write() as connection:
        for number in range(2):
            access.add_audit(
                connection,
                actor="admin Ann",
                action="cohort.open",
                subject=f"c-{number}",
                now=app.clock() - timedelta(hours=number),
            )
    body = {"name": "New", "platform": "zoom", "first_session_on": "2027-02-27"}
    refused = client.post("/api/v1/cohorts", json=body, headers=headers, base_url=PUBLIC)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, str(23 * 3600))
    assert refused.json and "new cohorts" in refused.json["title"]


def test_a_cohort_holds_so_many_households_and_no_more(app: WholeApp) -> None:
    carers = tuple(make_carer(id=f"many-{n}", household=f"M{n}") for n in range(500))
    full = make_cohort(id="full", name="Full", carers=carers, series_ref=None)
    with app.service.database.write() as connection:
        cohorts.insert_cohort(connection, full, {c.id: f"token-of-{c.id}" for c in carers})
    body = {"reference": "One more", "carers": [{"name": "Ann Oak", "email": "ann@example.com"}]}
    refused = app.flask.test_client().post(
        "/api/v1/cohorts/full/households", json=body, headers=app.bearer("admin"), base_url=PUBLIC
    )
    assert refused.status_code == 422
    assert "500 households" in refused.text


def test_webhooks_are_never_counted(app: WholeApp) -> None:
    client = through(app)
    for _ in range(700):
        answer = client.post("/webhooks/zoom", data=b"{}", headers={"Host": "circle.example"})
        assert answer.status_code == 401


def test_a_limit_holds_when_many_ask_at_once(app: WholeApp) -> None:
    limit = RateLimit(50, timedelta(minutes=1), told="tries", clock=app.clock)

    def take(_: int) -> bool:
        try:
            limit.take("somebody")
        except Problem:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(take, range(400))) == 50
    limit.take("somebody else")


def test_how_we_are_is_told_while_every_thread_for_pages_waits(app: WholeApp) -> None:
    goes_on, begun = Event(), Barrier(3)
    pages = Flask("pages")

    @pages.get("/stands-still")
    def stands_still() -> str:
        begun.wait(20)
        assert goes_on.wait(20)
        return ""

    for path in ("/healthz", "/readyz", "/metrics"):
        pages.add_url_rule(path, path, lambda: "told")
    through = over(app.service.receivers, pages, at_once=3)
    with ThreadPoolExecutor(2) as people:
        waiting = [people.submit(Client(through).get, "/stands-still") for _ in range(2)]
        begun.wait(20)
        told = [Client(through).get(path).text for path in ("/healthz", "/readyz", "/metrics")]
        goes_on.set()
        assert [page.result().status_code for page in waiting] == [200, 200]
    assert told == ["told"] * 3
