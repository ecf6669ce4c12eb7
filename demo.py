"""The demonstration: two courses opened, played and reported for real, on this machine alone.

Starts the platform stand-ins and the service as processes of their own on free loopback ports,
opens a cohort on Zoom and one on Teams through the API, plays eight weeks of each with signed
webhooks, lets the service reconcile every session, and compares the reports with the story.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess  # starts this project's own commands  # nosec B404
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import requests

from sandbox.cast import EXPECTED
from sandbox.config import SandboxConfig
from sandbox.player import Course, DemoFailed
from settings import Settings
from web.tables import report_table, schedule_table

START_WITHIN = 40.0
TIMEZONE = "Europe/London"


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(
    config: SandboxConfig, *, public_url: str, data_dir: Path, clean: bool
) -> dict[str, str]:
    """The settings that make the service talk to the stand-ins; nothing else differs.

    `clean`: keep nothing of Circle's settings from the surroundings.
    """
    names = ("ZOOM_", "TEAMS_", "GRAPH_", "LOGIN_", "DATABASE_", "DATA_", "ENCRYPTION_", "SECRET_")
    kept = {k: v for k, v in os.environ.items() if not (clean and k.startswith(names))}
    return {
        **kept,
        "PUBLIC_URL": public_url,
        "DATA_DIR": str(data_dir),
        "ZOOM_ACCOUNT_ID": config.zoom_account_id,
        "ZOOM_CLIENT_ID": config.zoom_client_id,
        "ZOOM_APP_ID": config.zoom_app_id,
        "ZOOM_CLIENT_SECRET": config.zoom_client_secret,
        "ZOOM_WEBHOOK_SECRETS": config.zoom_webhook_secret,
        "ZOOM_API_URL": f"{config.base_url}/zoom/v2",
        "ZOOM_OAUTH_URL": f"{config.base_url}/zoom/oauth/token",
        "ZOOM_HOST": config.zoom_host,
        "TEAMS_TENANT_ID": config.teams_tenant_id,
        "TEAMS_CLIENT_ID": config.teams_client_id,
        "TEAMS_CLIENT_SECRET": config.teams_client_secret,
        "GRAPH_URL": f"{config.base_url}/graph",
        "LOGIN_URL": f"{config.base_url}/login",
        "TEAMS_HOST": config.teams_host_id,
    }


@contextmanager
def running(
    command: list[str], env: dict[str, str], *, log: Path, told: str = ""
) -> Iterator[None]:
    """One of our own commands as a process, ended on leaving.

    It is `told` something on its standard input, which stays open for as long as we live.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(  # our own command, no shell  # nosec B603
            [sys.executable, "-m", "cli", *command],
            env=env,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd=Path(__file__).parent,
            text=True,
        )
        try:
            if process.stdin is not None and told:
                process.stdin.write(f"{told}\n")
                process.stdin.flush()
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin is not None:
                process.stdin.close()


@contextmanager
def beside_stand_ins(data_dir: Path, *, service: str, token: str) -> Iterator[tuple[Settings, str]]:
    """Run the stand-ins beside a service; yields its settings and where the stand-ins are.

    With the token their page for playing a session calls the service's API.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    config = SandboxConfig(
        base_url=f"http://127.0.0.1:{free_port()}", zoom_webhook_url=f"{service}/webhooks/zoom"
    )
    env = environment(config, public_url=service, data_dir=data_dir, clean=False)
    command = ["sandbox", "--port", config.base_url.rsplit(":", 1)[1], "--service", service]
    command.append("--token-on-stdin")
    with running(command, env, log=data_dir / "stand-ins.log", told=token):
        await_answer(config.base_url, log=data_dir / "stand-ins.log")
        found = {name.lower(): value for name, value in env.items()}
        ours = {name: found[name] for name in Settings.model_fields if name in found}
        yield Settings.load(**ours), config.base_url


def await_answer(url: str, *, log: Path) -> None:
    """Wait until a freshly started server answers 200."""
    until = time.monotonic() + START_WITHIN
    while time.monotonic() < until:
        try:
            if requests.get(url, timeout=2).status_code == requests.codes.ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.1)
    raise DemoFailed(f"{url} did not answer. Its log says:\n{log.read_text()[-2000:]}")


def first_saturday(now: datetime) -> date:
    """A Saturday long enough ago that all eight weeks are over."""
    day = (now - timedelta(weeks=9)).date()
    return day - timedelta(days=(day.weekday() - 5) % 7)


def run(
    *,
    output: Path,
    say: Callable[[str], None],
    progress: Callable[[str], None],
    steps: Callable[[int], None],
) -> None:
    """The whole demonstration. Raises `DemoFailed`.

    `say` prints a line, `progress` names the step just begun, `steps` gets the number of steps.
    """
    with TemporaryDirectory(prefix="circle-demo-") as scratch:
        _run(Path(scratch), output=output, say=say, progress=progress, steps=steps)


def _run(
    scratch: Path,
    *,
    output: Path,
    say: Callable[[str], None],
    progress: Callable[[str], None],
    steps: Callable[[int], None],
) -> None:
    sandbox_port, port = free_port(), free_port()
    api, log = f"http://127.0.0.1:{port}", scratch / "log.txt"
    config = SandboxConfig(
        base_url=f"http://127.0.0.1:{sandbox_port}", zoom_webhook_url=f"{api}/webhooks/zoom"
    )
    env = environment(config, public_url=api, data_dir=scratch / "var", clean=True)
    steps(4 + 2 * 8)
    progress("starting the stand-ins and the service")
    stand_ins = ["sandbox", "--port", str(sandbox_port), "--service", api]
    with (
        running(stand_ins, env, log=log),
        running(["serve", "--port", str(port)], env, log=log),
    ):
        await_answer(config.base_url, log=log)
        await_answer(f"{api}/readyz", log=log)
        token = _token(env)
        courses = [
            Course(api=api, token=token, sandbox=config.base_url, platform=platform)
            for platform in ("zoom", "teams")
        ]
        for course in courses:
            progress(f"opening a cohort on {course.platform.capitalize()}")
            course.open(first_saturday(datetime.now(UTC)))
        for week in range(1, 9):
            for course in courses:
                progress(f"week {week} on {course.platform.capitalize()}")
                course.play(week)
                course.close(week)
        progress("writing the reports")
        faults: list[str] = []
        for course in courses:
            say("\n" + schedule_table(course.cohort, timezone=TIMEZONE))
            say("\n" + report_table(course.report()) + "\n")
            for path in course.write(output):
                say(f"written: {path}")
            faults += course.unmet()
    if faults:
        raise DemoFailed("the reports do not tell the story:\n  " + "\n  ".join(faults))
    say(f"\n{len(EXPECTED) * 2} expectations of the story met on both platforms.")


def _token(env: dict[str, str]) -> str:
    made = subprocess.run(  # our own command, no shell  # nosec B603
        [sys.executable, "-m", "cli", "token", "create", "--role", "admin", "--name", "demo"],
        env=env,
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout.strip().splitlines()[-1]
