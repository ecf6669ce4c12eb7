"""Families as a list that staff have anyway: each carer a line, with every fault named by its line.

Columns may stand in any order under a heading; without one they are household, name, e-mail and
telephone.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import Response, jsonify
from pydantic import ValidationError

from web.access import Caller
from web.operations import Operations
from web.schemas import CarerIn, FamiliesOut, Reference
from web.spreadsheet import Row, UnreadableSheet, rows_of_file

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
COLUMNS = ("household", "name", "email", "phone")
_HEADINGS = {
    "household": {"household", "family", "reference", "householdreference", "booking"},
    "name": {"name", "carer", "carername", "fullname", "parent"},
    "first": {"firstname", "forename", "givenname"},
    "last": {"lastname", "surname", "familyname"},
    "email": {"email", "emailaddress", "mail"},
    "phone": {"phone", "telephone", "mobile", "tel", "phonenumber", "mobilenumber"},
}
_SAYS = {"reference": "household", "name": "name", "email": "e-mail", "phone": "telephone"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Families:
    """`households` as the API takes them; `faults` are (line of the file, what to put right)."""

    households: list[dict[str, Any]]
    faults: list[tuple[int, str]]

    @property
    def carers(self) -> int:
        """How many are enrolled by them."""
        return sum(len(household["carers"]) for household in self.households)


def add_families(api: Operations) -> None:
    """`POST /families`."""

    @api.add(
        "POST",
        "/families",
        summary="Read families from CSV or an XLSX workbook; nothing is stored",
        roles=("admin", "facilitator"),
        media_types=("text/csv", XLSX),
        answers={200: FamiliesOut},
    )
    def families(caller: Caller, content: bytes) -> Response:
        del caller
        try:
            found = read_families(rows_of_file(content))
        except UnreadableSheet as e:
            found = Families(households=[], faults=[(0, str(e))])
        return jsonify(
            households=found.households,
            carers=found.carers,
            faults=[{"line": line, "message": message} for line, message in found.faults],
        )


def read_families(rows: Sequence[Row]) -> Families:
    """Families from rows. A line with a fault enrols nobody."""
    columns = _columns(rows[0][1]) if rows else None
    body = rows[1:] if columns is not None else rows
    households: dict[str, list[dict[str, Any]]] = {}
    faults: list[tuple[int, str]] = []
    for line, cells in body:
        found = _named(cells, columns)
        wrong = _faults(found)
        household = households.setdefault(found["household"], []) if not wrong else []
        if len(household) == 2:
            wrong.append(f"{found['household']} has two carers already, and a third is named here")
        if any(carer["name"] == found["name"] for carer in household):
            wrong.append(f"{found['name']} is named twice in {found['household']}")
        if wrong:
            faults.append((line, "; ".join(wrong)))
        else:
            told = {"name": found["name"], "email": found["email"], "phone": found["phone"] or None}
            household.append(told)
    return Families(
        households=[
            {"reference": reference, "carers": carers}
            for reference, carers in households.items()
            if carers
        ],
        faults=faults,
    )


def tidied(rows: Sequence[Row]) -> str:
    """The rows of a file as lines to look at and to put right: every one, faulty or not."""
    columns = _columns(rows[0][1]) if rows else None
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for _, cells in rows[1:] if columns is not None else rows:
        found = list(_named(cells, columns).values())
        writer.writerow(found if found[-1] else found[:-1])
    return text.getvalue()


def _columns(cells: list[str]) -> dict[str, int] | None:
    """Where each column is, if the first line is a heading."""
    folded = ["".join(c for c in cell.casefold() if c.isalpha()) for cell in cells]
    found = {
        name: place
        for name, headings in _HEADINGS.items()
        for place, heading in reversed(list(enumerate(folded)))
        if heading in headings
    }
    named = "name" in found or {"first", "last"} <= set(found)
    return found if named and "email" in found else None


def _named(cells: list[str], columns: dict[str, int] | None) -> dict[str, str]:
    places = columns if columns is not None else dict(zip(COLUMNS, range(4), strict=True))
    found = {name: cells[at] if at < len(cells) else "" for name, at in places.items()}
    if "name" not in found:
        found["name"] = f"{found.get('first', '')} {found.get('last', '')}".strip()
    return {name: found.get(name, "") for name in COLUMNS}


class _Line(CarerIn):
    """One line, to be judged as the API judges it."""

    reference: Reference


def _faults(found: dict[str, str]) -> list[str]:
    missing = [f"{_SAYS.get(name, name)} is missing" for name in COLUMNS[:3] if not found[name]]
    if missing:
        return missing
    try:
        _Line(
            reference=found["household"],
            name=found["name"],
            email=found["email"],
            phone=found["phone"] or None,
        )
    except ValidationError as e:
        return [
            f"{_SAYS[str(error['loc'][0])]} {error['msg'].removeprefix('Value error, ')}"
            for error in e.errors(include_url=False, include_context=False, include_input=False)
        ]
    return []
