"""A register whose evidence is gone: what the report said of the session, as it was kept. Pure.

Shares, minutes and verdicts are kept; when a camera was on or off is not. What people say of the
session still comes on top.
"""

from __future__ import annotations

from collections.abc import Iterable
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

_PLAIN = (
    *("minutes_present", "share_present", "late_minutes", "left_early_minutes", "camera"),
    *("camera_share", "camera_on_minutes", "camera_unknown_minutes", "microphone"),
)
NOT_KEPT = "the evidence of this session is no longer kept"


def frozen_json(register: SessionRegister) -> dict[str, Any]:
    """What is kept of a register. Names of participants who were never matched are not.

    Give it a register that was judged without corrections: they are laid on top again.
    """
    return {
        "state": register.state.value,
        "held_from": register.held_from.isoformat() if register.held_from else None,
        "held_to": register.held_to.isoformat() if register.held_to else None,
        "notes": list(register.notes),
        "weeks": {carer: _week(found) for carer, found in sorted(register.weeks.items())},
    }


def _week(found: CarerWeek) -> dict[str, Any]:
    return {
        **{name: getattr(found, name) for name in _PLAIN},
        "verdict": found.verdict.value,
        "camera_told": [
            [told.source.value, told.on_minutes, told.off_minutes] for told in found.camera_told
        ],
        "intervals": [[begin.isoformat(), end.isoformat()] for begin, end in found.intervals],
        "sources": [source.value for source in found.sources],
        "reasons": list(found.reasons),
        "event_keys": list(found.event_keys),
    }


def thawed(session: Session, kept: dict[str, Any], carers: Iterable[Carer]) -> SessionRegister:
    """The register again, with a week for each of these carers."""
    weeks = {
        carer.id: _read(session.week, kept["weeks"][carer.id])
        if carer.id in kept["weeks"]
        else _unknown(session, carer)
        for carer in carers
    }
    return SessionRegister(
        session=session,
        state=RegisterState(kept["state"]),
        held_from=_instant(kept["held_from"]),
        held_to=_instant(kept["held_to"]),
        weeks=weeks,
        notes=(*kept["notes"], NOT_KEPT),
    )


def _unknown(session: Session, carer: Carer) -> CarerWeek:
    """Of somebody who was not there when the register was frozen."""
    why = NOT_ENROLLED if carer.enrolled_at >= session.ends_at else NOT_KEPT
    return CarerWeek(week=session.week, verdict=Verdict.PENDING, reasons=(why,))


def _read(week: int, kept: dict[str, Any]) -> CarerWeek:
    return CarerWeek(
        week=week,
        verdict=Verdict(kept["verdict"]),
        camera_told=tuple(
            CameraTold(source=Source(source), on_minutes=on, off_minutes=off)
            for source, on, off in kept["camera_told"]
        ),
        intervals=tuple(
            (datetime.fromisoformat(begin), datetime.fromisoformat(end))
            for begin, end in kept["intervals"]
        ),
        sources=tuple(Source(source) for source in kept["sources"]),
        reasons=tuple(kept["reasons"]),
        event_keys=tuple(kept.get("event_keys", ())),
        **{name: kept[name] for name in _PLAIN},
    )


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
