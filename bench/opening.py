"""How long opening many cohorts takes, as a ratio to what the platforms' limits allow.

The stand-ins answer after 50 ms and enforce the published limits; one answer of 429 is a failure.
Usage: python -m bench.opening [--cohorts 1,100] [--platform zoom]
"""

from __future__ import annotations

import subprocess  # starts this project's own commands  # nosec B404
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import requests

from demo import await_answer, environment, free_port, running
from sandbox.config import SandboxConfig

LATENCY = 0.05
HOSTS = 25  # Zoom allows a host a hundred creates and updates a day
ROOT = Path(__file__).parent.parent
STAND_INS = """
import sys
from sandbox.config import SandboxConfig
from sandbox.server import serve
hosts = tuple(f"host{n}@practice.example" for n in range(int(sys.argv[3])))
serve(SandboxConfig(base_url=f"http://127.0.0.1:{sys.argv[1]}", zoom_more_hosts=hosts,
      zoom_webhook_url=sys.argv[2] + "/webhooks/zoom", latency=float(sys.argv[4])),
      host="127.0.0.1", port=int(sys.argv[1]))
"""


def least(platform: str, cohorts: int) -> float:
    """Seconds that the limits and the answers' 50 ms leave no way around.

    Zoom (Pro): a create (20 a second) and one PATCH (30 a second) for each cohort, one after the
    other. Graph, one mailbox: three calls for each cohort, four at a time, then two more.
    """
    if platform == "zoom":
        return (cohorts - 1) / 20 + 2 * LATENCY
    return max(cohorts * 3 * LATENCY / 4, 3 * LATENCY) + 2 * LATENCY


def measure(platform: str, cohorts: int) -> tuple[float, int, int]:
    """Seconds until all are ready, calls to the platform, and answers of 429."""
    sandbox_port, port = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    config = SandboxConfig(base_url=f"http://127.0.0.1:{sandbox_port}")
    with TemporaryDirectory() as folder:
        env = environment(config, public_url=url, data_dir=Path(folder), clean=True)
        env["COHORTS_PER_DAY"] = "1000000"
        stand_ins = subprocess.Popen(  # our own code, no shell  # nosec B603
            [sys.executable, "-c", STAND_INS, str(sandbox_port), url, str(HOSTS), str(LATENCY)],
            cwd=ROOT,
            env=env,
        )
        log = Path(folder) / "log"
        try:
            with running(["serve", "--port", str(port)], env, log=log):
                await_answer(config.base_url, log=log)
                await_answer(f"{url}/readyz", log=log)
                return _open_all(platform, cohorts, url=url, stand_ins=config.base_url, env=env)
        finally:
            stand_ins.terminate()
            stand_ins.wait()


def _open_all(
    platform: str, cohorts: int, *, url: str, stand_ins: str, env: dict[str, str]
) -> tuple[float, int, int]:
    made = subprocess.run(  # our own command, no shell  # nosec B603
        [sys.executable, "-m", "cli", "token", "create", "--role", "admin", "--name", "bench"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {made.stdout.strip()}"

    def body(number: int, name: str) -> dict[str, object]:
        host = f"host{number % HOSTS}" if platform == "zoom" else "host"
        return {
            "name": name,
            "platform": platform,
            "first_session_on": "2027-02-27",
            "organiser": f"{host}@practice.example",
        }

    # One cohort first: tokens are fetched, connections are open.
    session.post(f"{url}/api/v1/cohorts", json=body(0, "before"), timeout=60)
    requests.delete(f"{stand_ins}/control/faults", timeout=10)

    def open_one(number: int) -> None:
        answer = session.post(f"{url}/api/v1/cohorts", json=body(number, f"{number}"), timeout=120)
        answer.raise_for_status()

    begun = time.monotonic()
    with ThreadPoolExecutor(min(cohorts, 24)) as pool:
        list(pool.map(open_one, range(cohorts)))
    while time.monotonic() - begun < 600:
        left = session.get(f"{url}/api/v1/cohorts?state=opening&limit=1", timeout=30).json()[
            "total"
        ]
        if not left:
            break
        time.sleep(0.02)
    spent = time.monotonic() - begun
    ready = session.get(f"{url}/api/v1/cohorts?state=ready&limit=1", timeout=30).json()["total"]
    if ready != cohorts + 1:
        raise click.ClickException(f"only {ready - 1} of {cohorts} cohorts are ready")
    told = requests.get(f"{stand_ins}/control/calls", timeout=30).json()
    calls = [c for c in told["calls"] if "/token" not in c and "/login/" not in c]
    return spent, len(calls), int(told["refused"])


@click.command()
@click.option(
    "--cohorts", default="1,100,1000", show_default=True, help="How many, comma-separated."
)
@click.option("--platform", default="zoom,teams", show_default=True, help="Comma-separated.")
def main(cohorts: str, platform: str) -> None:
    """Open many cohorts and compare with what the limits allow."""
    click.echo("platform  cohorts   seconds   at least   ratio   calls a cohort   429")
    for name in platform.split(","):
        for number in (int(n) for n in cohorts.split(",")):
            spent, calls, refused = measure(name, number)
            floor = least(name, number)
            click.echo(
                f"{name:<8} {number:>8} {spent:>9.2f} {floor:>10.2f} {spent / floor:>7.2f}"
                f" {calls / number:>16.2f} {refused:>5}"
            )


if __name__ == "__main__":
    main()
