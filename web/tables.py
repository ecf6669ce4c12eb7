"""Schedules, cohorts and attendance reports as text of 80 columns; for terminals and e-mails.

Input is the API's own JSON, so that what is printed is what everybody else can fetch.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from web import report_words as words
from web.grid import Cell, Column, Paint, grid, plain
from web.terminal_text import WIDTH, inert, wrap

TONES = {
    "attended": "good",
    "partial": "look",
    "absent": "bad",
    "undetermined": "look",
    "pending": "quiet",
    "exception": "quiet",
}
STANDING_TONES = {
    "completed": "good",
    "on_track": "",
    "at_risk": "look",
    "missed": "bad",
    "undetermined": "look",
}
STATE_TONES = {
    "opening": "look",
    "ready": "good",
    "needs_attention": "bad",
    "failed": "bad",
    "cancelled": "quiet",
}
# Reasons that merely bear out that somebody attended.
ROUTINE = ("present for", "camera seen in")


def _local(text: str, zone: ZoneInfo) -> datetime:
    return datetime.fromisoformat(text).astimezone(zone)


def state_cell(state: str) -> Cell:
    """A cohort's state in words."""
    return Cell(state.replace("_", " "), STATE_TONES[state])


def schedule_table(
    cohort: dict[str, Any], *, timezone: str, paint: Paint = plain, width: int = WIDTH
) -> str:
    """The eight sessions of a cohort (the API's cohort JSON)."""
    zone = ZoneInfo(timezone)
    state = state_cell(cohort["state"])
    *title, last = wrap(
        f"{inert(cohort['name'])} on {cohort['platform'].capitalize()}:",
        width - len(state.text) - 1,
    )
    lines = [*title, f"{last} {paint(*state)}"]
    if cohort.get("problem"):
        lines += wrap(cohort["problem"], width, first="  ", later="  ")
    rows = []
    for session in cohort["sessions"]:
        starts, ends = _local(session["starts_at"], zone), _local(session["ends_at"], zone)
        off = session["state"] == "cancelled"
        rows.append(
            (
                str(session["week"]),
                f"{starts:%a %d %b %Y}",
                f"{starts:%H:%M}-{ends:%H:%M}",
                Cell(f"cancelled: {session['topic']}", "quiet") if off else session["topic"],
            )
        )
    shape = (
        Column(head="week", least=4, right=True),
        Column(head="date", least=15),
        Column(head="time", least=11),
        Column(head="topic", least=20, wraps=True),
    )
    return "\n".join([*lines, "", *grid(shape, rows, paint=paint, width=width)])


def cohort_table(
    cohort: dict[str, Any],
    *,
    timezone: str,
    links: bool,
    paint: Paint = plain,
    width: int = WIDTH,
) -> str:
    """One cohort: its schedule, what comes next, and its carers; with `links`, how each gets in."""
    following = cohort["next_session"]
    lines = [
        schedule_table(cohort, timezone=timezone, paint=paint, width=width),
        "",
        f"next session: week {following['week']}, {words.moment(following['starts_at'])}"
        if following
        else "next session: none left",
        f"id: {cohort['id']}",
    ]
    if not cohort["carers"]:
        return "\n".join([*lines, "", "No carer is enrolled yet."])
    rows = [
        (
            carer["household"],
            carer["name"],
            f"withdrawn {words.day(carer['withdrawn_at'])}"
            if carer["withdrawn_at"]
            else Cell(carer["problem"] or "", "bad"),
        )
        for carer in cohort["carers"]
    ]
    shape = (
        Column(head="house", least=8),
        Column(head="carer", least=20),
        Column(head="", least=20, wraps=True),
    )
    lines += ["", *grid(shape, rows, paint=paint, width=width)]
    if links:
        # A link is copied whole, so it stands alone, however long it is.
        lines += ["", "Each carer's own link; whoever has it comes in as them"]
        for carer in cohort["carers"]:
            lines += [*wrap(carer["name"], width, first="  "), f"    {inert(carer['join_url'])}"]
    return "\n".join(lines)


def report_table(report: dict[str, Any], *, paint: Paint = plain, width: int = WIDTH) -> str:
    """The register grid with everything that is not plainly attended explained below it."""
    rule = report["rule"]
    shape = [
        Column(head="house", least=5),
        Column(head="carer", least=10),
        *(Column(head=str(s["week"]), least=2) for s in report["sessions"]),
        Column(head="all sessions", least=14),
    ]
    rows = []
    for carer in report["carers"]:
        standing = " ".join(words.STANDINGS[carer["all_sessions"]])
        rows.append(
            [
                carer["household"],
                carer["name"],
                *(_mark(week) for week in carer["weeks"]),
                Cell(standing, STANDING_TONES[carer["all_sessions"]]),
            ]
        )
    lines = [
        *wrap(
            f"{inert(report['cohort']['name'])} on {report['cohort']['platform'].capitalize()}",
            width,
        ),
        *wrap(
            f"Rule: present for {rule['presence']:.0%} of the time held, camera on for "
            f"{rule['camera']:.0%} of it; every session.",
            width,
        ),
        "",
        *grid(shape, rows, paint=paint, width=width),
        *_registers(report["sessions"], width),
        "",
        ", ".join(f"{sign} {word}" for sign, word in words.VERDICTS.values()),
        f"{words.EXCEPTION} {', '.join(words.EXCEPTIONS.values())}; * said by a person",
    ]
    lines += _remarks(report["carers"], paint, width)
    lines += _strangers(report["unmatched"], paint, width)
    return "\n".join(lines + _apart(report, paint, width))


def _mark(week: dict[str, Any]) -> Cell:
    sign, _ = words.verdict(week)
    return Cell(f"{sign}*" if week["corrected"] else sign, TONES[words.kind(week)])


def _remarks(carers: Sequence[dict[str, Any]], paint: Paint, width: int) -> list[str]:
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
                lines += _told(
                    f"{inert(carer['name'])}, week {week['week']}: {'; '.join(told)}", width
                )
    return ["", paint("What stands behind it", "head"), *lines] if lines else []


def _strangers(unmatched: Sequence[dict[str, Any]], paint: Paint, width: int) -> list[str]:
    lines = [
        line
        for seen in unmatched
        for line in _told(
            f"week {seen['week']}: {inert(seen['display_name'] or 'no name')}, "
            f"{seen['minutes_present']:.0f} minutes",
            width,
        )
    ]
    says = "Nobody knows who these were; say it, and it is remembered"
    return ["", paint(says, "head"), *lines] if lines else []


def _apart(report: dict[str, Any], paint: Paint, width: int) -> list[str]:
    lines = [
        line
        for meeting in words.apart(report)
        for line in _told(f"{meeting['when']} ({meeting['what']}): {inert(meeting['who'])}", width)
    ]
    says = "Held apart from the sessions; it counts for none"
    return ["", paint(says, "head"), *lines] if lines else []


def _registers(sessions: Sequence[dict[str, Any]], width: int) -> list[str]:
    """Whether the verdicts are final, in one line."""
    unclosed = [s for s in sessions if s["register"] != "closed"]
    if not unclosed:
        return ["All registers are closed."]
    weeks: dict[str, list[str]] = {}
    for session in unclosed:
        weeks.setdefault(session["register"], []).append(str(session["week"]))
    told = "; ".join(f"{state}: week {', '.join(found)}" for state, found in weeks.items())
    return wrap(f"Not final yet. Register {told}.", width, later="    ")


def _told(text: str, width: int) -> list[str]:
    return wrap(text, width, first="  ", later="      ")
