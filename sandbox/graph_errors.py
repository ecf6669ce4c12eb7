"""Graph's refusals and small habits that all its parts share.

https://learn.microsoft.com/graph/errors
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from flask import Response, jsonify, request


class GraphError(Exception):
    """A refusal in Graph's words."""

    def __init__(self, http: int, code: str, message: str) -> None:
        super().__init__(message)
        self.http = http
        self.code = code
        self.message = message

    def answer(self, now: datetime) -> Response:
        """The body that Graph sends."""
        inner = {
            "date": f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%S}",
            "request-id": str(uuid.uuid4()),
            "client-request-id": request.headers.get("client-request-id", str(uuid.uuid4())),
        }
        body = {"error": {"code": self.code, "message": self.message, "innerError": inner}}
        return answer_with(self.http, body)


def answer_with(code: int, body: dict[str, Any]) -> Response:
    """A JSON answer with a code of its own."""
    answer = jsonify(body)
    answer.status_code = code
    return answer


def json_body() -> dict[str, Any]:
    """The request's JSON object."""
    try:
        found = json.loads(request.get_data())
    except ValueError as e:
        raise GraphError(400, "BadRequest", "Unable to read JSON request payload.") from e
    if not isinstance(found, dict):
        raise GraphError(400, "BadRequest", "Unable to read JSON request payload.")
    return found


def utc(at: datetime) -> str:
    """An instant in Graph's format: seven decimals and Z."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"


def read_utc(value: object) -> datetime:
    """An instant of a request."""
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError as e:
        raise GraphError(400, "BadRequest", f"'{value}' is not a valid DateTimeOffset.") from e
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
