"""Calls the gateway as the HTTP server does, for werkzeug's test client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

from flask import Flask

from front_door import FrontDoor, front_door
from gateway import Gateway
from webhooks.routes import Receivers


class _Exchange:
    def __init__(self, environ: dict[str, Any]) -> None:
        self._input = environ["wsgi.input"]
        self.answer: tuple[int, list[tuple[str, str]], bytes] | None = None

    async def __call__(self) -> bytes:
        return bytes(self._input.read())

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := self._input.read(65_536):
            yield piece

    def response_empty(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.answer = (status, headers, b"")

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.answer = (status, headers, body)


class _Scope:
    http_version = "1.1"
    server = "127.0.0.1:8000"
    client = "127.0.0.1:50000"
    scheme = "http"
    authority: str | None = None

    def __init__(self, environ: dict[str, Any]) -> None:
        self.method = environ["REQUEST_METHOD"]
        self.path = environ["PATH_INFO"]
        self.query_string = environ.get("QUERY_STRING", "")
        self.headers = {
            name[5:].lower().replace("_", "-"): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        for name in ("CONTENT_LENGTH", "CONTENT_TYPE"):
            if environ.get(name):
                self.headers[name.lower().replace("_", "-")] = environ[name]


def over(
    receivers: Receivers,
    flask: Flask | None = None,
    *,
    door: FrontDoor | None = None,
    at_once: int = 1,
) -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    """A WSGI application that passes each request through the gateway, so many `at_once`."""
    gateway = Gateway(
        receivers,
        flask or Flask("nothing"),
        ThreadPoolExecutor(2),
        ThreadPoolExecutor(2),
        door or front_door("http://localhost", (), ()),
    )
    loops = ThreadPoolExecutor(at_once)  # a test may have an event loop of its own in its thread

    def call(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        exchange = _Exchange(environ)
        loops.submit(asyncio.run, gateway.__rsgi__(_Scope(environ), exchange)).result()
        assert exchange.answer is not None
        status, headers, body = exchange.answer
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return [body]

    return call
