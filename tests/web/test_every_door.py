"""Every door of the real application: who may use it is declared, and what is declared holds.

The expectations come from the declarations; `test_access.py` holds who they are meant to let in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from flask.testing import FlaskClient

from tests.web.test_access import BODIES
from tests.whole_app import GIVEN, PUBLIC, WholeApp, whole_app
from web.probes import PROBES

# Whoever opens another door to everybody has to write it here.
OPEN = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/static/<path:name>"),
    ("GET", "/signin"),
    ("POST", "/signin"),
    ("GET", "/signin/<link>"),
    ("POST", "/signin/<link>"),
    ("GET", "/signin/code"),
    ("POST", "/signin/code"),
    ("GET", "/signin/microsoft"),
    ("GET", "/signin/microsoft/answer"),
    ("POST", "/signout"),
    ("GET", "/join/<token>"),
    ("POST", "/join/<token>"),
    ("POST", "/join/<token>/weeks/<int:week>/<any(absence, contest):kind>"),
    ("POST", "/join/<token>/devices"),
    ("GET", "/join/<token>/calendar.ics"),
    ("GET", "/join/<token>/privacy"),
}
ROLES = ("admin", "facilitator", "viewer")
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"}
VALUES = {
    "cohort_id": GIVEN,
    "week": "2",
    "carer_id": "carer-1",
    "ref": "abc",
    "message": "1",
    "token": "nobodys",
    "link": "nobodys",
    "name": "circle.css",
    "kind": "absence",
}
# Stale, so that nothing is carried out where it would be allowed.
STALE = {"If-Match": '"999"'}


class Way(NamedTuple):
    """One method at one address, and whom it is for; nobody named: everybody."""

    method: str
    rule: str
    roles: tuple[str, ...]

    @property
    def path(self) -> str:
        return re.sub(r"<(?:[^:>]+:)?(\w+)>", lambda m: VALUES[m[1]], self.rule)

    @property
    def is_api(self) -> bool:
        return self.rule.startswith("/api/")

    @property
    def body(self) -> object:
        if self.method in ("GET", "DELETE"):
            return None
        parts = self.path.split("/")
        fitting = (b for part, b in BODIES.items() if part in parts or self.path.endswith(part))
        return next(fitting, {})

    @property
    def query(self) -> dict[str, str] | None:
        return {"carer": "carer-1"} if self.rule.endswith("/evidence") else None

    def asked(self, client: FlaskClient, headers: dict[str, str]) -> int:
        """The code that comes back."""
        answer = client.open(
            self.path,
            method=self.method,
            headers=STALE | headers,
            json=self.body,
            query_string=self.query,
            base_url=PUBLIC,
        )
        assert answer.status_code != 500, (self, answer.text)
        return answer.status_code


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeApp]:
    made = whole_app(tmp_path_factory.mktemp("doors"))
    yield made
    made.service.database.close()


def ways(app: WholeApp) -> list[Way]:
    """Every method of every route."""
    found = []
    for rule in app.flask.url_map.iter_rules():
        roles = getattr(app.flask.view_functions[rule.endpoint], "circle_roles", None)
        assert roles is not None, f"{rule.rule} does not say who may use it"
        found += [
            Way(method, rule.rule, tuple(roles)) for method in (rule.methods or set()) - {"HEAD"}
        ]
    return found


def test_every_route_says_who_may_use_it_and_the_open_ones_are_listed(app: WholeApp) -> None:
    found = ways(app)
    assert {(way.method, way.rule) for way in found if not way.roles} == OPEN
    assert all(set(way.roles) <= set(ROLES) for way in found)
    assert sum(1 for way in found if way.roles) > 35


def test_the_document_names_exactly_the_routes_of_the_api_and_their_roles(app: WholeApp) -> None:
    document = app.flask.test_client().get("/openapi.json", base_url=PUBLIC).json
    assert document is not None
    told = {
        (method.upper(), path, operation["description"])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if path not in PROBES
    }
    assert told == {
        (
            way.method,
            re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", way.rule),
            f"For: {', '.join(way.roles)}.",
        )
        for way in ways(app)
        if way.is_api
    }
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert bool(operation["security"]) is (path not in PROBES), operation


def test_what_operators_ask_is_in_the_document_and_open(app: WholeApp) -> None:
    document = app.flask.test_client().get("/openapi.json", base_url=PUBLIC).json
    assert document is not None
    assert set(PROBES) <= set(document["paths"])
    assert {("GET", path) for path in PROBES} <= OPEN


def expected(way: Way, role: str, *, owns: bool) -> set[int]:
    """The refusals that this person must get; empty when none."""
    if role not in way.roles:
        return {403}
    if not owns and role != "admin" and "<cohort_id>" in way.rule:
        return {404}
    return set()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("owns", [True, False], ids=["given", "not-given"])
def test_what_is_declared_holds_for_tokens_and_for_browsers(
    app: WholeApp, role: str, owns: bool
) -> None:
    given = (GIVEN,) if owns else ("another",)
    bearer, (cookie, ours) = app.bearer(role, *given), app.cookie(role, *given)
    client = app.flask.test_client(use_cookies=False)
    for way in ways(app):
        if not way.roles:
            continue
        for headers in (bearer, cookie | ours):
            code, refusals = way.asked(client, headers), expected(way, role, owns=owns)
            if refusals:
                assert code in refusals, (way, role, owns, code)
            else:
                assert code not in (401, 403), (way, role, owns, code)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Cookie": "__Host-circle=forged"},
        {"Cookie": "circle=forged"},
        {"Cookie": "__Host-circle=" + "a" * 5000},
        {"Authorization": "Bearer forged"},
        {"Authorization": "Basic YWRtaW46YWRtaW4="},
        {"X-Forwarded-User": "admin", "X-Remote-User": "admin", "Remote-User": "admin"},
        {"X-Original-URL": "/healthz", "X-Rewrite-URL": "/healthz"},
        {"X-HTTP-Method-Override": "GET"},
    ],
    ids=lambda headers: " ".join(f"{k} {v[:20]}" for k, v in headers.items()) or "nothing",
)
def test_whoever_is_nobody_gets_in_nowhere(app: WholeApp, headers: dict[str, str]) -> None:
    client = app.flask.test_client(use_cookies=False)
    for way in ways(app):
        if way.roles:
            assert way.asked(client, headers) == (401 if way.is_api else 303), way


def test_a_change_by_a_browser_needs_the_token_of_a_page_of_ours(app: WholeApp) -> None:
    cookie, ours = app.cookie("admin")
    _, of_another = app.cookie("admin")
    client = app.flask.test_client(use_cookies=False)
    changes = [way for way in ways(app) if way.roles and way.method != "GET"]
    assert len(changes) > 15
    for way in changes:
        assert way.asked(client, cookie) == 403, way
        assert way.asked(client, cookie | of_another) == 403, way
        assert way.asked(client, cookie | ours | {"Sec-Fetch-Site": "cross-site"}) == 403, way
        assert way.asked(client, cookie | ours) != 403, way


def test_a_session_is_no_bearer_token_and_a_token_no_session(app: WholeApp) -> None:
    cookie, _ = app.cookie("admin")
    made = cookie["Cookie"].partition("=")[2]
    client = app.flask.test_client(use_cookies=False)
    asked = Way("GET", "/api/v1/cohorts", ROLES)
    assert asked.asked(client, {"Authorization": f"Bearer {made}"}) == 401
    token = app.bearer("admin")["Authorization"].removeprefix("Bearer ")
    assert asked.asked(client, {"Cookie": f"__Host-circle={token}"}) == 401


def test_any_other_method_is_refused_and_the_right_ones_are_named(app: WholeApp) -> None:
    client = app.flask.test_client(use_cookies=False)
    headers = app.bearer("admin")
    known: dict[str, set[str]] = {}
    for way in ways(app):
        known.setdefault(way.path, set()).add(way.method)
    for path, methods in known.items():
        # A link of the name "microsoft", which nobody has, is what a POST there asks for.
        for method in METHODS - methods - ({"POST"} if path == "/signin/microsoft" else set()):
            answer = client.open(path, method=method, headers=headers, base_url=PUBLIC)
            assert answer.status_code == 405, (method, path, answer.status_code)
            assert set(answer.headers["Allow"].split(", ")) >= methods, (method, path)


def test_a_body_of_another_type_than_json_is_refused(app: WholeApp) -> None:
    client = app.flask.test_client(use_cookies=False)
    document = client.get("/openapi.json", base_url=PUBLIC).json
    assert document is not None
    headers = app.bearer("admin")
    taking = [
        way
        for way in ways(app)
        if way.is_api
        and "requestBody"
        in document["paths"][re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", way.rule)][way.method.lower()]
    ]
    assert len(taking) > 8
    for way in taking:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
            answer = client.open(
                way.path,
                method=way.method,
                headers=headers,
                data=b'{"name": "x"}',
                content_type=kind,
                base_url=PUBLIC,
            )
            assert answer.status_code == 415, (way, kind, answer.text)


def test_nothing_of_a_debugger_is_there(app: WholeApp) -> None:
    assert not app.flask.debug
    assert not app.flask.testing
    client = app.flask.test_client(use_cookies=False)
    for path in ("/console", "/debug", "/control/state", "/.env", "/.git/config", "/static/"):
        answer = client.get(path, base_url=PUBLIC)
        assert answer.status_code == 404, path
    for path in ("/static/../pages.py", "/static/%2e%2e/pages.py", "/static/..%2f..%2fsettings.py"):
        assert client.get(path, base_url=PUBLIC).status_code == 404, path
