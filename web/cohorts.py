"""Opening, listing, reading and cancelling cohorts."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from flask import Response, jsonify, request

from course.calendar_file import staff_calendar
from course.store import cohorts, rehearsals, standings
from integration.scheduling import Refused
from web.access import Caller
from web.cohort_view import (
    CohortView,
    cohort_json,
    expected_version,
    known_cohort,
    note_overview,
    note_view,
    problem_of,
)
from web.downloads import disposition
from web.opening import Opening
from web.operations import Operations
from web.problems import Problem
from web.schemas import CohortIn, CohortOut, CohortsOut, Page

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_WRITERS, _ALL = ("admin",), ("admin", "facilitator", "viewer")


def add_cohorts(
    api: Operations,
    *,
    opening: Opening,
    view: CohortView,
) -> None:
    """The operations on `/cohorts`: open, list, read, cancel."""
    database = api.database

    @api.add(
        "POST",
        "/cohorts",
        summary="Open a cohort in one call",
        roles=_WRITERS,
        body=CohortIn,
        answers={201: CohortOut, 202: CohortOut},
        headers={"Idempotency-Key": "The same key and body give the same cohort"},
        more_faults=opening.faults,
    )
    def create(caller: Caller, body: CohortIn) -> Response:
        key = request.headers.get("Idempotency-Key")
        if key is not None and not _KEY.fullmatch(key):
            raise Problem(
                422,
                "The Idempotency-Key is not acceptable",
                errors=[("Idempotency-Key", "1 to 255 visible ASCII characters")],
            )
        cohort_id = opening.open(body, key=key, caller=caller)
        return view.settled(cohort_id, caller, done=201)

    @api.add(
        "GET",
        "/cohorts",
        summary="List the cohorts, the newest first",
        roles=_ALL,
        query=Page,
        answers={200: CohortsOut},
    )
    def listed(caller: Caller, query: Page) -> Response:
        note_overview(database, caller, "cohorts", api.clock())
        if query.rule is not None:
            standings.refresh_few(database, now=api.clock(), only_ids=caller.cohort_ids)
        with database.read() as connection:
            found, total = cohorts.page_of_cohorts(
                connection,
                state=query.state,
                platform=query.platform,
                stands=query.rule,
                only_ids=caller.cohort_ids,
                limit=query.limit,
                offset=query.offset,
            )
            rows = [
                cohort_json(
                    c,
                    cohorts.read_enrolments(connection, c.id),
                    caller,
                    public_url=view.public_url,
                )
                for c in found
            ]
        following = query.offset + query.limit
        asked = query.model_dump(mode="json", exclude_none=True) | {"offset": following}
        more = f"/api/v1/cohorts?{urlencode(asked)}"
        return jsonify(cohorts=rows, total=total, next=more if following < total else None)

    @api.add(
        "GET", "/cohorts/<cohort_id>", summary="One cohort", roles=_ALL, answers={200: CohortOut}
    )
    def one(caller: Caller, cohort_id: str) -> Response:
        known_cohort(database, caller, cohort_id)
        note_view(database, caller, cohort_id, api.clock())
        return view.shown(cohort_id, caller, code=200)

    @api.add(
        "DELETE",
        "/cohorts/<cohort_id>",
        summary="Cancel a cohort; its evidence stays",
        roles=_WRITERS,
        answers={200: CohortOut, 202: CohortOut},
        headers={"If-Match": "The ETag of the cohort as you have read it"},
    )
    def cancel(caller: Caller, cohort_id: str) -> Response:
        known_cohort(database, caller, cohort_id)
        try:
            opening.office.cancel_cohort(cohort_id, expected=expected_version(), actor=caller.actor)
        except Refused as e:
            raise problem_of(e) from e
        return view.settled(cohort_id, caller, done=200)

    @api.add(
        "GET",
        "/cohorts/<cohort_id>/calendar.ics",
        summary="The sessions as a calendar file for who runs them; nobody is named in it",
        roles=("admin", "facilitator"),
        answers={200: "text/calendar"},
    )
    def calendar(caller: Caller, cohort_id: str) -> Response:
        cohort = known_cohort(database, caller, cohort_id)
        with database.read() as connection:
            offered = rehearsals.read_rehearsals(connection, cohort_id)
        page_url = f"{view.public_url}/cohorts/{cohort_id}"
        answer = Response(
            staff_calendar(cohort, page_url=page_url, rehearsals=offered),
            content_type="text/calendar; charset=utf-8",
        )
        answer.headers["Content-Disposition"] = disposition(f"sessions-{cohort.id}.ics")
        return answer
