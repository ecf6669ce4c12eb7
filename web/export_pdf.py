"""The report as a tagged PDF (PDF/UA-1), set by typst: the grid, then a page for each household."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from web.certificate import PRACTICE, typeset
from web.report_paper import paper

_PARTS = ("year", "month", "day", "hour", "minute", "second")


def report_pdf(report: dict[str, Any]) -> bytes:
    """The report as PDF. What is personal goes in as JSON: a name is only ever text."""
    at = datetime.fromisoformat(report["as_of"])
    made_at = {name: getattr(at, name) for name in _PARTS}
    return typeset("report.typ", {**paper(report), "practice": PRACTICE, "made_at": made_at})
