"""What facilitators say about attendance: corrections, identities, shared devices.

Each answer is the report with `changed`: the verdicts that are others now.
"""

from __future__ import annotations

from flask import Response, jsonify

from course.model import (
    Cohort,
    Verdict,
)
from course.store import statements
from course.store.database import Connection
from web.access import Caller
from web.cohort_view import known_cohort, known_week, must_rest_on_evidence
from web.operations import Operations
from web.problems import Problem
from web.report_view import ReportView
from web.schemas import (
    ChangedOut,
    CorrectionIn,
    IdentityIn,
    SharedDeviceIn,
    WeekOut,
)

_STAFF = ("admin", "facilitator")
_VERDICT = "/cohorts/<cohort_id>/sessions/<int:week>/verdicts/<carer_id>"
_PARTICIPANT = "/cohorts/<cohort_id>/sessions/<int:week>/participants/<ref>"
_SHARED = "/cohorts/<cohort_id>/sessions/<int:week>/shared-devices/<carer_id>"


def add_statements(api: Operations, view: ReportView) -> None:
    """The operations."""
    _add_corrections(api, view)
    _add_identities(api, view)
    _add_shared_devices(api, view)
    _add_messages(api, view)


def _add_corrections(api: Operations, view: ReportView) -> None:
    @api.add(
        "PUT",
        _VERDICT,
        summary="Correct a verdict, with a reason",
        roles=_STAFF,
        body=CorrectionIn,
        answers={200: WeekOut},
    )
    def correct(
        caller: Caller, cohort_id: str, week: int, carer_id: str, body: CorrectionIn
    ) -> Response:
        if body.verdict is Verdict.PENDING:
            raise Problem(
                422,
                "1 thing to put right",
                errors=[("verdict", "attended, partial, absent or undetermined")],
            )
        return settle(caller, cohort_id, week, carer_id, body)

    @api.add(
        "DELETE",
        _VERDICT,
        summary="Take a correction back",
        roles=_STAFF,
        answers={200: WeekOut},
    )
    def take_back(caller: Caller, cohort_id: str, week: int, carer_id: str) -> Response:
        return settle(caller, cohort_id, week, carer_id, None)

    def settle(
        caller: Caller, cohort_id: str, week: int, carer_id: str, said: CorrectionIn | None
    ) -> Response:
        cohort = known_cohort(api.database, caller, cohort_id)
        known_week(cohort, week, carer_id)

        def write(connection: Connection) -> None:
            statements.add_correction(
                connection,
                cohort_id,
                week=week,
                carer_id=carer_id,
                verdict=said.verdict if said else None,
                kind=said.kind if said else None,
                reason=said.reason if said else None,
                made_by=caller.name,
                now=api.clock(),
            )

        view.changed(
            caller,
            cohort,
            action="verdict.correct" if said else "verdict.take_back",
            subject=f"{week}/{carer_id}",
            write=write,
            detail={"verdict": said.verdict, "kind": said.kind, "reason": said.reason}
            if said
            else None,
        )
        return jsonify(view.week(cohort, caller, week, carer_id))


