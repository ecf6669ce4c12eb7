"""The running service in trouble of its own: a right answer or 503 in time, nothing answered lost.

One process over real sockets; whoever sends is a plain socket or `requests`, as Zoom would be.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import hmac
import itertools
import json
import os
import resource
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import update

from course.model import Platform
from course.store import cohorts, series, tables
from course.store.database import open_sealed
from demo import environment, free_port
from sandbox.config import SandboxConfig
from tests.factories import NOW, make_cohort
from tests.nursery import circle

IN_TIME = 3.0  # seconds; Zoom waits no longer
CONFIG = SandboxConfig(base_url="http://127.0.0.1:9")  # nobody is there: nothing is asked of it
numbers = itertools.count(1)
pytestmark = [pytest.mark.slow, pytest.mark.together]


class Service:
    """The service as a process on an SQLite file."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = environment(CONFIG, public_url=self.url, data_dir=folder, clean=True)
        self.file = folder / "circle.sqlite"
        self.start()

    def start(self) -> None:
        self.process = circle("serve", "--port", str(self.port), env=self.env)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with contextlib.suppress(requests.RequestException):
                if requests.get(f"{self.url}/readyz", timeout=1).ok:
                    return
            time.sleep(0.05)
        raise AssertionError("the service did not become ready")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stored(self) -> set[str]:
        """The connections whose joins are in the file."""
        with contextlib.closing(sqlite3.connect(self.file)) as connection:
            rows = connection.execute("SELECT connection_ref FROM participant_event")
            return {row[0] for row in rows}

    def memory(self) -> int:
        """Resident memory in MiB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize() >> 20


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = Service(tmp_path_factory.mktemp("trouble"))
    yield made
    made.kill()


def join(number: int) -> tuple[str, bytes]:
    """A connection and the body that tells of its join."""
    connection = f"connection-{os.getpid()}-{number}"
    participant = {
        "user_id": str(number),
        "user_name": "Zoë Ash",
        "participant_uuid": connection,
        "join_time": "2027-01-16T10:00:01Z",
    }
    about = {"id": "81000000001", "uuid": "u==", "participant": participant}
    body = {
        "event": "meeting.participant_joined",
        "event_ts": 1800093601000,
        "payload": {"account_id": CONFIG.zoom_account_id, "object": about},
    }
    return connection, json.dumps(body, ensure_ascii=False).encode()


def signed(body: bytes) -> dict[str, str]:
    stamp = str(int(time.time()))
    secret = CONFIG.zoom_webhook_secret.encode()
    digest = hmac.new(secret, b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return {"x-zm-signature": f"v0={digest}", "x-zm-request-timestamp": stamp}


def tell(service: Service, session: Any = requests) -> tuple[str, int, float]:
    """Tell of one join: its connection, the code (0: no answer), the seconds it took."""
    connection, body = join(next(numbers))
    began = time.monotonic()
    try:
        answer = session.post(
            f"{service.url}/webhooks/zoom", data=body, headers=signed(body), timeout=10
        )
    except requests.RequestException:
        return connection, 0, time.monotonic() - began
    return connection, answer.status_code, time.monotonic() - began


def is_taken(service: Service) -> bool:
    connection, code, seconds = tell(service)
    return code == 204 and seconds < IN_TIME and connection in service.stored()


def test_while_another_process_holds_the_database_it_is_not_stored_and_says_so(
    service: Service,
) -> None:
    assert is_taken(service)
    with contextlib.closing(sqlite3.connect(service.file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(8) as pool:
            told = list(pool.map(lambda _: tell(service), range(8)))
        assert {code for _, code, _ in told} == {503}
        assert max(seconds for _, _, seconds in told) < IN_TIME
        other.execute("ROLLBACK")
    assert is_taken(service)


def stands(service: Service) -> None:
    """A cohort whose series stands on Zoom since last year."""
    database = open_sealed(
        url=f"sqlite:///{service.file}", keys=[], key_file=service.folder / "encryption.key"
    )
    cohort = make_cohort(series_ref=None)
    with database.write() as connection:
        cohorts.insert_cohort(connection, cohort, {"carer-1": "t"})
        series.update_series(connection, cohort.id, Platform.ZOOM, series_ref="81000000001")
        settled = {"settled_version": tables.cohort.c.version, "settled_at": NOW}
        connection.execute(update(tables.cohort).values(settled))
    database.close()


def test_news_of_a_change_is_answered_while_another_process_holds_the_workflow_engines_database(
    service: Service,
) -> None:
    stands(service)
    engine = service.folder / "circle-workflows.sqlite"
    told_at = int(NOW.timestamp() * 1000) + 3_600_000
    with contextlib.closing(sqlite3.connect(engine, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for number in range(20):  # more than there are threads
            about = {"id": "81000000001", "duration": number}
            body = json.dumps(
                {
                    "event": "meeting.updated",
                    "event_ts": told_at + number,
                    "payload": {"account_id": CONFIG.zoom_account_id, "object": about},
                }
            ).encode()
            answer = requests.post(
                f"{service.url}/webhooks/zoom", data=body, headers=signed(body), timeout=IN_TIME
            )
            assert answer.status_code == 204
        item = {"value": [{"subscriptionId": "s", "clientState": "c"}]}
        teams = requests.post(f"{service.url}/webhooks/teams", json=item, timeout=IN_TIME)
        assert teams.status_code == 202
        other.execute("ROLLBACK")
        for _ in range(600):
            found = other.execute(
                "SELECT count(*) FROM workflow_status WHERE workflow_uuid LIKE 'check-cohort-1-%'"
            ).fetchone()
            if found == (20,):
                break
            time.sleep(0.05)
        assert found == (20,)


def test_a_full_disk_refuses_and_recovers_by_itself(service: Service) -> None:
    before = service.stored()
    wal = service.file.with_name(service.file.name + "-wal")
    pid, free = service.process.pid, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (wal.stat().st_size, resource.RLIM_INFINITY))
    try:
        told = [tell(service) for _ in range(5)]
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, free)
    assert {code for _, code, _ in told} <= {204, 503}
    assert 503 in {code for _, code, _ in told}
    assert max(seconds for _, _, seconds in told) < IN_TIME
    assert is_taken(service)
    taken = {connection for connection, code, _ in told if code == 204}
    assert before | taken <= service.stored()
    with contextlib.closing(sqlite3.connect(service.file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_five_hundred_idle_or_dripping_connections_keep_nobody_waiting(service: Service) -> None:
    opening = b"POST /webhooks/zoom HTTP/1.1\r\nHost: x\r\n"
    for begun in (b"", opening, opening + b"Content-Length: 900\r\n\r\n{"):
        held = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(500)]
        try:
            for connection in held:
                connection.sendall(begun)
            assert is_taken(service)
            assert requests.get(f"{service.url}/readyz", timeout=IN_TIME).ok
        finally:
            for connection in held:
                connection.close()


def test_a_paused_process_loses_nothing_that_it_answers(service: Service) -> None:
    with ThreadPoolExecutor(16) as pool:
        telling = [pool.submit(tell, service) for _ in range(64)]
        service.process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        service.process.send_signal(signal.SIGCONT)
        told = [one.result() for one in telling]
    assert {code for _, code, _ in told} == {204}
    assert {connection for connection, _, _ in told} <= service.stored()


def raw(service: Service, pieces: Iterator[bytes], *, within: float = 20.0) -> bytes:
    """Send pieces until they are sent, refused or too many; what came back."""
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.settimeout(within)
        try:
            for piece in pieces:
                connection.sendall(piece)
        except OSError:
            pass  # it was closed on us, after an answer
        with contextlib.suppress(OSError):
            return connection.recv(4096)
    return b""


def test_bodies_and_headers_without_end_are_refused_and_cost_no_memory(service: Service) -> None:
    before = service.memory()
    opening = b"POST /webhooks/zoom HTTP/1.1\r\nHost: x\r\n"
    piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    chunks = itertools.chain(
        [opening + b"Transfer-Encoding: chunked\r\n\r\n"], itertools.repeat(piece, 3_000)
    )
    assert raw(service, chunks).startswith(b"HTTP/1.1 413")
    declared = itertools.chain(
        [opening + b"Content-Length: 10485760\r\n\r\n"], itertools.repeat(b"x" * 65_536, 160)
    )
    assert raw(service, declared).startswith(b"HTTP/1.1 413")
    many = itertools.chain([opening], (b"X-%d: a\r\n" % n for n in range(100_000)), [b"\r\n"])
    assert raw(service, many).startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))
    bomb = gzip.compress(b"0" * (100 << 20))
    answer = requests.post(
        f"{service.url}/webhooks/zoom",
        data=bomb,
        headers={"Content-Encoding": "gzip"},
        timeout=IN_TIME,
    )
    assert answer.status_code == 401
    assert service.memory() - before < 40
    assert is_taken(service)


def test_a_body_that_does_not_come_is_given_up_and_the_connection_with_it(
    service: Service,
) -> None:
    opening = b"POST /webhooks/zoom HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n{"
    answer = raw(service, iter([opening]))
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"Send it again, whole" in answer


def test_a_body_of_the_api_that_is_too_large_is_told_how_much_is_read(service: Service) -> None:
    answer = requests.post(f"{service.url}/api/v1/cohorts", data=b"x" * 300_000, timeout=IN_TIME)
    assert answer.status_code == 413
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "At most 256 KiB" in answer.json()["detail"]
    assert answer.json()["errors"] == []


def test_an_address_is_decoded_once(service: Service) -> None:
    for path, code in (("/%68ealthz", 200), ("/%2568ealthz", 404), ("/h%C3%A9althz", 404)):
        answer = raw(service, iter([f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()]))
        assert answer.startswith(f"HTTP/1.1 {code}".encode()), path


def test_killed_under_load_everything_that_was_answered_is_there(tmp_path: Path) -> None:
    service = Service(tmp_path)
    taken: list[str] = []

    def keep_telling() -> None:
        session = requests.Session()
        for _ in range(400):
            connection, code, _ = tell(service, session)
            if code == 0:
                return
            assert code == 204
            taken.append(connection)

    for moment in (0.3, 0.5):
        telling = [threading.Thread(target=keep_telling) for _ in range(8)]
        for thread in telling:
            thread.start()
        time.sleep(moment)
        service.kill()
        for thread in telling:
            thread.join()
        service.start()
    assert taken
    assert set(taken) <= service.stored()
    assert is_taken(service)
    service.kill()


def test_asked_to_stop_under_load_it_answers_what_it_has_and_goes(tmp_path: Path) -> None:
    service = Service(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        telling = [pool.submit(tell, service) for _ in range(200)]
        time.sleep(0.2)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(timeout=10) == 0
        told = [one.result() for one in telling]
    assert {code for _, code, _ in told} <= {204, 0}
    assert {connection for connection, code, _ in told if code == 204} <= service.stored()
