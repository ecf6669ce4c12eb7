"""The Graph stand-in's calendar over HTTP: events, their instances, changes and cancellations.

https://learn.microsoft.com/graph/api/resources/event
"""

from __future__ import annotations

import re

from flask import Blueprint, Response, jsonify, request

from sandbox.graph_errors import GraphError, answer_with, json_body, read_utc
from sandbox.graph_rules import read_zone
from sandbox.graph_tenant import GraphStandIn, chosen, needs, page_of

_PREFERRED_ZONE = re.compile(r'outlook\.timezone\s*=\s*"([^"]*)"', re.IGNORECASE)
_BY_SUBJECT = re.compile(r"subject eq '(.*)'", re.DOTALL)


def add_events(routes: Blueprint, graph: GraphStandIn) -> None:
    """The routes on the organiser's events."""

    def announce(ref: str, change: str) -> None:
        """Exchange tells of the master, also when one instance was changed."""
        names = {graph.config.teams_host_id.lower(), graph.config.teams_host_email.lower()}
        graph.subscriptions.notify_event(names, ref, change)

    def cancelled(ref: str) -> None:
        with graph.lock:
            series, instance = graph.calendar.find(ref)
            graph.calendar.cancel(ref)
        announce(series.id, "deleted" if instance is None else "updated")

    @routes.post("/<version>/users/<user>/events")
    @needs(graph, "Calendars.ReadWrite")
    def create(version: str, user: str) -> Response:
        del version
        graph.mailbox(user)
        zone = preferred_zone()
        with graph.lock:
            return answer_with(201, graph.calendar.create(json_body()).body(zone))

    @routes.get("/<version>/users/<user>/events")
    @needs(graph, "Calendars.ReadWrite")
    def events(version: str, user: str) -> Response:
        del version
        graph.mailbox(user)
        zone = preferred_zone()
        found = graph.calendar.live()
        wanted = request.args.get("$filter")
        if wanted is not None:
            subject = _BY_SUBJECT.fullmatch(wanted)
            if subject is None:
                raise GraphError(400, "BadRequest", "Invalid filter clause.")
            # Exchange compares subjects without regard to case.
            name = subject[1].replace("''", "'").casefold()
            found = [s for s in found if s.subject.casefold() == name]
        return page_of(graph, [chosen(s.body(zone)) for s in found])

    @routes.get("/<version>/users/<user>/events/<ref>")
    @needs(graph, "Calendars.ReadWrite")
    def event(version: str, user: str, ref: str) -> Response:
        del version
        graph.mailbox(user)
        zone = preferred_zone()
        series, instance = graph.calendar.find(ref)
        body = series.body(zone) if instance is None else series.instance_body(instance, zone)
        return jsonify(chosen(body))

    @routes.get("/<version>/users/<user>/events/<ref>/instances")
    @needs(graph, "Calendars.ReadWrite")
    def instances(version: str, user: str, ref: str) -> Response:
        del version
        graph.mailbox(user)
        zone = preferred_zone()
        for name in ("startDateTime", "endDateTime"):
            if name not in request.args:
                raise GraphError(
                    400,
                    "ErrorInvalidParameter",
                    "This request requires a time window specified by the query string parameters "
                    "StartDateTime and EndDateTime.",
                )
        begin, end = read_utc(request.args["startDateTime"]), read_utc(request.args["endDateTime"])
        series, instance = graph.calendar.find(ref)
        if instance is not None:
            raise GraphError(400, "ErrorInvalidRequest", "Only a series master has instances.")
        found = [
            i
            for i in series.instances
            if not i.cancelled and i.starts_at < end and i.ends_at > begin
        ]
        # No order is promised; a documented answer brings the exceptions before the others.
        found.sort(key=lambda i: not i.is_exception)
        return page_of(graph, [chosen(series.instance_body(i, zone)) for i in found])

    @routes.patch("/<version>/users/<user>/events/<ref>")
    @needs(graph, "Calendars.ReadWrite")
    def change(version: str, user: str, ref: str) -> Response:
        del version
        graph.mailbox(user)
        zone = preferred_zone()
        with graph.lock:
            series, _ = graph.calendar.find(ref)
            body = graph.calendar.change(ref, json_body(), zone)
        announce(series.id, "updated")
        return jsonify(body)

    @routes.delete("/<version>/users/<user>/events/<ref>")
    @needs(graph, "Calendars.ReadWrite")
    def delete(version: str, user: str, ref: str) -> Response:
        del version
        graph.mailbox(user)
        cancelled(ref)
        return Response(status=204)

    @routes.post("/<version>/users/<user>/events/<ref>/cancel")
    @needs(graph, "Calendars.ReadWrite")
    def cancel(version: str, user: str, ref: str) -> Response:
        del version
        graph.mailbox(user)
        asked = json_body() if request.get_data() else {}
        if {name.lower() for name in asked} - {"comment"}:
            raise GraphError(400, "BadRequest", "The action 'cancel' takes a comment only.")
        cancelled(ref)
        return Response(status=202)


def preferred_zone() -> str:
    """The zone for start and end in answers, as `Prefer` names it; UTC when it does not."""
    found = _PREFERRED_ZONE.search(request.headers.get("Prefer", ""))
    if found is None:
        return "UTC"
    read_zone(found[1])
    return found[1]
