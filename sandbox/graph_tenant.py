"""The Graph stand-in's tenant: who may call, which mailbox there is, and what stands in it.

https://learn.microsoft.com/graph/cloud-communication-online-meeting-application-access-policy
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from flask import Response, jsonify, request

from sandbox.bot_calls import Calls
from sandbox.config import SandboxConfig
from sandbox.delivery import Courier
from sandbox.graph_errors import GraphError
from sandbox.graph_events import Calendar, GraphSeries
from sandbox.graph_stage import GraphStage
from sandbox.graph_subscriptions import Subscriptions
from sandbox.login import LoginStandIn
from sandbox.pace import Pace
from sandbox.scene import Scene

PAGE = 10
VERSIONS = ("v1.0", "beta")
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
    calls: Calls
    lock: threading.RLock

    def play(self, scene: Scene, pace: Pace | None = None) -> dict[str, object]:
        """Play one held session."""
        return self.stage.play(scene, pace)

    def state(self) -> dict[str, Any]:
        """What stands in the tenant, to look at."""
        return {
            "series": [
                {
                    "id": s.id,
                    "subject": s.subject,
                    "transactionId": s.asked.get("transactionId"),
                    "join_url": s.join_url,
                    "instances": [
                        s.instance_body(i, "UTC") for i in s.instances if not i.cancelled
                    ],
                    "attendees": s.asked.get("attendees", []),
                    "reports": len(s.reports),
                    "call_records": [
                        ref
                        for ref, record in list(self.stage.call_records.items())
                        if record["joinWebUrl"] == s.join_url
                    ],
                }
                for s in self.calendar.live()
            ],
            "subscriptions": [s.body() for s in self.subscriptions.live()],
        }

    def check(self, role: str | None) -> None:
        """A live token of an application, with that permission if one is named."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        until = self.login.tokens.get(token)
        if until is None:
            raise GraphError(401, "InvalidAuthenticationToken", "Access token is empty or invalid.")
        if until <= self.clock():
            raise GraphError(
                401, "InvalidAuthenticationToken", "Lifetime validation failed, token expired."
            )
        if role is not None and role not in self.config.teams_roles:
            raise GraphError(403, "Forbidden", "Missing role permissions on the request.")

    def mailbox(self, user: str) -> None:
        """The one organiser, by object id or address."""
        if user.lower() not in (
            self.config.teams_host_id.lower(),
            self.config.teams_host_email.lower(),
        ):
            raise GraphError(404, "ErrorInvalidUser", f"The requested user '{user}' is invalid.")

    def meeting(self, organiser: str, meeting_id: str) -> GraphSeries:
        """An online meeting; it outlives its cancelled event."""
        self.policy(organiser)
        found = self.calendar.by_meeting_id(meeting_id)
        if found is None:
            raise GraphError(404, "NotFound", "Meeting not found.")
        return found

    def policy(self, organiser: str) -> None:
        """Calls about online meetings need an object id and an application access policy."""
        if organiser.lower() != self.config.teams_host_id.lower():
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
        calls=Calls(login, Courier()),
        lock=threading.RLock(),
    )


def needs(graph: GraphStandIn, role: str | None) -> Callable[[View], View]:
    """Mark a view with the application permission that it takes; None: any valid token."""

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(*args: Any, **values: Any) -> Response:
            graph.check(role)
            if values["version"] not in VERSIONS:
                raise GraphError(400, "BadRequest", "Invalid version.")
            return view(*args, **values)

        return checked

    return decorate


def chosen(body: dict[str, Any]) -> dict[str, Any]:
    """The properties that $select asks for; the id comes along always."""
    names = request.args.get("$select")
    if not names:
        return body
    wanted = {name.strip() for name in names.split(",")}
    if unknown := wanted - set(body):
        raise GraphError(
            400, "RequestBroker--ParseUri", f"Could not find a property named '{min(unknown)}'."
        )
    return {k: v for k, v in body.items() if k in {*wanted, "id"}}


def page_of(graph: GraphStandIn, rows: list[dict[str, Any]]) -> Response:
    """Pages of ten; the next one's address is complete in itself, with filter and range."""
    asked = request.args.get("$skip", "0")
    if not (asked.isascii() and asked.isdigit()):
        raise GraphError(400, "BadRequest", f"Invalid value '{asked}' for $skip query option.")
    skip = int(asked)
    body: dict[str, Any] = {"value": rows[skip : skip + PAGE]}
    if skip + PAGE < len(rows):
        query = urlencode({**request.args, "$skip": skip + PAGE}, safe="$")
        path = request.path.removeprefix("/graph")
        body["@odata.nextLink"] = f"{graph.config.base_url}/graph{path}?{query}"
    return jsonify(body)
