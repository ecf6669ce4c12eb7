"""deploy/circle: the command on a server asks the installation that the service runs on."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from settings import Settings

DEPLOY = Path(__file__).parent.parent / "deploy"
COMMAND = (DEPLOY / "circle").read_text(encoding="utf-8")
UNIT = (DEPLOY / "circle-web.service").read_text(encoding="utf-8")
SHOW = """#!/bin/sh
echo "$(id -un)|$(pwd)|$(umask)|$DATA_DIR|$PUBLIC_URL|$PRACTICE_NAME|${ZOOM_HOST-unset}|$*"
"""
NOBODY = "nobody"
as_root = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("runuser"), reason="only root can become another user"
)


def of_unit(name: str) -> str:
    (value,) = re.findall(rf"^{name}=(\S+)", UNIT, re.M)
    return str(value)


def of_command(name: str) -> str:
    (value,) = re.findall(rf"^{name}=(\S+)$", COMMAND, re.M)
    return str(value)


def test_it_is_the_services_own_user_folder_settings_and_program() -> None:
    assert of_command("settings") == of_unit("EnvironmentFile")
    assert of_command("folder") == of_unit("WorkingDirectory")
    assert f"DATA_DIR={of_command('folder')}" in UNIT
    assert of_command("user") == of_unit("User")
    assert of_command("command") == of_unit("ExecStart")


@pytest.fixture
def installed() -> Iterator[Path]:
    """For a user of this machine; not in pytest's folder, which others cannot enter."""
    folder = Path(mkdtemp(prefix="circle-command-"))
    folder.chmod(0o755)
    yield install(folder)
    shutil.rmtree(folder)


def install(folder: Path) -> Path:
    data = folder / "data"
    data.mkdir(mode=0o700)
    shutil.chown(data, NOBODY)
    show = folder / "show"
    show.write_text(SHOW)
    show.chmod(0o755)
    settings = folder / "circle.env"
    settings.write_text(
        "# a comment\n\n  PUBLIC_URL=https://circle.example.org  \n"
        'PRACTICE_NAME="Example Family Practice"\nZOOM_HOST=\n#DATA_DIR=/nowhere\nnot a setting\n'
    )
    settings.chmod(0o600)
    text = COMMAND
    for name, here in (
        ("settings", str(settings)),
        ("folder", str(data)),
        ("user", NOBODY),
        ("command", str(show)),
    ):
        text = text.replace(f"\n{name}={of_command(name)}\n", f"\n{name}={here}\n")
    made = folder / "circle"
    made.write_text(text)
    made.chmod(0o755)
    return made


def run(command: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    names = {name.upper() for name in Settings.model_fields}
    env = {name: value for name, value in os.environ.items() if name not in names}
    return subprocess.run(
        [str(command), *arguments],
        env=env | environment,
        text=True,
        capture_output=True,
        check=False,
    )


@as_root
def test_it_runs_as_the_services_user_with_the_services_settings(installed: Path) -> None:
    done = run(installed, "report", "Spring 2027")
    assert done.stderr == ""
    data = installed.parent / "data"
    assert done.stdout.strip().split("|") == [
        NOBODY,
        str(data),
        "0077",
        str(data),
        "https://circle.example.org",
        "Example Family Practice",
        "",
        "report Spring 2027",
    ]


@as_root
def test_what_is_said_before_the_command_goes_first(installed: Path) -> None:
    done = run(installed, "doctor", DATA_DIR="beside", PRACTICE_NAME="Another")
    assert done.stdout.split("|")[3:6] == ["beside", "https://circle.example.org", "Another"]


@as_root
def test_without_its_settings_it_does_nothing_and_says_so(installed: Path) -> None:
    (installed.parent / "circle.env").unlink()
    done = run(installed, "doctor")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert "deploy/README.md" in done.stderr


@as_root
def test_whoever_is_not_root_is_told_how(installed: Path) -> None:
    person = pwd.getpwnam(NOBODY).pw_uid
    done = subprocess.run(
        [str(installed), "doctor"], user=person, text=True, capture_output=True, check=False
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "sudo circle doctor" in done.stderr
