"""What deploy/ says holds: files, commands, settings, users, and every figure that is watched."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from dbos import DBOS

from cli import main
from settings import SECRETS, Settings
from tests.whole_app import PUBLIC, whole_app
from web.release import VERSION

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
OURS = ("web", "web2", "worker")
# What other programs read from the same file.
NOT_OURS = {"POSTGRES_PASSWORD"}
SETTINGS = {name.upper() for name in Settings.model_fields} | {f"{s.upper()}_FILE" for s in SECRETS}


def assigned(text: str) -> set[str]:
    """The names of NAME=value lines, also of those that are commented out."""
    return set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", text, re.M))


def commands() -> dict[str, list[str]]:
    """Every `circle` command that a deployment runs, by where it stands."""
    found = {f"compose {name}": list(COMPOSE["services"][name]["command"]) for name in OURS}
    (line,) = re.findall(r"^CMD (.+)$", DOCKERFILE, re.M)
    found["Dockerfile"] = json.loads(line)
    for unit in UNITS:
        (line,) = re.findall(r"^ExecStart=\S+/circle (.+)$", unit.read_text(encoding="utf-8"), re.M)
        found[unit.name] = shlex.split(line.replace("${PORT}", "8000"))
    return found


@pytest.mark.parametrize("where", sorted(commands()))
def test_the_command_and_its_options_exist(where: str) -> None:
    name, *words = commands()[where]
    command = main.commands.get(name)
    assert command is not None, f"{where} runs circle {name}, which there is not"
    context = click.Context(command)
    command.parse_args(context, words)  # refuses unknown options
    assert context.params.get("port", 8000) == 8000


def test_every_setting_that_is_named_exists() -> None:
    environment = COMPOSE["x-circle"]["environment"]
    assert set(environment) <= SETTINGS
    example = assigned((DEPLOY / "circle.env.example").read_text(encoding="utf-8"))
    assert example - NOT_OURS <= SETTINGS
    (line,) = re.findall(r"^ENV (.+?)\n\w", DOCKERFILE, re.M | re.S)
    set_there = set(re.findall(r"([A-Z_]+)=", line))
    assert set_there - SETTINGS == {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8")
        assert set(re.findall(r"^Environment=([A-Z_]+)=", text, re.M)) <= SETTINGS | {"PORT"}


def test_what_compose_asks_of_its_file_is_in_the_example() -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    example = (DEPLOY / "circle.env.example").read_text(encoding="utf-8")
    asked = set(re.findall(r"\$\{([A-Z_]+)", text))
    assert asked == {"POSTGRES_PASSWORD", "PUBLIC_URL"}
    assert asked <= set(re.findall(r"^([A-Z_]+)=", example, re.M))


def test_every_file_that_is_named_exists() -> None:
    build = COMPOSE["x-circle"]["build"]
    assert (DEPLOY / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()
    volumes = COMPOSE["volumes"]
    for name, service in COMPOSE["services"].items():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            found = (DEPLOY / source).exists() if source.startswith(".") else source in volumes
            assert found, f"{name} mounts {source}"
    copied = re.findall(r"^COPY (?!--from|\. )(.+) \S+$", DOCKERFILE, re.M)
    assert [name for line in copied for name in line.split() if not (ROOT / name).is_file()] == []
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if line.startswith("!"):
            assert list(ROOT.glob(line[1:])), line
    with (ROOT / "pyproject.toml").open("rb") as file:
        wheel = tomllib.load(file)["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    kept = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    assert {name for name in wheel if not name.endswith(".py")} <= set(kept)
    rules = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text(encoding="utf-8"))["rule_files"]
    assert all((DEPLOY / name).is_file() for name in rules)


def test_containers_are_nobody_in_particular_on_a_root_that_is_read_only() -> None:
    (user,) = re.findall(r"^USER (\d+):\d+$", DOCKERFILE, re.M)
    assert int(user) >= 1000
    last = DOCKERFILE.rsplit("\nFROM ", 1)[1]
    assert "\nUSER " in last
    assert "\nHEALTHCHECK " in last
    assert "--require-hashes -r requirements.lock" in DOCKERFILE
    for name in OURS:
        service = COMPOSE["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert not service.get("privileged")
        assert "user" not in service
        assert "ports" not in service, "only Caddy is reached from outside"


def test_processes_are_found_again_by_their_host_names() -> None:
    names = [COMPOSE["services"][name]["hostname"] for name in OURS]
    assert len(set(names)) == len(OURS)
    asked = set(COMPOSE["x-circle"]["environment"]["ALLOWED_HOSTS"].split(","))
    targets = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text(encoding="utf-8"))
    (job,) = targets["scrape_configs"]
    (config,) = job["static_configs"]
    assert {target.split(":")[0] for target in config["targets"]} == asked
    assert asked <= set(names)


def test_requests_in_flight_have_time_before_a_container_or_a_unit_is_killed() -> None:
    for name in OURS:
        assert int(COMPOSE["services"][name]["stop_grace_period"].removesuffix("s")) >= 10
    for unit in UNITS:
        (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", unit.read_text(encoding="utf-8"), re.M)
        assert int(seconds) >= 10


def test_the_settings_files_leave_a_service_that_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = (DEPLOY / "circle.env.example").read_text(encoding="utf-8")
    (tmp_path / ".env").write_text(example, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    settings = Settings.load()
    assert settings.public_url == "https://circle.example.org"
    assert settings.zoom is None
    assert not re.search(r"""^\w+=.*["'$#]""", example, re.M), "read differently by both"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd's tools are not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_is_exposed_to_little(unit: Path) -> None:
    """Ten is a service without any hardening; systemd itself calls it OK below 5."""
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What the real application tells Prometheus after somebody looked at a page."""
    app = whole_app(tmp_path_factory.mktemp("figures"))
    client = app.flask.test_client()
    client.get("/healthz", base_url=PUBLIC)
    yield client.get("/metrics", base_url=PUBLIC).get_data(as_text=True)
    DBOS.destroy(destroy_registry=False)


def watched() -> dict[str, set[str]]:
    """Every series that an alert or a panel names, and the labels that it is narrowed or cut by."""
    alerts = yaml.safe_load((DEPLOY / "prometheus-alerts.yaml").read_text(encoding="utf-8"))
    board = json.loads((DEPLOY / "grafana-dashboard.json").read_text(encoding="utf-8"))
    asked = [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    asked += [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    found: dict[str, set[str]] = {}
    for expression in asked:
        for name, narrowed in re.findall(r"((?:circle|process)_\w+)(\{[^}]*\})?", expression):
            labels = set(re.findall(r"(\w+)=", narrowed))
            for grouped in re.findall(r"by \(([^)]*)\)", expression):
                labels |= {label.strip() for label in grouped.split(",")}
            found.setdefault(name, set()).update(labels - {"job", "instance", "le"})
    return found


@pytest.mark.parametrize("name", sorted(watched()))
def test_every_figure_that_is_watched_is_told(figures: str, name: str) -> None:
    told = set(re.findall(r"^# TYPE (\w+) ", figures, re.M))
    family = re.sub(r"_(bucket|count|sum)$", "", name)
    assert name in told or family in told


def test_the_labels_that_are_watched_are_the_figures_own(figures: str) -> None:
    told: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(\w+)\{([^}]*)\} ", figures, re.M):
        told.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    for name, labels in watched().items():
        if name in told:  # a counter without a sample yet shows no labels
            assert labels <= told[name], name
    assert 'route="/healthz",status="2xx"' in figures


def test_every_alert_says_what_to_do() -> None:
    alerts = yaml.safe_load((DEPLOY / "prometheus-alerts.yaml").read_text(encoding="utf-8"))
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8").lower()
    for rule in alerts["groups"][0]["rules"]:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]
        do = rule["annotations"]["do"]
        for chapter in re.findall(r"docs/runbook\.md: ([^.?;]+)", do):
            assert f"## {chapter.lower()}" in runbook, chapter


def test_there_is_one_version() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        declared = tomllib.load(file)["project"]["version"]
    assert version("circle") == declared == VERSION
    assert COMPOSE["x-circle"]["image"] == f"circle:{declared}"
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    (newest,) = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", changes, re.M)[:1]
    assert newest == declared
