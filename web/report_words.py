"""The report in words and signs, readable without colour; for every printed format.

Input is the API's own JSON.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

VERDICTS = {
    "attended": ("✓", "attended"),
    "partial": ("◐", "partly"),
    "absent": ("✗", "absent"),
    "undetermined": ("?", "undetermined"),
    "pending": ("·", "to come"),
}
EXCEPTIONS = {"catch_up": "catch-up", "camera_exempt": "camera exempt", "excused": "excused"}
EXCEPTION = "◇"
# Why a week is pending, shorter than the register says it.
PENDING = {
    "still to come": "to come",
    "being held": "being held",
    "not enrolled yet": "not enrolled yet",
    "withdrawn before this session": "withdrawn",
    "this session was cancelled": "cancelled",
}
STANDINGS = {
    "completed": ("✓", "completed"),
    "on_track": ("→", "on track"),
    "at_risk": ("!", "at risk"),
    "missed": ("✗", "missed"),
    "undetermined": ("?", "undetermined"),
}
LEGEND = (
    ("✓", "attended", "the rule was met"),
    ("◐", "partly", "there, but too short, or without camera or microphone for too long"),
    ("✗", "absent", "not seen by anybody or anything"),
    ("?", "undetermined", "the evidence decides neither way; a person must say"),
    ("·", "to come", "nothing to judge yet"),
    (EXCEPTION, "catch-up, camera exempt, excused", "an exception, counted apart"),
    ("*", "", "said by a person; the reasons tell by whom"),
)
REGISTERS = {
    "scheduled": "to come",
    "live": "being held",
    "provisional": "provisional",
    "closed": "closed",
}
MICROPHONES = {"connected": "yes", "absent": "no", "unknown": "not known"}
CAMERAS = {"on": "on", "off": "off", "partly": "partly on", "unknown": "not known"}
SOURCES = {
    "webhook": "notifications",
    "platform_record": "the platform's record",
    "join_page": "join page",
    "facilitator": "facilitator",
    "call_bot": "calling bot",
    "dashboard": "dashboard",
    "media_stream": "media stream",
}
# Formatting characters that turn the order of what follows.
_TURNING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F])


def rewritten(told: Any, change: Callable[[str], str]) -> Any:
    """What is told, with every text in it changed."""
    if isinstance(told, dict):
        return {key: rewritten(value, change) for key, value in told.items()}
    if isinstance(told, list | tuple):
        return [rewritten(value, change) for value in told]
    return change(told) if isinstance(told, str) else told


def readable(told: Any) -> Any:
    """What is told without anything that is no text: control characters, turned directions."""
    return rewritten(told, _plain)


def _plain(text: str) -> str:
    text = text.translate(_TURNING)
    return "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)


def verdict(week: dict[str, Any]) -> tuple[str, str]:
    """The sign and the word of a verdict; an exception is never a plain “attended”."""
    if week["correction"] in EXCEPTIONS:
        return EXCEPTION, EXCEPTIONS[week["correction"]]
    sign, word = VERDICTS[week["verdict"]]
    if week["verdict"] == "pending":
        word = next((PENDING[r] for r in week["reasons"] if r in PENDING), word)
    return sign, f"{word}*" if week["corrected"] else word


def kind(week: dict[str, Any]) -> str:
    """What a week is counted as: its verdict, or an exception, which is counted apart."""
    return "exception" if week["correction"] in EXCEPTIONS else str(week["verdict"])


def standing(found: dict[str, Any]) -> tuple[str, str]:
    """The sign and the words of where somebody stands against the all-sessions rule."""
    sign, words = STANDINGS[found["all_sessions"]]
    return sign, f"{words} {_weeks(found['missed_weeks'])}" if found["missed_weeks"] else words


def camera(week: dict[str, Any]) -> str:
    """What is known of a camera."""
    share = week["camera_share"]
    return CAMERAS[week["camera"]] + (f", {share:.0%}" if share not in (None, 0, 1) else "")


def remarks(week: dict[str, Any]) -> list[str]:
    """What stands behind a verdict, in sentences."""
    said = [*week["reasons"], *week["flags"]]
    return [r for r in said if not (week["verdict"] == "pending" and r in PENDING)]


def apart(report: dict[str, Any]) -> list[dict[str, str]]:
    """What was held apart from the sessions: when, what it was, and who was seen how long."""
    names = {carer["id"]: carer["name"] for carer in report["carers"]}
    return [
        {
            "when": f"{datetime.fromisoformat(meeting['from']):%A %-d %B %Y, %H:%M} to "
            f"{datetime.fromisoformat(meeting['to']):%H:%M}",
            "what": "rehearsal" if meeting["rehearsal"] else "outside every session's time",
            "where": meeting["platform"].capitalize(),
            "who": ", ".join(
                f"{name} ({present:.0f} min)"
                for name, present in [
                    *((names[c["id"]], c["minutes_present"]) for c in meeting["carers"]),
                    *(
                        (seen["display_name"] or "no name", seen["minutes_present"])
                        for seen in meeting["unmatched"]
                    ),
                ]
            ),
        }
        for meeting in report["apart"]
    ]


def rule(found: dict[str, Any]) -> list[str]:
    """The cohort's rule in sentences."""
    every = found["household"] == "every_carer"
    accepted = [EXCEPTIONS[kind] for kind in EXCEPTIONS if kind in found["satisfied_by"]]
    return [
        "Every carer of a household attends every session."
        if every
        else "At least one carer of each household attends every session.",
        f"To attend is to be present for at least {found['presence']:.0%} of the time that the "
        "session was really held"
        + (
            f", with the camera on for at least {found['camera']:.0%} of the time present"
            if found["camera"]
            else ""
        )
        + (
            " and a microphone connected (it may be muted)."
            if found["microphone"] == "connected"
            else "."
        ),
        f"Coming late or leaving early is noted from {found['late_after_minutes']} minutes.",
        f"As done counts also, where a person says so: {', '.join(accepted)}."
        if accepted
        else "No exception counts as done.",
        "What nobody reported is not known, never “off” or “absent”. This report proposes; "
        "a person decides.",
    ]


