"""Reports as files. A name is only ever text, whatever a spreadsheet would make of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

# What a spreadsheet takes for the beginning of a formula, full-width forms included.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")


def inert(cell: str) -> str:
    """The cell with an apostrophe before anything that could be a formula."""
    cell = cell.replace("\0", "")
    return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell


def csv_text(rows: Sequence[Sequence[str]]) -> str:
    """The rows as CSV with a byte order mark, as spreadsheets expect it."""
    written = io.StringIO(newline="")
    writer = csv.writer(written)
    for row in rows:
        writer.writerow([inert(cell) for cell in row])
    return "\ufeff" + written.getvalue()
