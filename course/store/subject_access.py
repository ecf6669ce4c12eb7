"""A copy of everything that is held on one carer, and nothing of anybody else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, select

from course.model import Carer, Cohort, ParticipantEvent
from course.narrowing import ANOTHER, Only, hiding, narrowed
from course.reports import report_json
from course.store import cohorts, tables
from course.store.data_map import entries
from course.store.erasure import Traces, find_traces, same_person
from course.store.evidence import read_evidence

Rewrite = Callable[[str], str]
STAFF_MEMBER = "a member of staff"
RECIPIENTS = [
    "staff of the practice who run or read this course",
    "Zoom or Microsoft Teams, which hold the meetings (name, address, presence in a meeting)",
    "the practice's mail server, for invitations",
]
RIGHTS = [
    "to have what is wrong put right",
    "to have it erased, or its use restricted",
    "to object to its use",
    "to complain to the Information Commissioner's Office, ico.org.uk",
]
# What people wrote or did about a carer, and how it is called in the copy.
_ABOUT: dict[str, Table] = {
    "corrections": tables.correction,
    "attestations": tables.attestation,
    "who_you_were_taken_for": tables.link,
    "messages": tables.message,
    "mail": tables.mail,
    "invitations": tables.invitation,
    "earlier_names": tables.former_name,
    "privacy_notices_shown": tables.notice_shown,
}
_NOT_OURS_TO_TELL = ("cohort_id", "carer_id", "join_token", "join_token_hash")


def held_on(connection: Connection, carer_id: str, *, now: datetime) -> dict[str, Any] | None:
    """The copy, or None when there is no such carer: all cohorts that they were moved through."""
    everywhere = same_person(connection, carer_id)
    if not everywhere:
        return None
    return {
        "made_at": now.isoformat(),
        "recipients": RECIPIENTS,
        "rights": RIGHTS,
        "kept": _kept(),
        "courses": [_course(connection, one, now) for one in everywhere],
    }


def _kept() -> list[dict[str, str]]:
    """Purposes and periods, by kind of data; only of tables that hold something on carers."""
    about = {"carer", "participant_event", "notification", "register", "register_version", "audit"}
    about |= {table.name for table in _ABOUT.values()}
    found: dict[tuple[str, str, str], list[str]] = {}
    for entry in entries():
        if entry.table in about:
            found.setdefault((entry.table, entry.why, entry.keep), []).append(entry.what)
    return [
        {"kind": kind.replace("_", " "), "what": "; ".join(what), "why": why, "how_long": keep}
        for (kind, why, keep), what in found.items()
    ]


def _course(connection: Connection, carer_id: str, now: datetime) -> dict[str, Any]:
    cohort = cohorts.read_cohort(connection, cohorts.read_carer_cohort(connection, carer_id) or "")
    if cohort is None:
        raise LookupError(carer_id)
    carer = next(c for c in cohort.carers if c.id == carer_id)
    traces = find_traces(connection, cohort, carer, now=now)
    evidence = read_evidence(connection, cohort)
    built, hide_others = narrowed(cohort, evidence, Only(carer_id=carer_id), now=now)
    told = report_json(built)
    hide = _hiding(connection, cohort, carer, hide_others)
    ours = told["carers"][0]
    return {
        "you": _person(connection, carer),
        "course": told["cohort"]["name"],
        "platform": cohort.platform.value,
        "sessions": told["sessions"],
        "attendance": _rewritten(
            {"all_sessions": ours["all_sessions"], "weeks": ours["weeks"]}, hide
        ),
        "facts": _rewritten([_fact(event) for event in traces.events], hide),
        "deliveries": _deliveries(connection, traces, hide),
        **{name: _rows(connection, table, carer_id, hide) for name, table in _ABOUT.items()},
        "register_versions": _versions(connection, cohort.id, carer_id),
        "audit": _audit(connection, carer_id, hide),
    }


def _person(connection: Connection, carer: Carer) -> dict[str, Any]:
    row = (
        connection.execute(select(tables.carer).where(tables.carer.c.id == carer.id))
        .mappings()
        .one()
    )
    return {
        name: _plain(value)
        for name, value in row.items()
        if name not in _NOT_OURS_TO_TELL and value is not None
    }


def _hiding(connection: Connection, cohort: Cohort, carer: Carer, hide_others: Rewrite) -> Rewrite:
    """Others' names out of every sentence, and staff by their role alone."""
    others = [n for c in cohort.carers if c.id != carer.id for n in (c.name, *c.former_names)]
    staff = [f.name for f in cohort.facilitators]
    in_writing = hiding(
        [*others, *staff], shown=(), kept=[carer.name, *carer.former_names], any_case=True
    )
    addresses = [
        *(c.email for c in cohort.carers if c.email.casefold() != carer.email.casefold()),
        *(f.email for f in cohort.facilitators),
        cohort.organiser,
    ]
    pattern = re.compile(
        "|".join(re.escape(a) for a in sorted(addresses, key=len, reverse=True) if a), re.I
    )
    actors = re.compile(r"\b(admin|facilitator|viewer) (?:[^\W\d_][\w.'’-]*)(?: [A-Z][\w.'’-]*)*")
    named = _actors(connection)

    def hide(text: str) -> str:
        for actor in named:
            text = text.replace(actor, STAFF_MEMBER)
        return in_writing(hide_others(pattern.sub(ANOTHER, actors.sub(r"\1", text))))

    return hide


