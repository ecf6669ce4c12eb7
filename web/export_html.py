"""The report as a page to print: one file that needs nothing else, and may load nothing.

Its one style sheet is allowed by its hash, in the answer's own policy and in the file itself, so
that it is the same page when opened from a disk.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from web.report_paper import paper

HERE = Path(__file__).parent / "templates"


@lru_cache(maxsize=1)
def _template() -> tuple[Template, Markup, str]:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (HERE / "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # Our own file, without anything from outside in it.
    return environment.get_template("report.html"), Markup(style), digest  # nosec B704


def html_page(report: dict[str, Any]) -> tuple[str, str]:
    """The page, and the Content-Security-Policy to send with it."""
    template, style, digest = _template()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    page = template.render(told=paper(report), style=style, policy=policy)
    # A page may not say of itself who may frame it; an answer may.
    return page, f"{policy}; frame-ancestors 'none'"
