"""A cohort as the API shows it, and the wait for work on it to settle."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from flask import Response, jsonify, request

from course.identity import plain_name
from course.model import Cohort, CohortState, Session
from course.programme import COURSE
from course.restriction import shown_name
from course.store import access, cohorts, mail, registers
from course.store.cohorts import Enrolment
from course.store.database import Connection, Database
from course.store.trail import ALL, NOTED_FOR
from integration.scheduling import Refused
from web.access import Caller
from web.problems import Problem
from web.progress import progress_of

WAIT = timedelta(seconds=18)  # an answer within 20 s, with what the answer itself takes
WAITERS = 16  # so many requests may wait at once; the other threads stay free for webhooks


def known_cohort(database: Database, caller: Caller, cohort_id: str) -> Cohort:
    """The cohort, if it exists and was given to the caller; else the same 404 for both."""
    with database.read() as connection:
        found = cohorts.read_cohort(connection, cohort_id) if caller.may_see(cohort_id) else None
    if found is None:
        raise Problem(404, "No such cohort", "GET /api/v1/cohorts lists yours.")
    return found


def note_view(database: Database, caller: Caller, cohort_id: str, now: datetime) -> None:
    """Note in the audit trail who looks at the people of a cohort; once an hour is enough."""
    _note(database, caller, "cohort.view", cohort_id, now, None)


def note_overview(database: Database, caller: Caller, of: str, now: datetime) -> None:
    """The same of whoever looks at people of all their cohorts at once; `of` is in `OVERVIEWS`."""
    seen = ALL if caller.cohort_ids is None else list(caller.cohort_ids)
    _note(database, caller, f"{of}.view", of, now, {"cohorts": seen})


def _note(
    database: Database,
    caller: Caller,
    action: str,
    subject: str,
    now: datetime,
    detail: dict[str, Any] | None,
) -> None:
    with database.read() as connection:
        known = access.audited_since(
            connection,
            actor=caller.actor,
            action=action,
            subject=subject,
            since=now - NOTED_FOR,
        )
    if not known:
        with database.write() as connection:
            access.add_audit(
                connection,
                actor=caller.actor,
                action=action,
                subject=subject,
                now=now,
                detail=detail,
            )


def known_week(cohort: Cohort, week: int, carer_id: str | None) -> Session:
    """The session, if week and carer are this cohort's."""
    session = cohort.session(week)
    if session is None:
        raise Problem(404, "No such week", f"This course has weeks 1 to {len(cohort.sessions)}.")
    if carer_id is not None and all(carer.id != carer_id for carer in cohort.carers):
        raise Problem(404, "No such carer", "GET the cohort to see its carers and their ids.")
    return session


def must_rest_on_evidence(connection: Connection, cohort_id: str, week: int) -> None:
    """Refuse what is said about the evidence of a session that is not judged by it any more."""
    if registers.read_register(connection, cohort_id, week).frozen is not None:
        raise Problem(
            409,
            "Too late for this",
            "The verdicts of this session stand as they were, because its evidence is no longer "
            "kept. Correct the verdict instead: a correction counts by itself.",
        )


def may_be_shown(cohort: Cohort, carer_id: str | None, caller: Caller) -> bool:
    """Whether that carer is not restricted, or an admin asks."""
    restricted = any(c.restricted for c in cohort.carers if c.id == carer_id)
    return caller.role == "admin" or not restricted


def must_be_shown(cohort: Cohort, carer_id: str | None, caller: Caller) -> None:
    """Refuse what is about a restricted carer, unless an admin asks."""
    if not may_be_shown(cohort, carer_id, caller):
        raise Problem(403, "Restricted", "Ask an admin about this carer.")


def cohort_json(
    cohort: Cohort, enrolments: list[Enrolment], caller: Caller, *, public_url: str
) -> dict[str, Any]:
    """A cohort as the API gives it. Addresses and links only to those who may see them."""
    zone, sees = ZoneInfo(cohort.timezone), caller.sees_addresses
    references = dict.fromkeys(e.carer.household for e in enrolments)
    return {
        "id": cohort.id,
        "name": cohort.name,
        "platform": cohort.platform.value,
        "state": cohort.state.value,
        "problem": cohort.problem,
        "series_ref": cohort.series_ref,
        "organiser": cohort.organiser if sees else None,
        "sessions": [
            {
                "week": s.week,
                "topic": s.topic,
                "starts_at": s.starts_at.astimezone(zone).isoformat(),
                "ends_at": s.ends_at.astimezone(zone).isoformat(),
                "state": s.state.value,
                "occurrence_ref": s.occurrence_ref,
                "platforms": [platform.value for platform in cohort.held_on(s)],
            }
            for s in cohort.sessions
        ],
        "carers": [
            {
                "id": e.carer.id,
                "name": shown_name(e.carer, to_admin=caller.role == "admin"),
                "email": e.carer.email if _sees(caller, e) else None,
                "phone": e.carer.phone if _sees(caller, e) else None,
                "household": e.carer.household,
                "join_url": f"{public_url}/join/{e.join_token}"
                if e.join_token and _sees(caller, e)
                else None,
                "platform_join_url": e.platform_join_url if _sees(caller, e) else None,
                "problem": e.problem,
                "enrolled_at": e.carer.enrolled_at.astimezone(zone).isoformat(),
                "withdrawn_at": e.carer.withdrawn_at.astimezone(zone).isoformat()
                if e.carer.withdrawn_at
                else None,
                "transferred_from": e.carer.transferred_from,
                "restricted": e.carer.restricted,
            }
            for e in enrolments
        ],
        "households": [
            {
                "reference": reference,
                "fee": COURSE.fee(_taking_part(enrolments, reference)),
            }
            for reference in references
        ],
    }


