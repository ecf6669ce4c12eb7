"""What a facilitator saw with their own eyes: a tick for camera and microphone of one session."""

from __future__ import annotations

import hashlib

from flask import Response, jsonify

from course.model import Cohort, EventKind, Level, ParticipantEvent, Session, Source
from course.store import evidence
from course.store.database import Connection
from web.access import Caller
from web.cohort_view import known_cohort, known_week, must_rest_on_evidence
from web.operations import Operations
from web.problems import Problem
from web.report_view import ReportView
from web.schemas import ChangedOut, TickIn

_STAFF = ("admin", "facilitator")
_TICK = "/cohorts/<cohort_id>/sessions/<int:week>/ticks/<carer_id>"
_CAMERA = {"on": Level.ON, "off": Level.OFF, "partly": Level.PARTLY}
_MICROPHONE = {"connected": Level.ON, "absent": Level.OFF}


def add_ticks(api: Operations, view: ReportView) -> None:
    """`PUT …/ticks/{carer}`."""

    @api.add(
        "PUT",
        _TICK,
        summary="Tick what a facilitator saw of a carer's camera and microphone in a session",
        roles=_STAFF,
        body=TickIn,
        answers={200: ChangedOut},
    )
    def tick(caller: Caller, cohort_id: str, week: int, carer_id: str, body: TickIn) -> Response:
        cohort = known_cohort(api.database, caller, cohort_id)
        session = known_week(cohort, week, carer_id)
        now = api.clock()
        if now < session.starts_at and not any(
            r.session.week == week and r.held_from for r in view.built(cohort).registers
        ):
            raise Problem(409, "Not yet", "This session has not begun; tick what you see then.")
        said = {
            EventKind.CAMERA: ("camera", _CAMERA.get(body.camera or "")),
            EventKind.MICROPHONE: ("microphone", _MICROPHONE.get(body.microphone or "")),
        }

        def write(connection: Connection) -> None:
            must_rest_on_evidence(connection, cohort_id, week)
            evidence.save_events(
                connection,
                [
                    _ticked(cohort, session, carer_id, kind, level, api)
                    for kind, (name, level) in said.items()
                    if name in body.model_fields_set
                ],
            )

        return jsonify(
            view.changed(
                caller,
                cohort,
                action="media.tick",
                subject=f"{week}/{carer_id}",
                write=write,
                detail={"camera": body.camera, "microphone": body.microphone},
            )
        )


def _ticked(
    cohort: Cohort,
    session: Session,
    carer_id: str,
    kind: EventKind,
    level: Level | None,
    api: Operations,
) -> ParticipantEvent:
    """A tick speaks for the whole session; the last one counts."""
    now = api.clock()
    told = f"{session.week}\n{carer_id}\n{kind}\n{level}\n{now.isoformat()}"
    return ParticipantEvent(
        key=f"tick:{hashlib.sha256(told.encode()).hexdigest()[:32]}",
        platform=cohort.platform,
        kind=kind,
        occurred_at=session.starts_at,
        until_at=session.ends_at,
        source=Source.FACILITATOR,
        carer_id=carer_id,
        level=level,
        told_as="ticked by a facilitator",  # who it was is in the audit trail, sealed
        received_at=now,
    )
