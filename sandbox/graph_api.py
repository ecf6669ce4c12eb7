"""The Graph stand-in's API: events, online meetings, reports, subscriptions, call records."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any

from flask import Blueprint, Response, jsonify, request

from sandbox.config import SandboxConfig
from sandbox.delivery import Courier
from sandbox.graph_errors import GraphError, json_body, read_utc
from sandbox.graph_events import Calendar, GraphSeries
from sandbox.graph_stage import GraphStage
from sandbox.graph_subscriptions import Subscriptions
from sandbox.login import LoginStandIn
from sandbox.scene import Scene

PAGE = 10
_PREFERRED_ZONE = re.compile(r'outlook\.timezone="([^"]+)"')
_BY_JOIN_URL = re.compile(r"JoinWebUrl eq '(.*)'")
_BY_SUBJECT = re.compile(r"subject eq '(.*)'")
View = Callable[..., Response]


@dataclass(slots=True)
class GraphStandIn:
    """The tenant: its calendar, meetings and subscriptions."""

    config: SandboxConfig
    clock: Callable[[], datetime]
    login: LoginStandIn
    calendar: Calendar
    subscriptions: Subscriptions
    stage: GraphStage
    lock: threading.RLock

    def play(self, scene: Scene) -> dict[str, object]:
        """Play one held session."""
        return self.stage.play(scene)

    def state(self) -> dict[str, Any]:
        """What stands in the tenant, to look at."""
        return {
            "series": [
                {
                    "id": s.id,
                    "subject": s.asked["subject"],
                    "transactionId": s.asked.get("transactionId"),
                    "cancelled": s.cancelled,
                    "join_url": s.join_url,
                    "instances": [
                        s.instance_body(i, "UTC") for i in s.instances if not i.cancelled
                    ],
                    "attendees": s.asked.get("attendees", []),
                    "reports": len(s.reports),
                }
                for s in self.calendar.series.values()
            ],
            "subscriptions": [s.body() for s in self.subscriptions.live()],
        }

    def check(self, role: str) -> None:
        """A live token of an application with that permission."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        until = self.login.tokens.get(token)
        if until is None:
            raise GraphError(401, "InvalidAuthenticationToken", "Access token is empty or invalid.")
        if until <= self.clock():
            raise GraphError(
                401, "InvalidAuthenticationToken", "Lifetime validation failed, token expired."
            )
        if role not in self.config.teams_roles:
            raise GraphError(403, "Forbidden", "Missing role permissions on the request.")

    def mailbox(self, user: str) -> None:
        """The one organiser, by object id or address."""
        if user not in (self.config.teams_host_id, self.config.teams_host_email):
            raise GraphError(404, "ErrorInvalidUser", f"The requested user '{user}' is invalid.")

    def meeting(self, organiser: str, meeting_id: str) -> GraphSeries:
        """An online meeting; only under the organiser's object id, and only with the policy."""
        self.policy(organiser)
        for series in self.calendar.series.values():
            if series.meeting_id == meeting_id:
                return series
        raise GraphError(404, "NotFound", "Meeting not found.")

    def policy(self, organiser: str) -> None:
        """Calls about online meetings need an object id and an application access policy."""
        if organiser != self.config.teams_host_id:
            raise GraphError(400, "BadRequest", "The user id must be a GUID of this tenant.")
        if not self.config.teams_access_policy:
            raise GraphError(
                403,
                "Forbidden",
                f"No application access policy found for this app: {self.config.teams_client_id}.",
            )


def create_graph(config: SandboxConfig, *, clock: Callable[[], datetime]) -> GraphStandIn:
    """The stand-in, ready to be mounted."""
    login = LoginStandIn(config, clock)
    calendar = Calendar(config)
    subscriptions = Subscriptions(config=config, login=login, courier=Courier(), clock=clock)
    return GraphStandIn(
        config=config,
        clock=clock,
        login=login,
        calendar=calendar,
        subscriptions=subscriptions,
        stage=GraphStage(config, calendar, subscriptions),
        lock=threading.RLock(),
    )


