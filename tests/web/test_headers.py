"""What every answer carries, wherever it comes from, and how cookies are set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.test import Client, TestResponse

from front_door import front_door
from tests.web.test_every_door import ways
from tests.webhooks.bridge import over
from tests.whole_app import PUBLIC, WholeApp, whole_app

HOST = {"Host": "circle.example"}
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
}
NEVER = ("Access-Control-Allow-Origin", "X-Powered-By")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeApp]:
    made = whole_app(tmp_path_factory.mktemp("headers"))
    yield made
    made.service.database.close()


def is_hardened(answer: TestResponse, asked: object) -> None:
    for name, value in ALWAYS.items():
        assert answer.headers.get(name) == value, (asked, name)
    for name in NEVER:
        assert name not in answer.headers, (asked, name)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy, asked
    assert "frame-ancestors 'none'" in policy, asked
    assert not any(word in policy for word in ("unsafe", " * ", "*;", "data:")), (asked, policy)


def test_every_answer_is_hardened_whoever_asks(app: WholeApp) -> None:
    client = app.flask.test_client(use_cookies=False)
    origin = {"Origin": "https://evil.example"}
    for headers in (origin, origin | app.bearer("admin")):
        for way in ways(app):
            if way.method != "GET" and "Authorization" in headers:
                continue
            answer = client.open(
                way.path,
                method=way.method,
                headers=headers,
                query_string=way.query,
                base_url=PUBLIC,
            )
            is_hardened(answer, way)
            assert answer.headers["X-Frame-Options"] == "DENY", way
            kept = answer.headers["Cache-Control"]
            assert kept == "no-store" or way.rule.startswith("/static/"), way
            if not way.rule.startswith("/join/"):
                assert answer.headers["Permissions-Policy"].startswith("camera=(), microphone=()")
            assert "__Host-" in answer.headers.get("Set-Cookie", "__Host-"), way
            answer.close()


def test_answers_of_webhooks_and_refusals_at_the_door_are_hardened_too(app: WholeApp) -> None:
    client = Client(
        over(app.service.receivers, app.flask, door=front_door(PUBLIC, (), ())), TestResponse
    )
    for path in ("/webhooks/zoom", "/webhooks/teams", "/webhooks/other", "/webhooks/teams/calls/x"):
        for method in ("GET", "POST", "TRACE"):
            is_hardened(client.open(path, method=method, headers=HOST, data=b"{}"), (method, path))
    is_hardened(client.post("/webhooks/zoom", headers=HOST, data=b"x" * ((1 << 20) + 1)), "413")
    is_hardened(client.post("/", headers=HOST, data=b"x" * ((256 << 10) + 1)), "413")
    is_hardened(client.get("/", headers={"Host": "evil.example"}), "421")
    told = client.post("/webhooks/teams?validationToken=%3Cscript%3E", headers=HOST)
    is_hardened(told, "handshake")
    assert (told.data, told.headers["Content-Type"]) == (b"<script>", "text/plain; charset=utf-8")
    assert {
        answer.headers["Server"] for answer in (told, client.get("/healthz", headers=HOST))
    } == {"circle"}


def test_only_the_join_page_may_look_at_camera_and_microphone(app: WholeApp) -> None:
    client = app.flask.test_client(use_cookies=False)
    page = client.get("/join/join-token-1", base_url=PUBLIC)
    is_hardened(page, "join")
    assert page.headers["Permissions-Policy"].startswith("camera=(self), microphone=(self), ")
    assert page.headers["Cache-Control"] == "no-store"
    assert "zoom.us" not in page.text  # the platform's own link is not in the page


def test_another_sites_page_signs_nobody_in_as_somebody_else(app: WholeApp) -> None:
    client = app.flask.test_client(use_cookies=False)
    token = app.bearer("admin")["Authorization"].removeprefix("Bearer ")
    for site, code in (("cross-site", 403), ("same-site", 403), ("same-origin", 303)):
        answer = client.post(
            "/signin", data={"token": token}, headers={"Sec-Fetch-Site": site}, base_url=PUBLIC
        )
        assert answer.status_code == code, site
        assert ("Set-Cookie" in answer.headers) is (code == 303)
        answer = client.post("/signin/link", headers={"Sec-Fetch-Site": site}, base_url=PUBLIC)
        assert answer.status_code == (403 if code == 403 else 404)


def test_a_join_link_leads_to_the_stored_platform_and_nowhere_else(app: WholeApp) -> None:
    client = app.flask.test_client(use_cookies=False)
    path = "/join/join-token-1"
    for query in ("", "?next=https://evil.example", "?url=//evil.example"):
        answer = client.post(
            f"{path}{query}", data={"next": "https://evil.example"}, base_url=PUBLIC
        )
        assert answer.headers["Location"] == "https://zoom.us/w/81000000001?tk=secret-1"


def test_no_template_switches_escaping_off() -> None:
    folder = Path(__file__).parents[2] / "web" / "templates"
    for template in folder.glob("*.html"):
        text = template.read_text(encoding="utf-8")
        assert not any(sign in text for sign in ("|safe", "| safe", "autoescape", "Markup")), (
            template
        )
