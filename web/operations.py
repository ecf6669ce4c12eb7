"""One way to declare an API operation: who may, what goes in, what comes out.

The declaration checks each request in the right order (who, may they, is the body acceptable) and
is at the same time what `/openapi.json` is made of, so the document cannot say anything else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from flask import Blueprint, Response, request
from pydantic import BaseModel, ValidationError
from pydantic.json_schema import models_json_schema
from werkzeug.exceptions import RequestEntityTooLarge

from course.store.database import Database
from web.access import authenticate
from web.probes import documented as documented_probes
from web.problems import Problem, to_put_right
from web.quotas import Quotas

LARGEST = 256 * 1024  # bytes
REFERENCE = "#/components/schemas/{model}"
_PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>")
Model = TypeVar("Model", bound=BaseModel)
Salvage = Callable[[dict[str, Any], set[str]], Sequence[tuple[str, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One documented operation."""

    method: str
    path: str
    summary: str
    roles: tuple[str, ...]
    body: type[BaseModel] | None
    body_required: bool
    query: type[BaseModel] | None
    answers: dict[int, type[BaseModel] | str]
    headers: dict[str, str]
    media_types: tuple[str, ...]


@dataclass(slots=True)
class Operations:
    """The API's operations, on one blueprint."""

    routes: Blueprint
    database: Database
    clock: Callable[[], datetime]
    quotas: Quotas = field(default_factory=Quotas)
    listed: list[Operation] = field(default_factory=list)

    def add(
        self,
        method: str,
        path: str,
        *,
        summary: str,
        roles: tuple[str, ...],
        answers: dict[int, type[BaseModel] | str],
        body: type[BaseModel] | None = None,
        body_required: bool = True,
        query: type[BaseModel] | None = None,
        headers: dict[str, str] | None = None,
        more_faults: Salvage | None = None,
        media_types: tuple[str, ...] = (),
    ) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
        """Declare an operation. The view gets `caller`, then `body` and `query` where declared,
        and the path's parameters. `answers` maps a code to its model, or to a media type.
        `more_faults` looks for faults that the body's model cannot know, also when the model has
        found some: everything that is wrong is told at once. The view gets None for a body that is
        not required and not sent. With `media_types` the body is a file
        of one of them, and the view gets `content`.
        """
        self.listed.append(
            Operation(
                method=method,
                path=path,
                summary=summary,
                roles=roles,
                body=body,
                body_required=body_required,
                query=query,
                answers=answers,
                headers=headers or {},
                media_types=media_types,
            )
        )

        def decorate(view: Callable[..., Response]) -> Callable[..., Response]:
            def checked(**values: Any) -> Response:
                caller = authenticate(self.database, self.clock)
                if caller.role not in roles:
                    raise Problem(403, "Not for your role", f"This is for: {', '.join(roles)}.")
                if body is not None:
                    given = body_required or request.content_length
                    values["body"] = _read_body(body, more_faults) if given else None
                if media_types:
                    values["content"] = _read_file(media_types)
                if query is not None:
                    values["query"] = _read_query(query)
                return view(caller, **values)

            checked.circle_roles = roles  # type: ignore[attr-defined]
            name = f"{method.lower()} {path}".replace(".", "_")
            self.routes.add_url_rule(path, name, checked, methods=[method])
            return view

        return decorate

    def document(self, *, title: str, version: str) -> dict[str, Any]:
        """The OpenAPI 3.1 document of everything declared."""
        models = sorted(
            {
                m
                for o in self.listed
                for m in (o.body, o.query, *o.answers.values())
                if isinstance(m, type)
            },
            key=lambda m: m.__name__,
        )
        _, schemas = models_json_schema([(m, "validation") for m in models], ref_template=REFERENCE)
        paths = documented_probes()
        for operation in self.listed:
            path = _PARAMETER.sub(r"{\2}", f"{self.routes.url_prefix or ''}{operation.path}")
            paths.setdefault(path, {})[operation.method.lower()] = _documented(operation)
        return {
            "openapi": "3.1.0",
            "info": {"title": title, "version": version},
            "paths": paths,
            "components": {
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
                "schemas": {**schemas.get("$defs", {}), "Problem": _PROBLEM},
            },
        }


