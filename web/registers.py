"""Attendance: the report, the evidence behind a verdict, corrections, identities, closing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from flask import Response, jsonify

from course.model import Carer, Cohort, Verdict
from course.reports import build_report, explain, report_json, report_rows, roster
from course.store import access, cohorts, evidence, notifications
from integration.provider import ProviderError
from web.access import Caller
from web.cohort_view import known_cohort
from web.exports import csv_text
from web.operations import Operations
from web.problems import Problem
from web.schemas import (
    CorrectionIn,
    EvidenceOut,
    IdentityIn,
    OneCarer,
    ReportOut,
    WeekOut,
)

_ALL, _STAFF = ("admin", "facilitator", "viewer"), ("admin", "facilitator")


def add_registers(api: Operations, *, close_register: Callable[[str, int, str], None]) -> None:
    """The operations on a cohort's attendance. `close_register` takes cohort, week and actor."""
    database = api.database

    def report_of(cohort: Cohort) -> dict[str, Any]:
        with database.read() as connection:
            found = evidence.read_evidence(connection, cohort)
        report = report_json(build_report(cohort, found, now=api.clock()))
        for carer, shown in zip(roster(cohort), report["carers"], strict=True):
            shown["transferred_from"] = earlier(carer) if carer.transferred_from else None
        return report

    def earlier(carer: Carer) -> dict[str, Any] | None:
        """What a transferred carer attended in the cohort they came from: shown, not counted."""
        with database.read() as connection:
            origin = cohorts.read_carer_cohort(connection, carer.transferred_from or "")
            cohort = cohorts.read_cohort(connection, origin) if origin else None
            found = evidence.read_evidence(connection, cohort) if cohort else None
        if cohort is None or found is None:
            return None
        report = build_report(cohort, found, now=api.clock())
        return {
            "cohort": cohort.id,
            "name": cohort.name,
            "weeks": [
                {
                    "week": r.session.week,
                    "starts_at": r.session.starts_at.isoformat(),
                    "verdict": r.weeks[carer.transferred_from or ""].verdict.value,
                }
                for r in report.registers
                if r.weeks[carer.transferred_from or ""].verdict is not Verdict.PENDING
            ],
        }

    def week_of(cohort: Cohort, week: int, carer_id: str) -> dict[str, Any]:
        report = report_of(cohort)
        carer = next(c for c in report["carers"] if c["id"] == carer_id)
        return next(w for w in carer["weeks"] if w["week"] == week)

    def note(caller: Caller, action: str, subject: str) -> None:
        with database.write() as connection:
            access.add_audit(
                connection, actor=caller.actor, action=action, subject=subject, now=api.clock()
            )

    @api.add(
        "GET",
        "/cohorts/<cohort_id>/attendance",
        summary="The attendance report",
        roles=_ALL,
        answers={200: ReportOut},
    )
    def attendance(caller: Caller, cohort_id: str) -> Response:
        return jsonify(report_of(known_cohort(database, caller, cohort_id)))

    @api.add(
        "GET",
        "/cohorts/<cohort_id>/attendance.csv",
        summary="The attendance report as CSV",
        roles=_ALL,
        answers={200: "text/csv"},
    )
    def attendance_csv(caller: Caller, cohort_id: str) -> Response:
        cohort = known_cohort(database, caller, cohort_id)
        with database.read() as connection:
            found = evidence.read_evidence(connection, cohort)
        text = csv_text(report_rows(build_report(cohort, found, now=api.clock())))
        note(caller, "report.export", cohort_id)
        answer = Response(text, content_type="text/csv; charset=utf-8")
        name = f"attendance-{cohort.id}.csv"
        answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return answer

    @api.add(
        "GET",
        "/cohorts/<cohort_id>/sessions/<int:week>/evidence",
        summary="Every fact behind one verdict",
        roles=_STAFF,
        query=OneCarer,
        answers={200: EvidenceOut},
    )
    def facts(caller: Caller, cohort_id: str, week: int, query: OneCarer) -> Response:
        cohort = known_cohort(database, caller, cohort_id)
        _known(cohort, week, query.carer)
        with database.read() as connection:
            found = evidence.read_evidence(connection, cohort)
        explained = explain(cohort, found, week=week, carer_id=query.carer, now=api.clock())
        if explained is None:
            raise Problem(404, "No such week or carer")
        ids = {e["notification"] for e in explained["events"]} - {None}
        with database.read() as connection:
            stored = notifications.notifications_of(connection, ids)
        explained["notifications"] = [
            {
                "id": n.id,
                "kind": n.kind,
                "received_at": n.received_at.isoformat(),
                "body": json.loads(n.body) if n.body else None,
            }
            for n in stored
        ] + [
            # A notification that told just one fact was kept as that fact.
            {"id": e["key"], "kind": e["told_as"], "received_at": e["received_at"], "body": e}
            for e in explained["events"]
            if e["told_as"]
        ]
        note(caller, "evidence.view", f"{cohort_id}/{week}/{query.carer}")
        return jsonify(explained)

    @api.add(
        "PUT",
        "/cohorts/<cohort_id>/sessions/<int:week>/verdicts/<carer_id>",
        summary="Correct a verdict, with a reason",
        roles=_STAFF,
        body=CorrectionIn,
        answers={200: WeekOut},
    )
    def correct(
        caller: Caller, cohort_id: str, week: int, carer_id: str, body: CorrectionIn
    ) -> Response:
        cohort = known_cohort(database, caller, cohort_id)
        _known(cohort, week, carer_id)
        if body.verdict is Verdict.PENDING:
            raise Problem(
                422,
                "1 thing to put right",
                errors=[("verdict", "attended, partial, absent or undetermined")],
            )
        with database.write() as connection:
            evidence.add_correction(
                connection,
                cohort_id,
                week=week,
                carer_id=carer_id,
                verdict=body.verdict,
                kind=body.kind,
                reason=body.reason,
                made_by=caller.name,
                now=api.clock(),
            )
            access.add_audit(
                connection,
                actor=caller.actor,
                action="verdict.correct",
                subject=f"{cohort_id}/{week}/{carer_id}",
                now=api.clock(),
                detail={"verdict": body.verdict, "kind": body.kind, "reason": body.reason},
            )
        return jsonify(week_of(cohort, week, carer_id))

    @api.add(
        "DELETE",
        "/cohorts/<cohort_id>/sessions/<int:week>/verdicts/<carer_id>",
        summary="Take a correction back",
        roles=_STAFF,
        answers={200: WeekOut},
    )
    def take_back(caller: Caller, cohort_id: str, week: int, carer_id: str) -> Response:
        cohort = known_cohort(database, caller, cohort_id)
        _known(cohort, week, carer_id)
        with database.write() as connection:
            evidence.add_correction(
                connection,
                cohort_id,
                week=week,
                carer_id=carer_id,
                verdict=None,
                kind=None,
                reason=None,
                made_by=caller.name,
                now=api.clock(),
            )
            access.add_audit(
                connection,
                actor=caller.actor,
                action="verdict.take_back",
                subject=f"{cohort_id}/{week}/{carer_id}",
                now=api.clock(),
            )
        return jsonify(week_of(cohort, week, carer_id))

    @api.add(
        "PUT",
        "/cohorts/<cohort_id>/sessions/<int:week>/participants/<ref>",
        summary="Say who an unmatched participant was; remembered for the other weeks",
        roles=_STAFF,
        body=IdentityIn,
        answers={200: ReportOut},
    )
    def identify(caller: Caller, cohort_id: str, week: int, ref: str, body: IdentityIn) -> Response:
        cohort = known_cohort(database, caller, cohort_id)
        _known(cohort, week, body.carer)
        known = {seen["ref"] for seen in report_of(cohort)["unmatched"]}
        with database.read() as connection:
            known |= {link.ref for link in evidence.read_evidence(connection, cohort).links}
        if ref not in known:
            raise Problem(
                404, "No such participant", "The report lists them under unmatched, with their ref."
            )
        _link(caller, cohort_id, week, ref, carer_id=body.carer, taken_back=False)
        return jsonify(report_of(cohort))

    @api.add(
        "DELETE",
        "/cohorts/<cohort_id>/sessions/<int:week>/participants/<ref>",
        summary="Take an identity back; the weeks it changed are judged again",
        roles=_STAFF,
        answers={200: ReportOut},
    )
    def forget(caller: Caller, cohort_id: str, week: int, ref: str) -> Response:
        cohort = known_cohort(database, caller, cohort_id)
        _known(cohort, week, None)
        _link(caller, cohort_id, week, ref, carer_id=None, taken_back=True)
        return jsonify(report_of(cohort))

    def _link(
        caller: Caller,
        cohort_id: str,
        week: int,
        ref: str,
        *,
        carer_id: str | None,
        taken_back: bool,
    ) -> None:
        with database.write() as connection:
            evidence.add_link(
                connection,
                cohort_id,
                ref=ref,
                carer_id=carer_id,
                taken_back=taken_back,
                made_by=caller.name,
                now=api.clock(),
            )
            access.add_audit(
                connection,
                actor=caller.actor,
                action="participant.forget" if taken_back else "participant.identify",
                subject=f"{cohort_id}/{week}/{ref}",
                now=api.clock(),
                detail={"carer": carer_id},
            )

    @api.add(
        "POST",
        "/cohorts/<cohort_id>/sessions/<int:week>/close",
        summary="Fetch the platform's own record now and close the register",
        roles=_STAFF,
        answers={200: ReportOut},
    )
    def close(caller: Caller, cohort_id: str, week: int) -> Response:
        cohort = known_cohort(database, caller, cohort_id)
        _known(cohort, week, None)
        try:
            close_register(cohort_id, week, caller.actor)
        except ProviderError as e:
            raise Problem(
                503,
                "The register could not be closed",
                f"{e} Nothing is lost; the record is asked for again by itself.",
                headers={"Retry-After": "60"},
            ) from e
        return jsonify(report_of(cohort))


def _known(cohort: Cohort, week: int, carer_id: str | None) -> None:
    if cohort.session(week) is None:
        raise Problem(404, "No such week", f"This course has weeks 1 to {len(cohort.sessions)}.")
    if carer_id is not None and all(carer.id != carer_id for carer in cohort.carers):
        raise Problem(404, "No such carer", "GET the cohort to see its carers and their ids.")
