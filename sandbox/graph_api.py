"""The Graph stand-in's API: events, online meetings, reports, subscriptions, call records.

Everything is mounted at /graph, under /v1.0 and /beta. https://learn.microsoft.com/graph/api/overview
"""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from sandbox.graph_calls import add_calls
from sandbox.graph_errors import GraphError
from sandbox.graph_event_routes import add_events
from sandbox.graph_meetings import add_meetings
from sandbox.graph_subscription_routes import add_subscriptions
from sandbox.graph_tenant import GraphStandIn, chosen, create_graph, needs

__all__ = ["GraphStandIn", "create_graph", "create_graph_api"]


def create_graph_api(graph: GraphStandIn) -> Blueprint:
    """The blueprint with /v1.0 and /beta."""
    routes = Blueprint("graph", __name__)
    add_events(routes, graph)
    add_meetings(routes, graph)
    add_subscriptions(routes, graph)
    add_calls(routes, graph)

    @routes.errorhandler(GraphError)
    def refused(error: GraphError) -> Response:
        return error.answer(graph.clock())

    @routes.get("/<version>/users/<user>")
    @needs(graph, "User.Read.All")
    def directory(version: str, user: str) -> Response:
        del version
        graph.mailbox(user)
        return jsonify(
            chosen(
                {
                    "id": graph.config.teams_host_id,
                    "mail": graph.config.teams_host_email,
                    "userPrincipalName": graph.config.teams_host_email,
                }
            )
        )

    return routes
