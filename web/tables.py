"""Schedules and attendance reports as text that fits 80 columns; for terminals and e-mails.

Input is the API's own JSON, so that what is printed is what everybody else can fetch.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

MARKS = {
    "attended": "yes",
    "partial": "part",
    "absent": "NO",
    "undetermined": "?",
    "pending": ".",
}
STANDINGS = {
    "on_track": "on track",
    "at_risk": "at risk",
    "missed": "missed",
    "completed": "completed",
    "undetermined": "undetermined",
}
WIDTH = 80
# Reasons that merely bear out that somebody attended.
ROUTINE = ("present for", "camera seen in")


def _local(text: str, zone: ZoneInfo) -> datetime:
    return datetime.fromisoformat(text).astimezone(zone)


def _shorten(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def schedule_table(cohort: dict[str, Any], *, timezone: str) -> str:
    """The eight sessions of a cohort (the API's cohort JSON)."""
    zone = ZoneInfo(timezone)
    lines = [
        f"{cohort['name']} on {cohort['platform'].capitalize()}: {cohort['state']}",
        *([f"  {cohort['problem']}"] if cohort.get("problem") else []),
        "",
        f"{'week':>4}  {'date':<15}  {'time':<11}  topic",
    ]
    for session in cohort["sessions"]:
        starts, ends = _local(session["starts_at"], zone), _local(session["ends_at"], zone)
        when = f"{session['week']:>4}  {starts:%a %d %b %Y}  {starts:%H:%M}-{ends:%H:%M}  "
        topic = textwrap.wrap(session["topic"], WIDTH - len(when)) or [""]
        lines.append(when + topic[0])
        lines += [" " * len(when) + more for more in topic[1:]]
    return "\n".join(lines)


def report_table(report: dict[str, Any]) -> str:
    """The register grid with everything that is not plainly attended explained below it."""
    rule = report["rule"]
    weeks = [session["week"] for session in report["sessions"]]
    head = f"{'house':<7}{'carer':<20}" + "".join(f"{week:>5}" for week in weeks)
    lines = [
        f"{report['cohort']['name']} on {report['cohort']['platform'].capitalize()}",
        f"Rule: present for {rule['presence']:.0%} of the time held, camera on for "
        f"{rule['camera']:.0%} of it; every session.",
        "",
        head + "  all sessions",
        "-" * WIDTH,
    ]
    for carer in report["carers"]:
        marks = "".join(f"{_mark(week):>5}" for week in carer["weeks"])
        lines.append(
            f"{_shorten(carer['household'], 6):<7}{_shorten(carer['name'], 19):<20}"
            f"{marks}  {STANDINGS[carer['all_sessions']]}"
        )
    lines += [
        _registers(report["sessions"]),
        "",
        "yes attended, part partly, NO absent, ? a person must say, . to come, * corrected",
    ]
    return "\n".join(lines + _remarks(report["carers"]) + _strangers(report["unmatched"]))


def _mark(week: dict[str, Any]) -> str:
    return MARKS[week["verdict"]] + ("*" if week["corrected"] else "")


def _remarks(carers: Sequence[dict[str, Any]]) -> list[str]:
    lines: list[str] = []
    for carer in carers:
        for week in carer["weeks"]:
            if week["verdict"] == "pending" or not week["reasons"] + week["flags"]:
                continue
            told = [r for r in week["reasons"] if not r.startswith("identified")]
            if week["verdict"] == "attended":
                told = [r for r in told if not r.startswith(ROUTINE)]
            told += week["flags"]
            if told:
                lines += _wrap(f"{carer['name']}, week {week['week']}: {'; '.join(told)}")
    return ["", "What stands behind it", *lines] if lines else []


def _strangers(unmatched: Sequence[dict[str, Any]]) -> list[str]:
    lines = [
        f"  week {seen['week']}: {seen['display_name'] or 'no name'}, "
        f"{seen['minutes_present']:.0f} minutes"
        for seen in unmatched
    ]
    return (
        ["", "Nobody knows who these were; say it, and it is remembered", *lines] if lines else []
    )


def _registers(sessions: Sequence[dict[str, Any]]) -> str:
    """Whether the verdicts are final, in one line."""
    unclosed = [s for s in sessions if s["register"] != "closed"]
    if not unclosed:
        return "All registers are closed."
    weeks: dict[str, list[str]] = {}
    for session in unclosed:
        weeks.setdefault(session["register"], []).append(str(session["week"]))
    told = "; ".join(f"{state}: week {', '.join(found)}" for state, found in weeks.items())
    return "\n".join(_wrap(f"Not final yet. Register {told}.", indent=""))


def _wrap(text: str, *, indent: str = "  ") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}    ")
