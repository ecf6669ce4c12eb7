"""The rule of one cohort: changed with a reason, tried first, and told what it changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from flask import Response, jsonify

from course.model import CorrectionKind
from course.reports import build_report
from course.store import evidence
from course.store.database import Connection
from course.store.rules import change_rule
from web.access import Caller
from web.cohort_view import known_cohort
from web.operations import Operations
from web.report_view import ReportView, changed_json
from web.schemas import ChangedOut, RuleIn

_STAFF = ("admin", "facilitator")


def add_rule(api: Operations, view: ReportView) -> None:
    """`PATCH …/rule`."""

    @api.add(
        "PATCH",
        "/cohorts/<cohort_id>/rule",
        summary="Change this cohort's rule; every session is judged again, and told what changed",
        roles=_STAFF,
        body=RuleIn,
        answers={200: ChangedOut},
    )
    def change(caller: Caller, cohort_id: str, body: RuleIn) -> Response:
        cohort = known_cohort(api.database, caller, cohort_id)
        rule = cohort.rule
        wanted = {
            name: getattr(body, name)
            for name in ("presence", "camera", "microphone", "household")
            if getattr(body, name) is not None
        }
        if body.late_after_minutes is not None:
            wanted["late_after"] = timedelta(minutes=body.late_after_minutes)
        if body.satisfied_by is not None:
            wanted["satisfied_by"] = frozenset(CorrectionKind(kind) for kind in body.satisfied_by)
        rule = replace(rule, **wanted)
        if body.preview:
            before = view.built(cohort)
            with api.database.read() as connection:
                found = evidence.read_evidence(connection, cohort)
            after = build_report(replace(cohort, rule=rule), found, now=api.clock())
            return jsonify({**view.shown(cohort, caller), "changed": changed_json(before, after)})

        def write(connection: Connection) -> None:
            change_rule(
                connection,
                cohort,
                rule,
                reason=body.reason,
                made_by=caller.name,
                now=api.clock(),
            )

        return jsonify(
            view.changed(
                caller,
                cohort,
                action="rule.change",
                subject="rule",
                write=write,
                detail={"reason": body.reason},
            )
        )
