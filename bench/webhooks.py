"""How fast and how safely webhooks are taken in, as ratios measured side by side in one run.

Rounds are interleaved, so that a drift of the machine meets every side; medians are printed. In
each durable row, what is in the table is compared with what was answered 2xx.
Usage: python -m bench.webhooks [--rounds 3] [--kills 50] [--only rate,herd,spike,disk,kill]
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import statistics
import subprocess  # starts this project's own commands  # nosec B404
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import requests

from bench.herd import ACCOUNT, SECRET
from demo import free_port

ROOT = Path(__file__).parent.parent
TABLE = {
    "service": "SELECT connection_ref FROM participant_event",
    "bare": "",
    "usual": "SELECT ref FROM joined",
    "each": "SELECT ref FROM joined",
    "unsafe": "SELECT ref FROM joined",
}
Found = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One running side of a comparison."""

    name: str
    port: int
    file: Path
    process: subprocess.Popen[bytes]

    def crowd(self, *options: object, kill_after: float = 0.0) -> Found:
        """Let a crowd join; what became of it, and how many of those answered are missing."""
        taken = self.file.with_name("taken")
        asked = ["--port", self.port, "--taken", taken, *options]
        if kill_after:
            asked += ["--started", self.file.with_name("started")]
        herd = subprocess.Popen(  # our own command, no shell  # nosec B603
            [sys.executable, "-m", "bench.herd", *(str(word) for word in asked)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        if kill_after:
            started = self.file.with_name("started")
            while not started.exists():
                time.sleep(0.01)
            time.sleep(kill_after)
            os.killpg(self.process.pid, signal.SIGKILL)
        output, _ = herd.communicate(timeout=180)
        found: Found = json.loads(output)
        if TABLE[self.name]:
            found["lost"] = len(set(taken.read_text().split()) - self.stored())
        return found

    def stored(self) -> set[str]:
        """Everybody in the table."""
        with closing(sqlite3.connect(self.file)) as connection:
            return {row[0] for row in connection.execute(TABLE[self.name])}


@contextmanager
def running(name: str, more: Mapping[str, str] | None = None) -> Iterator[Side]:
    """That side on a free port and a fresh file, warm."""
    port = free_port()
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "bench.sqlite"
        command = (
            ["-m", "cli", "serve", "--port", str(port)]
            if name == "service"
            else ["-m", "bench.peers", name, str(port), str(file)]
        )
        env = os.environ | {
            "DATA_DIR": folder,
            "DATABASE_URL": f"sqlite:///{file}",
            "LOG_LEVEL": "WARNING",
            "ZOOM_ACCOUNT_ID": ACCOUNT,
            "ZOOM_CLIENT_ID": "bench",
            "ZOOM_CLIENT_SECRET": SECRET,
            "ZOOM_WEBHOOK_SECRETS": SECRET,
        }
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(  # our own command, no shell  # nosec B603
                [sys.executable, *command],
                cwd=ROOT,
                env={**env, **(more or {})},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            side = Side(name=name, port=port, file=file, process=process)
            await_ready(port)
            side.crowd("--count", 300, "--seed", 99)
            yield side
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def await_ready(port: int) -> None:
    """Wait until the side on that port answers."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            requests.get(f"http://127.0.0.1:{port}/readyz", timeout=1)
        except requests.RequestException:
            time.sleep(0.05)
        else:
            return
    raise click.ClickException("one of the sides did not start within 30 seconds")


def _median(rows: list[Found], key: str) -> float:
    return statistics.median(float(row[key]) for row in rows)


def compare(
    names: tuple[str, ...], rounds: int, *, seconds: float, more: Mapping[str, str] | None = None
) -> dict[str, list[Found]]:
    """The closed loop of 64 connections on each side, in turn, and again."""
    found: dict[str, list[Found]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names:
            with running(name, more) as side:
                row = side.crowd("--count", 20_000, "--seconds", seconds, "--seed", number)
            found[name].append(row)
            click.echo(f"  {name}: {row['rps']:.0f} a second", err=True)
    return found


def show(title: str, found: dict[str, list[Found]]) -> None:
    """A table, and how often the service is as fast as each other side."""
    click.echo(f"\n{title}")
    click.echo(f"  {'':10}{'a second':>10}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'lost':>6}")
    for name, rows in found.items():
        lost = sum(row["lost"] for row in rows) if "lost" in rows[0] else "-"
        figures = "".join(f"{_median(rows, key):9.1f}" for key in ("p50", "p99", "max"))
        click.echo(f"  {name:10}{_median(rows, 'rps'):10.0f}{figures}{lost:>6}")
    for name in found:
        if name != "service":
            ratios = [
                mine["rps"] / theirs["rps"]
                for mine, theirs in zip(found["service"], found[name], strict=True)
            ]
            each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
            click.echo(f"  service = {statistics.median(ratios):.2f} x {name}  (pairs: {each})")


def herd(count: int, over: float, shape: str, links: int) -> None:
    """A crowd at its own pace; latency counts from when each was due."""
    with running("service") as side:
        row = side.crowd(*("--count", count, "--over", over, "--shape", shape, "--links", links))
    in_time = 100 * (row["ok"] - row["late"]) / count
    click.echo(
        f"\n{count} joins over {over:g} s ({shape}) on {links} connections: "
        f"{in_time:.2f} % taken within 3 s, p50 {row['p50']} ms, p99 {row['p99']} ms, "
        f"max {row['max']} ms, the last after {row['seconds']} s, lost {row['lost']}"
    )


def slow_disk(rounds: int) -> None:
    """The same where each fsync takes 5 ms longer."""
    compiler = shutil.which("cc")
    if compiler is None:
        click.echo("\nNo C compiler is installed: the slow disk is left out.")
        return
    with TemporaryDirectory() as folder:
        shim = Path(folder) / "slow_disk.so"
        subprocess.run(  # our own file, no shell  # nosec B603
            [compiler, "-shared", "-fPIC", "-o", shim, ROOT / "bench/slow_disk.c", "-ldl"],
            check=True,
        )
        found = compare(("service", "each"), rounds, seconds=5, more={"LD_PRELOAD": str(shim)})
    show("A disk whose fsync takes 5 ms longer", found)


def kills(count: int) -> None:
    """kill -9 at random moments; whoever was answered must be in the table."""
    for name, times in (("service", count), ("unsafe", max(1, count // 10))):
        lost = taken = 0
        for number in range(times):
            with running(name) as side:
                moment = random.uniform(0.1, 1.5)  # nosec B311
                row = side.crowd(
                    *("--count", 20_000, "--seconds", 10, "--seed", number), kill_after=moment
                )
            lost, taken = lost + row["lost"], taken + row["ok"]
        click.echo(f"\nkill -9 of {name}, {times} times: {taken} answered, {lost} of them lost")


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--kills", "deaths", default=50, show_default=True)
@click.option("--only", default="rate,herd,spike,disk,kill", show_default=True)
def main(rounds: int, deaths: int, only: str) -> None:
    """Measure how webhooks are taken in."""
    wanted = set(only.split(","))
    if "rate" in wanted:
        show(
            "64 connections, one after the other on each",
            compare(("service", "bare", "usual"), rounds, seconds=5),
        )
        click.echo("  (Node-RED and n8n are not started here; they would have to be installed.)")
    if "herd" in wanted:
        herd(20_000, 60, "front", 256)
    if "spike" in wanted:
        herd(1_000, 0.001, "spike", 500)
    if "disk" in wanted:
        slow_disk(rounds)
    if "kill" in wanted:
        kills(deaths)


if __name__ == "__main__":
    main()
