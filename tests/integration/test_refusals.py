"""What staff read when a platform refuses or fails; over real HTTP, with our own clients."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import responses

from integration.http import Transport, retry_after
from integration.provider import Occurrence, ProviderError, Series
from integration.teams import TeamsProvider
from integration.zoom import ZoomProvider
from sandbox.config import GRAPH_ROLES, ZOOM_SCOPES, SandboxConfig
from tests.stand_ins import stand_ins
from tests.test_provider_contract import Case
from webhooks.teams_content import make_certificate

NOW = datetime(2027, 1, 16, 10, 5, tzinfo=UTC)


def refused(action: Callable[[], object]) -> ProviderError:
    with pytest.raises(ProviderError) as error:
        action()
    return error.value


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"client_secret": "wrong-secret"}, "ZOOM_CLIENT_SECRET"),
        ({"account_id": "other"}, "ZOOM_ACCOUNT_ID"),
    ],
)
def test_bad_zoom_credentials_name_the_settings_and_not_the_secret(
    change: dict[str, str], said: str
) -> None:
    with stand_ins() as running:
        error = refused(running.zoom(**change).check_access)
    assert error.permanent
    assert said in str(error)
    assert "wrong-secret" not in str(error)


def test_bad_teams_credentials_name_the_settings_and_microsofts_number() -> None:
    with stand_ins() as running:
        error = refused(running.teams(client_secret="wrong-secret").check_access)
    assert error.permanent
    assert "TEAMS_CLIENT_SECRET" in str(error)
    assert "AADSTS7000215" in str(error)
    assert "wrong-secret" not in str(error)


def create(config: SandboxConfig, platform: str, **plan: str) -> ProviderError:
    with stand_ins(config) as running:
        case = Case(running.zoom() if platform == "zoom" else running.teams())
        asked = replace(case.plan, **plan)  # type: ignore[arg-type]
        return refused(lambda: case.provider.create_series(asked))


def without(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(n for n in names if n != name)


def test_a_missing_scope_or_permission_is_named() -> None:
    scope = "meeting:write:meeting:admin"
    config = SandboxConfig(zoom_scopes=without(ZOOM_SCOPES, scope))
    assert scope in str(create(config, "zoom"))
    config = SandboxConfig(teams_roles=without(GRAPH_ROLES, "Calendars.ReadWrite"))
    assert "Calendars.ReadWrite" in str(create(config, "teams"))


def test_an_unknown_or_unlicensed_organiser_is_said_in_words() -> None:
    for platform in ("zoom", "teams"):
        error = create(SandboxConfig(), platform, organiser="nobody@practice.example")
        assert error.permanent
        assert "organiser" in str(error)
    error = create(SandboxConfig(zoom_host_licensed=False), "zoom")
    assert "licence" in str(error)


def test_a_missing_access_policy_says_which_commands_to_run() -> None:
    with stand_ins(SandboxConfig(teams_access_policy=False)) as running:
        case = Case(running.teams())
        series = case.provider.create_series(case.plan)
        error = refused(lambda: case.provider.resolve_meeting(series))
    assert "Grant-CsApplicationAccessPolicy" in str(error)


@pytest.mark.parametrize("platform", ["zoom", "teams"])
def test_a_token_that_expires_between_two_calls_is_renewed_once(platform: str) -> None:
    with stand_ins() as running:
        case = Case(running.zoom() if platform == "zoom" else running.teams())
        series = case.provider.create_series(case.plan)
        running.clock.move(timedelta(hours=2))
        assert len(case.provider.list_occurrences(series, case.plan)) == 9


def test_zooms_daily_limit_waits_for_midnight_and_says_so() -> None:
    with stand_ins() as running:
        case = Case(running.zoom())
        for n in range(100):
            case.provider.create_series(replace(case.plan, name=f"Course {n}"))
        error = refused(lambda: case.provider.create_series(case.plan))
        now = running.clock.now
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    assert not error.permanent
    assert error.retry_after is not None
    assert abs(error.retry_after - (midnight - now)) < timedelta(seconds=2)
    assert "00:00 UTC" in str(error)


def test_an_occurrence_without_an_id_can_never_become_the_whole_series() -> None:
    with stand_ins() as running:
        series = Series(ref="1", organiser_ref="host")
        zoom, teams = running.zoom(), running.teams()
        assert refused(lambda: zoom.drop_occurrence(series, " ")).permanent
        assert refused(lambda: teams.drop_occurrence(series, " ")).permanent


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("0.5", 0.5),
        ("2027-01-16T10:06:00Z", 60),
        ("Sat, 16 Jan 2027 10:07:00 GMT", 120),
        ("-3", 0),
    ],
)
def test_every_way_to_say_when_to_come_back(value: str, seconds: float) -> None:
    assert retry_after({"retry-after": value}, now=NOW) == timedelta(seconds=seconds)
    assert retry_after({"Retry-After": "soon"}, now=NOW) is None
    assert retry_after({}, now=NOW) is None


class Answering(BaseHTTPRequestHandler):
    """Answers whatever the test says."""

    say: Callable[[BaseHTTPRequestHandler], None]

    def do_POST(self) -> None:
        type(self).say(self)

    do_GET = do_POST  # noqa: N815 (http.server's names)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Be quiet."""


