"""Files of others are what they are said to be, and every script of theirs is listed."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "web" / "static" / "vendor"
LISTED = re.findall(
    r"^(\S+)\n  package  .+\n  licence  .+\n  sha256   (\w{64})$",
    (FOLDER / "VENDORED.txt").read_text(encoding="utf-8"),
    re.MULTILINE,
)


def test_each_file_of_others_is_listed_with_its_hash() -> None:
    found = {
        name: hashlib.sha256((FOLDER / name).resolve().read_bytes()).hexdigest()
        for name, _ in LISTED
    }
    assert found == dict(LISTED)
    assert {path.name for path in FOLDER.iterdir()} - {"VENDORED.txt"} <= set(found)
