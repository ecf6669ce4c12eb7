"""The Zoom stand-in's account: who may call, what exists, how it refuses.

https://developers.zoom.us/docs/internal-apps/s2s-oauth/
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any
from urllib.parse import unquote

from flask import Response, jsonify, request

from sandbox.config import SandboxConfig
from sandbox.zoom_meetings import Instance, Meeting, Occurrence, ZoomAccount, zulu

TOKEN_LIFE = timedelta(hours=1)
CHANGES_A_DAY = 100
REGISTRATIONS_A_DAY = 3
View = Callable[..., Response]
Announce = Callable[[str, Meeting, list[Occurrence]], None]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One delivery to the webhook as Zoom's log shows it. `code` 0: nobody answered."""

    id: str
    event: str
    at: datetime
    code: int
    retry: int
    body: str


@dataclass(slots=True)
class ZoomStandIn:
    """The account, its tokens and its API. `announce` tells the webhook of a changed meeting."""

    config: SandboxConfig
    clock: Callable[[], datetime]
    account: ZoomAccount = field(default_factory=ZoomAccount)
    tokens: dict[str, datetime] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    announce: Announce = field(default=lambda *_: None)
    webhook_log: list[LogEntry] = field(default_factory=list)

    @property
    def host_id(self) -> str:
        """The host's id, made from the address."""
        return host_id_of(self.config.zoom_host)

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

    def count_change(self, host: str) -> None:
        """Zoom allows a hundred creates and updates a day for each host."""
        now = self.clock()
        day = f"{now.astimezone(UTC):%Y-%m-%d}"
        done = self.account.changes.get((host, day), 0)
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
        self.account.changes[(host, day)] = done + 1

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


def host_id_of(address: str) -> str:
    """A user's id, made from the address."""
    digest = hashlib.sha256(address.encode()).digest()[:16]
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def needs(zoom: ZoomStandIn, scope: str) -> Callable[[View], View]:
    """Mark a view with the scope that it takes; the account is locked while it runs."""

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(*args: Any, **values: Any) -> Response:
            with zoom.lock:
                zoom.check(scope)
                return view(*args, **values)

        return checked

    return decorate


def answer_with(code: int, body: dict[str, Any]) -> Response:
    answer = jsonify(body)
    answer.status_code = code
    return answer


def json_body() -> dict[str, Any]:
    try:
        found = json.loads(request.get_data())
    except ValueError as e:
        raise ZoomError(400, 300, "Request Body should be a valid JSON object.") from e
    if not isinstance(found, dict):
        raise ZoomError(400, 300, "Request Body should be a valid JSON object.")
    return found


def page_of(rows: list[dict[str, Any]], name: str) -> Response:
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
