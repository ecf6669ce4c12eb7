"""Subscriptions to a Teams meeting's call events (beta), and to the organiser's calendar.

https://learn.microsoft.com/graph/changenotifications-for-onlinemeeting
"""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from typing import Any
from urllib.parse import quote

from integration.provider import (
    CALL_RECORDS,
    Certificate,
    ProviderError,
    Watch,
    WatchRequest,
)
from integration.teams_call_records import READ_CALL_RECORDS
from integration.teams_client import GraphCalls
from integration.teams_values import READ_MEETINGS, WRITE_CALENDAR, pages, utc, utc_instant


class Watches:
    """One subscription per meeting; Graph allows no second one to the same application."""

    def __init__(self, graph: GraphCalls) -> None:
        self._graph = graph

    def start(self, request: WatchRequest) -> Watch:
        """POST /subscriptions; Graph checks both addresses before it answers."""
        body = {
            "changeType": "updated",
            "notificationUrl": request.notification_url,
            "lifecycleNotificationUrl": request.lifecycle_url,
            "resource": _resource(request.series.join_url),
            "expirationDateTime": utc(request.expires_at),
            "clientState": request.client_state,
            "includeResourceData": True,
            **_encrypted_to(request.certificate),
            "latestSupportedTlsVersion": "v1_2",
        }
        try:
            answer = self._graph.call("POST", "beta/subscriptions", needs=READ_MEETINGS, body=body)
        except ProviderError as e:
            # One subscription per app and meeting: an older one, of a lost answer, is in the way.
            if not e.permanent or not self._clear(request.series.join_url):
                raise
            answer = self._graph.call("POST", "beta/subscriptions", needs=READ_MEETINGS, body=body)
        return _watch(answer.body, request.expires_at)

    def start_calendar(
        self,
        mailbox_ref: str,
        *,
        notification_url: str,
        lifecycle_url: str,
        client_state: str,
        expires_at: datetime,
    ) -> Watch:
        """POST /subscriptions to a mailbox's events, or to the tenant's call records;
        notifications carry only an id.

        https://learn.microsoft.com/graph/outlook-change-notifications-overview
        """
        calls = mailbox_ref == CALL_RECORDS
        answer = self._graph.call(
            "POST",
            "beta/subscriptions",
            needs=READ_CALL_RECORDS if calls else WRITE_CALENDAR,
            body={
                "changeType": "created,updated" if calls else "updated,deleted",
                "notificationUrl": notification_url,
                "lifecycleNotificationUrl": lifecycle_url,
                "resource": "communications/callRecords"
                if calls
                else f"users/{mailbox_ref}/events",
                "expirationDateTime": utc(expires_at),
                "clientState": client_state,
                "latestSupportedTlsVersion": "v1_2",
            },
        )
        return _watch(answer.body, expires_at)

    def _clear(self, join_url: str) -> bool:
        """Delete our subscriptions to that meeting; whether there were any."""
        rows = list(pages(self._graph, "beta/subscriptions", needs=READ_MEETINGS))
        ours = [r for r in rows if r.get("resource") == _resource(join_url)]
        for row in ours:
            self.stop(str(row.get("id")))
        return bool(ours)

    def renew(self, watch_ref: str, expires_at: datetime, certificate: Certificate | None) -> Watch:
        """PATCH /subscriptions/{id}."""
        answer = self._graph.call(
            "PATCH",
            f"beta/subscriptions/{quote(watch_ref, safe='')}",
            needs=READ_MEETINGS,
            body={
                "expirationDateTime": utc(expires_at),
                **(_encrypted_to(certificate) if certificate else {}),
            },
        )
        return _watch({"id": watch_ref, **answer.body}, expires_at)

    def live(self) -> dict[str, datetime]:
        """GET /subscriptions."""
        listed = pages(self._graph, "beta/subscriptions", needs=READ_MEETINGS)
        return {
            str(row.get("id")): until
            for row in listed
            if (until := utc_instant(row, "expirationDateTime")) is not None
        }

    def stop(self, watch_ref: str) -> None:
        """DELETE /subscriptions/{id}."""
        try:
            self._graph.call(
                "DELETE", f"beta/subscriptions/{quote(watch_ref, safe='')}", needs=READ_MEETINGS
            )
        except ProviderError as e:
            if not e.gone:
                raise


def _encrypted_to(certificate: Certificate) -> dict[str, str]:
    return {
        "encryptionCertificate": b64encode(certificate.der).decode(),
        "encryptionCertificateId": certificate.ref,
    }


def _resource(join_url: str) -> str:
    return (
        f"communications/onlineMeetings(joinWebUrl='{quote(join_url, safe='')}')/meetingCallEvents"
    )


def _watch(body: dict[str, Any], asked: datetime) -> Watch:
    ref = body.get("id")
    if not isinstance(ref, str) or not ref:
        raise ProviderError(
            "Graph's answer names no subscription.", permanent=False, outcome_unknown=True
        )
    return Watch(ref=ref, expires_at=utc_instant(body, "expirationDateTime") or asked)
