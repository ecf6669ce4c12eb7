"""Registers: the evidence behind a verdict, their versions, certificates, closing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from flask import Response, jsonify

from course.model import AllSessions
from course.reports import explain
from course.store import access, evidence, notifications, revisions
from integration.provider import ProviderError
from web.access import Caller
from web.certificate import certificate_pdf
from web.cohort_view import known_cohort, known_week, may_be_shown, must_be_shown
from web.operations import Operations
from web.problems import Problem
from web.report_view import ReportView
from web.schemas import EvidenceOut, OneCarer, ReportOut, VersionsOut

_ALL, _STAFF = ("admin", "facilitator", "viewer"), ("admin", "facilitator")


def add_registers(
    api: Operations, view: ReportView, *, close_register: Callable[[str, int, str], None]
) -> None:
    """The operations on a cohort's attendance. `close_register` takes cohort, week and actor."""
    database = api.database

    def note(caller: Caller, action: str, subject: str) -> None:
        with database.write() as connection:
            access.add_audit(
                connection, actor=caller.actor, action=action, subject=subject, now=api.clock()
            )

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
        known_week(cohort, week, query.carer)
        must_be_shown(cohort, query.carer, caller)
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
        "GET",
        "/cohorts/<cohort_id>/sessions/<int:week>/versions",
        summary="The versions of a closed register, and what changed from one to the next",
        roles=_ALL,
        answers={200: VersionsOut},
    )
    def versions(caller: Caller, cohort_id: str, week: int) -> Response:
        cohort = known_cohort(database, caller, cohort_id)
        known_week(cohort, week, None)
        with database.read() as connection:
            found = revisions.read_versions(connection, cohort_id, week)
        told_of = [
            {who: v for who, v in version.verdicts.items() if may_be_shown(cohort, who, caller)}
            for version in found
        ]
        return jsonify(
            week=week,
            versions=[
                {
                    "version": version.number,
                    "made_at": version.made_at.isoformat(),
                    "cause": version.cause,
                    "verdicts": {
                        carer: {k: v for k, v in told.items() if k != "evidence"}
                        for carer, told in verdicts.items()
                    },
                    "changed": _difference(before, verdicts) if number else [],
                }
                for number, (version, before, verdicts) in enumerate(
                    zip(found, [{}, *told_of], told_of, strict=False)
                )
            ],
        )

    @api.add(
        "GET",
        "/cohorts/<cohort_id>/carers/<carer_id>/certificate.pdf",
        summary="The certificate of a carer who attended every session",
        roles=_STAFF,
        answers={200: "application/pdf"},
    )
    def certificate(caller: Caller, cohort_id: str, carer_id: str) -> Response:
        cohort = known_cohort(database, caller, cohort_id)
        must_be_shown(cohort, carer_id, caller)
        carer = next((c for c in cohort.carers if c.id == carer_id), None)
        if carer is None:
            raise Problem(404, "No such carer", "GET the cohort to see its carers and their ids.")
        api.quotas.check_export(database, caller, api.clock())
        report = view.built(cohort)
        stands = report.carers[carer_id].all_sessions
        if stands is not AllSessions.COMPLETED:
            raise Problem(
                409,
                "Not completed",
                f"The register says “{stands.value.replace('_', ' ')}”. A certificate is for who "
                "attended every session; settle the open weeks first.",
            )
        note(caller, "certificate.make", f"{cohort_id}/{carer_id}")
        answer = Response(
            certificate_pdf(report, carer, now=api.clock()), content_type="application/pdf"
        )
        answer.headers["Content-Disposition"] = 'attachment; filename="certificate.pdf"'
        return answer

    @api.add(
        "POST",
        "/cohorts/<cohort_id>/sessions/<int:week>/close",
        summary="Fetch the platform's own record now and close the register",
        roles=_STAFF,
        answers={200: ReportOut},
    )
    def close(caller: Caller, cohort_id: str, week: int) -> Response:
        cohort = known_cohort(database, caller, cohort_id)
        known_week(cohort, week, None)
        try:
            close_register(cohort_id, week, caller.actor)
        except ProviderError as e:
            raise Problem(
                503,
                "The register could not be closed",
                f"{e} Nothing is lost; the record is asked for again by itself.",
                headers={"Retry-After": "60"},
            ) from e
        return jsonify(view.shown(cohort, caller))


def _difference(before: dict[str, Any], after: dict[str, Any]) -> list[dict[str, Any]]:
    """What differs between two versions, carer by carer, and how many facts came or went."""
    changed = []
    for carer in sorted({*before, *after}):
        old, new = before.get(carer, {}), after.get(carer, {})
        if old == new:
            continue
        facts, facts_before = set(new.get("evidence", ())), set(old.get("evidence", ()))
        changed.append(
            {
                "carer": carer,
                **{
                    name: {"before": old.get(name), "after": new.get(name)}
                    for name in ("verdict", "minutes", "camera", "correction")
                    if old.get(name) != new.get(name)
                },
                "new_facts": len(facts - facts_before),
                "gone_facts": len(facts_before - facts),
            }
        )
    return changed
