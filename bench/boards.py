"""What two hundred open live boards cost the webhooks, side by side in one run.

Each board asks every 2.5 s, with the mark of what it shows, as a browser does; meanwhile joins
arrive evenly, each of them news for somebody's board. The same joins without boards come before
and after. Latency of a poll counts from when it was due. Loopback only; ends by itself.
Usage: python -m bench.boards [--boards 200] [--cohorts 100] [--rate 20] [--seconds 10]
"""

from __future__ import annotations

import json
import os
import re
import selectors
import socket
import statistics
import subprocess  # starts this project's own commands  # nosec B404
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from bench.herd import carer_name, meeting_of, registrant_of
from bench.webhooks import ROOT, Side, running
from course.model import Carer, Cohort, CohortState, Platform, Rule, Session
from course.programme import COURSE
from course.store import access, changes, cohorts, series
from course.store.database import open_sealed
from settings import Settings

EVERY = 2.5  # seconds, as the page asks
CARERS = 12  # in a cohort
TOKEN = "a-token-of-the-benchmark"  # on this machine, for its own minute  # nosec B105
FIGURES = ("p50", "p99", "max")
NOWHERE = "http://127.0.0.1:9"
MARK = re.compile(rb'id="mark"[^>]* value="([^"]+)"')
TICKS = os.sysconf("SC_CLK_TCK")


def fill(side: Side, count: int) -> None:
    """Cohorts whose first session is being held now, for whose carers the herd's joins are."""
    folder = side.file.parent
    settings = Settings.load(data_dir=folder, database_url=f"sqlite:///{side.file}")
    database, now = open_sealed(**settings.storage()), datetime.now(UTC)
    with database.write() as connection:
        for number in range(count):
            _insert(connection, _cohort(number, count, now), now)
        access.insert_token(
            connection,
            token_id="bench",  # nosec B106
            token=TOKEN,
            name="bench",
            role="admin",
            cohort_ids=(),
            now=now,
            expires_at=now + timedelta(hours=1),
        )


def _insert(connection: Any, cohort: Cohort, now: datetime) -> None:
    cohorts.insert_cohort(connection, cohort, {c.id: f"join-{c.id}" for c in cohort.carers})
    series.update_series(connection, cohort.id, Platform.ZOOM, series_ref=cohort.series_ref)
    for carer in cohort.carers:
        series.save_invitation(
            connection, carer.id, Platform.ZOOM, ref=carer.invitation_ref, join_url=None
        )
    changes.settle(connection, cohort.id, cohort.version, CohortState.READY, None, now=now)


def _cohort(number: int, count: int, now: datetime) -> Cohort:
    begins = now - timedelta(minutes=5)
    return Cohort(
        id=f"cohort{number}",
        name=f"Cohort {number}",
        platform=Platform.ZOOM,
        state=CohortState.READY,
        timezone="Europe/London",
        organiser="host@example.org",
        rule=Rule(),
        sessions=tuple(
            Session(
                week=week,
                topic=topic,
                starts_at=begins + timedelta(weeks=week - 1),
                ends_at=begins + timedelta(weeks=week - 1, minutes=120),
            )
            for week, topic in enumerate(COURSE.topics, start=1)
        ),
        carers=tuple(
            Carer(
                id=f"carer{number}x{seat}",
                name=carer_name(number + seat * count),
                email=f"carer{number + seat * count:06d}@example.org",
                household=f"H{seat}",
                position=0,
                enrolled_at=now,
                invitation_ref=registrant_of(number + seat * count),
            )
            for seat in range(CARERS)
        ),
        series_ref=meeting_of(number),
        created_at=now,
    )


@dataclass(slots=True)
class Viewer:
    """One browser with one board open."""

    link: socket.socket
    path: str
    due: float
    mark: str = "new"
    got: bytes = b""
    busy: bool = False

    def ask(self) -> None:
        head = f"GET {self.path}?seen={self.mark} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        self.link.send(f"{head}Authorization: Bearer {TOKEN}\r\n\r\n".encode())
        self.got, self.busy = b"", True

    def hear(self) -> int:
        """The code once the answer is whole, else 0. Raises when the connection was closed."""
        piece = self.link.recv(65536)
        if not piece:
            raise ConnectionError("the service closed a board's connection")
        self.got += piece
        head, ended, body = self.got.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if not ended or len(body) < int(length or b"0"):
            return 0
        if found := MARK.search(body):
            self.mark = found[1].decode()
        self.busy = False
        return int(head[9:12])