def _taking_part(enrolments: Sequence[Enrolment], reference: str) -> int:
    """How many carers of a household take part; of one that has left, how many did at the end."""
    members = [e.carer for e in enrolments if e.carer.household == reference]
    staying = [c for c in members if c.withdrawn_at is None]
    return len(staying or {plain_name(c.name) for c in members})


def _sees(caller: Caller, enrolment: Enrolment) -> bool:
    """Whether this carer's address and links are for these eyes."""
    hidden = enrolment.carer.restricted and caller.role != "admin"
    return caller.sees_addresses and not hidden


class Settling(Protocol):
    """Knows when work on a cohort is over."""

    def wait_until_settled(self, cohort_id: str, *, timeout: timedelta) -> None: ...


@dataclass(slots=True)
class CohortView:
    """Shows cohorts and waits for them."""

    database: Database
    office: Settling
    public_url: str
    sends_mail: bool
    waiting: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(WAITERS)
    )

    def shown(
        self,
        cohort_id: str,
        caller: Caller,
        *,
        code: int,
        also: Mapping[str, Any] | None = None,
    ) -> Response:
        """The cohort, with its version as ETag. `also`: what else is to be said."""
        cohort = known_cohort(self.database, caller, cohort_id)
        with self.database.read() as connection:
            enrolments = cohorts.read_enrolments(connection, cohort_id)
            letters = mail.read_mail(connection, cohort_id)
            steps = progress_of(connection, cohort, enrolments, sends_mail=self.sends_mail)
        shown = cohort_json(cohort, enrolments, caller, public_url=self.public_url)
        shown["progress"] = steps
        shown["mail"] = {
            "configured": self.sends_mail,
            "sent": sum(m.sent_at is not None for m in letters),
            "waiting": sum(m.sent_at is None and m.problem is None for m in letters),
            "problems": sorted({m.problem for m in letters if m.problem and not m.is_overtaken}),
        }
        answer = jsonify({**shown, **(also or {})})
        answer.status_code = code
        answer.set_etag(str(cohort.version))
        return answer

    def settled(
        self,
        cohort_id: str,
        caller: Caller,
        *,
        done: int,
        also: Mapping[str, Any] | None = None,
    ) -> Response:
        """The cohort when it is ready or cancelled (`done`), or after the wait (202)."""
        # The platform calls our webhooks while we wait for it, so not all threads may wait.
        if self.waiting.acquire(blocking=False):
            try:
                self.office.wait_until_settled(cohort_id, timeout=WAIT)
            finally:
                self.waiting.release()
        with self.database.read() as connection:
            state = cohorts.read_state(connection, cohort_id)
        well = state in (CohortState.READY, CohortState.CANCELLED)
        answer = self.shown(cohort_id, caller, code=done if well else 202, also=also)
        answer.headers["Location"] = f"/api/v1/cohorts/{cohort_id}"
        return answer


def expected_version() -> int | None:
    """The version that the caller has read, from `If-Match`; None when they do not say."""
    given = request.headers.get("If-Match", "").strip()
    if given in ("", "*"):
        return None
    number = given.removeprefix("W/").strip('"')
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        raise Problem(
            422,
            "1 thing to put right",
            errors=[("If-Match", "send the ETag of the cohort as you have read it")],
        )
    return int(number)


def problem_of(error: Refused) -> Problem:
    """Why staff's call was refused, as an answer."""
    if error.kind == "no_organiser":
        return Problem(422, "1 thing to put right", errors=[("organiser", str(error))])
    if error.kind == "unacceptable":
        return Problem(
            422,
            "1 thing to put right",
            "Nothing was done. It is listed under errors.",
            errors=[(error.field, str(error))],
        )
    if error.kind == "key_reused":
        return Problem(422, "The key was used before", str(error))
    if error.kind == "unknown":
        return Problem(404, "Not found", str(error))
    if error.kind == "stale":
        return Problem(409, "Somebody else was faster", str(error))
    if error.kind == "settled":
        return Problem(409, "It is too late for this", str(error))
    detail = str(error)
    if error.cohort_id is not None:
        detail += f" It is /api/v1/cohorts/{error.cohort_id}."
    return Problem(409, "This cannot be opened", detail)
