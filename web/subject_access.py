"""The copy of a carer's data as a readable, tagged PDF."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from web.certificate import PRACTICE, typeset

NOTHING = "Nothing is held."
_YOU = {
    "name": "Name",
    "email": "E-mail address",
    "phone": "Telephone",
    "household": "Family reference",
    "enrolled_at": "Enrolled",
    "withdrawn_at": "Withdrawn",
    "restricted_at": "Use restricted since",
}


def subject_access_pdf(held: dict[str, Any], *, timezone: str) -> bytes:
    """The copy as PDF. What is personal goes in as JSON: a name is only ever text."""
    zone = ZoneInfo(timezone)
    made_at = _when(held["made_at"], zone)
    sections = [section for course in held["courses"] for section in _course(course, zone)]
    sections.append(
        _section(
            "Why it is held and for how long",
            ["kind", "what", "why", "how long"],
            [[k["kind"], k["what"], k["why"], k["how_long"]] for k in held["kept"]],
            widths=[2, 5, 3, 3],
        )
    )
    sections.append({**_section("Who receives it", [], []), "lines": held["recipients"]})
    sections.append({**_section("Your rights", [], []), "lines": held["rights"]})
    return typeset(
        "subject-access.typ",
        {
            "practice": PRACTICE,
            "title": "Everything that we hold about you",
            "opening": [
                f"Made on {made_at}. Other people's names are left out; where a sentence "
                "named one, it says “another person”.",
            ],
            "footer": f"Confidential. Made on {made_at}.",
            "sections": sections,
        },
    )


def _course(course: dict[str, Any], zone: ZoneInfo) -> list[dict[str, Any]]:
    you = course["you"]
    attendance = course["attendance"]
    return [
        _section(
            f"You, in {course['course']}",
            ["what", "value"],
            [[label, _shown(you[name], zone)] for name, label in _YOU.items() if name in you],
            widths=[1, 2],
        ),
        _section(
            "Your attendance",
            ["week", "verdict", "minutes", "camera", "microphone", "why"],
            [
                [
                    str(week["week"]),
                    week["verdict"],
                    f"{week['minutes_present']:g}",
                    week["camera"],
                    week["microphone"],
                    "; ".join(week["reasons"]),
                ]
                for week in attendance["weeks"]
            ],
            widths=[2, 4, 3, 3, 4, 9],
        ),
        _table("What the platform and our page told", course["facts"], zone),
        _table("Deliveries of the platform that are still kept", course["deliveries"], zone),
        _table("What you and our staff wrote", course["messages"], zone),
        _table("Corrections of your attendance", course["corrections"], zone),
        _table("Notes on a shared device", course["attestations"], zone),
        _table("Who a participant was said to be", course["who_you_were_taken_for"], zone),
        _table("Letters", course["mail"], zone),
        _table("Links to the platform", course["invitations"], zone),
        _table("Earlier names and addresses", course["earlier_names"], zone),
        _table("Privacy notices that you were shown", course["privacy_notices_shown"], zone),
        _table("Earlier versions of the register", course["register_versions"], zone),
        _table("Who of the staff looked at or changed this", course["audit"], zone),
    ]


def _table(title: str, rows: list[dict[str, Any]], zone: ZoneInfo) -> dict[str, Any]:
    """Each row as a sentence of what is known; columns that differ from row to row fit no grid."""
    return _section(
        title,
        ["entry"],
        [
            ["; ".join(f"{k.replace('_', ' ')}: {_shown(v, zone)}" for k, v in row.items() if v)]
            for row in rows
        ],
        widths=[1],
    )


def _section(
    title: str, head: list[str], rows: list[list[str]], *, widths: list[int] | None = None
) -> dict[str, Any]:
    lines = [] if rows or not head else [NOTHING]
    return {"title": title, "head": head, "rows": rows, "lines": lines, "widths": widths or []}


def _shown(value: Any, zone: ZoneInfo) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(inner, zone)}" for name, inner in value.items() if inner)
    if isinstance(value, list):
        return ", ".join(_shown(inner, zone) for inner in value)
    return _when(str(value), zone)


def _when(text: str, zone: ZoneInfo) -> str:
    """A stored instant as people write it; anything else as it is."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{at.astimezone(zone):%-d %B %Y, %H:%M}" if at.tzinfo else text
