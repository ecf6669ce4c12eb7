"""Reports as files: each format with its media type and what makes it.

All are made from the API's own JSON, so that a file says what everybody else can fetch; a file
says besides whom it is about and who made it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from course.narrowing import Only
from web import report_words as words
from web.export_csv import csv_text, report_rows
from web.export_html import html_page
from web.export_pdf import report_pdf
from web.export_xlsx import workbook


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A finished file; `policy` is the Content-Security-Policy that it needs, if a special one."""

    content: bytes
    policy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One format. `make` takes a signed report."""

    name: str
    media_type: str
    make: Callable[[dict[str, Any]], Made]

    @property
    def content_type(self) -> str:
        """For the header."""
        return (
            f"{self.media_type}{'; charset=utf-8' if self.media_type.startswith('text/') else ''}"
        )


def signed(report: dict[str, Any], *, only: Only, made_by: str) -> dict[str, Any]:
    """The report with what a file says of itself."""
    about = {"household": only.household, "carer": only.carer_id}
    return {**report, "only": about, "made_by": made_by}


def _csv(report: dict[str, Any]) -> Made:
    return Made(content=csv_text(report_rows(words.readable(report))).encode())


def _html(report: dict[str, Any]) -> Made:
    text, policy = html_page(report)
    return Made(content=text.encode(), policy=policy)


FORMATS = {
    "csv": Format(name="CSV", media_type="text/csv", make=_csv),
    "xlsx": Format(
        name="a workbook (XLSX)",
        media_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        make=lambda report: Made(content=workbook(report)),
    ),
    "pdf": Format(
        name="a tagged PDF",
        media_type="application/pdf",
        make=lambda report: Made(content=report_pdf(report)),
    ),
    "html": Format(name="a printable page", media_type="text/html", make=_html),
}
