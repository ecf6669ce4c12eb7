"""Lists for terminals that fit 80 columns: cohorts, what needs a person, the live board, findings.

Input is the API's own JSON, so that what is printed is what everybody else can fetch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from web import report_words as words
from web.grid import Cell, Column, Paint, grid, plain
from web.tables import state_cell
from web.terminal_text import WIDTH, inert, wrap

SHORTEST_ID = 8
_CAMERAS = {"on": "on", "off": "off", "unknown": "not reported"}
_MICROPHONES = {"on": "on", "off": "muted", "unknown": "not reported"}
_WHERE = {"in": "in since", "waiting": "waiting since", "left": "left at", "not_seen": "not seen"}
_DO = {
    "missing": "ring them",
    "waiting": "let them in",
    "left": "ring them",
    "camera off": "ask for the camera",
    "camera not reported": "look at the camera",
}
# What stops something for everybody; the rest waits for a decision about one person.
_BROKEN = ("cohort", "subscription", "mail")


def short_ids(ids: Sequence[str]) -> dict[str, str]:
    """Each id's beginning that no other id has; commands take it for the id."""
    ordered, short = sorted(ids), {}
    for number, one in enumerate(ordered):
        beside = ordered[max(number - 1, 0) : number] + ordered[number + 1 : number + 2]
        length = SHORTEST_ID
        while length < len(one) and any(other.startswith(one[:length]) for other in beside):
            length += 1
        short[one] = one[:length]
    return short


def cohorts_table(
    rows: Sequence[dict[str, Any]],
    short: Mapping[str, str],
    *,
    paint: Paint = plain,
    width: int = WIDTH,
) -> str:
    """One line for each cohort, and its problem."""
    shape = (
        Column(head="id", least=SHORTEST_ID),
        Column(head="next session", least=15),
        Column(head="on", least=5),
        Column(head="state", least=15),
        Column(head="cohort", least=20, wraps=True),
    )
    cells = [
        (
            short[row["id"]],
            words.day(row["next_session"]) if row["next_session"] else "none left",
            row["platform"].capitalize(),
            state_cell(row["state"]),
            inert(row["name"]) + (f": {row['problem']}" if row["problem"] else ""),
        )
        for row in rows
    ]
    return "\n".join(grid(shape, cells, paint=paint, width=width))


def attention_table(
    items: Sequence[dict[str, Any]],
    names: Mapping[str, str],
    *,
    paint: Paint = plain,
    width: int = WIDTH,
) -> str:
    """What needs a person; `names` maps carers' ids."""
    shape = (
        Column(head="since", least=11),
        Column(head="cohort", least=12, most=16),
        Column(head="week", least=4, right=True),
        Column(head="what", least=30, wraps=True),
    )
    cells = []
    for item in items:
        who = f"{inert(names[item['carer']])}: " if item.get("carer") in names else ""
        reasons = item.get("reasons", [])[:2]
        cells.append(
            (
                f"{datetime.fromisoformat(item['since']):%-d %b %Y}",
                item["cohort_name"],
                str(item["week"] or ""),
                Cell(
                    f"{who}{item['says']}" + (f" ({'; '.join(reasons)})" if reasons else ""),
                    "bad" if item["kind"] in _BROKEN else "",
                ),
            )
        )
    return "\n".join(grid(shape, cells, paint=paint, width=width))