@dataclass(slots=True)
class Watching:
    """What became of the polls."""

    codes: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    skipped: int = 0  # a browser does not ask again before it was answered

    def watch(self, port: int, *, boards: int, cohorts: int, seconds: float) -> None:
        """All boards for so long; the first answer of each is not counted."""
        chooser, viewers = selectors.DefaultSelector(), []
        began = time.perf_counter()
        for number in range(boards):
            link = socket.create_connection(("127.0.0.1", port))
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            viewer = Viewer(
                link=link,
                path=f"/cohorts/cohort{number % cohorts}/sessions/1",
                due=began + EVERY * number / boards,
            )
            chooser.register(link, selectors.EVENT_READ, viewer)
            viewers.append(viewer)
        while (now := time.perf_counter()) < began + seconds:
            for viewer in viewers:
                if viewer.due <= now and not viewer.busy:
                    viewer.ask()
                elif viewer.due + EVERY <= now:
                    viewer.due += EVERY
                    self.skipped += 1
            for key, _ in chooser.select(0.01):
                self._heard(key.data)
        for viewer in viewers:
            viewer.link.close()

    def _heard(self, viewer: Viewer) -> None:
        was_new = viewer.mark == "new"
        code = viewer.hear()
        if code:
            if not was_new:
                self.codes[code] += 1
                self.seconds.append(time.perf_counter() - viewer.due)
            viewer.due += EVERY


def _cpu(side: Side) -> float:
    fields = Path(f"/proc/{side.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def phase(
    side: Side, *, boards: int, cohorts: int, rate: int, seconds: float, seed: int
) -> dict[str, Any]:
    """Joins for so long, with that many boards open."""
    asked = ["--port", side.port, "--count", int(rate * seconds), "--seed", seed, "--links", 32]
    asked += ["--over", seconds, "--shape", "even", "--cohorts", cohorts, "--seconds", seconds + 5]
    watching, used, began = Watching(), _cpu(side), time.perf_counter()
    herd = subprocess.Popen(  # our own command, no shell  # nosec B603
        [sys.executable, "-m", "bench.herd", *(str(word) for word in asked)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    if boards:
        watching.watch(side.port, boards=boards, cohorts=cohorts, seconds=seconds + 1)
    output, _ = herd.communicate(timeout=seconds + 30)
    took = time.perf_counter() - began
    return {
        "webhooks": json.loads(output),
        "watching": watching,
        "cpu": (_cpu(side) - used) / took,
    }


def _tell(name: str, seconds: list[float]) -> None:
    times = sorted(seconds)
    p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
    click.echo(
        f"  {name:26}{len(times):>7}{p50 * 1000:>9.1f}{p99 * 1000:>9.1f}{times[-1] * 1000:>9.1f}"
    )


@click.command()
@click.option("--boards", default=200, show_default=True)
@click.option("--cohorts", "count", default=100, show_default=True)
@click.option("--rate", default=20, show_default=True, help="Joins a second.")
@click.option("--seconds", default=10.0, show_default=True, help="Of each of four phases.")
def main(boards: int, count: int, rate: int, seconds: float) -> None:
    """Measure webhooks with and without open boards, and the boards."""
    more = {"ZOOM_API_URL": NOWHERE, "ZOOM_OAUTH_URL": NOWHERE}
    found: dict[int, list[dict[str, Any]]] = {0: [], boards: []}
    with running("service", more) as side:
        fill(side, count)
        for seed, open_boards in enumerate((0, boards, boards, 0), start=1):
            row = phase(
                side, boards=open_boards, cohorts=count, rate=rate, seconds=seconds, seed=seed
            )
            found[open_boards].append(row)
    click.echo(f"\n{boards} boards of {count} live sessions, {rate} joins a second")
    click.echo(f"  {'':26}{'number':>7}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}")
    for open_boards, rows in found.items():
        told = [row["webhooks"] for row in rows]
        figures = "".join(f"{statistics.fmean(t[key] for t in told):9.1f}" for key in FIGURES)
        name = f"webhooks beside {open_boards} boards"
        click.echo(f"  {name:26}{sum(t['ok'] for t in told):>7}{figures}")
    polls = [seconds for row in found[boards] for seconds in row["watching"].seconds]
    _tell("polls of the boards", polls)
    codes = sum((row["watching"].codes for row in found[boards]), Counter[int]())
    skipped = sum(row["watching"].skipped for row in found[boards])
    for key in FIGURES:
        without, beside = (
            statistics.fmean(row["webhooks"][key] for row in found[n]) for n in (0, boards)
        )
        click.echo(f"  webhooks, {key}: beside boards = {beside / without:.1f} x without")
    alone, loaded = (statistics.fmean(row["cpu"] for row in found[n]) for n in (0, boards))
    click.echo(
        f"  unchanged (204): {100 * codes[204] / max(1, codes.total()):.0f} %, other than 200 and "
        f"204: {codes.total() - codes[200] - codes[204]}, polls left out because the last was not "
        f"answered: {skipped}\n  processors used by the service: {alone:.2f} without, "
        f"{loaded:.2f} beside boards"
    )


if __name__ == "__main__":
    main()
