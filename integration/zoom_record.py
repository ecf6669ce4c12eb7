"""Zoom's own record of one held instance, in our words.

https://developers.zoom.us/docs/api/meetings/#tag/reports
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from course.identity import is_phone_number
from course.model import EventKind, Participant, ParticipantEvent, Platform, Role, Source
from integration.provider import PlatformRecord, ProviderError, Series
from integration.zoom_client import PooledZoomClient
from integration.zoom_values import instant, pages, rows, twice


def _key(*parts: object) -> str:
    joined = "\n".join("" if part is None else str(part) for part in parts)
    return f"zoom:record:{hashlib.sha256(joined.encode()).hexdigest()}"


def _text(row: Mapping[str, Any], *names: str) -> str:
    for name in names:
        value = row.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return str(value).strip()[:200]
    return ""


def _at(row: Mapping[str, Any], name: str) -> datetime | None:
    return instant(row.get(name))


class ZoomRecords:
    """Fetches what Zoom recorded of a series' held instances."""

    def __init__(self, zoom: PooledZoomClient) -> None:
        self._zoom = zoom

    def fetch(
        self,
        series: Series,
        *,
        window_from: datetime,
        window_to: datetime,
        known_instances: tuple[str, ...],
    ) -> PlatformRecord:
        """Every instance that was held in the window, with everybody who was in it.

        By the meeting's number Zoom would report only the latest instance, so each is asked for
        by its uuid.
        """
        uuids = dict.fromkeys(known_instances)
        for row in self._instances(series):
            began = instant(row.get("start_time"))
            if began is not None and window_from - timedelta(hours=6) <= began <= window_to:
                uuids[str(row.get("uuid") or "")] = None
        events: list[ParticipantEvent] = []
        shown = []
        for uuid in filter(None, uuids):
            details = self._details(uuid)
            found = read_instance(
                details, list(self._participants(uuid)), series_ref=series.ref, uuid=uuid
            )
            events += found
            ended = _at(details, "end_time")
            if uuid in known_instances or ended is None or ended >= window_from:
                shown.append(bool(found))
        return PlatformRecord(events=tuple(events), complete=bool(shown) and all(shown))

    def _instances(self, series: Series) -> list[dict[str, Any]]:
        try:
            answer = self._zoom.past_meeting.list(meeting_id=series.ref)
        except ProviderError as e:
            if e.gone:
                return []  # never held, or not yet in Zoom's books
            raise
        return rows(answer.body.get("meetings"))

    def _details(self, uuid: str) -> dict[str, Any]:
        try:
            body: dict[str, Any] = self._zoom.past_meeting.get(meeting_id=twice(uuid)).body
        except ProviderError as e:
            if e.permanent:
                return {}
            raise
        return body

    def _participants(self, uuid: str) -> Iterator[dict[str, Any]]:
        """The report; where the plan has none, the past meeting's list, which says less."""
        try:
            yield from list(
                pages(
                    lambda query: self._zoom.report.get_meeting_participants_report(
                        id=twice(uuid), include_fields="registrant_id", **query
                    ),
                    "participants",
                )
            )
        except ProviderError as e:
            if not e.permanent:
                raise
            yield from self._past_participants(uuid)

    def _past_participants(self, uuid: str) -> Iterator[dict[str, Any]]:
        try:
            yield from list(
                pages(
                    lambda query: self._zoom.past_meeting.get_participants(
                        meeting_id=twice(uuid), **query
                    ),
                    "participants",
                )
            )
        except ProviderError as e:
            if not e.gone:
                raise


def read_instance(
    details: Mapping[str, Any], rows: Iterable[Mapping[str, Any]], *, series_ref: str, uuid: str
) -> list[ParticipantEvent]:
    """What Zoom recorded of one instance; nothing where it lists nobody."""
    found = participant_events(
        rows,
        series_ref=series_ref,
        uuid=uuid,
        host_ref=str(details.get("host_id") or ""),
        began_at=_at(details, "start_time"),
    )
    return [*instance_events(details, series_ref=series_ref, uuid=uuid), *found] if found else []


def instance_events(
    details: Mapping[str, Any], *, series_ref: str, uuid: str
) -> list[ParticipantEvent]:
    """When the instance began and ended, as far as Zoom says."""
    found = []
    for kind, name in (
        (EventKind.INSTANCE_STARTED, "start_time"),
        (EventKind.INSTANCE_ENDED, "end_time"),
    ):
        at = _at(details, name)
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
    rows: Iterable[Mapping[str, Any]],
    *,
    series_ref: str,
    uuid: str,
    host_ref: str,
    began_at: datetime | None = None,
) -> list[ParticipantEvent]:
    """One event per row: a row is one connection's stay in one room, or in the waiting room.

    Asked too early Zoom answers with rows of no length: they name somebody and not how long they
    stayed. `began_at`: when the instance did, for rows without any time.
    """
    found = []
    for row in rows:
        begins, ends = _at(row, "join_time") or began_at, _at(row, "leave_time")
        if begins is None:
            continue
        if ends is not None and begins >= ends:
            ends = None
        waiting = row.get("status") == "in_waiting_room"
        seat, name = _text(row, "user_id"), _text(row, "name", "user_name")
        invitation_ref = _text(row, "registrant_id") or None
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
                    by_phone=is_phone_number(name) and invitation_ref is None,
                    email=_text(row, "user_email"),
                    invitation_ref=invitation_ref,
                    account_ref=account or None,
                    stable_account=bool(account),
                    role=Role.ORGANISER if is_host else Role.ATTENDEE,
                ),
            )
        )
    return found
