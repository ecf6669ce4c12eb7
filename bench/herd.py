"""A crowd that joins: signed Zoom notifications over keep-alive connections, in a process apart.

Closed loop: each connection sends its next when the last was answered. Open loop (`--over`): each
join has its moment, and its latency counts from there, so waiting in this queue counts as well.
Prints one JSON object. Usage: python -m bench.herd --port 8000 --count 2000 [--over 60]
"""

from __future__ import annotations

import gc
import hashlib
import hmac
import json
import selectors
import socket
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import click

ACCOUNT, SECRET = "bench-account", "bench-secret"
COHORTS = 500
LATE = 3.0  # seconds; Zoom waits no longer


def carer_name(number: int) -> str:
    """Who joins as number so and so."""
    return f"Invented Carer {number:06d}"


def registrant_of(number: int) -> str:
    """By which personal link they join."""
    return hashlib.sha256(f"carer {number}".encode()).hexdigest()[:22]


def meeting_of(cohort: int) -> str:
    """The number of a cohort's meeting."""
    return str(81_000_000_000 + cohort)


def joins(count: int, seed: int, cohorts: int = COHORTS) -> Iterator[tuple[str, bytes]]:
    """Connection ids, and the signed requests that tell of their joins, now."""
    now = time.time()
    stamp, joined_at = str(int(now)), f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%S}Z"
    for number in range(count):
        cohort, ref = number % cohorts, f"join-{seed}-{number}"
        participant = {
            "user_id": str(16_778_240 + number),
            "user_name": carer_name(number),
            "participant_uuid": ref,
            "participant_user_id": "",
            "id": "",
            "registrant_id": registrant_of(number),
            "email": f"carer{number:06d}@example.org",
            "join_time": joined_at,
            "public_ip": f"198.51.100.{number % 250}",
            "private_ip": "",
            "customer_key": "",
            "phone_number": "",
        }
        meeting = {
            "id": meeting_of(cohort),
            "uuid": hashlib.sha256(str(cohort).encode()).hexdigest()[:22] + "==",
            "host_id": f"Host{cohort:018d}",
            "topic": f"Parenting course, cohort {cohort:05d}",
            "type": 8,
            "start_time": joined_at,
            "timezone": "Europe/London",
            "duration": 120,
            "participant": participant,
        }
        body = json.dumps(
            {
                "event": "meeting.participant_joined",
                "event_ts": 1_799_488_800_000 + number,
                "payload": {"account_id": ACCOUNT, "object": meeting},
            }
        ).encode()
        signed = hmac.digest(SECRET.encode(), f"v0:{stamp}:".encode() + body, "sha256").hex()
        head = (
            "POST /webhooks/zoom HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"x-zm-signature: v0={signed}\r\nx-zm-request-timestamp: {stamp}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        yield ref, head.encode() + body


def moments(count: int, over: float, shape: str) -> list[float]:
    """When each is due, in seconds. `front`: 80 % in the first fifth of the time; `even`."""
    if shape == "spike":
        return [0.0] * count
    if shape == "even":
        return [over * n / count for n in range(count)]
    early = int(count * 0.8)
    first = [over * 0.2 * n / early for n in range(early)]
    return first + [over * (0.2 + 0.8 * n / (count - early)) for n in range(count - early)]


@dataclass(slots=True)
class _Connection:
    """One keep-alive connection and what it waits for."""

    link: socket.socket
    ref: str = ""
    since: float = 0.0
    got: bytes = b""


@dataclass(slots=True)
class Herd:
    """What became of everybody."""

    codes: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    broken: int = 0

    def run(
        self, port: int, todo: deque[tuple[float, str, bytes]], *, links: int, until: float
    ) -> float:
        """Send everything over that many connections; the seconds it took."""
        chooser, idle = selectors.DefaultSelector(), deque[_Connection]()
        for _ in range(links):
            link = socket.create_connection(("127.0.0.1", port))
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link.setblocking(False)
            connection = _Connection(link)
            chooser.register(link, selectors.EVENT_READ, connection)
            idle.append(connection)
        began, busy = time.perf_counter(), 0
        while (todo or busy) and (now := time.perf_counter() - began) < until:
            while todo and idle and todo[0][0] <= now:
                due, ref, request = todo.popleft()
                connection = idle.popleft()
                connection.ref, connection.since, connection.got = ref, began + (due or now), b""
                connection.link.send(request)
                busy += 1
            wait = max(0.0, todo[0][0] - now) if todo and idle else 0.5
            for key, _ in chooser.select(min(wait, 0.5)):
                connection = key.data
                if not self._hear(connection):
                    continue
                busy -= 1
                if connection.got:
                    idle.append(connection)
                else:
                    chooser.unregister(connection.link)
            if not idle and not busy:
                break
        return time.perf_counter() - began

    def _hear(self, connection: _Connection) -> bool:
        """Whether the connection is done with its request; without `got`: it was closed."""
        try:
            piece = connection.link.recv(4096)
        except OSError:
            piece = b""
        if not piece:
            self.broken += 1
            connection.got = b""
            return True
        connection.got += piece
        head, ended, body = connection.got.partition(b"\r\n\r\n")
        if not ended:
            return False
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if len(body) < int(length or b"0"):
            return False
        code = int(head[9:12])
        self.codes[code] += 1
        self.seconds.append(time.perf_counter() - connection.since)
        if 200 <= code < 300:
            self.taken.append(connection.ref)
        return True


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--count", default=20_000, show_default=True)
@click.option("--seconds", default=90.0, show_default=True, help="Stop after so long.")
@click.option("--links", default=64, show_default=True, help="Connections.")
@click.option("--over", default=0.0, help="Spread over so many seconds instead of a closed loop.")
@click.option("--shape", type=click.Choice(["front", "spike", "even"]), default="front")
@click.option("--cohorts", default=COHORTS, show_default=True, help="Meetings that they join.")
@click.option("--seed", default=1, show_default=True)
@click.option("--taken", type=click.Path(path_type=Path), help="Write who was answered 2xx here.")
@click.option("--started", type=click.Path(path_type=Path), help="Make this file at the start.")
def main(
    port: int,
    count: int,
    seconds: float,
    links: int,
    over: float,
    shape: str,
    cohorts: int,
    seed: int,
    taken: Path | None,
    started: Path | None,
) -> None:
    """Send a crowd of joins to a service on this machine."""
    due = moments(count, over, shape) if over else [0.0] * count
    crowd = joins(count, seed, cohorts)
    todo = deque((at, ref, body) for at, (ref, body) in zip(due, crowd, strict=True))
    gc.disable()  # its pauses would be taken for the service's
    herd, used = Herd(), time.process_time()
    if started is not None:
        started.touch()
    took = herd.run(port, todo, links=links, until=seconds)
    times = sorted(herd.seconds) or [0.0]
    found = {
        "answered": len(herd.seconds),
        "ok": len(herd.taken),
        "codes": dict(herd.codes),
        "broken": herd.broken,
        "unsent": len(todo),
        "seconds": round(took, 2),
        "rps": round(len(herd.seconds) / took, 1),
        "p50": round(times[len(times) // 2] * 1000, 1),
        "p99": round(times[int(len(times) * 0.99)] * 1000, 1),
        "max": round(times[-1] * 1000, 1),
        "late": sum(t > LATE for t in times),
        "own_cpu": round((time.process_time() - used) / took, 2),
    }
    if taken is not None:
        taken.write_text("\n".join(herd.taken), encoding="ascii")
    click.echo(json.dumps(found))


if __name__ == "__main__":
    main()
