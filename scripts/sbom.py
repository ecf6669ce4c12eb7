"""What the service is made of: an SBOM (CycloneDX) and the list of licences, from the lock file.

    python scripts/sbom.py                 writes sbom.json and docs/licences.md
    python scripts/sbom.py --check         fails when docs/licences.md is not current

Versions and hashes come from `requirements.lock`, licences from the packages as they are installed.
https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parent.parent
LICENCES = ROOT / "docs" / "licences.md"
_LINE = re.compile(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)(?: ; ([^\\]+?))? *\\?$")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
# Copyleft that would reach our own code. The LGPL does not, used as a library from outside.
UNWANTED = re.compile(r"\b(A?GPL|SSPL|GNU (Affero )?General Public)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Package:
    """One locked package."""

    name: str
    version: str
    hashes: tuple[str, ...]
    licence: str


def locked(text: str) -> Iterator[tuple[str, str, list[str]]]:
    """Name, version and hashes of everything in a lock file."""
    found: tuple[str, str, list[str]] | None = None
    for line in text.splitlines():
        if begun := _LINE.match(line):
            if found:
                yield found
            found = (begun[1], begun[2], [])
        elif found and (hashed := _HASH.search(line)):
            found[2].append(hashed[1])
    if found:
        yield found


def licence_of(name: str) -> str:
    """What the installed package says of itself; empty when it says nothing."""
    try:
        told = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ""
    if "License-Expression" in told:
        return told["License-Expression"]
    classified = [
        c.rsplit(" :: ", 1)[1]
        for c in told.get_all("Classifier") or ()
        if c.startswith("License ::")
    ]
    plain = (told["License"] or "").strip().split("\n")[0]
    return ", ".join(classified) or plain[:80]


def packages() -> list[Package]:
    """Everything that `requirements.lock` names."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return [
        Package(name, version, tuple(hashes), licence_of(name))
        for name, version, hashes in locked(text)
    ]


def bill(found: list[Package]) -> dict[str, object]:
    """The SBOM."""
    named = "\n".join(f"{p.name}=={p.version}" for p in found)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, named)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "circle",
                "name": "circle",
                "version": metadata.version("circle"),
            }
        },
        "components": [
            {
                "type": "library",
                "bom-ref": f"pkg:pypi/{p.name}@{p.version}",
                "purl": f"pkg:pypi/{p.name}@{p.version}",
                "name": p.name,
                "version": p.version,
                "hashes": [{"alg": "SHA-256", "content": each} for each in p.hashes],
                "licenses": [{"license": {"name": p.licence}}],
            }
            for p in found
        ],
    }


def listed(found: list[Package]) -> str:
    """`docs/licences.md`. Without versions, which the lock file has."""
    rows = "\n".join(f"| {p.name} | {p.licence} |" for p in found)
    return (
        "# Licences of what the service is made of\n\n"
        "Made by `make sbom` from `requirements.lock`; `make lint` fails when it is not current,\n"
        "when a package names no licence, or when one is under the GPL or AGPL.\n\n"
        f"| package | licence |\n|---|---|\n{rows}\n"
    )


def faults(found: list[Package]) -> list[str]:
    """What must not be."""
    return [
        *(f"{p.name} names no licence: look it up" for p in found if not p.licence),
        *(f"{p.name} is under {p.licence}" for p in found if UNWANTED.search(p.licence)),
        *(f"{p.name} is locked without a hash" for p in found if not p.hashes),
    ]


def main() -> int:
    """Write both, or compare."""
    found = packages()
    wrong = faults(found)
    if "--check" in sys.argv:
        if not LICENCES.exists() or LICENCES.read_text(encoding="utf-8") != listed(found):
            wrong.append("docs/licences.md is not current: make sbom")
    else:
        LICENCES.write_text(listed(found), encoding="utf-8")
        text = json.dumps(bill(found), indent=2)
        (ROOT / "sbom.json").write_text(f"{text}\n", encoding="utf-8")
        sys.stdout.write(f"sbom.json and docs/licences.md: {len(found)} packages\n")
    sys.stderr.writelines(f"{fault}\n" for fault in wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
