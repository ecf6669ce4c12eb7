"""The HTTP server of `circle serve`: granian's native server inside this one process.

One process and threads: the writer thread, the workflow engine and the requests live and die
together, so a killed service leaves no half behind. Granian offers in-process serving for
free-threaded Pythons only and checks for one; serving works with the GIL as well (the check is
about speed, not safety), so the check is left out here. The version is pinned for this reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.mt import MTServer

THREADS = 64
CONNECTIONS = 4096  # granian's backpressure counts connections, keep-alive ones too
HEADER_TIMEOUT = 10_000  # ms for a client to send its headers
STOP_WITHIN = 8  # seconds for requests in flight when asked to stop


class _InProcess(MTServer):
    def _check_gil(self) -> None:
        pass


def serve(application: Callable[..., Any], *, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight are answered first."""
    server = _InProcess(
        "circle",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        blocking_threads=THREADS,
        backpressure=CONNECTIONS,
        websockets=False,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_TIMEOUT),
        log_enabled=False,
        workers_kill_timeout=STOP_WITHIN,
    )
    server.serve(target_loader=lambda *_: application, wrap_loader=False)
