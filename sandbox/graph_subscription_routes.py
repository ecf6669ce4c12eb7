"""The Graph stand-in's subscriptions over HTTP.

https://learn.microsoft.com/graph/api/resources/subscription
"""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from sandbox.graph_errors import answer_with, json_body
from sandbox.graph_subscription_rules import role_of
from sandbox.graph_subscriptions import Subscription
from sandbox.graph_tenant import GraphStandIn, needs


def add_subscriptions(routes: Blueprint, graph: GraphStandIn) -> None:
    """The routes on subscriptions; which permission one takes depends on its resource."""

    def permitted(ref: str) -> Subscription:
        found = graph.subscriptions.find(ref)
        graph.check(role_of(found.asked["resource"]))
        return found

    @routes.post("/<version>/subscriptions")
    @needs(graph, None)
    def subscribe(version: str) -> Response:
        asked = json_body()
        graph.check(role_of(str(asked.get("resource") or "")))
        made = graph.subscriptions.create(asked, version=version)
        return answer_with(201, made.body())

    @routes.get("/<version>/subscriptions")
    @needs(graph, None)
    def subscriptions(version: str) -> Response:
        del version
        return jsonify(value=[s.body() for s in graph.subscriptions.live()])

    @routes.get("/<version>/subscriptions/<ref>")
    @needs(graph, None)
    def subscription(version: str, ref: str) -> Response:
        del version
        return jsonify(permitted(ref).body())

    @routes.patch("/<version>/subscriptions/<ref>")
    @needs(graph, None)
    def renew(version: str, ref: str) -> Response:
        permitted(ref)
        return jsonify(graph.subscriptions.change(ref, json_body(), version=version).body())

    @routes.post("/<version>/subscriptions/<ref>/reauthorize")
    @needs(graph, None)
    def reauthorize(version: str, ref: str) -> Response:
        del version
        permitted(ref)
        return Response(status=204)

    @routes.delete("/<version>/subscriptions/<ref>")
    @needs(graph, None)
    def unsubscribe(version: str, ref: str) -> Response:
        del version
        permitted(ref)
        graph.subscriptions.delete(ref)
        return Response(status=204)
