"""A register whose evidence is gone: what the report said of the session, as it was kept. Pure.

It goes in two steps: some weeks after the session the people whom nobody knew, and months after the
course the carers' own evidence. Then shares, minutes and verdicts are kept; when a camera was on or
off is not. What people say of the session still comes on top.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from course.model import (
    CameraTold,
    Carer,
    CarerWeek,
    RegisterState,
    Session,
    SessionRegister,
    Source,
    Verdict,
)
from course.verdicts import NOT_ENROLLED

Span = tuple[datetime, datetime]
_PLAIN = (
    *("minutes_present", "share_present", "late_minutes", "left_early_minutes", "camera"),
    *("camera_share", "camera_on_minutes", "camera_unknown_minutes", "microphone"),
)
_SPANS = ("camera_on", "camera_off", "microphone_on", "microphone_off")  # a part of the evidence
NOT_KEPT = "the evidence of this session is no longer kept"
STRANGERS_NOT_KEPT = (
    "people whom nobody knew are no longer kept of this session; the verdicts are those of before"
)


def frozen_json(register: SessionRegister, *, not_kept: str = NOT_KEPT) -> dict[str, Any]:
    """What is kept of a register. Participants who were never matched are not.

    `not_kept` says what is gone: `NOT_KEPT`, or `STRANGERS_NOT_KEPT` and nothing else. Give it a
    register that was judged without corrections: they are laid on top again.
    """
    return {
        "not_kept": not_kept,
        "state": register.state.value,
        "held_from": register.held_from.isoformat() if register.held_from else None,
        "held_to": register.held_to.isoformat() if register.held_to else None,
        "notes": list(register.notes),
        "weeks": {
            carer: _week(found, with_spans=not_kept != NOT_KEPT)
            for carer, found in sorted(register.weeks.items())
        },
    }


def without_evidence(kept: dict[str, Any]) -> dict[str, Any]:
    """What was frozen when the strangers went, now that the carers' own evidence goes as well."""
    weeks = {
        carer: {name: value for name, value in week.items() if name not in _SPANS}
        for carer, week in kept["weeks"].items()
    }
    return {**kept, "not_kept": NOT_KEPT, "weeks": weeks}


def _week(found: CarerWeek, *, with_spans: bool) -> dict[str, Any]:
    spans = _SPANS if with_spans else ()
    return {
        **{name: _instants(getattr(found, name)) for name in spans},
        **{name: getattr(found, name) for name in _PLAIN},
        "verdict": found.verdict.value,
        "camera_told": [
            [told.source.value, told.on_minutes, told.off_minutes] for told in found.camera_told
        ],
        "intervals": _instants(found.intervals),
        "sources": [source.value for source in found.sources],
        "reasons": list(found.reasons),
        "offered_with": found.offered_with,
        "event_keys": list(found.event_keys),
    }


def _instants(spans: tuple[Span, ...]) -> list[list[str]]:
    return [[begin.isoformat(), end.isoformat()] for begin, end in spans]


def thawed(session: Session, kept: dict[str, Any], carers: Iterable[Carer]) -> SessionRegister:
    """The register again, with a week for each of these carers."""
    # What was frozen before strangers went by themselves does not say what is gone: everything.
    not_kept = kept.get("not_kept", NOT_KEPT)
    weeks = {
        carer.id: _read(session.week, kept["weeks"][carer.id])
        if carer.id in kept["weeks"]
        else _unknown(session, carer, not_kept)
        for carer in carers
    }
    return SessionRegister(
        session=session,
        state=RegisterState(kept["state"]),
        held_from=_instant(kept["held_from"]),
        held_to=_instant(kept["held_to"]),
        weeks=weeks,
        notes=(*kept["notes"], not_kept),
    )


def _unknown(session: Session, carer: Carer, not_kept: str) -> CarerWeek:
    """Of somebody who was not there when the register was frozen."""
    why = NOT_ENROLLED if carer.enrolled_at >= session.ends_at else not_kept
    return CarerWeek(week=session.week, verdict=Verdict.PENDING, reasons=(why,))


def _read(week: int, kept: dict[str, Any]) -> CarerWeek:
    return CarerWeek(
        week=week,
        verdict=Verdict(kept["verdict"]),
        camera_told=tuple(
            CameraTold(source=Source(source), on_minutes=on, off_minutes=off)
            for source, on, off in kept["camera_told"]
        ),
        intervals=_spans(kept["intervals"]),
        sources=tuple(Source(source) for source in kept["sources"]),
        reasons=tuple(kept["reasons"]),
        offered_with=kept.get("offered_with"),
        event_keys=tuple(kept.get("event_keys", ())),
        **{name: kept[name] for name in _PLAIN},
        camera_on=_spans(kept.get("camera_on", ())),
        camera_off=_spans(kept.get("camera_off", ())),
        microphone_on=_spans(kept.get("microphone_on", ())),
        microphone_off=_spans(kept.get("microphone_off", ())),
    )


def _spans(kept: Iterable[Sequence[str]]) -> tuple[Span, ...]:
    return tuple(
        (datetime.fromisoformat(begin), datetime.fromisoformat(end)) for begin, end in kept
    )


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
