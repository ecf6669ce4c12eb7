"""Text for terminals: how many columns it takes, cut and wrapped by that, and made harmless.

Names come from people and platforms. On a terminal a control character would be an order, one
that turns the direction would move its neighbours, and an accent of its own takes no column.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

WIDTH = 80
CUT = "…"
# Behind and before text from right to left: keeps the neighbouring columns where they are.
_MARK = "\u200e"
_JOINERS = "\u200c\u200d"  # between letters they belong to the spelling
_SKIN = range(0x1F3FB, 0x1F400)
_EMOJI_SHAPE = "\ufe0f"  # drawn one column wide by some terminals, two by others
# The later parts of a Korean syllable stand in the first part's columns.
_JAMO = (range(0x1160, 0x1200), range(0xD7B0, 0xD800))


def inert(text: str) -> str:
    """The text with nothing in it that orders a terminal about; on one line."""
    found = "".join(_harmless(text.replace(_EMOJI_SHAPE, "")))
    return _held(unicodedata.normalize("NFC", found))


def _harmless(text: str) -> Iterator[str]:
    for number, character in enumerate(text):
        kind = unicodedata.category(character)
        if kind in ("Cc", "Cs", "Zl", "Zp"):
            yield " "
        elif kind == "Cf":
            around = text[max(number - 1, 0) : number + 2]
            joins = any(unicodedata.category(c)[0] in "LM" for c in around)
            if character == _MARK or (character in _JOINERS and joins):
                yield character
        elif ord(character) not in _SKIN:
            yield character


def _held(text: str) -> str:
    turns = any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in text)
    return f"{_MARK}{text.strip(_MARK)}{_MARK}" if turns else text


def columns(text: str) -> int:
    """How many columns a terminal gives to the text."""
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    if any(ord(character) in part for part in _JAMO):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def cut(text: str, width: int) -> str:
    """The text, or its beginning and … when it takes more than `width` columns."""
    text = inert(text)
    if columns(text) <= width:
        return text
    return _held(_beginning(text.strip(_MARK), width - columns(CUT)).rstrip() + CUT)


def wrap(text: str, width: int, *, first: str = "", later: str = "") -> list[str]:
    """The text in lines of at most `width` columns, begun with `first` and then with `later`."""
    lines, line, room = [], "", width - columns(first)
    for word in inert(text).strip(_MARK).split():
        if line and columns(line) + 1 + columns(word) <= room:
            line = f"{line} {word}"
            continue
        if line:
            lines.append(line)
            room = width - columns(later)
        line = word
        while columns(line) > room:
            part = _beginning(line, max(room, 2))  # 2: the widest character
            lines.append(part)
            line, room = line[len(part) :], width - columns(later)
    if line or not lines:
        lines.append(line)
    return [f"{later if number else first}{_held(told)}" for number, told in enumerate(lines)]


def _beginning(text: str, width: int) -> str:
    taken = 0
    for number, character in enumerate(text):
        taken += _columns(character)
        if taken > width:
            return text[:number]
    return text
