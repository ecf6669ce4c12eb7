"""The report as a tagged PDF (PDF/UA-1), set by typst: the grid, then a page for each household."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from web import report_words as words
from web.certificate import PRACTICE, typeset
from web.report_paper import paper

# Full-width forms, which the fonts lack, to the letters and signs that they are forms of.
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_PARTS = ("year", "month", "day", "hour", "minute", "second")


def report_pdf(report: dict[str, Any]) -> bytes:
    """The report as PDF. What is personal goes in as JSON: a name is only ever text."""
    at = datetime.fromisoformat(report["as_of"])
    made_at = {name: getattr(at, name) for name in _PARTS}
    told = words.rewritten(paper(report), lambda text: text.translate(_FULL_WIDTH))
    return typeset("report.typ", {**told, "practice": PRACTICE, "made_at": made_at})
