"""The Graph stand-in's online meetings, their attendance reports, and call records.

https://learn.microsoft.com/graph/api/onlinemeeting-get,
https://learn.microsoft.com/graph/api/meetingattendancereport-get and
https://learn.microsoft.com/graph/api/callrecords-callrecord-get
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from flask import Blueprint, Response, jsonify, request

from sandbox.config import SandboxConfig
from sandbox.graph_errors import GraphError
from sandbox.graph_events import GraphSeries
from sandbox.graph_tenant import GraphStandIn, needs, page_of

MOST_REPORTS = 50
# The routing has decoded the query once: what remains must be the link as it was given out.
_BY_JOIN_URL = re.compile(r"[Jj]oinWebUrl eq '(.*)'")
_THREAD = re.compile(r"/meetup-join/([^/]+)/")


def add_meetings(routes: Blueprint, graph: GraphStandIn) -> None:
    """The routes on online meetings and on what was held in them."""

    @routes.get("/<version>/users/<user>/onlineMeetings")
    @needs(graph, "OnlineMeetings.Read.All")
    def meetings(version: str, user: str) -> Response:
        del version
        graph.policy(user)
        asked = _BY_JOIN_URL.fullmatch(request.args.get("$filter", ""))
        if asked is None:
            raise GraphError(400, "BadRequest", "Invalid filter clause.")
        series = graph.calendar.by_join_url(asked[1].replace("''", "'"))
        return jsonify(value=[] if series is None else [_meeting(series, graph.config)])

    @routes.get("/<version>/users/<user>/onlineMeetings/<meeting_id>")
    @needs(graph, "OnlineMeetings.Read.All")
    def one(version: str, user: str, meeting_id: str) -> Response:
        del version
        return jsonify(_meeting(graph.meeting(user, meeting_id), graph.config))

    at = "/<version>/users/<user>/onlineMeetings/<meeting_id>/attendanceReports"

    @routes.get(at)
    @needs(graph, "OnlineMeetingArtifact.Read.All")
    def reports(version: str, user: str, meeting_id: str) -> Response:
        del version
        newest = graph.meeting(user, meeting_id).reports[-MOST_REPORTS:]
        return page_of(graph, [{**r, "attendanceRecords": []} for r in reversed(newest)])

    @routes.get(f"{at}/<report_id>")
    @needs(graph, "OnlineMeetingArtifact.Read.All")
    def report(version: str, user: str, meeting_id: str, report_id: str) -> Response:
        expand = request.args.get("$expand")
        if expand not in (None, "attendanceRecords"):
            raise GraphError(400, "BadRequest", f"Could not find a property named '{expand}'.")
        for found in graph.meeting(user, meeting_id).reports:
            if found["id"] == report_id:
                records = found["attendanceRecords"] if expand else []
                if version != "beta":
                    records = [_without_engagements(record) for record in records]
                return jsonify({**found, "attendanceRecords": records})
        raise GraphError(404, "NotFound", "Attendance report not found.")

    @routes.get("/<version>/communications/callRecords/<record_id>")
    @needs(graph, "CallRecords.Read.All")
    def call_record(version: str, record_id: str) -> Response:
        del version
        found = graph.stage.call_records.get(record_id)
        if found is None:
            raise GraphError(404, "NotFound", "Call record not found.")
        match request.args.get("$expand"):
            case "sessions($expand=segments)":
                return jsonify(found)
            case "sessions":
                bare = [{**session, "segments": []} for session in found["sessions"]]
                return jsonify({**found, "sessions": bare})
            case None:
                return jsonify({**found, "sessions": []})
        raise GraphError(400, "BadRequest", "Could not parse the expand clause.")


def _meeting(series: GraphSeries, config: SandboxConfig) -> dict[str, Any]:
    # The name may be missing; only the id is to be relied upon.
    organiser = {
        "id": config.teams_host_id,
        "displayName": None,
        "tenantId": config.teams_tenant_id,
    }
    thread = _THREAD.search(series.join_url)
    return {
        "id": series.meeting_id,
        "joinWebUrl": series.join_url,
        "subject": series.subject,
        "meetingType": "recurring",
        "chatInfo": {"threadId": unquote(thread[1]) if thread else None, "messageId": "0"},
        "participants": {
            "organizer": {
                "identity": {"user": organiser},
                "upn": config.teams_host_email,
                "role": "presenter",
            },
            "attendees": [],
        },
    }


def _without_engagements(record: dict[str, Any]) -> dict[str, Any]:
    """The metadata of v1.0 has no engagements."""
    return {k: v for k, v in record.items() if k != "engagements"}
