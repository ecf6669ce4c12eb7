"""The form that opens a cohort: it works as it is, and shows dates and families while one types."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import date, timedelta
from functools import partial
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from course.programme import COURSE
from course.store import cohorts
from course.timetable import SATURDAY, plan_sessions, session_dates, suggested_skips
from web.access import Caller
from web.cohort_view import known_cohort
from web.families import Families, read_families, tidied
from web.opening import Opening
from web.operations import validated
from web.page import Pages
from web.problems import Problem
from web.progress import is_under_way, progress_of
from web.schemas import CohortIn
from web.spreadsheet import UnreadableSheet, rows_of_file, rows_of_text

SATURDAYS, MOST_SKIPS = 52, 20
_ADMIN = ("admin",)
NUMBERS = ("session_minutes", "first_session_minutes")
# A field of the API, as the form calls it.
LABELS = {
    "name": "Name",
    "platform": "Where it meets",
    "first_session_on": "First Saturday",
    "skip_dates": "Saturdays to leave out",
    "starts_at": "Begins at",
    "first_session_minutes": "Minutes of week 1",
    "session_minutes": "Minutes of the other weeks",
    "household_rule": "In a household of two",
    "organiser": "Account that holds the meetings",
    "facilitators": "Facilitators",
    "households": "Families",
}


def add_opening(routes: Blueprint, pages: Pages, opening: Opening) -> None:
    """`/cohorts/new`, its parts, and the steps of an opening under way."""
    page = partial(pages.add, routes)

    def form(
        caller: Caller,
        told: Mapping[str, Any],
        *,
        key: str,
        faults: list[tuple[str, str]] | None = None,
        families: Families | None = None,
    ) -> Response:
        return pages.answer(
            "cohort_new.html",
            422 if faults else 200,
            caller=caller,
            here="cohorts",
            months=_saturdays(_today()),
            platforms={p.value: missing for p, missing in pages.configured().items()},
            course=COURSE,
            told=told,
            key=key,
            faults=faults or [],
            labels=LABELS,
            families=families,
            plan=_plan(told, opening.timezone),
        )

    def _today() -> date:
        return pages.clock().astimezone(ZoneInfo(pages.timezone)).date()

    @page("/cohorts/new", _ADMIN)
    def new_cohort(caller: Caller) -> AnyResponse:
        return form(caller, {}, key=secrets.token_urlsafe(16))

    @page("/cohorts/new", _ADMIN, "POST")
    def open_cohort(caller: Caller) -> AnyResponse:
        told: dict[str, Any] = request.form.to_dict()
        told["skip"] = request.form.getlist("skip")
        key = told.get("key", "")[:255]
        families, faults = Families(households=[], faults=[]), []
        try:
            told["households"] = _lines_sent()
            families = read_families(rows_of_text(told["households"]))
            faults += [("households", f"line {n}: {text}") for n, text in families.faults]
            raw = _as_the_api_takes_it(told, families)
            wrong = {"households"} if faults else set[str]()
            body = validated(
                CohortIn,
                raw,
                json.dumps(raw).encode(),
                lambda found, faulty: opening.faults(found, faulty | wrong),
            )
            if not faults:
                cohort_id = opening.open(body, key=key or None, caller=caller)
                return redirect(f"/cohorts/{cohort_id}", code=303)
        except UnreadableSheet as e:
            faults.append(("households", str(e)))
        except Problem as problem:
            faults += problem.errors or [("", f"{problem.title}. {problem.detail}")]
        return form(caller, told, key=key, faults=faults, families=families)

    @page("/cohorts/new/plan", _ADMIN)
    def plan(caller: Caller) -> AnyResponse:
        told = {**request.args.to_dict(), "skip": request.args.getlist("skip")}
        return pages.answer(
            "cohort_plan.html", caller=caller, plan=_plan(told, opening.timezone), told=told
        )

    @page("/cohorts/new/families", _ADMIN, "POST")
    def families(caller: Caller) -> AnyResponse:
        try:
            lines = _lines_sent()
            found = read_families(rows_of_text(lines))
        except UnreadableSheet as e:
            lines, found = "", Families(households=[], faults=[(0, str(e))])
        return pages.answer(
            "cohort_families.html",
            caller=caller,
            families=found,
            lines=lines if "file" in request.files and lines else None,
        )

    @page("/cohorts/<cohort_id>/opening", ("admin", "facilitator", "viewer"))
    def progress(caller: Caller, cohort_id: str) -> AnyResponse:
        cohort = known_cohort(pages.database, caller, cohort_id)
        if not is_under_way(cohort):
            return Response(headers={"HX-Refresh": "true"})
        with pages.database.read() as connection:
            enrolments = cohorts.read_enrolments(connection, cohort_id)
            steps = progress_of(connection, cohort, enrolments, sends_mail=pages.sends_mail)
        return pages.answer("cohort_progress.html", caller=caller, id=cohort_id, steps=steps)


def _lines_sent() -> str:
    """The families as lines: of the file, if one was chosen, else as they were typed."""
    file = request.files.get("file")
    if file is not None and file.filename:
        return tidied(rows_of_file(file.read()))
    return request.form.get("households", "")


def _as_the_api_takes_it(told: Mapping[str, Any], families: Families) -> dict[str, Any]:
    """The form's fields as the API's body. What is left empty is left out."""
    raw: dict[str, Any] = {
        name: told[name].strip()
        for name in LABELS
        if name not in ("facilitators", "households") and str(told.get(name, "")).strip()
    }
    for name in NUMBERS:
        if raw.get(name, "").isdecimal():
            raw[name] = int(raw[name])
    raw["skip_dates"] = told["skip"]
    people = [cells for _, cells in rows_of_text(told.get("facilitators", ""))]
    raw["facilitators"] = [
        dict(zip(("name", "email"), [*cells, ""][:2], strict=True)) for cells in people
    ]
    raw["households"] = families.households
    return raw


def _plan(told: Mapping[str, Any], timezone: str) -> list[dict[str, Any]]:
    """Every Saturday from the first session to the last: what is held then, or that it is left out.

    Nothing without a first Saturday. Days that this course does not touch are not left out of it.
    """
    try:
        first = date.fromisoformat(told.get("first_session_on", ""))
        asked = {date.fromisoformat(day) for day in told.get("skip", [])}
    except ValueError:
        return []
    count = len(COURSE.topics)
    skips = {day for day in asked if day > first and day.weekday() == SATURDAY}
    if first.weekday() != SATURDAY or len(skips) > MOST_SKIPS:
        return []
    last = session_dates(first, sorted(skips), count=count)[-1]
    skips = {day for day in skips if day < last}
    sessions = plan_sessions(
        COURSE,
        first_session_on=first,
        skip_dates=sorted(skips),
        starts_at=COURSE.starts_at,
        timezone=timezone,
        session_minutes=COURSE.session_minutes,
        first_session_minutes=COURSE.first_session_minutes,
    )
    held = {s.starts_at.astimezone(ZoneInfo(timezone)).date(): s for s in sessions}
    why = suggested_skips(first)
    return [
        {"day": day, "session": held.get(day), "holiday": why.get(day, ""), "first": day == first}
        for day in sorted({*held, *skips})
    ]


def _saturdays(today: date) -> list[tuple[str, list[tuple[date, str]]]]:
    """The Saturdays that a course may begin on, month by month, with the holidays among them."""
    first = today + timedelta(days=(SATURDAY - today.weekday()) % 7 or 7)
    days = [first + timedelta(weeks=n) for n in range(SATURDAYS)]
    marked = [(day, suggested_skips(day).get(day, "")) for day in days]
    return [(month, list(found)) for month, found in groupby(marked, lambda d: f"{d[0]:%B %Y}")]
