"""The main job for real: processes, HTTP, both platforms, eight weeks, and the command line."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from demo import free_port
from tests.nursery import ROOT, run_circle


def from_nothing(
    *arguments: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A command as an operator starts it; other tests fork theirs from `tests/nursery.py`."""
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.mark.slow
def test_the_demonstration_tells_the_whole_story_on_both_platforms(tmp_path: Path) -> None:
    done = from_nothing("demo", "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "expectations of the story met on both platforms" in done.stdout
    assert "week 2: Galaxy Tab, 20 minutes" in done.stdout
    for platform in ("zoom", "teams"):
        report = json.loads((tmp_path / f"{platform}-attendance.json").read_text())
        assert {s["register"] for s in report["sessions"]} == {"closed"}
        text = (tmp_path / f"{platform}-attendance.csv").read_text(encoding="utf-8-sig")
        assert len(list(csv.reader(io.StringIO(text)))) == 1 + 12 * 8
        assert (tmp_path / f"{platform}-attendance.pdf").read_bytes().startswith(b"%PDF-")
        assert (tmp_path / f"{platform}-attendance.xlsx").read_bytes().startswith(b"PK")
        page = (tmp_path / f"{platform}-attendance.html").read_text(encoding="utf-8")
        assert "✗ missed week 3" in page


@contextmanager
def serving(env: dict[str, str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "serve", "--port", str(port)], cwd=ROOT, env=env
    )
    try:
        until = time.monotonic() + 40
        while time.monotonic() < until:
            try:
                if requests.get(f"http://127.0.0.1:{port}/readyz", timeout=2).ok:
                    break
            except requests.RequestException:
                time.sleep(0.1)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_service_from_the_command_line_up_to_its_end(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("ZOOM_", "TEAMS_"))}
    env = plain | {"DATA_DIR": str(tmp_path), "PUBLIC_URL": url}
    with serving(env, port) as process:
        made = from_nothing("token", "create", "--role", "admin", "--name", "Ann", env=env)
        headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
        body = {"name": "Spring", "platform": "zoom", "first_session_on": "2027-01-09"}
        refused = requests.post(f"{url}/api/v1/cohorts", json=body, headers=headers, timeout=10)
        assert refused.status_code == 409
        assert "ZOOM_ACCOUNT_ID" in refused.json()["detail"]
        file = tmp_path / "cohort.json"
        file.write_text(json.dumps(body))
        told = run_circle("cohort", "create", str(file), env=env)
        assert told.returncode == 1
        assert "ZOOM_CLIENT_SECRET" in told.stderr
        assert "No cohort has been opened yet." in run_circle("cohort", "list", env=env).stdout
        assert run_circle("report", "unknown", env=env).returncode == 1
        assert "not configured" in run_circle("doctor", env=env).stdout
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


@pytest.mark.slow
def test_half_configured_settings_stop_the_start_and_name_what_is_missing(tmp_path: Path) -> None:
    env = os.environ | {"DATA_DIR": str(tmp_path), "ZOOM_ACCOUNT_ID": "a"}
    done = run_circle("serve", "--port", str(free_port()), env=env)
    assert done.returncode == 1
    assert "ZOOM_CLIENT_SECRET" in done.stderr
    assert "Traceback" not in done.stderr
