"""The threat model answers every requirement, with tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (S\d\d) \|(.*)\|$", TEXT, re.MULTILINE)
NODE = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_every_requirement_has_a_row_with_a_test() -> None:
    assert [number for number, _ in ROWS] == [f"S{n:02}" for n in range(1, 49)]
    for number, row in ROWS:
        assert NODE.search(row), number


def test_every_test_that_is_named_exists() -> None:
    named = NODE.findall(TEXT)
    assert len(named) > 60
    for file, name in named:
        assert (ROOT / file).exists(), file
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert name in there, f"{file}::{name}"