@contextmanager
def answering(say: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A server that does one odd thing."""
    kind = type("Odd", (Answering,), {"say": staticmethod(say)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def reply(handler: BaseHTTPRequestHandler, code: int, body: bytes, **headers: str) -> None:
    handler.send_response(code)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def send(url: str, method: str = "POST") -> ProviderError:
    return refused(lambda: Transport("Zoom").send(method, url, headers={"Authorization": "x"}))


def test_a_redirect_is_never_followed_with_our_credentials() -> None:
    seen: list[str] = []

    def elsewhere(handler: BaseHTTPRequestHandler) -> None:
        seen.append(handler.path)
        reply(handler, 302, b"", Location="/elsewhere")

    with answering(elsewhere) as url:
        assert send(f"{url}/here").permanent
    assert seen == ["/here"]


def test_a_cut_or_unreadable_answer_to_a_create_is_an_unknown_outcome() -> None:
    def page(handler: BaseHTTPRequestHandler) -> None:
        reply(handler, 200, b"<html>hello</html>")

    def cut(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b'{"id": 1')
        handler.wfile.flush()
        handler.connection.close()

    for odd in (page, cut):
        with answering(odd) as url:
            error = send(url)
            assert error.outcome_unknown
            assert not error.permanent


def test_nobody_listening_is_no_unknown_outcome() -> None:
    with answering(lambda handler: reply(handler, 200, b"{}")) as url:
        pass
    error = send(url)
    assert not error.permanent
    assert not error.outcome_unknown


def test_an_answer_that_drips_for_ever_is_given_up_in_time() -> None:
    ticks = iter(range(0, 10_000, 7))

    written: list[bytes] = []

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        try:
            for _ in range(300):
                handler.wfile.write(b" ")
                handler.wfile.flush()
                written.append(b" ")
                time.sleep(0.02)
        except OSError:
            return

    with answering(drip) as url:
        transport = Transport("Zoom", monotonic=lambda: float(next(ticks)))
        error = refused(lambda: transport.send("POST", url, headers={}))
        assert len(written) < 100
    assert error.outcome_unknown
    assert "too slow" in str(error)


@responses.activate
def test_the_exact_bodies_that_zoom_gets() -> None:
    api = "https://api.zoom.us/v2"
    responses.post("https://zoom.us/oauth/token", json={"access_token": "t", "expires_in": 3599})
    responses.patch(
        f"{api}/meetings/81000000001",
        status=204,
        match=[
            responses.matchers.query_param_matcher({"occurrence_id": "1768039200000"}),
            responses.matchers.json_params_matcher({"duration": 30}),
        ],
    )
    provider = ZoomProvider(
        account_id="a",
        client_id="c",
        client_secret="s",
        api_url=api,
        oauth_url="https://zoom.us/oauth/token",
        clock=lambda: NOW,
    )
    case = Case(provider)
    first = case.sessions[0]
    from_zoom = Series(ref="81000000001", organiser_ref="h")
    current = Occurrence(
        ref="1768039200000", starts_at=first.starts_at, length=timedelta(minutes=120)
    )
    provider.adjust_occurrence(
        from_zoom, current.ref, case.plan.slots[0], timezone="Europe/London", current=current
    )


@responses.activate
def test_a_uuid_with_slashes_is_encoded_twice() -> None:
    api = "https://api.zoom.us/v2"
    responses.post("https://zoom.us/oauth/token", json={"access_token": "t", "expires_in": 3599})
    responses.get(f"{api}/past_meetings/81000000001/instances", json={"meetings": []})
    twice = "%252Ffn5XvEnQAiSCcJa36Dhfw%253D%253D"
    details = responses.get(f"{api}/past_meetings/{twice}", json={"host_id": "h"})
    report = responses.get(f"{api}/report/meetings/{twice}/participants", json={"participants": []})
    provider = ZoomProvider(
        account_id="a",
        client_id="c",
        client_secret="s",
        api_url=api,
        oauth_url="https://zoom.us/oauth/token",
        clock=lambda: NOW,
    )
    provider.fetch_record(
        Series(ref="81000000001", organiser_ref="h"),
        window_from=NOW,
        window_to=NOW,
        known_instances=("/fn5XvEnQAiSCcJa36Dhfw==",),
    )
    assert (details.call_count, report.call_count) == (1, 1)


@responses.activate
def test_the_join_link_is_encoded_exactly_once_to_find_its_meeting() -> None:
    login = "https://login.microsoftonline.com/tenant"
    responses.get(
        f"{login}/v2.0/.well-known/openid-configuration",
        json={
            "issuer": f"{login}/v2.0",
            "authorization_endpoint": f"{login}/oauth2/v2.0/authorize",
            "token_endpoint": f"{login}/oauth2/v2.0/token",
        },
    )
    responses.post(
        f"{login}/oauth2/v2.0/token",
        json={"token_type": "Bearer", "expires_in": 3599, "access_token": "t"},
    )
    host = "5f1b0c9e-0000-4000-8000-00000000cccc"
    found = responses.get(
        f"https://graph.microsoft.com/v1.0/users/{host}/onlineMeetings",
        json={"value": [{"id": "m", "joinWebUrl": "https://teams.microsoft.com/l/x%3ay"}]},
    )
    provider = TeamsProvider(
        tenant_id="tenant",
        client_id="c",
        client_secret="s",
        client_certificate=None,
        graph_url="https://graph.microsoft.com",
        login_url="https://login.microsoftonline.com",
        engagements_version="beta",
        clock=lambda: NOW,
    )
    series = Series(ref="e", organiser_ref=host, join_url="https://teams.microsoft.com/l/x%3ay")
    assert provider.resolve_meeting(series).meeting_ref == "m"
    asked = found.calls[0].request.url or ""
    assert asked.endswith(
        "?$filter=JoinWebUrl%20eq%20'https%3A%2F%2Fteams.microsoft.com%2Fl%2Fx%253ay'"
    )


def test_answers_in_chunks_and_compressed_are_read_whole() -> None:
    body = json.dumps({"id": "x" * 100_000}).encode()

    def chunked(handler: BaseHTTPRequestHandler) -> None:
        packed = gzip.compress(body)
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for start in range(0, len(packed), 50):
            piece = packed[start : start + 50]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        handler.wfile.write(b"0\r\n\r\n")

    with answering(chunked) as url:
        answer = Transport("Zoom").send("GET", url, headers={})
    assert len(answer.body["id"]) == 100_000


@pytest.mark.parametrize("platform", ["zoom", "teams"])
def test_a_certificate_that_is_not_valid_gets_nothing_from_us(
    platform: str, tmp_path: Path
) -> None:
    private_pem, certificate_pem = make_certificate(datetime.now(UTC))
    (tmp_path / "pem").write_bytes(private_pem + certificate_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pem")
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with suppress(OSError):
                while True:
                    raw, _ = server.accept()
                    with suppress(OSError), context.wrap_socket(raw, server_side=True) as ours:
                        heard.append(ours.recv(1000))

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"https://127.0.0.1:{server.getsockname()[1]}"
        transport = Transport(platform.capitalize())
        with pytest.raises(ProviderError) as error:
            transport.send("POST", url, headers={"Authorization": "Bearer secret"})
        server.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=10)
    assert error.value.permanent
    assert "certificate is not valid, so nothing was sent" in str(error.value)
    assert heard == []


def test_once_zoom_is_done_with_us_nothing_is_asked_of_it() -> None:
    def refuse() -> None:
        raise ProviderError("Zoom says that our app was taken out.", permanent=True)

    with stand_ins() as running:
        assert "taken out" in str(refused(running.zoom(allowed=refuse).check_access))
        assert running.calls() == []
