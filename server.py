"""The HTTP server of `circle serve`: granian's native server inside this one process.

One process: the event loop, the writer thread, the workflow engine and the requests live and die
together, so a killed service leaves no half behind.
https://github.com/emmett-framework/granian#embedding-granian-in-your-project
"""

from __future__ import annotations

import asyncio
import gc
import signal

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from gateway import Gateway

CONNECTIONS = 4096  # granian's backpressure counts connections, keep-alive ones too
HEADER_TIMEOUT = 10_000  # ms for a client to send its headers
STOP_WITHIN = 8  # seconds for requests in flight when asked to stop


def serve(gateway: Gateway, *, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight are answered first."""
    # What was built by now stays until the end: the collector need not walk it again and again.
    gc.collect()
    gc.freeze()
    uvloop.run(_serve(gateway, host, port))


async def _serve(gateway: Gateway, host: str, port: int) -> None:
    server = Server(
        gateway,
        address=host,
        port=port,
        interface=Interfaces.RSGI,
        backlog=CONNECTIONS,
        backpressure=CONNECTIONS,
        websockets=False,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_TIMEOUT),
        log_enabled=False,
    )
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    serving = loop.create_task(server.serve())
    stopping = loop.create_task(asked.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        server.stop()  # type: ignore[no-untyped-call]
    await asyncio.wait({serving}, timeout=STOP_WITHIN)
    stopping.cancel()
    if serving.done():
        serving.result()
