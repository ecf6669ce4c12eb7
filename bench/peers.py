"""What the service is measured against: four small webhook receivers as others write them.

`bare`: a Flask route that reads the body, answers 204 and does nothing, on granian with 8 threads.
`usual`: the usual first version: Flask, signature, SQLAlchemy's ORM, a commit for each request, on
gunicorn with 8 threads. `each`: signature and a commit for each request behind a lock, without any
framework, on granian. `unsafe`: the same answered before its commit, to see that a kill is noticed.
Usage: python -m bench.peers NAME PORT FILE
"""

from __future__ import annotations

import hmac
import json
import os
import queue
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, Response, request
from sqlalchemy import String, create_engine, event
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from bench.herd import SECRET

FILE = os.environ.get("BENCH_FILE", "")
INSERT = "INSERT INTO joined (ref, body) VALUES (?, ?) ON CONFLICT DO NOTHING"
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def _is_signed(signature: str, stamp: str, body: bytes) -> bool:
    signed = hmac.digest(SECRET.encode(), f"v0:{stamp}:".encode() + body, "sha256").hex()
    fresh = abs(time.time() - int(stamp or 0)) < 300
    return fresh and hmac.compare_digest(f"v0={signed}", signature)


def _ref(body: bytes) -> str:
    return str(json.loads(body)["payload"]["object"]["participant"]["participant_uuid"])


def bare() -> Flask:
    """A route that reads what it is sent, and does nothing."""
    app = Flask("bare")

    @app.post("/webhooks/zoom")
    def zoom() -> Response:
        request.get_data()
        return Response(status=204)

    return app


def usual() -> Flask:
    """What is written first, and often stays."""

    class Base(DeclarativeBase):
        pass

    class Joined(Base):
        __tablename__ = "joined"
        id: Mapped[int] = mapped_column(primary_key=True)
        ref: Mapped[str] = mapped_column(String(64), unique=True)
        kind: Mapped[str]
        meeting: Mapped[str] = mapped_column(index=True)
        name: Mapped[str]
        told_at: Mapped[int]
        body: Mapped[str]

    engine = create_engine(f"sqlite:///{FILE}", connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def durable(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    Base.metadata.create_all(engine)
    app = Flask("usual")

    @app.post("/webhooks/zoom")
    def zoom() -> Response:
        body = request.get_data()
        stamp = request.headers.get("x-zm-request-timestamp", "")
        if not _is_signed(request.headers.get("x-zm-signature", ""), stamp, body):
            return Response(status=401)
        with Session(engine) as session:
            found = json.loads(body)
            meeting = found["payload"]["object"]
            session.add(
                Joined(
                    ref=meeting["participant"]["participant_uuid"],
                    kind=found["event"],
                    meeting=meeting["id"],
                    name=meeting["participant"]["user_name"],
                    told_at=found["event_ts"],
                    body=body.decode(),
                )
            )
            try:
                session.commit()
            except IntegrityError:
                session.rollback()
        return Response(status=204)

    return app


def _plain(store: Callable[[str, bytes], None]) -> Wsgi:
    def call(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        signature = environ.get("HTTP_X_ZM_SIGNATURE", "")
        if _is_signed(signature, environ.get("HTTP_X_ZM_REQUEST_TIMESTAMP", ""), body):
            store(_ref(body), body)
            start_response("204 No Content", [])
        else:
            start_response("401 Unauthorized", [])
        return []

    return call


def _table() -> sqlite3.Connection:
    connection = sqlite3.connect(FILE, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS joined (ref TEXT PRIMARY KEY, body BLOB)")
    return connection


def each() -> Wsgi:
    """A commit for each request, one after the other."""
    table, line = _table(), threading.Lock()

    def store(ref: str, body: bytes) -> None:
        with line:
            table.execute(INSERT, (ref, body))

    return _plain(store)


def unsafe() -> Wsgi:
    """Answers first and stores later: what must be seen to lose."""
    table, waiting = _table(), queue.SimpleQueue[tuple[str, bytes]]()

    def write() -> None:
        while True:
            table.execute(INSERT, waiting.get())

    threading.Thread(target=write, daemon=True).start()
    return _plain(lambda ref, body: waiting.put((ref, body)))


MAKERS: dict[str, Callable[[], Any]] = {
    "bare": bare,
    "usual": usual,
    "each": each,
    "unsafe": unsafe,
}
SERVERS = {
    "usual": "gunicorn -w 1 -k gthread --threads 8 --keep-alive 30 -b 127.0.0.1:{port} {app}",
    "other": "granian --interface wsgi --workers 1 --blocking-threads 8 --backpressure 4096 "
    "--no-ws --no-log --host 127.0.0.1 --port {port} {app}",
}


def __getattr__(name: str) -> Any:
    """`bench.peers:NAME_app`, as servers ask for it: made only by the process that serves it."""
    if name.endswith("_app"):
        return MAKERS[name.removesuffix("_app")]()
    raise AttributeError(name)


def serve(name: str, port: str, file: str) -> None:
    """Become the server of that peer."""
    line = SERVERS.get(name, SERVERS["other"]).format(port=port, app=f"bench.peers:{name}_app")
    # Our own fixed words, no shell.
    os.execve(  # nosec B606
        sys.executable, [sys.executable, "-m", *line.split()], {**os.environ, "BENCH_FILE": file}
    )


if __name__ == "__main__":
    serve(*sys.argv[1:4])
