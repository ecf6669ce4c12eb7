"""JSON from outside, read strictly: what two readers could understand in two ways is refused."""

from __future__ import annotations

import json
from typing import Any

from webhooks.rejected import Malformed

DEEPEST = 64


def _no_constant(_name: str) -> None:
    raise ValueError("a number that is none")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key given twice")
    return found


_READER = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_no_duplicates)


def _depth(body: bytes) -> int:
    """How deep brackets nest, without parsing: the parser itself would run out of stack."""
    deepest = depth = 0
    inside_text = escaped = False
    for byte in body:
        if inside_text:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                inside_text = False
        elif byte == 0x22:
            inside_text = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in these bytes. Raises `Malformed`."""
    if body.count(b"[") + body.count(b"{") > DEEPEST and _depth(body) > DEEPEST:
        raise Malformed("nested too deep")
    try:
        text = body.decode("utf-8")
        if text.startswith("\ufeff"):
            raise Malformed("a byte order mark")
        found = _READER.decode(text)
        if b"\\ud" in body or b"\\uD" in body:
            # Half a character, written as an escape: nothing could ever store or show it.
            json.dumps(found, ensure_ascii=False).encode("utf-8")
    except UnicodeError as e:
        raise Malformed("not UTF-8") from e
    except (ValueError, RecursionError) as e:
        raise Malformed("not JSON") from e
    if not isinstance(found, dict):
        raise Malformed("not an object")
    return found
