"""The rows of what people paste or upload: text of a spreadsheet, CSV, or an XLSX workbook.

Excel writes CSV with commas or semicolons, in UTF-8 or in the code page of the machine; cells that
are copied come with tabs. https://docs.python.org/3/library/csv.html
"""

from __future__ import annotations

import csv
import io
import zipfile

from openpyxl import load_workbook

from course.programme import MOST_HOUSEHOLDS

MOST_ROWS = 2 * MOST_HOUSEHOLDS + 1  # a carer each, below a heading
MOST_CELLS = 12
LARGEST_UNPACKED = 20_000_000  # bytes; a workbook of families has some thousands
Row = tuple[int, list[str]]  # the line in the file, from 1, and its cells


class UnreadableSheet(Exception):
    """The file is not what it is said to be; the text says what to do."""


def rows_of_file(content: bytes) -> list[Row]:
    """The rows that say something. Raises `UnreadableSheet`."""
    if content.startswith(b"PK"):
        return _rows_of_workbook(content)
    if content.startswith(b"\xd0\xcf\x11\xe0"):
        raise UnreadableSheet(
            "This is a workbook of an old kind (.xls). Save it as .xlsx, or as CSV."
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    return rows_of_text(text)


def rows_of_text(text: str) -> list[Row]:
    """The rows that say something. Raises `UnreadableSheet`."""
    if "\0" in text:
        raise UnreadableSheet("This is no text. Choose a CSV file or an XLSX workbook.")
    lines = [line for line in text.splitlines() if line.strip()]
    separator = max("\t;,", key=lambda c: sum(c in line for line in lines))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    rows: list[Row] = []
    try:
        for cells in reader:
            _keep(rows, reader.line_num, cells)
    except csv.Error as e:
        raise UnreadableSheet(
            f"Line {reader.line_num} cannot be read as CSV. Is a quotation mark left open?"
        ) from e
    return rows


def _rows_of_workbook(content: bytes) -> list[Row]:
    """Of the first sheet."""
    rows: list[Row] = []
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            if sum(part.file_size for part in packed.infolist()) > LARGEST_UNPACKED:
                raise UnreadableSheet("This workbook is too large. Keep the families' sheet only.")
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
            _keep(rows, number, [_text(cell) for cell in cells[:MOST_CELLS]])
    except UnreadableSheet:
        raise
    except Exception as e:  # a damaged workbook fails in as many ways as there are parts in it
        raise UnreadableSheet(
            "This workbook cannot be read. Save it again as .xlsx, or save it as CSV."
        ) from e
    return rows


def _keep(rows: list[Row], number: int, cells: list[str]) -> None:
    if len(rows) >= MOST_ROWS:
        raise UnreadableSheet(f"These are more than {MOST_ROWS} rows. A cohort has some dozens.")
    kept = [cell.strip() for cell in cells[:MOST_CELLS]]
    if any(kept):
        rows.append((number, kept))


def _text(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    # A telephone number that a spreadsheet took for a number has lost its leading zero.
    if isinstance(cell, int) and 10**9 <= cell < 10**10:
        return f"0{cell}"
    return str(cell)
