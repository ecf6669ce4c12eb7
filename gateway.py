"""Between the HTTP server and the service: webhooks in the event loop, Flask in threads.

A body is read whole before anybody is called, to its limit and within its time: whoever sends one
byte a second holds a connection and no thread, however many of them there are. The same for the
answers, which the server sends by itself. https://github.com/emmett-framework/granian (RSGI)
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import Executor
from typing import Any, Protocol

from front_door import PROBES, FrontDoor
from web.problems import PROBLEM, problem_body
from webhooks.patience import Patience
from webhooks.routes import LARGEST, PREFIX, Headers, Receivers, Request

BODY_WITHIN = 10.0  # seconds for a client to send its body
LARGEST_UPLOAD = 256 << 10  # bytes of a body for Flask
_NOT_OURS = problem_body(
    421,
    "This service has another name",
    "Ask for it by the address in PUBLIC_URL; whoever runs it can add names to ALLOWED_HOSTS.",
)
_TOO_LARGE = problem_body(
    413, "The body is too large", "At most 256 KiB are read; send less at a time."
)
_TOO_LATE = problem_body(
    408, "The body did not come", "Nothing was done. Send it again, whole and at once."
)
HOW_WE_ARE = (*PROBES, "/metrics")
SERVER = ("server", "circle")  # or the server's library would name itself
NOT_PASSED = ("content-length", "transfer-encoding", "proxy", "forwarded")

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Scope(Protocol):
    """What RSGI says of a request."""

    http_version: str
    server: str
    client: str
    scheme: str
    method: str
    path: str
    query_string: str
    authority: str | None

    @property
    def headers(self) -> Headers: ...


class Exchange(Protocol):
    """RSGI's protocol: the body comes from it, the answer goes to it."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __call__(self) -> bytes: ...

    def response_empty(self, status: int, headers: list[tuple[str, str]]) -> None: ...

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None: ...


class _TooSlow(Exception):
    """The body did not come in time."""


class Gateway:
    """The RSGI application: takes a request in, finds who answers it, sends the answer."""

    def __init__(
        self,
        receivers: Receivers,
        flask: Wsgi,
        threads: Executor,
        threads_apart: Executor,
        door: FrontDoor,
    ) -> None:
        """`threads` answer people, `threads_apart` whoever watches over us."""
        self._receivers = receivers
        self._door = door
        self._hardened = [SERVER, *receivers.hardened]
        self._flask = flask
        self._threads = threads
        self._threads_apart = threads_apart
        self._patience = Patience(BODY_WITHIN)

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        """Answer one request."""
        hook = scope.path.startswith(PREFIX)
        # Who sends to a webhook proves who they are, by whatever name their proxy asks for us.
        if not hook and not self._door.is_ours(
            scope.path, scope.headers.get("host"), scope.authority
        ):
            self._refuse(exchange, _NOT_OURS)
            return
        try:
            body = await _body(scope, exchange, LARGEST if hook else LARGEST_UPLOAD, self._patience)
        except _TooSlow:
            self._refuse(exchange, _TOO_LATE)
            return
        if hook:
            await self._to_receivers(scope, exchange, body)
        elif body is None:
            self._refuse(exchange, _TOO_LARGE)
        else:
            # People may all wait for a database that stands still, and just then it is asked for.
            threads = self._threads_apart if scope.path in HOW_WE_ARE else self._threads
            status, headers, answer = await asyncio.get_running_loop().run_in_executor(
                threads, _call, self._flask, _environ(scope, body, self._door)
            )
            exchange.response_bytes(status, [SERVER, *headers], answer)

    def _refuse(self, exchange: Exchange, problem: dict[str, Any]) -> None:
        headers = [("connection", "close"), ("content-type", PROBLEM), *self._hardened]
        exchange.response_bytes(problem["status"], headers, json.dumps(problem).encode())

    async def _to_receivers(self, scope: Scope, exchange: Exchange, body: bytes | None) -> None:
        answer = await self._receivers.receive(
            Request(scope.method, scope.path, scope.query_string, scope.headers, body)
        )
        if not answer.body:
            exchange.response_empty(answer.code, self._hardened)
            return
        headers = [*self._hardened, *answer.headers, ("content-type", answer.content_type)]
        if body is None:
            headers.append(("connection", "close"))
        exchange.response_bytes(answer.code, headers, answer.body)


async def _body(scope: Scope, exchange: Exchange, most: int, patience: Patience) -> bytes | None:
    """The whole body, or None when it is larger than `most`. Raises `_TooSlow`."""
    given = scope.headers.get("content-length")
    if given is not None and given.isascii() and given.isdigit():
        if len(given) > 19 or int(given) > most:
            return None
    elif "chunked" not in (scope.headers.get("transfer-encoding") or ""):
        return b""
    reading = asyncio.current_task()
    wait = patience.begin(reading.cancel if reading else lambda: None)
    try:
        return await (exchange() if given is not None else _streamed(exchange, most))
    except asyncio.CancelledError:
        raise _TooSlow from None
    finally:
        wait.over = True


async def _streamed(exchange: Exchange, most: int) -> bytes | None:
    pieces, size = [], 0
    async for piece in exchange:
        size += len(piece)
        if size > most:
            return None
        pieces.append(piece)
    return b"".join(pieces)


def _environ(scope: Scope, body: bytes, door: FrontDoor) -> dict[str, Any]:
    """The request as WSGI wants it. https://peps.python.org/pep-3333/#environ-variables"""
    host, _, port = scope.server.rpartition(":")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        # Decoded by the server already, and not to be decoded twice; bytes as WSGI wants them.
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": door.client(
            scope.client.rpartition(":")[0].strip("[]"), scope.headers.get("x-forwarded-for")
        ),
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in scope.headers.items():
        # Underscores would let "x_y" pass for "x-y"; lengths are known from the body itself; what
        # proxies say of themselves was heard above, and nobody else shall believe it.
        if "_" in name or name in NOT_PASSED or name.startswith("x-forwarded-"):
            continue
        key = "CONTENT_TYPE" if name == "content-type" else f"HTTP_{name.upper().replace('-', '_')}"
        joined = "; " if name == "cookie" else ","
        environ[key] = f"{environ[key]}{joined}{value}" if key in environ else value
    if scope.authority and "HTTP_HOST" not in environ:
        environ["HTTP_HOST"] = scope.authority
    return environ


def _call(
    application: Wsgi, environ: Mapping[str, Any]
) -> tuple[int, list[tuple[str, str]], bytes]:
    """The whole answer of a WSGI application."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], _error: object = None
    ) -> Callable[[bytes], object]:
        started.append((status, headers))
        return pieces.append

    pieces: list[bytes] = []
    answer = application(dict(environ), start_response)
    try:
        pieces += answer
    finally:
        close = getattr(answer, "close", None)
        if close is not None:
            close()
    status, headers = started[-1]
    lowered = [(name.lower(), value) for name, value in headers]
    return int(status.split(" ", 1)[0]), lowered, b"".join(pieces)
