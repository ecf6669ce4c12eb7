"""The report that a facilitator reads: rows, totals, and the facts behind one verdict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from course.apart import Apart
from course.attendance import Judge
from course.completion import Standing, carer_standings, household_standings
from course.model import (
    Carer,
    CarerWeek,
    Cohort,
    EventKind,
    Evidence,
    ParticipantEvent,
    SessionRegister,
    Source,
    Tested,
)

_TOLD_BY = {
    Source.WEBHOOK: "notification",
    Source.PLATFORM_RECORD: "the platform's record",
    Source.JOIN_PAGE: "join page",
    Source.FACILITATOR: "facilitator",
    Source.CALL_BOT: "calling bot",
    Source.DASHBOARD: "the platform's dashboard",
    Source.MEDIA_STREAM: "media stream",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AttendanceReport:
    """All registers of a cohort and where everybody stands."""

    cohort: Cohort
    as_of: datetime
    registers: tuple[SessionRegister, ...]
    carers: dict[str, Standing]
    households: dict[str, Standing]
    tested: dict[str, Tested]
    apart: tuple[Apart, ...] = ()


def build_report(cohort: Cohort, evidence: Evidence, *, now: datetime) -> AttendanceReport:
    """The report of a cohort from its evidence; pure."""
    judge = Judge(cohort, evidence, now=now)
    registers = tuple(judge.register(session) for session in cohort.sessions)
    carers = carer_standings(cohort, registers)
    return AttendanceReport(
        cohort=cohort,
        as_of=now,
        registers=registers,
        carers=carers,
        households=household_standings(cohort, registers, carers),
        tested=judge.tested(),
        apart=judge.meetings_apart(),
    )


def roster(cohort: Cohort) -> list[Carer]:
    return sorted(cohort.carers, key=lambda carer: carer.order)


def report_json(report: AttendanceReport) -> dict[str, Any]:
    """The report as the API gives it. Times are ISO 8601 in the cohort's zone."""
    cohort, rule = report.cohort, report.cohort.rule
    zone = ZoneInfo(cohort.timezone)

    def local(at: datetime | None) -> str | None:
        return at.astimezone(zone).isoformat() if at is not None else None

    return {
        "cohort": {"id": cohort.id, "name": cohort.name, "platform": cohort.platform.value},
        "as_of": local(report.as_of),
        "rule": {
            "presence": rule.presence,
            "camera": rule.camera,
            "microphone": rule.microphone,
            "late_after_minutes": int(rule.late_after.total_seconds() // 60),
            "household": rule.household.value,
            "satisfied_by": sorted(kind.value for kind in rule.satisfied_by),
        },
        "sessions": [
            {
                "week": r.session.week,
                "topic": r.session.topic,
                "starts_at": local(r.session.starts_at),
                "ends_at": local(r.session.ends_at),
                "platforms": [platform.value for platform in cohort.held_on(r.session)],
                "held_from": local(r.held_from),
                "held_to": local(r.held_to),
                "register": r.state.value,
                "notes": list(r.notes),
            }
            for r in report.registers
        ],
        "carers": [
            {
                "id": carer.id,
                "name": carer.name,
                "household": carer.household,
                "all_sessions": report.carers[carer.id].all_sessions.value,
                "missed_weeks": list(report.carers[carer.id].missed_weeks),
                "tested": tested_json(report.tested.get(carer.id), zone),
                "weeks": [_week_json(r.weeks[carer.id], zone) for r in report.registers],
            }
            for carer in roster(cohort)
        ],
        "households": [
            {
                "reference": reference,
                "all_sessions": standing.all_sessions.value,
                "missed_weeks": list(standing.missed_weeks),
            }
            for reference, standing in report.households.items()
        ],
        "unmatched": [
            {
                "week": seen.week,
                "ref": seen.ref,
                "display_name": seen.display_name,
                "minutes_present": seen.minutes_present,
                "suggestions": [
                    {"carer": s.carer_id, "score": s.score, "why": s.why} for s in seen.suggestions
                ],
            }
            for register in report.registers
            for seen in register.unmatched
        ],
        "apart": [
            {
                "platform": meeting.platform.value,
                "from": local(meeting.began_at),
                "to": local(meeting.ended_at),
                "rehearsal": meeting.is_rehearsal,
                "carers": [
                    {"id": carer.id, "minutes_present": meeting.carers[carer.id]}
                    for carer in roster(cohort)
                    if carer.id in meeting.carers
                ],
                "unmatched": [
                    {"display_name": name, "minutes_present": present}
                    for name, present in meeting.strangers
                ],
            }
            for meeting in report.apart
        ],
    }


def tested_json(tested: Tested | None, zone: ZoneInfo) -> dict[str, str] | None:
    """When and how a carer tested camera and microphone; None: never."""
    if tested is None:
        return None
    return {
        "at": tested.at.astimezone(zone).isoformat(),
        "by": "rehearsal" if tested.in_rehearsal else "check",
    }


def _week_json(week: CarerWeek, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "week": week.week,
        "verdict": week.verdict.value,
        "minutes_present": week.minutes_present,
        "share_present": week.share_present,
        "late_minutes": week.late_minutes,
        "left_early_minutes": week.left_early_minutes,
        "camera": week.camera,
        "camera_share": week.camera_share,
        "camera_minutes": {
            "on": week.camera_on_minutes,
            "present": week.minutes_present,
            "unknown": week.camera_unknown_minutes,
        },
        "camera_sources": [
            {"source": t.source.value, "on_minutes": t.on_minutes, "off_minutes": t.off_minutes}
            for t in week.camera_told
        ],
        "camera_intervals": {
            "on": _spans_json(week.camera_on, zone),
            "off": _spans_json(week.camera_off, zone),
        },
        "microphone": week.microphone,
        "microphone_intervals": {
            "on": _spans_json(week.microphone_on, zone),
            "off": _spans_json(week.microphone_off, zone),
        },
        "intervals": _spans_json(week.intervals, zone),
        "sources": [source.value for source in week.sources],
        "reasons": list(week.reasons),
        "flags": list(week.flags),
        "messages": [
            {
                "id": m.id,
                "kind": m.kind.value,
                "text": m.text,
                "sent_at": m.sent_at.astimezone(zone).isoformat(),
                "settled_by": m.settled_by,
            }
            for m in week.messages
        ],
        "offered_with": week.offered_with,
        "corrected": week.correction is not None,
        "correction": week.correction.kind.value if week.correction else None,
    }


def _spans_json(spans: Iterable[tuple[datetime, datetime]], zone: ZoneInfo) -> list[list[str]]:
    return [[at.astimezone(zone).isoformat() for at in span] for span in spans]


def verdicts_json(register: SessionRegister) -> dict[str, Any]:
    """What a closed register keeps: each verdict with the keys of the evidence it rests on."""
    return {
        carer_id: {
            "verdict": found.verdict.value,
            "minutes": found.minutes_present,
            "camera": found.camera,
            "correction": found.correction.kind.value if found.correction else None,
            "evidence": list(found.event_keys),
        }
        for carer_id, found in sorted(register.weeks.items())
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One verdict that is another one now."""

    week: int
    carer_id: str
    before: str
    after: str


def changes(before: AttendanceReport, after: AttendanceReport) -> list[Change]:
    """The verdicts that differ between two reports of one cohort."""
    earlier = {r.session.week: r.weeks for r in before.registers}
    return [
        Change(
            week=register.session.week,
            carer_id=carer_id,
            before=earlier[register.session.week][carer_id].verdict.value,
            after=found.verdict.value,
        )
        for register in after.registers
        for carer_id, found in sorted(register.weeks.items())
        if carer_id in earlier.get(register.session.week, {})
        and earlier[register.session.week][carer_id].verdict is not found.verdict
    ]


def explain(
    cohort: Cohort, evidence: Evidence, *, week: int, carer_id: str, now: datetime
) -> dict[str, Any] | None:
    """Every fact behind one verdict, in words and as stored; None for an unknown week or carer."""
    session = cohort.session(week)
    carer = next((c for c in cohort.carers if c.id == carer_id), None)
    if session is None or carer is None:
        return None
    judge = Judge(cohort, evidence, now=now)
    found = judge.register(session).weeks[carer_id]
    zone = ZoneInfo(cohort.timezone)
    facts: list[str] = []
    events: list[ParticipantEvent] = []
    for connection, why in judge.connections_of(session, carer_id):
        facts.append(f"one connection counts for {carer.name} because of: {why}")
        facts += [_in_words(event, zone) for event in connection.events]
        events += connection.events
    return {
        "week": week,
        "carer": carer_id,
        **{k: v for k, v in _week_json(found, zone).items() if k != "week"},
        "facts": facts,
        "events": [_event_json(event, zone) for event in events],
    }


def _in_words(event: ParticipantEvent, zone: ZoneInfo) -> str:
    at = f"{event.occurred_at.astimezone(zone):%H:%M:%S}"
    until = f"{event.until_at.astimezone(zone):%H:%M:%S}" if event.until_at else ""
    name = event.participant.display_name if event.participant else ""
    shown = f" as “{name}”" if name else ""
    level = event.level.value.replace("_", " ") if event.level else ""
    words = {
        EventKind.JOINED: f"{at} joined{shown}",
        EventKind.LEFT: f"{at} left{shown}",
        EventKind.WAITING: f"{at} in the waiting room{shown}",
        EventKind.STAY: f"{at} to {until} present{shown}",
        EventKind.SEEN: f"{at} seen{shown}",
    }.get(event.kind, f"{at}{f' to {until}' if until else ''} {event.kind.value}: {level}")
    return f"{words} ({_TOLD_BY[event.source]})"


def _event_json(event: ParticipantEvent, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "key": event.key,
        "kind": event.kind.value,
        "occurred_at": event.occurred_at.astimezone(zone).isoformat(),
        "until_at": event.until_at.astimezone(zone).isoformat() if event.until_at else None,
        "level": event.level.value if event.level else None,
        "source": event.source.value,
        "display_name": event.participant.display_name if event.participant else None,
        "notification": event.notification_id,
        "told_as": event.told_as,
        "received_at": event.received_at.astimezone(zone).isoformat()
        if event.received_at
        else None,
        "note": event.participant.note if event.participant else "",
    }
