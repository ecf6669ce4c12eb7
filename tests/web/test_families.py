"""Families from a spreadsheet: whatever staff have, read; whatever is wrong, named by its line."""

from __future__ import annotations

import io
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.web.conftest import Door
from web.families import XLSX, read_families, tidied
from web.spreadsheet import UnreadableSheet, rows_of_file, rows_of_text

MAYA = {"name": "Maya Patel", "email": "maya@example.com", "phone": "07700 900123"}


def read(text: str) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    found = read_families(rows_of_text(text))
    return found.households, found.faults


def workbook(*rows: tuple[object, ...]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "H1, Maya Patel, maya@example.com, 07700 900123",
        "H1;Maya Patel;maya@example.com;07700 900123",
        "H1\tMaya Patel\tmaya@example.com\t07700 900123\n\n",
        "Household,Name,E-mail,Telephone\nH1,Maya Patel,maya@example.com,07700 900123",
        "E-mail address\tMobile\tSurname\tFirst name\tFamily\tNotes\n"
        "maya@example.com\t07700 900123\tPatel\tMaya\tH1\tlikes tea",
    ],
)
def test_columns_are_read_however_they_come(text: str) -> None:
    assert read(text) == ([{"reference": "H1", "carers": [MAYA]}], [])


def test_every_fault_is_named_by_its_line_and_the_others_are_read() -> None:
    households, faults = read(
        "H1, Maya Patel, maya@example.com, 07700 900123\n"
        "H1\n"
        "H2, Tom Becker, tom@example\n"
        ", Zoe Ash, zoe@example.com\n"
        "H3, Ruth Cohen, ruth@example.com, soon"
    )
    assert households == [{"reference": "H1", "carers": [MAYA]}]
    assert faults == [
        (2, "name is missing; e-mail is missing"),
        (3, "e-mail is not an e-mail address"),
        (4, "household is missing"),
        (5, "telephone is not a telephone number; write it like 07700 900123"),
    ]


def test_a_household_has_two_carers_and_nobody_twice() -> None:
    line = "H1, {name}, a@example.com\n"
    _, faults = read("".join(line.format(name=n) for n in ("Ann", "Ann", "Ben", "Cleo")))
    assert faults == [
        (2, "Ann is named twice in H1"),
        (4, "H1 has two carers already, and a third is named here"),
    ]


def test_a_workbook_is_read_with_the_zero_that_it_took_from_a_number() -> None:
    rows = rows_of_file(
        workbook(
            ("Household", "Name", "E-mail", "Telephone"),
            ("H1", "Maya Patel", "maya@example.com", 7700900123),
            (None, None, None, None),
            (7, "=1+1", "tom@example.com", None),
        )
    )
    assert tidied(rows) == "H1,Maya Patel,maya@example.com,07700900123\n7,,tom@example.com\n"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"PK\x03\x04 and no more", "Save it again as .xlsx, or save it as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "of an old kind"),
        (b"\0\1\2", "This is no text"),
        (b"H1,a,b\n" * 1002, "more than 1001 rows"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(content: bytes, says: str) -> None:
    with pytest.raises(UnreadableSheet, match=says):
        rows_of_file(content)


def test_five_hundred_families_of_two_are_read_below_a_heading() -> None:
    lines = [f"H{n},{who} {n},{who}{n}@example.com" for n in range(500) for who in ("Ann", "Ben")]
    found = read_families(rows_of_file("\n".join(["household,name,email", *lines]).encode()))
    assert (len(found.households), found.carers, found.faults) == (500, 1000, [])


def test_csv_of_an_old_excel_keeps_its_accents() -> None:
    assert rows_of_file("H1;Zoë Müller;zoe@example.com".encode("cp1252"))[0][1][1] == "Zoë Müller"
    assert rows_of_file("\ufeffH1;Zoë;zoe@example.com".encode())[0][1][0] == "H1"


@given(st.text(max_size=200))
def test_no_text_breaks_the_reading_and_tidying_keeps_what_it_says(text: str) -> None:
    try:
        rows = rows_of_text(text)
    except UnreadableSheet:
        return
    assert read_families(rows_of_text(tidied(rows))).households == read_families(rows).households


def test_the_api_reads_a_file_and_stores_nothing(door: Door) -> None:
    file = workbook(("H1", "Maya Patel", "maya@example.com", "07700 900123"), ("H2",))
    told = door.call("POST", "/families", data=file, headers={"Content-Type": XLSX}).json
    assert told == {
        "households": [{"reference": "H1", "carers": [MAYA]}],
        "carers": 1,
        "faults": [{"line": 2, "message": "name is missing; e-mail is missing"}],
    }
    wrong = door.call("POST", "/families", data=b"x", headers={"Content-Type": "image/png"})
    assert (wrong.status_code, "text/csv" in wrong.json["detail"]) == (415, True)
    torn = door.call("POST", "/families", data=b"PK", headers={"Content-Type": XLSX}).json
    assert torn["faults"][0]["line"] == 0
