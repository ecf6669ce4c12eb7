"""The demonstration: two courses opened, played and reported for real, on this machine alone.

Starts the platform stand-ins and the service as processes of their own on free loopback ports,
opens a cohort on Zoom and one on Teams through the API, plays eight weeks of each with signed
webhooks, lets the service reconcile every session, and compares the reports with the story.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess  # starts this project's own commands  # nosec B404
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import requests

from sandbox.cast import EXPECTED, HOST, HOUSEHOLDS, STANDING, address, scene
from sandbox.config import SandboxConfig
from settings import Settings
from web.tables import report_table, schedule_table

# What a facilitator who knows the families would say of a name that is nobody's.
KNOWN_NAMES = {"Niamh's iPad": "Niamh Byrne"}
START_WITHIN = 40.0
TIMEZONE = "Europe/London"


class DemoFailed(Exception):
    """An expectation of the story was not met; the message says which."""


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
def running(command: list[str], env: dict[str, str], *, log: Path) -> Iterator[None]:
    """One of our own commands as a process, ended on leaving."""
    with log.open("ab") as output:
        process = subprocess.Popen(  # our own command, no shell  # nosec B603
            [sys.executable, "-m", "cli", *command],
            env=env,
            stdout=output,
            stderr=output,
            cwd=Path(__file__).parent,
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def beside_stand_ins(data_dir: Path, *, service: str) -> Iterator[tuple[Settings, str]]:
    """Run the stand-ins beside a service; yields its settings and where the stand-ins are."""
    data_dir.mkdir(parents=True, exist_ok=True)
    config = SandboxConfig(
        base_url=f"http://127.0.0.1:{free_port()}", zoom_webhook_url=f"{service}/webhooks/zoom"
    )
    env = environment(config, public_url=service, data_dir=data_dir, clean=False)
    command = ["sandbox", "--port", config.base_url.rsplit(":", 1)[1], "--service", service]
    with running(command, env, log=data_dir / "stand-ins.log"):
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


class Course:
    """One cohort of the demonstration, driven through the API like a member of staff would."""

    def __init__(self, *, api: str, token: str, sandbox: str, platform: str) -> None:
        self._api = f"{api}/api/v1"
        self._sandbox = sandbox
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"
        self.platform = platform
        self.cohort: dict[str, Any] = {}

    def _call(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        answer = self._session.request(
            method, f"{self._api}{path}", json=body, headers=headers, timeout=60
        )
        if not answer.ok:
            raise DemoFailed(f"{method} {path} answered {answer.status_code}: {answer.text}")
        return answer.json() if answer.content else None

    def open(self, first_session_on: date) -> None:
        """Open the cohort in one call, and wait should it take longer than an answer may."""
        self.cohort = self._call(
            "POST",
            "/cohorts",
            {
                "name": f"Demonstration {first_session_on:%B %Y}",
                "platform": self.platform,
                "first_session_on": first_session_on.isoformat(),
                "allow_past": True,
                "facilitators": [{"name": HOST, "email": "alma.lee@example.org"}],
                "households": [
                    {
                        "reference": reference,
                        "carers": [{"name": name, "email": address(name)} for name in carers],
                    }
                    for reference, carers in HOUSEHOLDS.items()
                ],
            },
            **{"Idempotency-Key": secrets.token_hex(8)},
        )
        until = time.monotonic() + 30
        while self.cohort["state"] == "opening" and time.monotonic() < until:
            time.sleep(0.2)
            self.cohort = self._call("GET", f"/cohorts/{self.cohort['id']}")
        if self.cohort["state"] != "ready":
            raise DemoFailed(
                f"the {self.platform} cohort is {self.cohort['state']}: {self.cohort['problem']}"
            )

    def play(self, week: int) -> None:
        """Play one week; its notifications have reached the service when this returns."""
        session = self.cohort["sessions"][week - 1]
        starts_at = datetime.fromisoformat(session["starts_at"]).astimezone(UTC)
        ends_at = datetime.fromisoformat(session["ends_at"])
        played = scene(
            week=week,
            series_ref=self.cohort["series_ref"],
            starts_at=starts_at,
            minutes=(ends_at - starts_at).total_seconds() / 60,
            invitation_refs=self._registrants(),
        )
        body = asdict(played) | {"starts_at": starts_at.isoformat()}
        answer = requests.post(
            f"{self._sandbox}/control/{self.platform}/scenes", json=body, timeout=60
        )
        if not answer.ok:
            raise DemoFailed(f"week {week} on {self.platform}: {answer.text}")
        if failed := answer.json()["failed"]:
            raise DemoFailed(f"week {week} on {self.platform}: not delivered: {failed[:3]}")

    def _registrants(self) -> dict[str, str]:
        if self.platform != "zoom":
            return {}
        state = requests.get(f"{self._sandbox}/control/state", timeout=10).json()
        by_email = {
            person["email"]: person["id"]
            for series in state["zoom"]["series"]
            if str(series["id"]) == self.cohort["series_ref"]
            for person in series["registrants"]
        }
        return {
            name: by_email[address(name)]
            for carers in HOUSEHOLDS.values()
            for name in carers
            if address(name) in by_email
        }

    def close(self, week: int) -> None:
        """Reconcile and close the register; then say who the exact namesakes are, as one would."""
        self._call("POST", f"/cohorts/{self.cohort['id']}/sessions/{week}/close")
        carers = {c["name"]: c["id"] for c in self.cohort["carers"]}
        for seen in self.report()["unmatched"]:
            name = KNOWN_NAMES.get(seen["display_name"], seen["display_name"])
            if name in carers and seen["week"] == week:
                self._call(
                    "PUT",
                    f"/cohorts/{self.cohort['id']}/sessions/{week}/participants/{seen['ref']}",
                    {"carer": carers[name]},
                )

    def report(self) -> dict[str, Any]:
        """The attendance report."""
        found: dict[str, Any] = self._call("GET", f"/cohorts/{self.cohort['id']}/attendance")
        return found

    def write(self, folder: Path) -> list[Path]:
        """Write the report in every format that there is."""
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        for ending in ("csv", "json"):
            suffix = "" if ending == "json" else f".{ending}"
            answer = self._session.get(
                f"{self._api}/cohorts/{self.cohort['id']}/attendance{suffix}", timeout=60
            )
            answer.raise_for_status()
            path = folder / f"{self.platform}-attendance.{ending}"
            path.write_bytes(answer.content)
            written.append(path)
        return written

    def unmet(self) -> list[str]:
        """What the report says otherwise than the story."""
        report = self.report()
        by_name = {carer["name"]: carer for carer in report["carers"]}
        faults = []
        for expected in EXPECTED:
            week = by_name[expected.carer]["weeks"][expected.week - 1]
            told = json.dumps(week["reasons"])
            met = (
                week["verdict"] == expected.verdict
                and (expected.camera is None or week["camera"] == expected.camera)
                and expected.says in told
                and (expected.source is None or expected.source in week["sources"])
            )
            if not met:
                faults.append(
                    f"{self.platform}: {expected.carer}, week {expected.week} ({expected.why}): "
                    f"expected {expected.verdict}, the report says {week['verdict']}, camera "
                    f"{week['camera']}, {told}"
                )
        for name, standing in STANDING.items():
            if by_name[name]["all_sessions"] != standing:
                faults.append(
                    f"{self.platform}: {name} should be {standing}, "
                    f"the report says {by_name[name]['all_sessions']}"
                )
        strangers = [s["display_name"] for s in report["unmatched"]]
        if strangers != ["Galaxy Tab"]:
            faults.append(f"{self.platform}: the only stranger is Galaxy Tab, not {strangers}")
        return faults


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
