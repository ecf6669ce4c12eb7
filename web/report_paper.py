"""The report as it stands on paper: what page and PDF both show, put into words once.

Templates only lay it out. Input is the API's own JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from course.intervals import Span, intersect, subtract
from web import report_words as words

TITLE = "Attendance report"


def paper(report: dict[str, Any]) -> dict[str, Any]:
    """Everything that the printed report says."""
    sessions = {session["week"]: session for session in report["sessions"]}
    is_final, finality = words.finality(report["sessions"])
    made: dict[str, Any] = words.readable(
        {
            "title": TITLE,
            "cohort": report["cohort"]["name"],
            "platform": report["cohort"]["platform"].capitalize(),
            "only": _only(report),
            "made": f"Made on {words.moment(report['as_of'])} by {report['made_by']}",
            "made_at": report["as_of"],
            "is_final": is_final,
            "finality": finality,
            "rule": words.rule(report["rule"]),
            "legend": [list(entry) for entry in words.LEGEND],
            "sessions": [_session(session, report) for session in report["sessions"]],
            "households": _households(report, sessions),
            "unmatched": [
                {
                    "week": seen["week"],
                    "name": seen["display_name"] or "without a name",
                    "minutes": f"{seen['minutes_present']:.0f} min",
                    "maybe": _maybe(seen, report),
                }
                for seen in report["unmatched"]
            ],
            "apart": words.apart(report),
        }
    )
    return made


def _only(report: dict[str, Any]) -> str | None:
    if report["only"]["carer"] is not None:
        return " and ".join(carer["name"] for carer in report["carers"])
    if report["only"]["household"] is not None:
        return f"Household {report['only']['household']}"
    return None


def _session(session: dict[str, Any], report: dict[str, Any]) -> dict[str, Any]:
    counted = [
        words.kind(week)
        for carer in report["carers"]
        for week in carer["weeks"]
        if week["week"] == session["week"]
    ]
    return {
        "week": session["week"],
        "day": words.day(session["starts_at"]),
        "short_day": f"{datetime.fromisoformat(session['starts_at']):%-d %b}",
        "topic": session["topic"],
        "planned": words.span(session["starts_at"], session["ends_at"]),
        "held": words.span(session["held_from"], session["held_to"]),
        "register": words.version(session),
        "notes": session["notes"],
        "attended": f"{counted.count('attended')} of {len(counted)}"
        if session["register"] in ("provisional", "closed")
        else "",
    }


def _households(report: dict[str, Any], sessions: dict[int, Any]) -> list[dict[str, Any]]:
    """Each household with its carers, in the order of the roster."""
    standings = {found["reference"]: found for found in report["households"]}
    members: dict[str, list[dict[str, Any]]] = {}
    for carer in report["carers"]:
        members.setdefault(carer["household"], []).append(carer)
    return [
        {
            "reference": reference,
            "standing": words.standing(standings[reference]) if reference in standings else None,
            "next": [
                f"{coming['name']}, from {words.day(coming['first_session_at'])}"
                for coming in standings.get(reference, {}).get("next_cohorts", [])
            ],
            "carers": [
                {
                    "name": carer["name"],
                    "standing": words.standing(carer),
                    "before": _before(carer["transferred_from"]),
                    "weeks": [_week(week, sessions[week["week"]]) for week in carer["weeks"]],
                }
                for carer in carers
            ],
        }
        for reference, carers in members.items()
    ]


def _before(earlier: dict[str, Any] | None) -> str | None:
    """What a carer attended in the cohort they came from."""
    if earlier is None or not earlier["weeks"]:
        return None
    told = ", ".join(
        f"week {w['week']} {words.VERDICTS[w['verdict']][1]}" for w in earlier["weeks"]
    )
    return f"Before, in {earlier['name']} (shown, not counted here): {told}."


def _week(week: dict[str, Any], session: dict[str, Any]) -> dict[str, Any]:
    sign, word = words.verdict(week)
    is_judged = week["verdict"] != "pending" or bool(week["intervals"])
    held = words.held_minutes(session)
    present = f"{week['minutes_present']:g}"
    return {
        "week": week["week"],
        "day": words.day(session["starts_at"]),
        "sign": sign,
        "word": word,
        "kind": words.kind(week),
        "minutes": f"{week['minutes_present']:.0f} min" if is_judged else "",
        "of": f"{present} of {held:g} min" if is_judged and held else "",
        "camera": words.camera(week) if is_judged else "",
        "camera_short": {"on": "on", "off": "off", "partly": "part"}.get(week["camera"], "?"),
        "microphone": words.MICROPHONES[week["microphone"]] if is_judged else "",
        "microphone_short": {"connected": "yes", "absent": "no"}.get(week["microphone"], "?"),
        "present": ", ".join(words.span(*interval) for interval in week["intervals"]),
        "remarks": words.remarks(week),
        "told_by": ", ".join(words.SOURCES[source] for source in week["sources"]),
        "line": _line(week, session) if is_judged else None,
    }


def _line(week: dict[str, Any], session: dict[str, Any]) -> dict[str, Any] | None:
    """Where the bars of a timeline begin and how long they are, as shares of the time held."""
    if session["held_from"] is None or session["held_to"] is None:
        return None
    begins, ends = (datetime.fromisoformat(session[key]) for key in ("held_from", "held_to"))
    present, on, off = (
        intersect(_spans(told), [(begins, ends)])
        for told in (week["intervals"], *(week["camera_intervals"][k] for k in ("on", "off")))
    )

    def bars(spans: Sequence[Span]) -> list[list[float]]:
        return [
            [
                round((first - begins) / (ends - begins), 4),
                round((last - first) / (ends - begins), 4),
            ]
            for first, last in spans
        ]

    return {
        "present": bars(present),
        "on": bars(on),
        "off": bars(off),
        "unknown": bars(subtract(present, [*on, *off])),
    }


def _spans(told: list[list[str]]) -> list[Span]:
    return [(datetime.fromisoformat(begin), datetime.fromisoformat(end)) for begin, end in told]


def _maybe(seen: dict[str, Any], report: dict[str, Any]) -> str:
    names = {carer["id"]: carer["name"] for carer in report["carers"]}
    found = [
        f"{names[s['carer']]} ({s['why']})" for s in seen["suggestions"] if s["carer"] in names
    ]
    return "; ".join(found)