def board_table(
    board: dict[str, Any],
    names: Mapping[str, str],
    *,
    paint: Paint = plain,
    width: int = WIDTH,
) -> str:
    """The live board, who needs a call first; `names` maps carers' ids."""
    title = f"{inert(board['cohort']['name'])}, week {board['week']}: {inert(board['topic'])}"
    counts = ", ".join(f"{n} {place.replace('_', ' ')}" for place, n in board["counts"].items())
    lines = [
        *(paint(line, "head") for line in wrap(title, width)),
        *wrap(f"{_when(board)}; as of {_clock(board['as_of'])}", width),
        counts,
    ]
    shape = (
        Column(head="", least=1),
        Column(head="house", least=5),
        Column(head="carer", least=12),
        Column(head="where", least=19),
        Column(head="camera", least=6, wraps=True),
        Column(head="micro", least=5, wraps=True),
        Column(head="do", least=11, wraps=True),
    )
    rows = [_seat(carer, names) for carer in board["carers"]]
    if rows:
        lines += ["", *grid(shape, rows, paint=paint, width=width)]
    else:
        lines += ["", "No carer is enrolled yet."]
    if board["strangers"]:
        lines += ["", paint("Who is this?", "head")]
        for seen in board["strangers"]:
            lines += wrap(_stranger(seen, names), width, first="  ", later="      ")
    return "\n".join(lines)


def _seat(carer: dict[str, Any], names: Mapping[str, str]) -> list[str | Cell]:
    is_in = carer["place"] == "in"
    away = carer["absence"] is not None and not is_in
    if away:
        sign, do = Cell("·", "quiet"), Cell(f"told us: “{carer['absence']}”", "quiet")
    elif carer["calls_for"]:
        tone = "bad" if carer["calls_for"] == "missing" else "look"
        sign, do = Cell("!", tone), Cell(_DO[carer["calls_for"]], tone)
    else:
        sign, do = Cell("✓", "good") if is_in else Cell("·", "quiet"), Cell("")
    camera = _CAMERAS[carer["camera"]] if is_in else ""
    if is_in and carer["ticked"]:
        camera += f", seen {carer['ticked']}"
    return [
        sign,
        carer["household"],
        carer["name"],
        _where(carer, names),
        camera,
        _MICROPHONES[carer["microphone"]] if is_in else "",
        do,
    ]


def _where(carer: dict[str, Any], names: Mapping[str, str]) -> str:
    where = _WHERE[carer["place"]]
    if carer["since"]:
        where += f" {_clock(carer['since'])}"
    if carer["devices"] > 1:
        where += f" ({carer['devices']}x)"
    if carer["shared_with"] in names:
        where += f" beside {inert(names[carer['shared_with']])}"
    return where


def _stranger(seen: dict[str, Any], names: Mapping[str, str]) -> str:
    since = f" {_clock(seen['since'])}" if seen["since"] else ""
    told = f"{inert(seen['display_name'] or 'no name')}, {_WHERE[seen['place']]}{since}"
    if seen["suggestions"]:
        likely = seen["suggestions"][0]
        told += f"; perhaps {inert(names[likely['carer']])} ({likely['why']})"
    return told


def _when(board: dict[str, Any]) -> str:
    begins, ends = _clock(board["starts_at"]), _clock(board["ends_at"])
    if board["register"] in ("provisional", "closed"):
        return f"over; it was planned for {words.day(board['starts_at'])}, {begins} to {ends}"
    if board["held_from"]:
        return f"open since {_clock(board['held_from'])}, planned {begins} to {ends}"
    opened = "" if board["register"] == "scheduled" else "; nobody has opened it"
    return f"planned for {words.day(board['starts_at'])}, {begins} to {ends}{opened}"


def _clock(at: str) -> str:
    return f"{datetime.fromisoformat(at):%H:%M}"


def findings_table(
    findings: Sequence[tuple[str, bool, str]], *, paint: Paint = plain, width: int = WIDTH
) -> str:
    """What the examination found: subject, whether it is well, what it says."""
    return "\n".join(_findings(findings, paint, width))


def _findings(findings: Sequence[tuple[str, bool, str]], paint: Paint, width: int) -> Iterator[str]:
    for subject, well, says in findings:
        sign = paint("ok", "good") + "  " if well else paint("LOOK", "bad")
        first, *more = wrap(f"{inert(subject)}: {says}", width - 6, later="  ")
        yield f"{sign}  {first}"
        yield from (f"      {line}" for line in more)
