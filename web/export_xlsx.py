"""The report as a workbook: typed cells, one sheet per view, one chart.

Names go in as text whatever they look like: only `write_string` writes them.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from web import report_words as words

Cell = str | float | datetime | bool | None
LONGEST = 32_000  # characters in a cell; a workbook with longer ones is said to be damaged
COLOURS = {
    "attended": "#E3F1EA",
    "partial": "#FBEECB",
    "undetermined": "#FBEECB",
    "absent": "#F3D9D5",
    "exception": "#E4E8F5",
}
COUNTED = ("attended", "exception", "partial", "undetermined", "absent")
BARS = ("#14606B", "#6F7FBF", "#D9A441", "#8A949A", "#A33B2A")


def workbook(report: dict[str, Any]) -> bytes:
    """The whole workbook. The same report makes the same bytes."""
    report = words.readable(report)
    written = io.BytesIO()
    book = Workbook(written, {"in_memory": True})
    book.set_properties(
        {
            "title": "Attendance report",
            "author": report["made_by"],
            "created": datetime.fromisoformat(report["as_of"]).astimezone(UTC).replace(tzinfo=None),
        }
    )
    sheets = _Sheets(book)
    _register(sheets, report)
    _weeks(sheets, report)
    _sessions(sheets, report)
    _unmatched(sheets, report)
    _apart(sheets, report)
    _about(sheets, report)
    book.close()
    return written.getvalue()


class _Sheets:
    """Writes typed rows under a frozen header."""

    def __init__(self, book: Workbook) -> None:
        self.book = book
        top = {"valign": "top", "text_wrap": True}
        self.text = book.add_format(top)
        self.head = book.add_format({**top, "bold": True, "bg_color": "#E9F0F1", "border": 1})
        self.day = book.add_format({**top, "num_format": "ddd d mmm yyyy", "align": "left"})
        self.moment = book.add_format({**top, "num_format": "d mmm yyyy hh:mm", "align": "left"})
        self.clock = book.add_format({**top, "num_format": "hh:mm", "align": "left"})
        self.share = book.add_format({**top, "num_format": "0%"})
        self.number = book.add_format({**top, "num_format": "0.0"})
        self.whole = book.add_format({**top, "num_format": "0"})
        self.verdicts = {
            verdict: book.add_format({**top, "bg_color": colour})
            for verdict, colour in COLOURS.items()
        }

    def add(
        self,
        name: str,
        columns: Sequence[tuple[str, float, Format]],
        rows: Sequence[Sequence[Cell]],
        *,
        freeze: int = 0,
    ) -> Worksheet:
        """A sheet with a header row, a filter over it, and `freeze` columns that stay."""
        sheet = self.book.add_worksheet(name)
        for number, (title, width, _) in enumerate(columns):
            sheet.set_column(number, number, width)
            sheet.write_string(0, number, title, self.head)
        for row, cells in enumerate(rows, start=1):
            for number, cell in enumerate(cells):
                self.write(sheet, row, number, cell, columns[number][2])
        sheet.freeze_panes(1, freeze)
        sheet.autofilter(0, 0, max(len(rows), 1), len(columns) - 1)
        sheet.set_landscape()
        sheet.set_paper(9)  # A4
        sheet.fit_to_pages(1, 0)
        sheet.repeat_rows(0)
        sheet.set_footer("&L&A&RPage &P of &N")
        return sheet

    def write(self, sheet: Worksheet, row: int, column: int, cell: Cell, form: Format) -> None:
        """One cell as what it is; text is never read as anything else."""
        if isinstance(cell, str):
            text = cell if len(cell) <= LONGEST else f"{cell[:LONGEST]}…"
            sheet.write_string(row, column, text, self.text if form is self.share else form)
        elif isinstance(cell, datetime):
            sheet.write_datetime(row, column, cell.replace(tzinfo=None), form)
        elif isinstance(cell, (int, float)):
            sheet.write_number(row, column, cell, form)
        else:
            sheet.write_blank(row, column, None, form)


def _at(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _register(sheets: _Sheets, report: dict[str, Any]) -> None:
    """Carers in households against weeks, as on paper."""
    text = sheets.text
    standings = {found["reference"]: words.standing(found) for found in report["households"]}
    columns = [
        ("Household", 14.0, text),
        ("Household stands", 18.0, text),
        ("Carer", 26.0, text),
        ("Carer stands", 18.0, text),
        *(
            (f"Week {s['week']}\n{datetime.fromisoformat(s['starts_at']):%-d %b %Y}", 17.0, text)
            for s in report["sessions"]
        ),
    ]
    rows: list[list[Cell]] = [
        [
            carer["household"],
            " ".join(standings.get(carer["household"], ())),
            carer["name"],
            " ".join(words.standing(carer)),
        ]
        for carer in report["carers"]
    ]
    sheet = sheets.add("Register", columns, rows, freeze=4)
    for row, carer in enumerate(report["carers"], start=1):
        for column, week in enumerate(carer["weeks"], start=4):
            found = " ".join(words.verdict(week))
            if week["verdict"] != "pending":
                found += f"\n{week['minutes_present']:.0f} min\ncamera {words.camera(week)}"
                found += f"\nmicrophone {words.MICROPHONES[week['microphone']]}"
            form = sheets.verdicts.get(words.kind(week), text)
            sheet.write_string(row, column, found, form)
        sheet.set_row(row, 62)


def _weeks(sheets: _Sheets, report: dict[str, Any]) -> None:
    """One row per carer and week, for filters and sums."""
    sessions = {session["week"]: session for session in report["sessions"]}
    text, number, share = sheets.text, sheets.number, sheets.share
    columns = [
        ("Household", 12.0, text),
        ("Carer", 24.0, text),
        ("Carer stands", 16.0, text),
        ("Week", 7.0, sheets.whole),
        ("Date", 17.0, sheets.day),
        ("Register", 12.0, text),
        ("Version", 9.0, sheets.whole),
        ("Verdict", 14.0, text),
        ("Said by a person", 14.0, text),
        ("Minutes present", 10.0, number),
        ("Share present", 9.0, share),
        ("Minutes late", 9.0, sheets.whole),
        ("Left early by", 9.0, sheets.whole),
        ("Camera", 11.0, text),
        ("Camera share", 9.0, share),
        ("Camera minutes on", 10.0, number),
        ("Camera minutes unknown", 10.0, number),
        ("Microphone", 12.0, text),
        ("Present", 20.0, text),
        ("Told by", 26.0, text),
        ("What stands behind it", 70.0, text),
    ]
    rows: list[list[Cell]] = [
        [
            carer["household"],
            carer["name"],
            words.standing(carer)[1],
            week["week"],
            _at(session["starts_at"]),
            words.REGISTERS[session["register"]],
            session["version"] or None,
            words.EXCEPTIONS.get(week["correction"], week["verdict"]),
            (week["correction"] or "").replace("_", " "),
            week["minutes_present"],
            week["share_present"],
            week["late_minutes"],
            week["left_early_minutes"],
            week["camera"],
            week["camera_share"],
            week["camera_minutes"]["on"],
            week["camera_minutes"]["unknown"],
            week["microphone"],
            ", ".join(words.span(*interval) for interval in week["intervals"]),
            ", ".join(words.SOURCES[source] for source in week["sources"]),
            "\n".join([*week["reasons"], *week["flags"]]),
        ]
        for carer in report["carers"]
        for week in carer["weeks"]
        for session in [sessions[week["week"]]]
    ]
    sheets.add("Weeks", columns, rows, freeze=2)


def _sessions(sheets: _Sheets, report: dict[str, Any]) -> None:
    """The sessions with their counts, and the chart of them."""
    text, whole = sheets.text, sheets.whole

    def counts(week: int) -> list[int]:
        told = [words.kind(w) for c in report["carers"] for w in c["weeks"] if w["week"] == week]
        return [told.count(verdict) for verdict in COUNTED]

    columns = [
        ("Week", 7.0, whole),
        ("Date", 17.0, sheets.day),
        ("Planned from", 9.0, sheets.clock),
        ("Planned to", 9.0, sheets.clock),
        ("Held from", 9.0, sheets.clock),
        ("Held to", 9.0, sheets.clock),
        ("Minutes held", 9.0, sheets.number),
        ("Topic", 34.0, text),
        ("Register", 12.0, text),
        ("Version", 9.0, whole),
        ("Version made at", 18.0, sheets.moment),
        *((verdict.capitalize(), 13.0, whole) for verdict in COUNTED),
        ("Notes", 50.0, text),
    ]
    rows: list[list[Cell]] = [
        [
            session["week"],
            *(_at(session[key]) for key in ("starts_at", "starts_at", "ends_at")),
            *(_at(session[key]) for key in ("held_from", "held_to")),
            words.held_minutes(session),
            session["topic"],
            words.REGISTERS[session["register"]],
            session["version"] or None,
            _at(session["version_made_at"]),
            *counts(session["week"]),
            "\n".join(session["notes"]),
        ]
        for session in report["sessions"]
    ]
    sheet = sheets.add("Sessions", columns, rows, freeze=1)
    chart = sheets.book.add_chart({"type": "column", "subtype": "stacked"})
    for offset, colour in enumerate(BARS):
        column = len(columns) - 1 - len(COUNTED) + offset
        chart.add_series(
            {
                "name": ["Sessions", 0, column],
                "categories": ["Sessions", 1, 0, len(rows), 0],
                "values": ["Sessions", 1, column, len(rows), column],
                "fill": {"color": colour},
                "gap": 60,
            }
        )
    chart.set_title({"name": "Carers by verdict and week", "name_font": {"size": 12}})
    chart.set_x_axis({"name": "Week"})
    chart.set_y_axis({"name": "Carers", "major_gridlines": {"visible": True}, "min": 0})
    chart.set_legend({"position": "bottom"})
    chart.set_size({"width": 760, "height": 340})
    sheet.insert_chart(
        len(rows) + 2,
        0,
        chart,
        {"description": "How many carers attended, by week; the numbers stand in the table above."},
    )


def _unmatched(sheets: _Sheets, report: dict[str, Any]) -> None:
    """Participants whom nobody has tied to a carer."""
    names = {carer["id"]: carer["name"] for carer in report["carers"]}
    rows: list[list[Cell]] = [
        [
            seen["week"],
            seen["display_name"],
            seen["minutes_present"],
            "\n".join(
                f"{names[s['carer']]} ({s['why']})"
                for s in seen["suggestions"]
                if s["carer"] in names
            ),
            seen["ref"],
        ]
        for seen in report["unmatched"]
    ]
    columns = [
        ("Week", 7.0, sheets.whole),
        ("Shown as", 34.0, sheets.text),
        ("Minutes present", 10.0, sheets.number),
        ("May have been", 50.0, sheets.text),
        ("Reference", 24.0, sheets.text),
    ]
    sheets.add("Unmatched", columns, rows)


def _apart(sheets: _Sheets, report: dict[str, Any]) -> None:
    """Meetings on the same link that count for no session."""
    rows: list[list[Cell]] = [
        [meeting["when"], meeting["where"], meeting["what"], meeting["who"]]
        for meeting in words.apart(report)
    ]
    columns = [
        ("When", 38.0, sheets.text),
        ("Platform", 10.0, sheets.text),
        ("What", 28.0, sheets.text),
        ("Who was seen", 60.0, sheets.text),
    ]
    if rows:
        sheets.add("Held apart", columns, rows)


def _about(sheets: _Sheets, report: dict[str, Any]) -> None:
    """What this is, who made it when, what it rests on, and the rule."""
    only = report["only"]
    about: list[tuple[str, Cell]] = [
        ("Cohort", report["cohort"]["name"]),
        ("Platform", report["cohort"]["platform"].capitalize()),
        ("Only household", only["household"]),
        ("Only carer", report["carers"][0]["name"] if only["carer"] else None),
        ("Made at", _at(report["as_of"])),
        ("Made by", report["made_by"]),
        ("State", words.finality(report["sessions"])[1]),
        *((f"Register of week {s['week']}", words.version(s)) for s in report["sessions"]),
        *(("Rule", sentence) for sentence in words.rule(report["rule"])),
        ("Presence asked for", report["rule"]["presence"]),
        ("Camera asked for", report["rule"]["camera"]),
        *((f"{sign} {word}".strip(), meaning) for sign, word, meaning in words.LEGEND),
    ]
    rows = [[name, cell] for name, cell in about if cell is not None]
    columns = [("What", 34.0, sheets.text), ("Is", 90.0, sheets.text)]
    sheet = sheets.add("About", columns, [])
    for row, (name, cell) in enumerate(rows, start=1):
        sheet.write_string(row, 0, str(name), sheets.text)
        form = sheets.moment if isinstance(cell, datetime) else sheets.share  # text has its own
        sheets.write(sheet, row, 1, cell, form)
    sheet.autofilter(0, 0, len(rows), 1)
