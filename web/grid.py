"""A table of text that fits a width: columns that give way, cells that are cut or wrapped.

Colour is only ever an addition: `paint` gets a tone, and what it adds takes no column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

from web.terminal_text import WIDTH, columns, cut, inert, wrap

GAP = 2
# The tones: "good", "look", "bad", "quiet" and "head"; "" is plain.
Paint = Callable[[str, str], str]


def plain(text: str, tone: str) -> str:
    """No colour at all."""
    del tone
    return text


class Cell(NamedTuple):
    """Text with a tone."""

    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column; it gives way down to `least` columns of the terminal, never grows over `most`."""

    head: str
    least: int
    most: int = 1000
    wraps: bool = False
    right: bool = False


def grid(
    shape: Sequence[Column],
    rows: Sequence[Sequence[str | Cell]],
    *,
    paint: Paint = plain,
    width: int = WIDTH,
) -> list[str]:
    """The lines of the table, its head first."""
    cells = [[c if isinstance(c, Cell) else Cell(c) for c in row] for row in rows]
    widths = _widths(shape, cells, width)
    head = [Cell(column.head, "head") for column in shape]
    return [
        line for row in [head, *cells] for line in _lines(shape, row, widths, row is head, paint)
    ]


def _widths(shape: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int) -> list[int]:
    room = width - GAP * (len(shape) - 1)
    wanted = []
    for number, column in enumerate(shape):
        texts = (column.head, *(inert(row[number].text) for row in rows))
        widest = max(map(columns, texts))
        wanted.append(max(column.least, min(widest, column.most, room)))
    while sum(wanted) > room:
        slack = [has - column.least for has, column in zip(wanted, shape, strict=True)]
        if not any(slack):
            break
        # What wraps loses nothing by it, so it gives way first.
        giving = max(
            (n for n, free in enumerate(slack) if free),
            key=lambda n: (shape[n].wraps, wanted[n]),
        )
        wanted[giving] -= 1
    return wanted


def _lines(
    shape: Sequence[Column],
    row: Sequence[Cell],
    widths: Sequence[int],
    is_head: bool,
    paint: Paint,
) -> list[str]:
    parts = [
        wrap(cell.text, has) if column.wraps and not is_head else [cut(cell.text, has)]
        for column, cell, has in zip(shape, row, widths, strict=True)
    ]
    lines = []
    for texts in zip_longest(*parts, fillvalue=""):
        told = []
        for text, cell, column, has in zip(texts, row, shape, widths, strict=True):
            space = " " * (has - columns(text))
            shown = paint(text, cell.tone) if text and cell.tone else text
            told.append(space + shown if column.right else shown + space)
        lines.append((" " * GAP).join(told).rstrip())
    return lines
