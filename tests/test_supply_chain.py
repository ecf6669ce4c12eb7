"""What the service is made of is known, pinned and allowed; the repository holds no secret."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tomllib
from pathlib import Path

import pytest

from scripts import sbom, secret_scan
from scripts.sbom import Package

ROOT = Path(__file__).parent.parent
INVENTED = base64.urlsafe_b64encode(hashlib.sha256(b"invented").digest()).decode()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_everything_is_pinned_with_hashes(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    found = list(sbom.locked(text))
    assert len(found) == len(re.findall(r"^[A-Za-z]", text, re.MULTILINE)) > 40
    for package, version, hashes in found:
        assert hashes, package
        assert re.fullmatch(r"[\w.+!-]+", version), package
    assert not re.search(r"^\s*(-e|git\+|https?:|file:)", text, re.MULTILINE)


def test_what_the_project_asks_for_is_what_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {re.split(r"[<>=!~\[ ;]", each)[0].lower() for each in project["dependencies"]}
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert asked <= {name.lower() for name, _, _ in sbom.locked(text)}


def test_the_licences_are_known_allowed_and_listed() -> None:
    found = sbom.packages()
    assert sbom.faults(found) == []
    assert (ROOT / "docs" / "licences.md").read_text(encoding="utf-8") == sbom.listed(found)


@pytest.mark.parametrize(
    ("licence", "wanted"),
    [
        ("MIT", True),
        ("LGPL-3.0-only", True),
        ("GPL-3.0-or-later", False),
        ("AGPL-3.0-only", False),
        ("GNU General Public License v3 (GPLv3)", False),
        ("", False),
    ],
)
def test_copyleft_that_reaches_our_code_is_a_fault(licence: str, wanted: bool) -> None:
    assert (sbom.faults([Package("x", "1", ("0" * 64,), licence)]) == []) is wanted


def test_the_bill_names_every_package_with_its_hashes() -> None:
    found = sbom.packages()
    told = json.loads(json.dumps(sbom.bill(found)))
    assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.6")
    assert len(told["components"]) == len(found)
    assert len({each["bom-ref"] for each in told["components"]}) == len(found)
    for each in told["components"]:
        assert re.fullmatch(r"pkg:pypi/[\w.-]+@[\w.+!-]+", each["purl"])
        assert each["hashes"]


@pytest.mark.parametrize(
    "line",
    [
        "-----BEGIN " + "RSA PRIVATE KEY-----",
        "AKIA" + "ABCDEFGHIJKLMNOP",
        "ghp_" + "a" * 36,
        f'ZOOM_CLIENT_SECRET = "{INVENTED}"',
        f"encryption_keys: {INVENTED}",
        "smtp://user:" + "hunter2hunter2@mail.example.com",
        "abc8Q~" + "a" * 34,
    ],
)
def test_the_scan_finds_what_looks_like_a_secret(line: str) -> None:
    assert list(secret_scan.findings(f"first\n{line}\n"))
    assert not list(secret_scan.findings(f"{line}  # invented"))


@pytest.mark.parametrize(
    "line",
    [
        "token = secrets.token_urlsafe(32)",
        "TEAMS_CLIENT_SECRET=   # or a certificate",
        'token="join-token-of-a-carer-in-a-test"',
        "smtp://user:password@host:587",
    ],
)
def test_the_scan_lets_ordinary_lines_pass(line: str) -> None:
    assert not list(secret_scan.findings(line))


def test_nothing_in_the_repository_looks_like_a_secret() -> None:
    found = {
        file.relative_to(ROOT).as_posix(): list(secret_scan.findings(file.read_text("utf-8")))
        for folder in ("course", "integration", "webhooks", "web", "sandbox", "docs", "scripts")
        for file in (ROOT / folder).rglob("*")
        if file.suffix in (".py", ".md", ".html", ".js", ".toml")
    }
    assert len(found) > 100
    assert not {name: lines for name, lines in found.items() if lines}
