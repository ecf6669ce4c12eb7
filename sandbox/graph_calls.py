"""The Graph stand-in's calls: a bot joins a meeting, is kept alive, leaves, and is told the roster.

https://learn.microsoft.com/graph/api/application-post-calls and
https://learn.microsoft.com/graph/api/call-keepalive
"""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, Response, jsonify, request

from sandbox.graph_errors import GraphError
from sandbox.graph_tenant import GraphStandIn, needs

JOIN = "Calls.JoinGroupCall.All"
REQUIRED = ("callbackUri", "requestedModalities", "mediaConfig", "chatInfo", "meetingInfo")


def add_calls(routes: Blueprint, graph: GraphStandIn) -> None:
    """The routes on calls."""
    calls = graph.calls

    def known(call_id: str) -> None:
        if call_id not in calls.live:
            raise GraphError(404, "NotFound", "Call not found.")

    @routes.post("/<version>/communications/calls")
    @needs(graph, JOIN)
    def join(version: str) -> Response:
        del version
        asked: dict[str, Any] = request.get_json()
        missing = [name for name in REQUIRED if not asked.get(name)]
        if missing:
            raise GraphError(400, "BadRequest", f"{missing[0]} is required.")
        call_id = str(uuid.uuid4())
        calls.live[call_id] = asked
        answer = jsonify({**asked, "id": call_id, "state": "establishing"})
        answer.status_code = 201
        return answer

    @routes.post("/<version>/communications/calls/<call_id>/keepAlive")
    @needs(graph, JOIN)
    def keep(version: str, call_id: str) -> Response:
        del version
        known(call_id)
        return Response(status=200)

    @routes.delete("/<version>/communications/calls/<call_id>")
    @needs(graph, JOIN)
    def leave(version: str, call_id: str) -> Response:
        del version
        known(call_id)
        del calls.live[call_id]
        return Response(status=204)