_PROBLEM = {
    "type": "object",
    "required": ["status", "title", "detail", "errors"],
    "properties": {
        "status": {"type": "integer"},
        "title": {"type": "string"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


def _documented(operation: Operation) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {
            "name": found[2],
            "in": "path",
            "required": True,
            "schema": {"type": "integer"} if found[1] == "int" else {"type": "string"},
        }
        for found in _PARAMETER.finditer(operation.path)
    ]
    if operation.query is not None:
        schema = operation.query.model_json_schema(ref_template=REFERENCE)
        for name, described in schema.get("properties", {}).items():
            parameters.append(
                {
                    "name": name,
                    "in": "query",
                    "required": name in schema.get("required", []),
                    "schema": described,
                }
            )
    for name, text in operation.headers.items():
        parameters.append(
            {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
        )
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    responses: dict[str, Any] = {
        "default": {"description": "What is wrong and what to do next", "content": problem}
    }
    for code, answer in operation.answers.items():
        shown: dict[str, Any] = {"description": operation.summary}
        if isinstance(answer, type):
            ref = {"$ref": f"#/components/schemas/{answer.__name__}"}
            shown["content"] = {"application/json": {"schema": ref}}
        elif answer:
            shown["content"] = {answer: {"schema": {"type": "string"}}}
        responses[str(code)] = shown
    documented: dict[str, Any] = {
        "summary": operation.summary,
        "description": f"For: {', '.join(operation.roles)}.",
        "security": [{"token": []}],
        "parameters": parameters,
        "responses": responses,
    }
    if operation.body is not None:
        ref = {"$ref": f"#/components/schemas/{operation.body.__name__}"}
        documented["requestBody"] = {
            "required": operation.body_required,
            "content": {"application/json": {"schema": ref}},
        }
    if operation.media_types:
        file = {"schema": {"type": "string", "format": "binary"}}
        documented["requestBody"] = {
            "required": True,
            "content": dict.fromkeys(operation.media_types, file),
        }
    return documented


def _read_body(model: type[BaseModel], more_faults: Salvage | None) -> BaseModel:
    """The request's body as the model, or one 422 that names every fault in it."""
    if request.mimetype != "application/json":
        raise Problem(415, "The body must be JSON", "Send Content-Type: application/json.")
    raw = _read(LARGEST)
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as e:
        raise Problem(400, "The body is not JSON", "Check it with a JSON tool.") from e
    return validated(model, found, raw, more_faults)


def _read(most: int) -> bytes:
    if (request.content_length or 0) > most:
        raise RequestEntityTooLarge
    raw = request.stream.read(most + 1)
    if len(raw) > most:
        raise RequestEntityTooLarge
    return raw


def _read_file(media_types: tuple[str, ...]) -> bytes:
    if request.mimetype not in media_types:
        raise Problem(
            415, "This kind of file is not read here", f"Send one of: {', '.join(media_types)}."
        )
    return _read(LARGEST)


def validated(model: type[Model], found: object, raw: bytes, more_faults: Salvage | None) -> Model:
    """`raw`, of which `found` was read, as the model; or one 422 that names every fault in it."""
    if not isinstance(found, dict):
        raise Problem(422, "The body must be an object", "Begin with { and end with }.")
    read, faults = None, []
    try:
        read = model.model_validate_json(raw)
    except ValidationError as e:
        faults = [
            (".".join(str(part) for part in error["loc"]), _message(error["msg"]))
            for error in e.errors(include_url=False, include_context=False, include_input=False)
        ]
    if more_faults is not None:
        faults += more_faults(found, {name.split(".")[0] for name, _ in faults})
    if faults or read is None:
        raise to_put_right(faults)
    return read


def _read_query(model: type[BaseModel]) -> BaseModel:
    try:
        return model.model_validate(request.args.to_dict())
    except ValidationError as e:
        faults = [
            (".".join(str(part) for part in error["loc"]), _message(error["msg"]))
            for error in e.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise Problem(422, "The query is not acceptable", errors=faults) from e


def _message(text: str) -> str:
    return text.removeprefix("Value error, ")
