"""The live board over the API: what is now, cheap to ask for every few seconds; and notes on it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Response, jsonify, request

from course.board import Board, Place, build_board
from course.model import Cohort, MessageKind, Session
from course.reports import tested_json
from course.restriction import shown_name
from course.store import evidence, statements
from course.store.database import Connection, Database
from web.access import Caller
from web.cohort_view import known_cohort, known_week, note_view
from web.operations import Operations
from web.report_view import ReportView
from web.schemas import BoardOut, ChangedOut, NoteIn

_STAFF = ("admin", "facilitator")


class BoardView:
    """Builds boards. `mark` changes whenever the board may; boards of one mark are built once."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._minute = ""
        self._shared: dict[tuple[int, str], Board] = {}
        self._line = threading.Lock()

    def mark(self, cohort_id: str) -> str:
        """Cheap: counts, and the minute, because the board says since when."""
        with self._database.read() as connection:
            counted = evidence.mark(connection, cohort_id)
        return f"{cohort_id}-{counted}-{self._clock():%d%H%M}"

    def built(self, cohort: Cohort, session: Session, mark: str) -> Board:
        """The board as values, with everything that the mark counted; kept for its minute only."""
        key, minute = (session.week, mark), mark[-6:]
        with self._line:  # one at a time: it is all computing, and webhooks want a turn as well
            if minute != self._minute:
                self._minute = minute
                self._shared.clear()
            found = self._shared.get(key)
            if found is None:
                with self._database.read() as connection:
                    told = evidence.read_evidence(connection, cohort)
                found = build_board(cohort, told, session, now=self._clock())
                self._shared[key] = found
        return found


def add_board(api: Operations, view: BoardView, reports: ReportView) -> None:
    """`GET …/sessions/{week}/board` and `POST …/notes/{carer}`."""

    @api.add(
        "GET",
        "/cohorts/<cohort_id>/sessions/<int:week>/board",
        summary="Who is in, who is missing and who needs a call, now",
        roles=_STAFF,
        answers={200: BoardOut, 304: ""},
        headers={"If-None-Match": "The ETag of the board as you have it; 304 when it is the same"},
    )
    def board(caller: Caller, cohort_id: str, week: int) -> Response:
        cohort = known_cohort(api.database, caller, cohort_id)
        session = known_week(cohort, week, None)
        mark = view.mark(cohort_id)
        if request.if_none_match.contains(mark):
            answer = Response(status=304)
        else:
            note_view(api.database, caller, cohort_id, api.clock())
            answer = jsonify(board_json(cohort, view.built(cohort, session, mark)))
        answer.set_etag(mark)
        return answer

    @api.add(
        "POST",
        "/cohorts/<cohort_id>/sessions/<int:week>/notes/<carer_id>",
        summary="Note something about a carer in a session, such as a call; it decides nothing",
        roles=_STAFF,
        body=NoteIn,
        answers={200: ChangedOut},
    )
    def note(caller: Caller, cohort_id: str, week: int, carer_id: str, body: NoteIn) -> Response:
        cohort = known_cohort(api.database, caller, cohort_id)
        known_week(cohort, week, carer_id)

        def write(connection: Connection) -> None:
            statements.add_message(
                connection,
                cohort_id,
                week=week,
                carer_id=carer_id,
                kind=MessageKind.NOTE,
                text=body.text,
                now=api.clock(),
                settled_by=caller.name,
            )

        return jsonify(
            reports.changed(
                caller, cohort, action="carer.note", subject=f"{week}/{carer_id}", write=write
            )
        )


def board_json(cohort: Cohort, board: Board) -> dict[str, Any]:
    """The board as API and page give it; times in the cohort's zone."""
    zone = ZoneInfo(cohort.timezone)

    def local(at: datetime | None) -> str | None:
        return at.astimezone(zone).isoformat() if at else None

    seats = board.seats
    return {
        "cohort": {"id": cohort.id, "name": cohort.name, "platform": cohort.platform.value},
        "week": board.session.week,
        "topic": board.session.topic,
        "starts_at": local(board.session.starts_at),
        "ends_at": local(board.session.ends_at),
        "register": board.state.value,
        "as_of": local(board.as_of),
        "held_from": local(board.held_from),
        "counts": {place.value: sum(seat.place is place for seat in seats) for place in Place},
        "carers": [
            {
                "id": seat.carer.id,
                "name": shown_name(seat.carer, to_admin=False),
                "email": None if seat.carer.restricted else seat.carer.email,
                "phone": None if seat.carer.restricted else seat.carer.phone,
                "household": seat.carer.household,
                "place": seat.place.value,
                "since": local(seat.since),
                "camera": seat.camera,
                "camera_at": local(seat.camera_at),
                "microphone": seat.microphone,
                "devices": seat.devices,
                "ticked": seat.ticked,
                "calls_for": seat.calls_for or None,
                "absence": seat.absence.text
                if seat.absence and not seat.carer.restricted
                else None,
                "shared_with": seat.shared_with,
                "says_together": seat.says_together,
                "tested": tested_json(seat.tested, zone),
                "notes": [
                    {"text": m.text, "by": m.settled_by, "at": local(m.sent_at)}
                    for m in seat.notes
                    if not seat.carer.restricted
                ],
            }
            for seat in seats
        ],
        "strangers": [
            {
                "ref": seen.ref,
                "display_name": seen.display_name,
                "place": seen.place.value,
                "since": local(seen.since),
                "suggestions": [
                    {"carer": s.carer_id, "score": s.score, "why": s.why} for s in seen.suggestions
                ],
            }
            for seen in board.strangers
        ],
    }
