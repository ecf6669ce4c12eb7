"""The Zoom stand-in's API: OAuth and the calls of a meeting's life, as strict as the real one.

https://developers.zoom.us/docs/internal-apps/s2s-oauth/ and
https://developers.zoom.us/docs/api/meetings/
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any
from urllib.parse import unquote

from flask import Blueprint, Response, jsonify, request

from sandbox.config import SandboxConfig
from sandbox.zoom_meetings import (
    Instance,
    Meeting,
    Registrant,
    ZoomAccount,
    plan,
    read_start,
    zulu,
)
from sandbox.zoom_rules import (
    faults_of_meeting,
    faults_of_occurrence_change,
    faults_of_registrant,
)

TOKEN_LIFE = timedelta(hours=1)
CHANGES_A_DAY = 100
REGISTRATIONS_A_DAY = 3
View = Callable[..., Response]


class ZoomError(Exception):
    """A refusal in Zoom's words."""

    def __init__(
        self,
        http: int,
        code: int,
        message: str,
        *,
        fields: list[str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.http = http
        self.headers = headers or {}
        self.body: dict[str, Any] = {"code": code, "message": message}
        if fields:
            self.body["errors"] = [{"field": f, "message": "Invalid field."} for f in fields]


@dataclass(slots=True)
class ZoomStandIn:
    """The account, its tokens and its API."""

    config: SandboxConfig
    clock: Callable[[], datetime]
    account: ZoomAccount = field(default_factory=ZoomAccount)
    tokens: dict[str, datetime] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def host_id(self) -> str:
        """The host's id, made from the address."""
        digest = hashlib.sha256(self.config.zoom_host.encode()).digest()[:16]
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def meeting(self, number: str) -> Meeting:
        """A meeting by its number."""
        found = self.account.meetings.get(int(number)) if number.isdigit() else None
        if found is None:
            raise ZoomError(404, 3001, f"Meeting does not exist: {number}.")
        return found

    def instance(self, ref: str) -> tuple[Meeting, Instance]:
        """A held instance by its twice-encoded uuid, or the latest one by a meeting's number.

        The routing has decoded the path once; a uuid that was encoded only once has lost its
        slashes to the path by then and is not found, exactly as at Zoom.
        """
        wanted = unquote(ref)
        for meeting, instance in self.account.instances():
            if instance.uuid == wanted:
                return meeting, instance
        if ref.isdigit():
            meeting = self.meeting(ref)
            if meeting.instances:
                return meeting, meeting.instances[-1]
        raise ZoomError(404, 3001, "Meeting does not exist or has expired.")

    def count_change(self) -> None:
        """Zoom allows a hundred creates and updates a day for each host."""
        now = self.clock()
        day = f"{now.astimezone(UTC):%Y-%m-%d}"
        done = self.account.changes.get((self.host_id, day), 0)
        if done >= CHANGES_A_DAY:
            midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
            raise ZoomError(
                429,
                429,
                "You have reached the maximum daily rate limit for this API. Refer to the response "
                "header for details on when you can make another request.",
                headers={
                    "X-RateLimit-Category": "Light",
                    "X-RateLimit-Type": "Daily-limit",
                    "Retry-After": zulu(midnight + timedelta(days=1)),
                },
            )
        self.account.changes[(self.host_id, day)] = done + 1

    def check(self, scope: str) -> None:
        """A live token with that scope."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        until = self.tokens.get(token)
        if until is None:
            raise ZoomError(401, 124, "Invalid access token.")
        if until <= self.clock():
            raise ZoomError(401, 124, "Access token is expired.")
        if scope not in self.config.zoom_scopes:
            raise ZoomError(400, 4711, f"Invalid access token, does not contain scopes:[{scope}].")


def create_zoom(zoom: ZoomStandIn) -> Blueprint:
    """The blueprint with /oauth/token and /v2."""
    routes = Blueprint("zoom", __name__)

    def needs(scope: str) -> Callable[[View], View]:
        def decorate(view: View) -> View:
            @wraps(view)
            def checked(*args: Any, **values: Any) -> Response:
                with zoom.lock:
                    zoom.check(scope)
                    return view(*args, **values)

            return checked

        return decorate

    @routes.errorhandler(ZoomError)
    def refused(error: ZoomError) -> Response:
        answer = jsonify(error.body)
        answer.status_code = error.http
        answer.headers.update(error.headers)
        return answer

    @routes.post("/oauth/token")
    def token() -> Response:
        given = request.authorization
        known = given is not None and (given.username, given.password) == (
            zoom.config.zoom_client_id,
            zoom.config.zoom_client_secret,
        )
        asked = request.values
        if not known:
            return _oauth_error("Invalid client_id or client_secret", "invalid_client")
        if asked.get("grant_type") != "account_credentials":
            return _oauth_error("unsupported grant type", "unsupported_grant_type")
        if asked.get("account_id") != zoom.config.zoom_account_id:
            return _oauth_error("Bad Request", "bad_request")
        made = secrets.token_urlsafe(24)
        zoom.tokens[made] = zoom.clock() + TOKEN_LIFE
        return jsonify(
            access_token=made,
            token_type="bearer",  # a type, not a secret
            expires_in=int(TOKEN_LIFE.total_seconds()) - 1,
            scope=" ".join(zoom.config.zoom_scopes),
            api_url=zoom.config.base_url,
        )

    @routes.post("/v2/users/<user>/meetings")
    @needs("meeting:write:meeting:admin")
    def create(user: str) -> Response:
        _host(zoom, user)
        asked = _json()
        if faults := faults_of_meeting(asked):
            raise ZoomError(400, 300, "Validation Failed.", fields=faults)
        if asked.get("settings", {}).get("approval_type", 2) != 2 and not (
            zoom.config.zoom_host_licensed
        ):
            raise ZoomError(400, 3161, "Meeting hosting and scheduling capabilities not allowed.")
        zoom.count_change()
        number = zoom.account.new_id()
        made = Meeting(
            id=number,
            uuid=zoom.account.new_uuid(),
            host_id=zoom.host_id,
            host_email=zoom.config.zoom_host,
            asked=asked,
            created_at=zoom.clock(),
            occurrences=plan(asked),
        )
        zoom.account.meetings[number] = made
        body = made.body(zoom.config.base_url, now=zoom.clock(), previous=True)
        return _answer(201, body)

    @routes.get("/v2/users/<user>/meetings")
    @needs("meeting:read:list_meetings:admin")
    def listed(user: str) -> Response:
        _host(zoom, user)
        rows = [
            {
                "id": m.id,
                "uuid": m.uuid,
                "host_id": m.host_id,
                "type": m.asked["type"],
                "topic": m.asked["topic"],
                "agenda": m.asked.get("agenda", "")[:250],
                "timezone": m.asked["timezone"],
                "duration": m.asked["duration"],
                "created_at": zulu(m.created_at),
            }
            for m in zoom.account.meetings.values()
        ]
        return _page(rows, "meetings")

    @routes.get("/v2/meetings/<number>")
    @needs("meeting:read:meeting:admin")
    def read(number: str) -> Response:
        previous = request.args.get("show_previous_occurrences") == "true"
        body = zoom.meeting(number).body(zoom.config.base_url, now=zoom.clock(), previous=previous)
        return jsonify(body)

    @routes.patch("/v2/meetings/<number>")
    @needs("meeting:update:meeting:admin")
    def update(number: str) -> Response:
        meeting, asked = zoom.meeting(number), _json()
        wanted = request.args.get("occurrence_id")
        zoom.count_change()
        if wanted is None:
            meeting.asked.update(asked)
            meeting.occurrences = plan(meeting.asked)  # exceptions made earlier are lost
            return Response(status=204)
        if faults := faults_of_occurrence_change(asked):
            raise ZoomError(400, 300, "Validation Failed.", fields=faults)
        for occurrence in meeting.occurrences:
            if occurrence.id == wanted and not occurrence.deleted:
                occurrence.duration = asked.get("duration", occurrence.duration)
                if "start_time" in asked:
                    zone = asked.get("timezone", meeting.asked["timezone"])
                    occurrence.starts_at = read_start(asked["start_time"], zone)
                return Response(status=204)
        raise ZoomError(404, 3001, f"Meeting does not exist: {number}.")

    @routes.delete("/v2/meetings/<number>")
    @needs("meeting:delete:meeting:admin")
    def delete(number: str) -> Response:
        meeting = zoom.meeting(number)
        wanted = request.args.get("occurrence_id")
        if wanted is None:
            del zoom.account.meetings[meeting.id]
            return Response(status=204)
        for occurrence in meeting.occurrences:
            if occurrence.id == wanted and not occurrence.deleted:
                occurrence.deleted = True
                return Response(status=204)
        raise ZoomError(404, 3001, f"Meeting does not exist: {number}.")

    @routes.post("/v2/meetings/<number>/registrants")
    @needs("meeting:write:registrant:admin")
    def register(number: str) -> Response:
        meeting, asked = zoom.meeting(number), _json()
        if meeting.asked.get("settings", {}).get("approval_type", 2) == 2:
            raise ZoomError(400, 300, "Registration has not been enabled for this meeting.")
        if faults := faults_of_registrant(asked):
            raise ZoomError(400, 300, "Validation Failed.", fields=faults)
        _count_registration(zoom, meeting, asked["email"])
        person = Registrant(
            id=secrets.token_urlsafe(16),
            email=asked["email"],
            first_name=asked["first_name"],
            last_name=asked.get("last_name", ""),
            join_url=f"{zoom.config.base_url}/zoom/w/{meeting.id}?tk={secrets.token_urlsafe(24)}",
        )
        meeting.registrants.append(person)
        return _answer(
            201,
            {
                "id": meeting.id,
                "registrant_id": person.id,
                "join_url": person.join_url,
                "participant_pin_code": 380303,
                "topic": meeting.asked["topic"],
                "start_time": zulu(meeting.occurrences[0].starts_at),
                "occurrences": [o.body() for o in meeting.occurrences if not o.deleted],
            },
        )

    @routes.post("/v2/meetings/<number>/batch_registrants")
    @needs("meeting:write:registrant:admin")
    def register_many(number: str) -> Response:
        if zoom.meeting(number).asked["type"] != 2:
            raise ZoomError(400, 303, "Batch registration is only for scheduled meetings (type 2).")
        raise ZoomError(400, 300, "The stand-in makes recurring meetings only.")

    @routes.get("/v2/meetings/<number>/registrants")
    @needs("meeting:read:list_registrants:admin")
    def registrants(number: str) -> Response:
        wanted = request.args.get("status", "approved")
        rows = [
            {
                "id": r.id,
                "email": r.email,
                "first_name": r.first_name,
                "last_name": r.last_name,
                "status": "approved" if r.approved else "denied",
                "join_url": r.join_url,
            }
            for r in zoom.meeting(number).registrants
            if r.approved is (wanted == "approved")
        ]
        return _page(rows, "registrants")

    @routes.put("/v2/meetings/<number>/registrants/status")
    @needs("meeting:update:registrant_status:admin")
    def registrant_status(number: str) -> Response:
        meeting, asked = zoom.meeting(number), _json()
        if asked.get("action") not in ("approve", "cancel", "deny"):
            raise ZoomError(400, 300, "Validation Failed.", fields=["action"])
        emails = {str(p.get("email", "")).lower() for p in asked.get("registrants", [])}
        for person in meeting.registrants:
            if person.email.lower() in emails:
                person.approved = asked["action"] == "approve"
        return Response(status=204)

    @routes.get("/v2/past_meetings/<ref>/instances")
    @needs("meeting:read:list_past_instances:admin")
    def instances(ref: str) -> Response:
        held = zoom.meeting(ref).instances
        return jsonify(meetings=[{"uuid": i.uuid, "start_time": zulu(i.starts_at)} for i in held])

    @routes.get("/v2/past_meetings/<ref>")
    @needs("meeting:read:past_meeting:admin")
    def past(ref: str) -> Response:
        meeting, held = zoom.instance(ref)
        return jsonify(
            id=meeting.id,
            uuid=held.uuid,
            host_id=meeting.host_id,
            type=meeting.asked["type"],
            topic=meeting.asked["topic"],
            start_time=zulu(held.starts_at),
            end_time=zulu(held.ends_at),
            duration=int((held.ends_at - held.starts_at).total_seconds() // 60),
            participants_count=len(held.rows),
        )

    @routes.get("/v2/past_meetings/<ref>/participants")
    @needs("meeting:read:list_past_participants:admin")
    def past_participants(ref: str) -> Response:
        _, held = zoom.instance(ref)
        rows = [{k: v for k, v in row.items() if k != "participant_user_id"} for row in held.rows]
        return _page(rows if len(rows) > 1 else [], "participants")

    @routes.get("/v2/report/meetings/<ref>/participants")
    @needs("report:read:list_meeting_participants:admin")
    def report(ref: str) -> Response:
        _, held = zoom.instance(ref)
        rows = held.rows
        if request.args.get("include_fields") != "registrant_id":
            rows = [{k: v for k, v in row.items() if k != "registrant_id"} for row in rows]
        return _page(rows, "participants")

    @routes.get("/w/<number>")
    @routes.get("/j/<number>")
    def joined(number: str) -> Response:
        return Response(f"This would be meeting {int(number)} in Zoom.", mimetype="text/plain")

    return routes


def _oauth_error(reason: str, error: str) -> Response:
    return _answer(400, {"reason": reason, "error": error})


def _answer(code: int, body: dict[str, Any]) -> Response:
    answer = jsonify(body)
    answer.status_code = code
    return answer


def _json() -> dict[str, Any]:
    try:
        found = json.loads(request.get_data())
    except ValueError as e:
        raise ZoomError(400, 300, "Request Body should be a valid JSON object.") from e
    if not isinstance(found, dict):
        raise ZoomError(400, 300, "Request Body should be a valid JSON object.")
    return found


def _host(zoom: ZoomStandIn, user: str) -> None:
    if user == "me":
        raise ZoomError(400, 4711, "This API does not support `me` for a server-to-server app.")
    if user not in (zoom.config.zoom_host, zoom.host_id):
        raise ZoomError(404, 1001, f"User does not exist: {user}.")


def _count_registration(zoom: ZoomStandIn, meeting: Meeting, email: str) -> None:
    place = (meeting.id, email.lower(), f"{zoom.clock().astimezone(UTC):%Y-%m-%d}")
    done = zoom.account.registrations.get(place, 0)
    if done >= REGISTRATIONS_A_DAY:
        raise ZoomError(
            429, 429, "You have exceeded the daily rate limit (3) of Add meeting registrant."
        )
    zoom.account.registrations[place] = done + 1


def _page(rows: list[dict[str, Any]], name: str) -> Response:
    """A page of a list; the token is the place to go on at, and not to be read."""
    size = request.args.get("page_size", "30")
    if not re.fullmatch(r"[0-9]{1,3}", size) or not 1 <= int(size) <= 300:
        raise ZoomError(400, 300, "Validation Failed.", fields=["page_size"])
    token = request.args.get("next_page_token", "")
    try:
        begin = int(base64.urlsafe_b64decode(token)) if token else 0
    except ValueError as e:
        raise ZoomError(400, 300, "The next page token is invalid or expired.") from e
    end = begin + int(size)
    following = base64.urlsafe_b64encode(str(end).encode()).decode() if end < len(rows) else ""
    return jsonify(
        {
            "page_size": int(size),
            "total_records": len(rows),
            "next_page_token": following,
            name: rows[begin:end],
        }
    )