def finality(sessions: Sequence[dict[str, Any]]) -> tuple[bool, str]:
    """Whether every verdict so far is final, and that in words."""
    weeks: dict[str, list[int]] = {}
    for session in sessions:
        weeks.setdefault(session["register"], []).append(session["week"])
    open_weeks = sorted([*weeks.get("live", []), *weeks.get("provisional", [])])
    if open_weeks:
        return False, (
            f"Provisional: the register of {_weeks(open_weeks)} is not closed yet, and what it "
            "says may change."
        )
    if to_come := weeks.get("scheduled"):
        return True, f"The registers of all sessions held are closed; {_weeks(to_come)} to come."
    return True, "The registers of all sessions are closed."


def version(session: dict[str, Any]) -> str:
    """Which version of a register this is."""
    state = REGISTERS[session["register"]]
    if not session["version"]:
        return state
    return f"{state}, version {session['version']} of {moment(session['version_made_at'])}"


def day(at: str) -> str:
    """A day with its weekday."""
    return f"{datetime.fromisoformat(at):%a %-d %b %Y}"


def moment(at: str) -> str:
    """A day and a time."""
    return f"{datetime.fromisoformat(at):%-d %b %Y at %H:%M}"


def span(begins: str | None, ends: str | None) -> str:
    """From when to when; an end that is not told yet stays open."""
    if begins is None:
        return ""
    until = f"{datetime.fromisoformat(ends):%H:%M}" if ends else ""
    return f"{datetime.fromisoformat(begins):%H:%M}–{until}"


def held_minutes(session: dict[str, Any]) -> float | None:
    """How long a session was held, where it is over."""
    if session["held_from"] is None or session["held_to"] is None:
        return None
    begins, ends = (datetime.fromisoformat(session[k]) for k in ("held_from", "held_to"))
    return round((ends - begins).total_seconds() / 60, 1)


def _weeks(numbers: Sequence[int]) -> str:
    told = ", ".join(str(number) for number in numbers)
    return f"week{'' if len(numbers) == 1 else 's'} {told}"
