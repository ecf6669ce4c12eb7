"""What a carer may ask of the practice: a copy, correction, restriction, erasure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Response, jsonify

from course.model import Carer, Cohort
from course.store import access, cohorts
from course.store.database import Connection
from course.store.erasures import Erasures, UnknownCarer
from course.store.rectifying import rectify, restrict
from course.store.subject_access import held_on
from web.access import Caller
from web.operations import Operations
from web.problems import Problem
from web.report_view import ReportView
from web.schemas import CarerChange, CarerChangedOut, CopyOut, ErasedOut, ErasureIn, Refusal
from web.subject_access import subject_access_pdf

ASKED_FOR = "asked for by the carer"
_NOT_ON_PLATFORM = (
    "The platform keeps the earlier name and address in this carer's invitation. Withdraw and "
    "enrol them again if that matters; they then get a new link."
)


def add_privacy(
    api: Operations, reports: ReportView, *, erasures: Erasures, wake: Callable[[], None]
) -> None:
    """`wake` starts the chore that takes whoever was erased off the platform."""
    database = api.database

    def known(caller: Caller, carer_id: str) -> tuple[Cohort, Carer]:
        with database.read() as connection:
            cohort_id = cohorts.read_carer_cohort(connection, carer_id)
            cohort = cohorts.read_cohort(connection, cohort_id or "")
        carer = next((c for c in cohort.carers if c.id == carer_id), None) if cohort else None
        if cohort is None or carer is None or not caller.may_see(cohort.id):
            raise Problem(404, "No such carer", "GET a cohort to see its carers and their ids.")
        return cohort, carer

    def copied(caller: Caller, carer_id: str, form: str) -> tuple[Cohort, dict[str, Any]]:
        cohort, _ = known(caller, carer_id)
        with database.write() as connection:
            access.add_audit(
                connection,
                actor=caller.actor,
                action="carer.export",
                subject=f"{cohort.id}/{carer_id}",
                now=api.clock(),
                detail={"format": form},
            )
            held = held_on(connection, carer_id, now=api.clock())
        if held is None:
            raise Problem(404, "No such carer", "They may have been erased.")
        return cohort, held

    @api.add(
        "GET",
        "/carers/<carer_id>/export",
        summary="A copy of everything held on a carer, and nothing of anybody else",
        roles=("admin",),
        answers={200: CopyOut},
    )
    def copy(caller: Caller, carer_id: str) -> Response:
        answer = jsonify(copied(caller, carer_id, "json")[1])
        answer.headers["Content-Disposition"] = 'attachment; filename="your-data.json"'
        answer.headers["Cache-Control"] = "no-store"
        return answer

    @api.add(
        "GET",
        "/carers/<carer_id>/export.pdf",
        summary="The same to read",
        roles=("admin",),
        answers={200: "application/pdf"},
    )
    def readable_copy(caller: Caller, carer_id: str) -> Response:
        cohort, held = copied(caller, carer_id, "pdf")
        answer = Response(
            subject_access_pdf(held, timezone=cohort.timezone), content_type="application/pdf"
        )
        answer.headers["Content-Disposition"] = 'attachment; filename="your-data.pdf"'
        answer.headers["Cache-Control"] = "no-store"
        return answer

    @api.add(
        "DELETE",
        "/carers/<carer_id>",
        summary="Erase a carer everywhere; only a tombstone without personal data is kept",
        roles=("admin",),
        body=ErasureIn,
        body_required=False,
        answers={200: ErasedOut},
    )
    def erase(caller: Caller, carer_id: str, body: ErasureIn | None) -> Response:
        known(caller, carer_id)
        reason = body.reason if body else ASKED_FOR
        try:
            done = erasures.erase(carer_id, reason=reason, actor=caller.actor)
        except UnknownCarer as e:  # somebody else was faster
            raise Problem(404, "No such carer", "They may have been erased already.") from e
        wake()
        telling = any(stone.to_tell for stone in done.stones)
        return jsonify(
            tombstones=[stone.id for stone in done.stones],
            erased_at=done.stones[0].erased_at.isoformat(),
            platform="is being told" if telling else "has nobody to forget",
            same_address=[
                {"cohort": cohort_id, "carer": other} for cohort_id, other in done.same_address
            ],
        )

    @api.add(
        "PATCH",
        "/carers/<carer_id>",
        summary="Put a carer's name, address or telephone number right, or restrict the use of "
        "their data",
        roles=("admin", "facilitator"),
        body=CarerChange,
        answers={200: CarerChangedOut},
    )
    def change(caller: Caller, carer_id: str, body: CarerChange) -> Response:
        cohort, carer = known(caller, carer_id)
        if body.restricted is not None and caller.role != "admin":
            raise Problem(403, "Not for your role", "Restricting is for: admin.")
        name, email = body.name or carer.name, body.email or carer.email
        phone = body.phone if "phone" in body.model_fields_set else carer.phone
        corrected = (name, email, phone) != (carer.name, carer.email, carer.phone)
        told: dict[str, Any] = {"changed": []}
        if corrected:

            def write(connection: Connection) -> None:
                rectify(
                    connection,
                    carer,
                    name=name,
                    email=email,
                    phone=phone,
                    reason=body.reason,
                    made_by=caller.actor,
                    now=api.clock(),
                )

            told = reports.changed(
                caller,
                cohort,
                action="carer.rectify",
                subject=carer_id,
                write=write,
                detail={
                    "name": name != carer.name,
                    "email": email != carer.email,
                    "phone": phone != carer.phone,
                },
            )
        if body.restricted is not None and body.restricted != carer.restricted:
            with database.write() as connection:
                restrict(connection, carer_id, since=api.clock() if body.restricted else None)
                access.add_audit(
                    connection,
                    actor=caller.actor,
                    action="carer.restrict" if body.restricted else "carer.release",
                    subject=f"{cohort.id}/{carer_id}",
                    now=api.clock(),
                    detail={"reason": body.reason},
                )
        _, now = known(caller, carer_id)
        return jsonify(
            id=carer_id,
            name=now.name,
            email=now.email,
            phone=now.phone,
            restricted=now.restricted,
            platform=_NOT_ON_PLATFORM if (name, email) != (carer.name, carer.email) else None,
            changed=told["changed"],
        )

    @api.add(
        "POST",
        "/carers/<carer_id>/refusals",
        summary="Note that a carer's request was refused, and why; it stands in their copy",
        roles=("admin",),
        body=Refusal,
        answers={204: ""},
    )
    def refuse(caller: Caller, carer_id: str, body: Refusal) -> Response:
        cohort, _ = known(caller, carer_id)
        with database.write() as connection:
            access.add_audit(
                connection,
                actor=caller.actor,
                action=f"{body.request}.refuse",
                subject=f"{cohort.id}/{carer_id}",
                now=api.clock(),
                detail={"reason": body.reason},
            )
        return Response(status=204)
