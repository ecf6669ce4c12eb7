"""The report as CSV, a row per carer and week. A name is only ever text, whatever a spreadsheet
would make of it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

# What a spreadsheet takes for the beginning of a formula, full-width forms included.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")
HEADER = (
    "household",
    "carer",
    "all sessions",
    "week",
    "date",
    "register",
    "verdict",
    "corrected",
    "minutes present",
    "share present",
    "minutes late",
    "left early by",
    "camera",
    "camera share",
    "microphone",
    "sources",
    "reasons",
    "register version",
    "version made at",
    "report made at",
    "report made by",
)


def report_rows(report: dict[str, Any]) -> list[list[str]]:
    """The rows under `HEADER`."""
    sessions = {session["week"]: session for session in report["sessions"]}
    return [
        list(HEADER),
        *(
            [
                carer["household"],
                carer["name"],
                carer["all_sessions"],
                str(week["week"]),
                session["starts_at"][:10],
                session["register"],
                week["verdict"],
                week["correction"] or "",
                f"{week['minutes_present']:g}",
                "" if week["share_present"] is None else f"{week['share_present']:g}",
                str(week["late_minutes"]),
                str(week["left_early_minutes"]),
                week["camera"],
                "" if week["camera_share"] is None else f"{week['camera_share']:g}",
                week["microphone"],
                ", ".join(week["sources"]),
                "; ".join([*week["reasons"], *week["flags"]]),
                str(session["version"]),
                session["version_made_at"] or "",
                report["as_of"],
                report["made_by"],
            ]
            for carer in report["carers"]
            for week in carer["weeks"]
            for session in [sessions[week["week"]]]
        ),
    ]


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
