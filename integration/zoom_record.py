"""Zoom's own record of one held instance, in our words.

https://developers.zoom.us/docs/api/meetings/#tag/reports
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from course.model import EventKind, Participant, ParticipantEvent, Platform, Role, Source


def _key(*parts: object) -> str:
    joined = "\n".join("" if part is None else str(part) for part in parts)
    return f"zoom:record:{hashlib.sha256(joined.encode()).hexdigest()}"


def _text(row: Mapping[str, Any], *names: str) -> str:
    for name in names:
        value = row.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return str(value).strip()[:200]
    return ""


def _instant(row: Mapping[str, Any], name: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(row.get(name)))
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)


def instance_events(
    details: Mapping[str, Any], *, series_ref: str, uuid: str
) -> list[ParticipantEvent]:
    """When the instance began and ended, as far as Zoom says."""
    found = []
    for kind, name in (
        (EventKind.INSTANCE_STARTED, "start_time"),
        (EventKind.INSTANCE_ENDED, "end_time"),
    ):
        at = _instant(details, name)
        if at is not None:
            found.append(
                ParticipantEvent(
                    key=_key(uuid, kind, at),
                    platform=Platform.ZOOM,
                    kind=kind,
                    occurred_at=at,
                    source=Source.PLATFORM_RECORD,
                    series_ref=series_ref,
                    instance_ref=uuid,
                )
            )
    return found


def participant_events(
    rows: Iterable[Mapping[str, Any]], *, series_ref: str, uuid: str, host_ref: str
) -> list[ParticipantEvent]:
    """One event per row: a row is one connection's stay in one room, or in the waiting room.

    Asked too early Zoom answers with rows of no length; they prove nothing and are left out.
    """
    found = []
    for row in rows:
        begins, ends = _instant(row, "join_time"), _instant(row, "leave_time")
        if begins is None or ends is None or begins >= ends:
            continue
        waiting = row.get("status") == "in_waiting_room"
        seat, name = _text(row, "user_id"), _text(row, "name", "user_name")
        account = _text(row, "participant_user_id", "id")
        is_host = bool(account) and account == host_ref
        found.append(
            ParticipantEvent(
                key=_key(uuid, seat, name, begins, ends, waiting),
                platform=Platform.ZOOM,
                kind=EventKind.WAITING if waiting else EventKind.STAY,
                occurred_at=begins,
                until_at=ends,
                source=Source.PLATFORM_RECORD,
                series_ref=series_ref,
                instance_ref=uuid,
                # The report does not know the connection's uuid that webhooks use.
                connection_ref=f"record:{seat}:{begins.isoformat()}:{name if not seat else ''}",
                seat_ref=seat or None,
                participant=Participant(
                    display_name=name,
                    email=_text(row, "user_email"),
                    invitation_ref=_text(row, "registrant_id") or None,
                    account_ref=account or None,
                    stable_account=bool(account),
                    role=Role.ORGANISER if is_host else Role.ATTENDEE,
                ),
            )
        )
    return found