def _add_identities(api: Operations, view: ReportView) -> None:
    @api.add(
        "PUT",
        _PARTICIPANT,
        summary="Say who an unmatched participant was; remembered for the other weeks",
        roles=_STAFF,
        body=IdentityIn,
        answers={200: ChangedOut},
    )
    def identify(caller: Caller, cohort_id: str, week: int, ref: str, body: IdentityIn) -> Response:
        cohort = known_cohort(api.database, caller, cohort_id)
        known_week(cohort, week, body.carer)
        known = {
            seen.ref for register in view.built(cohort).registers for seen in register.unmatched
        }
        with api.database.read() as connection:
            known |= {link.ref for link in statements.current_links(connection, cohort_id)}
        if ref not in known:
            raise Problem(
                404, "No such participant", "The report lists them under unmatched, with their ref."
            )
        return link(caller, cohort, week, ref, carer_id=body.carer, taken_back=False)

    @api.add(
        "DELETE",
        _PARTICIPANT,
        summary="Take an identity back; the weeks it changed are judged again",
        roles=_STAFF,
        answers={200: ChangedOut},
    )
    def forget(caller: Caller, cohort_id: str, week: int, ref: str) -> Response:
        cohort = known_cohort(api.database, caller, cohort_id)
        known_week(cohort, week, None)
        if len(ref) > statements.LONGEST_REF:
            raise Problem(
                404,
                "No such participant",
                "The evidence of a carer names whom somebody said it was.",
            )
        return link(caller, cohort, week, ref, carer_id=None, taken_back=True)

    def link(
        caller: Caller,
        cohort: Cohort,
        week: int,
        ref: str,
        *,
        carer_id: str | None,
        taken_back: bool,
    ) -> Response:
        def write(connection: Connection) -> None:
            statements.add_link(
                connection,
                cohort.id,
                ref=ref,
                carer_id=carer_id,
                taken_back=taken_back,
                made_by=caller.name,
                now=api.clock(),
            )

        return jsonify(
            view.changed(
                caller,
                cohort,
                action="participant.forget" if taken_back else "participant.identify",
                subject=f"{week}/{ref}",
                write=write,
                detail={"carer": carer_id},
            )
        )


def _add_shared_devices(api: Operations, view: ReportView) -> None:
    @api.add(
        "PUT",
        _SHARED,
        summary="Attest that a carer sat at another carer's device",
        roles=_STAFF,
        body=SharedDeviceIn,
        answers={200: ChangedOut},
    )
    def attest(
        caller: Caller, cohort_id: str, week: int, carer_id: str, body: SharedDeviceIn
    ) -> Response:
        cohort = known_cohort(api.database, caller, cohort_id)
        known_week(cohort, week, carer_id)
        households = {c.id: c.household for c in cohort.carers}
        if body.with_ == carer_id or households.get(body.with_) != households[carer_id]:
            raise Problem(
                422,
                "1 thing to put right",
                errors=[("with", "must be the other carer of the same household")],
            )
        return say(caller, cohort, week, carer_id, with_carer_id=body.with_, reason=body.reason)

    @api.add(
        "DELETE",
        _SHARED,
        summary="Take back that a carer sat at another carer's device",
        roles=_STAFF,
        answers={200: ChangedOut},
    )
    def take_back(caller: Caller, cohort_id: str, week: int, carer_id: str) -> Response:
        cohort = known_cohort(api.database, caller, cohort_id)
        known_week(cohort, week, carer_id)
        return say(caller, cohort, week, carer_id, with_carer_id=None, reason="")

    def say(
        caller: Caller,
        cohort: Cohort,
        week: int,
        carer_id: str,
        *,
        with_carer_id: str | None,
        reason: str,
    ) -> Response:
        def write(connection: Connection) -> None:
            must_rest_on_evidence(connection, cohort.id, week)
            statements.add_attestation(
                connection,
                cohort.id,
                week=week,
                carer_id=carer_id,
                with_carer_id=with_carer_id,
                reason=reason,
                made_by=caller.name,
                now=api.clock(),
            )

        return jsonify(
            view.changed(
                caller,
                cohort,
                action="device.attest" if with_carer_id else "device.take_back",
                subject=f"{week}/{carer_id}",
                write=write,
                detail={"with": with_carer_id, "reason": reason},
            )
        )


def _add_messages(api: Operations, view: ReportView) -> None:
    @api.add(
        "POST",
        "/cohorts/<cohort_id>/messages/<int:message>/settle",
        summary="Say that what a carer told us has been dealt with",
        roles=_STAFF,
        answers={200: ChangedOut},
    )
    def settle(caller: Caller, cohort_id: str, message: int) -> Response:
        cohort = known_cohort(api.database, caller, cohort_id)

        def write(connection: Connection) -> None:
            if not statements.settle_message(
                connection, cohort_id, message, settled_by=caller.name, now=api.clock()
            ):
                raise Problem(404, "No such message", "GET /api/v1/attention lists them.")

        return jsonify(
            view.changed(caller, cohort, action="message.settle", subject=str(message), write=write)
        )
