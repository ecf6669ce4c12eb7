"""The attendance report as the API gives it, and as files that people download and print."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from flask import Response, jsonify

from course.model import Cohort
from course.narrowing import Only
from course.store import access
from web.access import Caller
from web.cohort_view import known_cohort, note_view
from web.exports import FORMATS, Format, signed
from web.operations import Operations
from web.problems import Problem
from web.report_view import ReportView
from web.schemas import OnlyThose, ReportOut

_ALL = ("admin", "facilitator", "viewer")


def add_downloads(api: Operations, view: ReportView) -> None:
    """The report, and one operation for each format."""

    def handed_out(caller: Caller, cohort: Cohort, only: Only) -> dict[str, Any]:
        return view.handed_out(cohort, caller, only=only)

    @api.add(
        "GET",
        "/cohorts/<cohort_id>/attendance",
        summary="The attendance report",
        roles=_ALL,
        query=OnlyThose,
        answers={200: ReportOut},
    )
    def attendance(caller: Caller, cohort_id: str, query: OnlyThose) -> Response:
        cohort = known_cohort(api.database, caller, cohort_id)
        note_view(api.database, caller, cohort_id, api.clock())
        return jsonify(handed_out(caller, cohort, known_only(cohort, query)))

    def add_format(ending: str, form: Format) -> None:
        @api.add(
            "GET",
            f"/cohorts/<cohort_id>/attendance.{ending}",
            summary=f"The attendance report as {form.name}",
            roles=_ALL,
            query=OnlyThose,
            answers={200: form.media_type},
        )
        def download(caller: Caller, cohort_id: str, query: OnlyThose) -> Response:
            cohort = known_cohort(api.database, caller, cohort_id)
            only = known_only(cohort, query)
            api.quotas.check_export(api.database, caller, api.clock())
            made_by = f"{caller.name} ({caller.role})"
            made = form.make(signed(handed_out(caller, cohort, only), only=only, made_by=made_by))
            with api.database.write() as connection:
                access.add_audit(
                    connection,
                    actor=caller.actor,
                    action="report.export",
                    subject=cohort.id,
                    now=api.clock(),
                    detail={"format": ending, "household": only.household, "carer": only.carer_id},
                )
            answer = Response(made.content, content_type=form.content_type)
            name = f"{file_name(cohort, only)}.{ending}"
            answer.headers["Content-Disposition"] = disposition(name, shown=ending == "html")
            answer.headers["Cache-Control"] = "no-store"
            if made.policy:
                answer.headers["Content-Security-Policy"] = made.policy
            return answer

    for ending, form in FORMATS.items():
        add_format(ending, form)


def known_only(cohort: Cohort, query: OnlyThose) -> Only:
    """Whom the query asks for, if they are this cohort's."""
    only = Only(household=query.household, carer_id=query.carer)
    if not only.is_everybody and not only.of(cohort):
        asked = "carer" if query.carer is not None else "household"
        raise Problem(
            404,
            f"No such {asked} in this cohort",
            "GET the cohort to see its households, its carers and their ids.",
        )
    return only


def disposition(name: str, *, shown: bool = False) -> str:
    """How a browser is told to save a file of a `file_name`, or to show it, as a page to print.

    https://www.rfc-editor.org/rfc/rfc6266
    """
    plain = name.encode("ascii", "ignore").decode()
    encoded = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'{"inline" if shown else "attachment"}; filename="{plain}"{encoded}'


def file_name(cohort: Cohort, only: Only) -> str:
    """What a download is called: by ids and the household reference, never by a person."""
    parts = ["attendance", cohort.id, *(p for p in (only.household, only.carer_id) if p)]
    return "-".join(re.sub(r"[^\w-]+", "-", part).strip("-") or "x" for part in parts)
