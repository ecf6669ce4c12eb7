"""What needs a person, across all cohorts that the caller may see."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from flask import Response, jsonify

from course.model import CohortState, MessageKind, RegisterState, Verdict
from course.reports import AttendanceReport, build_report
from course.restriction import veiled
from course.store import cohorts, evidence, mail, watches
from course.store.database import Connection
from course.store.tombstones import read_tombstones
from web.access import Caller
from web.operations import Operations
from web.schemas import AttentionOut

MOST_COHORTS = 200
_SAYS = {
    Verdict.UNDETERMINED: "a person must say whether this carer attended",
    Verdict.PARTIAL: "was there for a part; a person decides what follows",
    Verdict.ABSENT: "missed a session; the course is for those who attend all, so perhaps our "
    "next group will be more suitable",
}


def add_attention(api: Operations) -> None:
    """`GET /attention`."""

    @api.add(
        "GET",
        "/attention",
        summary="What needs a person, the oldest first",
        roles=("admin", "facilitator"),
        answers={200: AttentionOut},
    )
    def attention(caller: Caller) -> Response:
        with api.database.read() as connection:
            return jsonify(items=attention_items(connection, caller, now=api.clock()))


def attention_items(
    connection: Connection, caller: Caller, *, now: datetime
) -> list[dict[str, Any]]:
    """What needs a person in the cohorts that the caller may see, the oldest first."""
    items: list[dict[str, Any]] = []
    found, _ = cohorts.page_of_cohorts(
        connection, only_ids=caller.cohort_ids, limit=MOST_COHORTS, offset=0
    )
    for cohort in found:
        about = {"cohort": cohort.id, "cohort_name": cohort.name}
        if cohort.state in (CohortState.NEEDS_ATTENTION, CohortState.FAILED):
            items.append(
                {
                    **about,
                    "kind": "cohort",
                    "week": None,
                    "since": cohort.created_at.isoformat(),
                    "says": cohort.problem or "needs a person",
                }
            )
        items += [
            {
                **about,
                "kind": "subscription",
                "week": None,
                "since": watch.made_at.isoformat(),
                "says": watch.problem,
            }
            for watch in watches.live_watches(connection, cohort.id)
            if watch.problem
        ]
        items += [
            {
                **about,
                "kind": "mail",
                "week": None,
                "carer": letter.carer_id,
                "since": letter.made_at.isoformat(),
                "says": letter.problem,
            }
            for letter in mail.read_mail(connection, cohort.id)
            if letter.problem and not letter.is_overtaken
        ]
        report = build_report(cohort, evidence.read_evidence(connection, cohort), now=now)
        if caller.role != "admin":
            report = veiled(report)
        items += [{**about, **item} for item in _of_report(report)]
        items += [
            {
                **about,
                "kind": "erasure",
                "week": None,
                "since": stone.erased_at.isoformat(),
                "says": stone.problem,
            }
            for stone in read_tombstones(connection, cohort_ids=[cohort.id])
            if stone.problem
        ]
    return sorted(items, key=lambda i: (i["since"], i["cohort"], i["says"]))


_MESSAGES = {
    MessageKind.ABSENCE: "says that they cannot come",
    MessageKind.CONTEST: "thinks that the register is wrong",
    MessageKind.TOGETHER: "is not alone at this device; attest it if you saw both",
}


def _messages(report: AttendanceReport) -> Iterator[dict[str, Any]]:
    """What carers told us from the join page and nobody has dealt with."""
    for register in report.registers:
        for carer_id, week in register.weeks.items():
            for message in week.messages:
                if message.settled_at is None:
                    yield {
                        "kind": message.kind.value,
                        "week": week.week,
                        "carer": carer_id,
                        "message": message.id,
                        "since": message.sent_at.isoformat(),
                        "says": f"{_MESSAGES[message.kind]}: {message.text}",
                    }


def _of_report(report: AttendanceReport) -> Iterator[dict[str, Any]]:
    yield from _messages(report)
    for register in report.registers:
        if register.state not in (RegisterState.PROVISIONAL, RegisterState.CLOSED):
            continue
        since = register.session.ends_at.isoformat()
        for carer_id, week in register.weeks.items():
            if week.verdict in _SAYS and week.correction is None:
                yield {
                    "kind": week.verdict.value,
                    "week": week.week,
                    "carer": carer_id,
                    "since": since,
                    "says": _SAYS[week.verdict],
                    "reasons": list(week.reasons),
                }
        for carer_id, week in register.weeks.items():
            for flag in week.flags:
                yield {
                    "kind": "identity",
                    "week": week.week,
                    "carer": carer_id,
                    "since": since,
                    "says": flag,
                }
        for seen in register.unmatched:
            yield {
                "kind": "unmatched",
                "week": seen.week,
                "ref": seen.ref,
                "since": since,
                "says": f"{seen.display_name or 'somebody'} was there and nobody knows who it was",
            }
