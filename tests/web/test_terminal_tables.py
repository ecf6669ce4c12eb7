"""Tables for terminals: never wider than 80 columns, aligned, and nothing in them orders about."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course.board import build_board
from course.model import Cohort, CohortState, Evidence
from course.reports import build_report, report_json
from tests.factories import FIRST, NOW, make_carer, make_cohort
from web.access import Caller
from web.board import board_json
from web.cohort_view import cohort_json
from web.grid import Cell, Column, grid
from web.listings import (
    attention_table,
    board_table,
    cohorts_table,
    findings_table,
    short_ids,
)
from web.tables import cohort_table, report_table, schedule_table
from web.terminal_text import columns, cut, inert, wrap

TRICKY = [
    *"\x1b\x07\r\n\t\x9b\u200b\u200d\u200e\u202e\u2066\ufeff\u2028\u0301\ufe0f\u20e3",
    *"红색각ｆ\u1112\u1161\u11ab",
    *"שלוםمحمد١٢",
    *"👩👧🏽🇬🇧❤◐✓…",
    " ",
]
TEXTS = st.text(st.one_of(st.characters(), st.sampled_from(TRICKY)), max_size=120)
VIEWER = Caller(name="x", role="admin", cohort_ids=None)


@pytest.mark.parametrize(
    ("text", "shown", "wide"),
    [
        ("Zoë", "Zoë", 3),
        ("Zoe\u0308", "Zoë", 3),
        ("红色", "红色", 4),
        ("\u1112\u1161\u11ab", "한", 2),
        ("ｆ", "ｆ", 2),
        ("x\u0301\u0302", "x\u0301\u0302", 1),
        ("👩\u200d👧", "👩👧", 4),
        ("👋🏽", "👋", 2),
        ("❤\ufe0f", "❤", 1),
        ("می\u200cخواهم", "\u200eمی\u200cخواهم\u200e", 7),
        ("evil\u202etxt", "eviltxt", 7),
        ("\x1b[2J\x9b31m\r\n", " [2J 31m  ", 10),
        ("שלום", "\u200eשלום\u200e", 4),
    ],
)
def test_a_text_is_made_harmless_and_measured_as_terminals_do(
    text: str, shown: str, wide: int
) -> None:
    assert inert(text) == shown
    assert columns(shown) == wide


def is_harmless(text: str) -> bool:
    """Nothing in it moves the cursor, hides, or turns the direction."""
    return not any(
        unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")
        or (unicodedata.category(c) == "Cf" and c not in "\u200c\u200d\u200e")
        for c in text
    )


@given(TEXTS)
def test_a_harmless_text_stays_as_it_is(text: str) -> None:
    assert is_harmless(inert(text))
    assert inert(inert(text)) == inert(text)


@given(TEXTS, st.integers(2, 90))
def test_a_cut_text_takes_no_more_than_it_may(text: str, width: int) -> None:
    shown = cut(text, width)
    assert columns(shown) <= width
    assert is_harmless(shown)
    if columns(inert(text)) <= width:
        assert shown == inert(text)
    else:
        assert "…" in shown


@given(TEXTS, st.integers(8, 90))
def test_a_wrapped_text_loses_nothing(text: str, width: int) -> None:
    lines = wrap(text, width, first="* ", later="    ")
    assert all(columns(line) <= width and is_harmless(line) for line in lines)
    told = "".join("".join(lines).removeprefix("* ").split()).replace("\u200e", "")
    assert told == "".join(inert(text).split()).replace("\u200e", "")


SHAPE = (
    Column(head="a", least=8),
    Column(head="b", least=12, wraps=True),
    Column(head="c", least=2),
    Column(head="end", least=3),
)


@settings(deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=4))
def test_the_columns_of_a_grid_stand_one_below_the_other(
    rows: list[tuple[str, str, str]],
) -> None:
    head, *lines = grid(SHAPE, [(*row, Cell("\ue000", "bad")) for row in rows])
    begins = columns(head.removesuffix("end"))
    ends = [line for line in lines if line.endswith("\ue000")]
    assert len(ends) >= len(rows)
    assert {columns(line.removesuffix("\ue000")) for line in ends} <= {begins}
    assert all(columns(line) <= 80 for line in [head, *lines])


def test_colour_takes_no_column_and_no_word() -> None:
    rows = [("Ann", "x", "y", Cell("✗ missed", "bad"))]
    plain = grid(SHAPE, rows)
    painted = grid(SHAPE, rows, paint=lambda text, tone: f"<{tone}>{text}</>")
    assert painted[1] == plain[1].replace("✗ missed", "<bad>✗ missed</>")


def a_cohort(name: str, carer: str, household: str, topic: str, problem: str) -> Cohort:
    cohort = make_cohort(
        name=name,
        state=CohortState.NEEDS_ATTENTION,
        problem=problem,
        carers=(
            make_carer(name=carer, household=household),
            make_carer(id="carer-2", name="Ann Lee", household="H2"),
        ),
    )
    return replace(cohort, sessions=tuple(replace(s, topic=topic) for s in cohort.sessions))


def every_table(cohort: Cohort, text: str) -> list[str]:
    """What the commands print of a cohort of which every text is strange."""
    shown: dict[str, Any] = cohort_json(cohort, [], VIEWER, public_url="http://127.0.0.1:8000")
    shown["carers"] = [
        {
            "name": carer.name,
            "household": carer.household,
            "problem": text,
            "withdrawn_at": None,
            "join_url": "http://127.0.0.1:8000/join/x",
        }
        for carer in cohort.carers
    ]
    shown["next_session"] = None
    names = {carer.id: carer.name for carer in cohort.carers}
    report = report_json(build_report(cohort, Evidence(), now=FIRST + timedelta(days=2)))
    report["carers"][0]["weeks"][0]["reasons"] = [text]
    report["unmatched"] = [{"week": 1, "display_name": text, "minutes_present": 12.5}]
    board = board_json(cohort, build_board(cohort, Evidence(), cohort.sessions[0], now=NOW))
    board["carers"][0].update(place="in", absence=text, since=NOW.isoformat(), devices=2)
    board["carers"][1].update(place="waiting", calls_for="waiting", shared_with="carer-1")
    board["strangers"] = [
        {
            "display_name": text,
            "place": "waiting",
            "since": NOW.isoformat(),
            "suggestions": [{"carer": "carer-1", "score": 0.9, "why": text}],
        }
    ]
    row = {
        "id": cohort.id,
        "next_session": NOW.isoformat(),
        "platform": "teams",
        "state": "needs_attention",
        "name": cohort.name,
        "problem": cohort.problem,
    }
    item = {
        "since": NOW.isoformat(),
        "cohort_name": cohort.name,
        "week": 8,
        "carer": "carer-1",
        "kind": "cohort",
        "says": text,
        "reasons": [text, text],
    }
    return [
        schedule_table(shown, timezone="Europe/London"),
        cohort_table(shown, timezone="Europe/London", links=True),
        report_table(report),
        board_table(board, names),
        cohorts_table([row], short_ids([cohort.id])),
        attention_table([item, {**item, "week": None}], names),
        findings_table([(text, True, text), ("zoom", False, text)]),
    ]


@settings(deadline=None, max_examples=50)
@given(TEXTS, TEXTS, TEXTS)
def test_every_table_fits_80_columns_whatever_people_are_called(
    name: str, person: str, text: str
) -> None:
    for table in every_table(a_cohort(name, person, text, text, text), text):
        for line in table.split("\n"):
            assert columns(line) <= 80, line
            assert is_harmless(line), line


def test_the_shortest_beginning_of_an_id_is_unique() -> None:
    ids = ["a" * 32, "a" * 20 + "b" * 12, "c" * 32, "short"]
    assert short_ids(ids) == {
        ids[0]: "a" * 21,
        ids[1]: "a" * 20 + "b",
        ids[2]: "c" * 8,
        "short": "short",
    }
