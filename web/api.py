"""The staff API under `/api/v1`, its document, and `/healthz`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol

from flask import Blueprint, Response, jsonify

from course.model import Platform
from course.store.database import Database
from course.store.erasures import Erasures
from web.access import open_door
from web.attention import add_attention
from web.board import BoardView, add_board
from web.changes import ChangeOffice, add_changes
from web.cohort_rule import add_rule
from web.cohort_view import CohortView, Settling
from web.cohorts import add_cohorts
from web.downloads import add_downloads
from web.families import add_families
from web.opening import CohortOffice, Opening
from web.operations import Operations
from web.privacy import add_privacy
from web.quotas import Quotas
from web.registers import add_registers
from web.rehearsals import add_rehearsals
from web.release import VERSION
from web.report_view import ReportView
from web.statements import add_statements
from web.ticks import add_ticks
from web.timetable import add_timetable


class Office(CohortOffice, ChangeOffice, Settling, Protocol):
    """Whoever opens, changes and cancels cohorts."""


def create_api(
    *,
    database: Database,
    office: Office,
    close_register: Callable[[str, int, str], None],
    configured: Callable[[], Mapping[Platform, list[str]]],
    clock: Callable[[], datetime],
    public_url: str,
    default_timezone: str,
    erasures: Erasures,
    wake: Callable[[], None],
    sends_mail: bool = False,
    quotas: Quotas | None = None,
) -> Blueprint:
    """The blueprint. `configured`: the settings each platform still lacks; `sends_mail`: whether
    a mail server and a sender are; `wake` starts the chores now.
    """
    root = Blueprint("api", __name__)
    routes = Blueprint("v1", __name__, url_prefix="/api/v1")
    quotas = quotas or Quotas()
    api = Operations(routes, database, clock, quotas)
    view = CohortView(database, office, public_url, sends_mail)
    opening = Opening(
        database=database,
        office=office,
        configured=configured,
        timezone=default_timezone,
        clock=clock,
        quotas=quotas,
    )
    add_cohorts(api, opening=opening, view=view)
    add_families(api)
    add_changes(api, office=office, view=view)
    add_rehearsals(api)
    add_timetable(api, default_timezone=default_timezone)
    reports = ReportView(database, clock)
    add_downloads(api, reports)
    add_registers(api, reports, close_register=close_register)
    add_statements(api, reports)
    add_ticks(api, reports)
    add_rule(api, reports)
    add_board(api, BoardView(database, clock), reports)
    add_attention(api)
    add_privacy(api, reports, erasures=erasures, wake=wake)

    @root.get("/openapi.json")
    @open_door
    def document() -> Response:
        return jsonify(api.document(title="Circle", version=VERSION))

    @root.get("/healthz")
    @open_door
    def alive() -> Response:
        return jsonify(alive=True)

    root.register_blueprint(routes)
    return root
