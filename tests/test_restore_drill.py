"""A restore, rehearsed with real processes: nothing stands twice on a platform afterwards."""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path

import pytest
import requests

from tests.nursery import run_circle
from tests.postgresql import Cluster, needs_postgresql
from tests.test_kills import Service, running

pytestmark = pytest.mark.slow


def circle(service: Service, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command, beside the service or while it is stopped."""
    return run_circle(*arguments, env=service.env)


def names(service: Service, platform: str) -> list[str]:
    """The series that stand there."""
    state = requests.get(f"{service.stand_ins}/control/state", timeout=10).json()[platform]
    return sorted(one["topic" if platform == "zoom" else "subject"] for one in state["series"])


def unknown(service: Service) -> list[str]:
    """The series that `circle doctor` does not know."""
    told = json.loads(circle(service, "doctor", "--json").stdout)
    return sorted(one["says"].split()[0] for one in told if "not known here" in one["says"])


def stop(service: Service) -> None:
    assert service.process is not None
    service.process.terminate()
    service.process.wait(timeout=30)


def drill(service: Service, backup: Path) -> None:
    places = ("zoom", "teams")
    before = {p: service.open(p, f"Before-{p}") for p in places}
    made = circle(service, "backup", str(backup))
    assert made.returncode == 0, made.stderr
    assert "keys are not in it" in made.stdout
    after = {p: service.open(p, f"After-{p}") for p in places}
    assert circle(service, "restore", str(backup), "--replace").returncode != 0  # it is running
    stop(service)
    assert "--replace" in circle(service, "restore", str(backup)).stderr
    restored = circle(service, "restore", str(backup), "--replace")
    assert restored.returncode == 0, restored.stderr
    service.start()
    # What was opened after the backup is named, until it is opened again and so taken over.
    assert unknown(service) == ["After-teams", "After-zoom"]
    for platform in places:
        known = requests.get(
            f"{service.url}/api/v1/cohorts", headers=service.headers, timeout=10
        ).json()["cohorts"]
        assert sorted(c["name"] for c in known if c["platform"] == platform) == [
            f"Before-{platform}"
        ]
        assert names(service, platform) == [f"After-{platform}", f"Before-{platform}"]
        for name, was in ((f"Before-{platform}", before), (f"After-{platform}", after)):
            cohort = service.open(platform, name)  # the same call as then
            assert cohort is not None
            assert (cohort["state"], cohort["problem"]) == ("ready", None)
            first = was[platform]
            assert first is not None
            assert (cohort["id"], cohort["series_ref"]) == (first["id"], first["series_ref"])
            assert all(c["platform_join_url"] for c in cohort["carers"])
        assert names(service, platform) == [f"After-{platform}", f"Before-{platform}"]
    assert unknown(service) == []


def test_after_a_restore_the_same_calls_find_what_stands_and_make_nothing_twice(
    tmp_path: Path,
) -> None:
    with running(tmp_path, None) as service:
        drill(service, tmp_path / "circle.backup")


@needs_postgresql
def test_the_same_with_postgresql(tmp_path: Path, postgresql_server: Cluster) -> None:
    with running(tmp_path, postgresql_server.create("drill")) as service:
        drill(service, tmp_path / "circle.backup")


def test_a_backup_that_was_changed_or_is_sealed_with_other_keys_is_refused(tmp_path: Path) -> None:
    with running(tmp_path / "data", None) as service:
        backup = tmp_path / "circle.backup"
        assert circle(service, "backup", str(backup)).returncode == 0
        assert "there already" in circle(service, "backup", str(backup)).stderr
        stop(service)
        with zipfile.ZipFile(backup) as file:
            held, manifest = file.read("circle.sqlite"), json.loads(file.read("manifest.json"))
        spoilt = tmp_path / "spoilt.backup"
        with zipfile.ZipFile(spoilt, "w") as file:
            file.writestr("manifest.json", json.dumps(manifest))
            file.writestr("circle.sqlite", held[:-1] + bytes([held[-1] ^ 1]))
        assert "its hash differs" in circle(service, "restore", str(spoilt), "--replace").stderr
        key = Path(service.env["DATA_DIR"]) / "encryption.key"
        old = key.read_bytes()
        for name in ("circle.sqlite", "circle.sqlite-wal", "circle.sqlite-shm", "encryption.key"):
            (Path(service.env["DATA_DIR"]) / name).unlink(missing_ok=True)
        refused = circle(service, "restore", str(backup))
        assert "sealed with keys that are not here" in refused.stderr
        key.write_bytes(old)
        for name in ("circle.sqlite", "circle.sqlite-wal", "circle.sqlite-shm"):
            (Path(service.env["DATA_DIR"]) / name).unlink(missing_ok=True)
        assert circle(service, "restore", str(backup)).returncode == 0
