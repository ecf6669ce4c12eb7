"""How webhooks are taken in by one and by two web processes on one PostgreSQL, side by side.

Rounds are interleaved. The crowd, the processes and PostgreSQL share this machine's cores, so more
processes help where there are more cores than they keep busy; how many there are is printed. What
is in the table is compared with what was answered 2xx. Needs PostgreSQL's own programs.
Usage: python -m bench.processes [--rounds 2]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess  # starts this project's own commands  # nosec B404
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from bench.herd import ACCOUNT, SECRET
from bench.webhooks import await_ready
from demo import free_port
from tests.postgresql import BINARIES, Cluster, cluster

ROOT = Path(__file__).parent.parent
LINKS = 64
SECONDS = 5.0
Found = dict[str, Any]


@contextmanager
def web_processes(count: int, url: str, folder: Path) -> Iterator[list[int]]:
    """The ports of so many web processes, ready."""
    env = os.environ | {
        "DATA_DIR": str(folder),
        "DATABASE_URL": url,
        "LOG_LEVEL": "WARNING",
        "ZOOM_ACCOUNT_ID": ACCOUNT,
        "ZOOM_CLIENT_ID": "bench",
        "ZOOM_CLIENT_SECRET": SECRET,
        "ZOOM_WEBHOOK_SECRETS": SECRET,
    }
    ports = [free_port() for _ in range(count)]
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with (folder / "log").open("ab") as log:
            for port in ports:
                processes.append(
                    subprocess.Popen(  # our own command, no shell  # nosec B603
                        [sys.executable, "-m", "cli", "serve", "--web", "--port", str(port)],
                        cwd=ROOT,
                        env=env,
                        stdout=log,
                        stderr=log,
                    )
                )
                await_ready(port)
        yield ports
    finally:
        for process in processes:
            process.kill()
            process.wait()


def crowd(ports: list[int], folder: Path, seed: int, *options: object) -> list[Found]:
    """One crowd for each process, all at once; what became of each."""
    herds = []
    for number, port in enumerate(ports):
        asked = ["--port", port, "--links", LINKS // len(ports), "--seed", f"{seed}{number}"]
        asked += ["--taken", folder / f"taken-{seed}{number}", *options]
        herds.append(
            subprocess.Popen(  # our own command, no shell  # nosec B603
                [sys.executable, "-m", "bench.herd", *(str(word) for word in asked)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
            )
        )
    return [json.loads(herd.communicate(timeout=180)[0]) for herd in herds]


def run(server: Cluster, count: int, seed: int, *options: object) -> Found:
    """That many processes on a fresh database, warm; what became of a crowd."""
    name = f"round_{seed}"
    with TemporaryDirectory(ignore_cleanup_errors=True) as told, ExitStack() as stack:
        folder = Path(told)
        url = server.create(name)
        ports = stack.enter_context(web_processes(count, url, folder))
        crowd(ports, folder, 99, "--count", 300)
        rows = crowd(ports, folder, seed, *options)
        taken = [ref for path in folder.glob("taken-*") for ref in path.read_text().split()]
        kept = server.tell("SELECT connection_ref FROM participant_event", name)
    return {
        "rps": sum(row["rps"] for row in rows),
        "p99": max(row["p99"] for row in rows),
        "ok": sum(row["ok"] for row in rows),
        "late": sum(row["late"] for row in rows),
        "lost": len(set(taken) - {str(ref) for ref in kept}),
        "twice": len(kept) - len(set(kept)),
    }


@click.command()
@click.option("--rounds", default=2, show_default=True)
@click.option("--herd", "joins", default=20_000, show_default=True, help="Joins over 20 seconds.")
def main(rounds: int, joins: int) -> None:
    """Measure one web process against two."""
    if not BINARIES:
        raise click.ClickException("PostgreSQL is not installed here: its programs are needed.")
    found: dict[int, list[Found]] = {1: [], 2: []}
    with cluster(fsync=True) as server:
        for number in range(rounds):
            for count, rows in found.items():
                options = ("--count", 20_000, "--seconds", SECONDS)
                rows.append(run(server, count, 10 * number + count, *options))
                click.echo(f"  {count} at once: {rows[-1]['rps']:.0f} a second", err=True)
        herd = run(server, 2, 90, *("--count", joins // 2, "--over", 20))
    click.echo(f"\nWeb processes on one PostgreSQL, {LINKS} connections, {os.cpu_count()} cores")
    click.echo(f"  {'':10}{'a second':>10}{'p99 ms':>9}{'lost':>6}{'twice':>7}")
    for count, rows in found.items():
        click.echo(
            f"  {count:<10}{statistics.median(row['rps'] for row in rows):10.0f}"
            f"{statistics.median(row['p99'] for row in rows):9.1f}"
            f"{sum(row['lost'] for row in rows):>6}{sum(row['twice'] for row in rows):>7}"
        )
    ratios = [two["rps"] / one["rps"] for one, two in zip(found[1], found[2], strict=True)]
    each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    click.echo(f"  2 = {statistics.median(ratios):.2f} x 1  (pairs: {each}; the goal is 1.5)")
    in_time = 100 * (herd["ok"] - herd["late"]) / (joins // 2 * 2)
    click.echo(
        f"\n{joins} joins over 20 s on 2 processes: {in_time:.2f} % taken within 3 s, "
        f"p99 {herd['p99']} ms, lost {herd['lost']}, twice {herd['twice']}"
    )


if __name__ == "__main__":
    main()
