"""The certificate of a carer who attended every session, as a tagged PDF (PDF/UA-1).

Typst sets it (https://typst.app/docs/): what is personal goes in as JSON, so a name is only ever
text. The fonts lie beside the template; the machine's own are never looked at.
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog
import typst

from course.model import Carer, SessionState
from course.reports import AttendanceReport

HERE = Path(__file__).parent / "documents"
PRACTICE = "Circle"

log = structlog.get_logger(__name__)


@lru_cache(maxsize=1)
def _fonts() -> typst.Fonts:
    return typst.Fonts(
        include_system_fonts=False, include_embedded_fonts=False, font_paths=[HERE / "fonts"]
    )


def certificate_pdf(report: AttendanceReport, carer: Carer, *, now: datetime) -> bytes:
    """The certificate of a carer who has completed the course."""
    cohort, zone = report.cohort, ZoneInfo(report.cohort.timezone)
    held = [s for s in cohort.sessions if s.state is SessionState.SCHEDULED]
    days = sorted(s.starts_at.astimezone(zone) for s in held)
    excepted = [
        str(register.session.week)
        for register in report.registers
        if (said := register.weeks[carer.id].correction) is not None
        and said.kind.value == "catch_up"
    ]
    told = {
        "practice": PRACTICE,
        "name": carer.name,
        "sessions": len(held),
        "from": f"{days[0]:%-d %B %Y}",
        "to": f"{days[-1]:%-d %B %Y}",
        "exceptions": f"week {' and '.join(excepted)} by catching up" if excepted else None,
        "facilitators": [f.name for f in cohort.facilitators],
        "issued": f"{now.astimezone(zone):%-d %B %Y}",
        "cohort": cohort.name,
        "evidence": f"reference {carer.id[:8]}",
    }
    return typeset("certificate.typ", told)


def typeset(template: str, told: dict[str, object]) -> bytes:
    """A PDF of a template in `documents/`, with what is told in it.

    A character that the fonts lack is refused in a tagged PDF; it is then made without the tag.
    """
    inputs = {"told": json.dumps(told, ensure_ascii=False)}
    source = HERE / template
    try:
        made = typst.compile(
            source, root=HERE, font_paths=_fonts(), sys_inputs=inputs, pdf_standards=["ua-1"]
        )
    except typst.TypstError as e:
        if "could not be displayed" not in str(e):
            raise
        log.warning("pdf_without_tag", template=template)
        made = typst.compile(source, root=HERE, font_paths=_fonts(), sys_inputs=inputs)
    return bytes(made)
