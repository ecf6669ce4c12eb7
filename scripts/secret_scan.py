"""Looks for secrets in every file of the repository: keys, tokens, long random values with a name.

    python scripts/secret_scan.py [FILE ...]

What is invented for tests says so on its line: `# invented`.
"""

from __future__ import annotations

import math
import re
import subprocess  # git, without a shell  # nosec B404
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
SKIPPED = {".png", ".ttf", ".ico", ".lock", ".woff2", ".min.js"}
KNOWN = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a key of AWS": re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a token of GitHub": re.compile(r"\b(gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{60,})"),
    "a token of Slack": re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
    "a key of Google": re.compile(r"\bAIza[0-9A-Za-z_-]{35}\b"),
    "a secret of Microsoft": re.compile(r"\b[A-Za-z0-9_~.-]{3}8Q~[A-Za-z0-9_~.-]{34}"),
    "a JSON web token": re.compile(r"\beyJ[\w-]{20,}\.eyJ[\w-]{20,}\.[\w-]{20,}"),
    "a password in an address": re.compile(
        r"\b[a-z]+://[^\s/:@'\"{}]+:(?!password@)[^\s/@'\"{}]{8,}@"
    ),
}
NAMED = re.compile(
    r"(?i)(?:secret|token|passw(?:or)?d|api_?key|encryption_keys?)\w*[\"']?\s*[:=]\s*"
    r"[\"']?([A-Za-z0-9+/_=-]{24,})"
)
RANDOM = 3.9  # bits a character; words have fewer


def entropy(text: str) -> float:
    """Bits a character."""
    counts = Counter(text)
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())


def findings(text: str) -> Iterator[tuple[int, str]]:
    """The lines that hold one, and what it looks like. Pure."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.rstrip().endswith("# invented"):
            continue
        for what, pattern in KNOWN.items():
            if pattern.search(line):
                yield number, what
        for found in NAMED.finditer(line):
            mixed = re.search(r"\d", found[1]) and re.search(r"[A-Za-z]", found[1])
            if mixed and entropy(found[1]) >= RANDOM:
                yield number, "a random value with the name of a secret"


def files() -> Iterable[Path]:
    """Everything that git keeps."""
    listed = subprocess.run(  # nosec B603 B607
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout.decode()
    return (ROOT / name for name in listed.split("\0") if name)


def main() -> int:
    """Say where; 1 when there is any."""
    given = [Path(name) for name in sys.argv[1:]]
    bad = 0
    for file in given or files():
        if any(file.name.endswith(ending) for ending in SKIPPED) or not file.is_file():
            continue
        for number, what in findings(file.read_text(encoding="utf-8", errors="replace")):
            sys.stderr.write(f"{file}:{number}: looks like {what}\n")
            bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