def _actors(connection: Connection) -> list[str]:
    """Everybody of the staff who ever did something, the longest names first."""
    rows = connection.execute(select(tables.audit.c.actor)).scalars()
    people = set(rows) - {"operator", "system"}
    return sorted(people, key=len, reverse=True)


def _rows(
    connection: Connection, table: Table, carer_id: str, hide: Rewrite
) -> list[dict[str, Any]]:
    rows = connection.execute(select(table).where(table.c.carer_id == carer_id)).mappings()
    return [
        _rewritten(
            {
                "with" if name == "with_carer_id" else name: ANOTHER
                if name == "with_carer_id" and value
                else _plain(value)
                for name, value in row.items()
                if name not in _NOT_OURS_TO_TELL and value is not None
            },
            hide,
        )
        for row in rows
    ]


def _fact(event: ParticipantEvent) -> dict[str, Any]:
    told = asdict(event)
    seen = told.pop("participant") or {}
    kept = ("kind", "occurred_at", "until_at", "source", "level", "received_at", "told_as")
    return {
        **{name: _plain(told[name]) for name in kept if told[name] is not None},
        **{f"shown_{name}": value for name, value in seen.items() if value},
    }


def _deliveries(connection: Connection, traces: Traces, hide: Rewrite) -> list[dict[str, Any]]:
    ids = sorted({e.notification_id for e in traces.events if e.notification_id})
    table = tables.notification
    rows = connection.execute(
        select(table).where(table.c.id.in_(ids)).order_by(table.c.received_at)
    ).mappings()
    return [
        {
            "kind": row["kind"],
            "received_at": _plain(row["received_at"]),
            "body": _rewritten(json.loads(row["body"]), hide) if row["body"] else None,
        }
        for row in rows
    ]


def _versions(connection: Connection, cohort_id: str, carer_id: str) -> list[dict[str, Any]]:
    table = tables.register_version
    rows = connection.execute(
        select(table).where(table.c.cohort_id == cohort_id).order_by(table.c.week, table.c.id)
    )
    return [
        {
            "week": row.week,
            "made_at": _plain(row.made_at),
            "cause": row.cause,
            **{k: v for k, v in row.verdicts[carer_id].items() if k != "evidence"},
        }
        for row in rows
        if carer_id in row.verdicts
    ]


def _audit(connection: Connection, carer_id: str, hide: Rewrite) -> list[dict[str, Any]]:
    """Who looked at or changed what of theirs: by role, when, and why."""
    table = tables.audit
    rows = connection.execute(select(table).order_by(table.c.id))
    return [
        {
            "at": _plain(row.at),
            "who": row.actor.split(" ")[0],
            "what": row.action,
            "detail": _rewritten(row.detail, hide),
        }
        for row in rows
        if row.subject.split("/")[-1] == carer_id
    ]


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _rewritten(value: Any, hide: Rewrite) -> Any:
    """Every sentence of it with others' names taken out."""
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, dict):
        return {name: _rewritten(inner, hide) for name, inner in value.items()}
    if isinstance(value, Iterable):
        return [_rewritten(inner, hide) for inner in value]
    return value
