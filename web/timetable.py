"""The preview of a timetable: eight instants, and Saturdays that one may want to skip."""

from __future__ import annotations

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from flask import Response, jsonify

from course.programme import COURSE
from course.timetable import faults_of_plan, plan_sessions, suggested_skips
from web.access import Caller
from web.operations import Operations
from web.problems import Problem
from web.schemas import TimetableOut, TimetableQuery


def add_timetable(api: Operations, *, default_timezone: str) -> None:
    """`GET /timetable`."""

    @api.add(
        "GET",
        "/timetable",
        summary="What a first Saturday would mean, with Saturdays that one may want to skip",
        roles=("admin", "facilitator"),
        query=TimetableQuery,
        answers={200: TimetableOut},
    )
    def timetable(caller: Caller, query: TimetableQuery) -> Response:
        del caller
        try:
            skips = [date.fromisoformat(d) for d in query.skip_dates.split(",") if d.strip()]
        except ValueError as e:
            raise Problem(
                422,
                "1 thing to put right",
                errors=[("skip_dates", "give dates such as 2027-12-25,2028-01-01")],
            ) from e
        asked: dict[str, Any] = {
            "first_session_on": query.first_session_on,
            "skip_dates": skips,
            "starts_at": COURSE.starts_at,
            "timezone": default_timezone,
            "session_minutes": COURSE.session_minutes,
            "first_session_minutes": COURSE.first_session_minutes,
        }
        faults = faults_of_plan(COURSE, **asked, allow_past=True, now=api.clock())
        if faults:
            raise Problem(
                422,
                f"{len(faults)} thing{'' if len(faults) == 1 else 's'} to put right",
                errors=[(fault.field, fault.message) for fault in faults],
            )
        zone = ZoneInfo(default_timezone)
        return jsonify(
            sessions=[
                {
                    "week": s.week,
                    "topic": s.topic,
                    "starts_at": s.starts_at.astimezone(zone).isoformat(),
                    "ends_at": s.ends_at.astimezone(zone).isoformat(),
                }
                for s in plan_sessions(COURSE, **asked)
            ],
            suggested_skips=[
                {"date": day.isoformat(), "why": why}
                for day, why in suggested_skips(query.first_session_on).items()
                if day not in skips
            ],
        )