def create_graph_api(graph: GraphStandIn) -> Blueprint:
    """The blueprint with /v1.0 and /beta."""
    routes = Blueprint("graph", __name__)

    def needs(role: str) -> Callable[[View], View]:
        def decorate(view: View) -> View:
            @wraps(view)
            def checked(*args: Any, **values: Any) -> Response:
                graph.check(role)
                if values.get("version", "v1.0") not in ("v1.0", "beta"):
                    raise GraphError(404, "BadRequest", "Invalid version.")
                return view(*args, **values)

            return checked

        return decorate

    @routes.errorhandler(GraphError)
    def refused(error: GraphError) -> Response:
        return error.answer(graph.clock())

    @routes.post("/<version>/users/<user>/events")
    @needs("Calendars.ReadWrite")
    def create(version: str, user: str) -> Response:
        del version
        graph.mailbox(user)
        with graph.lock:
            series, _ = graph.calendar.create(json_body())
        return _answer(201, series.body())

    @routes.get("/<version>/users/<user>/events")
    @needs("Calendars.ReadWrite")
    def events(version: str, user: str) -> Response:
        del version
        graph.mailbox(user)
        rows = [s.body() for s in graph.calendar.series.values() if not s.cancelled]
        wanted = request.args.get("$filter")
        if wanted is not None:
            subject = _BY_SUBJECT.fullmatch(wanted)
            if subject is None:
                raise GraphError(400, "BadRequest", "Invalid filter clause.")
            rows = [r for r in rows if r["subject"] == subject[1].replace("''", "'")]
        return _page(graph, rows)

    @routes.get("/<version>/users/<user>/events/<ref>")
    @needs("Calendars.ReadWrite")
    def event(version: str, user: str, ref: str) -> Response:
        del version
        graph.mailbox(user)
        series, instance = graph.calendar.find(ref)
        body = series.body() if instance is None else series.instance_body(instance, _zone())
        chosen = request.args.get("$select")
        if chosen:
            body = {k: v for k, v in body.items() if k in {*chosen.split(","), "id"}}
        return jsonify(body)

    @routes.get("/<version>/users/<user>/events/<ref>/instances")
    @needs("Calendars.ReadWrite")
    def instances(version: str, user: str, ref: str) -> Response:
        del version
        graph.mailbox(user)
        for name in ("startDateTime", "endDateTime"):
            if name not in request.args:
                raise GraphError(400, "ErrorInvalidParameter", f"{name} is required.")
        begin, end = read_utc(request.args["startDateTime"]), read_utc(request.args["endDateTime"])
        series, _ = graph.calendar.find(ref)
        rows = [
            series.instance_body(i, _zone())
            for i in series.instances
            if not i.cancelled and begin <= i.starts_at < end
        ]
        return _page(graph, rows)

    @routes.patch("/<version>/users/<user>/events/<ref>")
    @needs("Calendars.ReadWrite")
    def change(version: str, user: str, ref: str) -> Response:
        del version
        graph.mailbox(user)
        with graph.lock:
            return jsonify(graph.calendar.change(ref, json_body()))

    @routes.delete("/<version>/users/<user>/events/<ref>")
    @needs("Calendars.ReadWrite")
    def delete(version: str, user: str, ref: str) -> Response:
        del version
        graph.mailbox(user)
        with graph.lock:
            series, instance = graph.calendar.find(ref)
            if instance is None:
                del graph.calendar.series[series.id]
            else:
                instance.cancelled = True
        return Response(status=204)

    @routes.post("/<version>/users/<user>/events/<ref>/cancel")
    @needs("Calendars.ReadWrite")
    def cancel(version: str, user: str, ref: str) -> Response:
        del version
        graph.mailbox(user)
        with graph.lock:
            series, instance = graph.calendar.find(ref)
            if instance is None:
                del graph.calendar.series[series.id]
            else:
                instance.cancelled = True
        return Response(status=202)

    @routes.get("/<version>/users/<user>")
    @needs("User.Read.All")
    def user_(version: str, user: str) -> Response:
        del version
        graph.mailbox(user)
        return jsonify(id=graph.config.teams_host_id)

    @routes.get("/<version>/users/<user>/onlineMeetings")
    @needs("OnlineMeetings.Read.All")
    def meetings(version: str, user: str) -> Response:
        del version
        graph.policy(user)
        asked = _BY_JOIN_URL.fullmatch(request.args.get("$filter", ""))
        if asked is None:
            raise GraphError(400, "BadRequest", "Invalid filter clause.")
        series = graph.calendar.by_join_url(asked[1].replace("''", "'"))
        if series is None:
            return jsonify(value=[])
        body = {
            "id": series.meeting_id,
            "joinWebUrl": series.join_url,
            "subject": series.asked["subject"],
            "meetingType": "recurring",
            "participants": {"organizer": {"identity": {"user": {"id": user}}}},
        }
        return jsonify(value=[body])

    @routes.get("/<version>/users/<user>/onlineMeetings/<meeting_id>/attendanceReports")
    @needs("OnlineMeetingArtifact.Read.All")
    def reports(version: str, user: str, meeting_id: str) -> Response:
        del version
        rows = [
            {**report, "attendanceRecords": []}
            for report in reversed(graph.meeting(user, meeting_id).reports[-50:])
        ]
        return _page(graph, rows)

    @routes.get("/<version>/users/<user>/onlineMeetings/<meeting_id>/attendanceReports/<report_id>")
    @needs("OnlineMeetingArtifact.Read.All")
    def report(version: str, user: str, meeting_id: str, report_id: str) -> Response:
        for found in graph.meeting(user, meeting_id).reports:
            if found["id"] == report_id:
                body = dict(found)
                if request.args.get("$expand") != "attendanceRecords":
                    body["attendanceRecords"] = []
                elif version != "beta":  # engagements are not in v1.0
                    body["attendanceRecords"] = [
                        {k: v for k, v in r.items() if k != "engagements"}
                        for r in body["attendanceRecords"]
                    ]
                return jsonify(body)
        raise GraphError(404, "NotFound", "Attendance report not found.")

    @routes.get("/v1.0/communications/callRecords/<record_id>")
    @needs("CallRecords.Read.All")
    def call_record(record_id: str) -> Response:
        found = graph.stage.call_records.get(record_id)
        if found is None:
            raise GraphError(404, "NotFound", "Call record not found.")
        expand = request.args.get("$expand") or ""
        return jsonify(found if "sessions" in expand else {**found, "sessions": []})

    @routes.post("/<version>/subscriptions")
    @needs("OnlineMeetings.Read.All")
    def subscribe(version: str) -> Response:
        made = graph.subscriptions.create(json_body(), version=version)
        return _answer(201, made.body())

    @routes.get("/<version>/subscriptions")
    @needs("OnlineMeetings.Read.All")
    def subscriptions(version: str) -> Response:
        del version
        return jsonify(value=[s.body() for s in graph.subscriptions.live()])

    @routes.patch("/<version>/subscriptions/<ref>")
    @needs("OnlineMeetings.Read.All")
    def renew(version: str, ref: str) -> Response:
        del version
        return jsonify(graph.subscriptions.renew(ref, json_body()).body())

    @routes.post("/<version>/subscriptions/<ref>/reauthorize")
    @needs("OnlineMeetings.Read.All")
    def reauthorize(version: str, ref: str) -> Response:
        del version
        graph.subscriptions.find(ref)
        return Response(status=204)

    @routes.delete("/<version>/subscriptions/<ref>")
    @needs("OnlineMeetings.Read.All")
    def unsubscribe(version: str, ref: str) -> Response:
        del version
        graph.subscriptions.delete(ref)
        return Response(status=204)

    return routes


def _answer(code: int, body: dict[str, Any]) -> Response:
    answer = jsonify(body)
    answer.status_code = code
    return answer


def _zone() -> str:
    found = _PREFERRED_ZONE.search(request.headers.get("Prefer", ""))
    return found[1] if found else "UTC"


def _page(graph: GraphStandIn, rows: list[dict[str, Any]]) -> Response:
    """Pages of ten; the next one's address is complete in itself."""
    skip = int(request.args.get("$skip", "0"))
    body: dict[str, Any] = {"value": rows[skip : skip + PAGE]}
    if skip + PAGE < len(rows):
        query = "&".join(
            f"{k}={v}" for k, v in request.args.items() if k != "$skip" and "'" not in v
        )
        path = request.path.removeprefix("/graph")
        body["@odata.nextLink"] = f"{graph.config.base_url}/graph{path}?{query}&$skip={skip + PAGE}"
    return jsonify(body)
