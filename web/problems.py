"""Errors as people and programs can use them: what is wrong, where, and what to do next.

https://www.rfc-editor.org/rfc/rfc9457
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import structlog
from flask import Flask, Response, abort, jsonify, request
from werkzeug.exceptions import HTTPException

from course.store.database import STORAGE_TROUBLE

log = structlog.get_logger(__name__)


class Problem(Exception):
    """An answer other than success. `errors` are (field, message), all faults at once."""

    def __init__(
        self,
        code: int,
        title: str,
        detail: str = "",
        *,
        errors: Sequence[tuple[str, str]] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(title)
        self.code = code
        self.title = title
        self.detail = detail
        self.errors = errors
        self.headers = headers or {}

    def answer(self) -> Response:
        """As `application/problem+json`."""
        answer = jsonify(problem_body(self.code, self.title, self.detail, self.errors))
        answer.status_code = self.code
        answer.mimetype = PROBLEM
        answer.headers.update(self.headers)
        return answer


PROBLEM = "application/problem+json"


def to_put_right(faults: Sequence[tuple[str, str]]) -> Problem:
    """What was sent, with everything that is wrong in it."""
    return Problem(
        422,
        f"{len(faults)} thing{'' if len(faults) == 1 else 's'} to put right",
        "Nothing was done. Each is listed under errors.",
        errors=faults,
    )


def problem_body(
    code: int, title: str, detail: str = "", errors: Sequence[tuple[str, str]] = ()
) -> dict[str, Any]:
    """The members that every problem has; without a detail of its own the faults are it."""
    return {
        "status": code,
        "title": title,
        "detail": detail or "; ".join(f"{field}: {message}" for field, message in errors),
        "errors": [{"field": field, "message": message} for field, message in errors],
    }


_WORDS = {
    400: ("The request cannot be read", "Check how it was sent; /openapi.json says what is read."),
    404: ("Not found", "Check the address; /openapi.json lists every one."),
    405: ("This method is not for this address", "The Allow header says which are."),
    413: ("The body is too large", "At most 256 KiB are read; send less at a time."),
    415: ("The body must be JSON", "Send Content-Type: application/json."),
}


def install_problems(app: Flask) -> None:
    """Turn every error of the application into a problem, and never show a traceback."""

    @app.before_request
    def nowhere() -> None:
        # No id holds one, and PostgreSQL will not even look for it. What a parent's link holds is
        # looked up by its hash, and its page has words of its own.
        if "\0" in request.path and not request.path.startswith("/join/"):
            abort(404)

    @app.errorhandler(Problem)
    def problem(error: Problem) -> Response:
        return error.answer()

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response:
        code = error.code or 500
        title, detail = _WORDS.get(code, (error.name, error.description or ""))
        answer = Problem(code, title, detail).answer()
        if allowed := getattr(error, "valid_methods", None):
            answer.headers["Allow"] = ", ".join(sorted(allowed))
        return answer

    def storage(_error: Exception) -> Response:
        return Problem(
            503,
            "The database is not available",
            "Nothing was changed. Try again in a moment.",
            headers={"Retry-After": "5"},
        ).answer()

    for trouble in STORAGE_TROUBLE:
        app.register_error_handler(trouble, storage)

    @app.errorhandler(Exception)
    def unexpected(_error: Exception) -> Response:
        number = secrets.token_hex(6)
        log.exception("request_failed", number=number)
        return Problem(
            500,
            "Something went wrong on our side",
            f"It is in the log under {number}; tell whoever runs this service.",
        ).answer()
