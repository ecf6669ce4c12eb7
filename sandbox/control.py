"""Looking at the stand-ins and driving them: a page in words, their state, scenes to play."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import datetime
from typing import Any, get_args

from flask import Blueprint, Response, jsonify, request

from sandbox.faults import BadFault, Faults, read_fault
from sandbox.graph_api import GraphStandIn
from sandbox.graph_errors import GraphError
from sandbox.limits import Limits
from sandbox.scene import Act, Deed, Person, Scene
from sandbox.zoom_account import ZoomError, ZoomStandIn
from sandbox.zoom_stage import ZoomStage

PAGE = """Circle's stand-ins for Zoom and Microsoft Graph. Nothing here reaches either.

  Zoom API      {base}/zoom/v2          OAuth  {base}/zoom/oauth/token
  Graph         {base}/graph            Login  {base}/login
  State         {base}/control/state (DELETE empties both)
  Let a session take place now, beside `make serve`: {base}/play

Play a session (see sandbox/scene.py for the fields):

  curl -H 'Content-Type: application/json' {base}/control/zoom/scenes -d '
    {{"series_ref": "<meeting id>", "starts_at": "2027-01-09T10:00:00+00:00", "opens": -5,
     "closes": 32, "people": {{"maya": {{"name": "Maya Patel"}}}},
     "acts": [{{"at": 0, "person": "maya", "deed": "join"}},
              {{"at": 30, "person": "maya", "deed": "leave"}}]}}'

  the same at {base}/control/teams/scenes with the id of a series master event

Ask the service to prove its Zoom secret:        curl -X POST {base}/control/zoom/validate
Tell it something about a subscription of Teams:
  curl -X POST {base}/control/teams/subscriptions/<id>/reauthorizationRequired
  (or subscriptionRemoved, or missed)

Make a platform fail (see sandbox/faults.py for the fields), look at the calls, end it:
  curl -H 'Content-Type: application/json' {base}/control/faults -d '
    {{"platform": "zoom", "do": "lose_reply", "method": "POST", "path": "/meetings$"}}'
  curl {base}/control/calls
  curl -X DELETE {base}/control/faults

On Zoom: {zoom} series, {instances} held sessions.
On Teams: {teams} series, {subscriptions} live subscriptions.
"""


class BadScene(Exception):
    """The scene cannot be read; the message says why."""


def read_scene(asked: Any) -> Scene:
    """A scene from JSON, strictly: an unknown field is an error."""
    if not isinstance(asked, dict):
        raise BadScene("a scene is a JSON object")
    try:
        people = {str(k): _made(Person, v) for k, v in asked.get("people", {}).items()}
        acts = tuple(_made(Act, act) for act in asked.get("acts", []))
        scene: Scene = _made(
            Scene,
            {
                **asked,
                "starts_at": datetime.fromisoformat(str(asked.get("starts_at"))),
                "people": people,
                "acts": acts,
            },
        )
    except (TypeError, ValueError, AttributeError) as e:
        raise BadScene(str(e)) from e
    if scene.starts_at.tzinfo is None:
        raise BadScene("starts_at needs an offset")
    for act in scene.acts:
        if act.person not in people:
            raise BadScene(f"nobody is called {act.person}")
        if act.deed not in get_args(Deed):
            raise BadScene(f"{act.deed} is not one of {', '.join(get_args(Deed))}")
    return scene


def _made(kind: Any, asked: Any) -> Any:
    unknown = set(asked) - {field.name for field in fields(kind)}
    if unknown:
        raise BadScene(f"unknown: {', '.join(sorted(unknown))}")
    return kind(**asked)


def create_control(
    zoom: ZoomStandIn, stage: ZoomStage, graph: GraphStandIn, faults: Faults, limits: Limits
) -> Blueprint:
    """The blueprint with / and /control."""
    routes = Blueprint("control", __name__)

    @routes.errorhandler(BadScene)
    def unreadable(error: BadScene) -> Response:
        return _answer(400, {"error": str(error)})

    @routes.errorhandler(BadFault)
    def unreadable_fault(error: BadFault) -> Response:
        return _answer(400, {"error": str(error)})

    @routes.errorhandler(ZoomError)
    def zoom_refused(error: ZoomError) -> Response:
        return _answer(error.http, error.body)

    @routes.errorhandler(GraphError)
    def graph_refused(error: GraphError) -> Response:
        return error.answer(graph.clock())

    @routes.get("/")
    def page() -> Response:
        state = graph.state()
        text = PAGE.format(
            base=zoom.config.base_url,
            zoom=len(zoom.account.meetings),
            instances=sum(1 for _ in zoom.account.instances()),
            teams=len(state["series"]),
            subscriptions=len(state["subscriptions"]),
        )
        return Response(text, mimetype="text/plain")

    @routes.get("/control/state")
    def state() -> Response:
        return jsonify(zoom=zoom.account.state(), teams=graph.state())

    @routes.delete("/control/state")
    def clear() -> Response:
        zoom.account.clear()
        graph.calendar.clear()
        graph.subscriptions.clear()
        graph.stage.call_records.clear()
        graph.calls.live.clear()
        return jsonify(cleared=True)

    @routes.post("/control/zoom/scenes")
    def zoom_scene() -> Response:
        return jsonify(stage.play(read_scene(_json())))

    @routes.post("/control/teams/scenes")
    def teams_scene() -> Response:
        return jsonify(graph.play(read_scene(_json())))

    @routes.post("/control/zoom/validate")
    def validate() -> Response:
        return jsonify(stage.validate())

    @routes.post("/control/teams/subscriptions/<ref>/<kind>")
    def lifecycle(ref: str, kind: str) -> Response:
        return jsonify(answered=graph.subscriptions.lifecycle(ref, kind))

    @routes.get("/control/teams/calls")
    def bots() -> Response:
        return jsonify(calls=list(graph.calls.live))

    @routes.post("/control/teams/calls/<call_id>/participants")
    def roster(call_id: str) -> Response:
        return jsonify(answered=graph.calls.tell(call_id, "/participants", _json()))

    @routes.post("/control/teams/calls/<call_id>/state")
    def call_state(call_id: str) -> Response:
        return jsonify(answered=graph.calls.tell(call_id, "", _json()))

    @routes.post("/control/faults")
    def add_fault() -> Response:
        faults.add(read_fault(_json()))
        return jsonify(active=len(faults.active))

    @routes.delete("/control/faults")
    def clear_faults() -> Response:
        faults.reset()
        return jsonify(active=0)

    @routes.get("/control/calls")
    def calls() -> Response:
        return jsonify(calls=faults.calls, refused=limits.refused)

    return routes


def _json() -> Any:
    try:
        return json.loads(request.get_data())
    except ValueError as e:
        raise BadScene("not JSON") from e


def _answer(code: int, body: dict[str, Any]) -> Response:
    answer = jsonify(body)
    answer.status_code = code
    return answer
