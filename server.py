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


def serve(gateway: Gateway, *, host: str, port: int, stop_within: float) -> float:
    """Serve until SIGTERM or SIGINT; requests in flight are answered first, in so many seconds at
    most. How many of these are left.
    """
    # What was built by now stays until the end: the collector need not walk it again and again.
    gc.collect()
    gc.freeze()
    return uvloop.run(_serve(gateway, host, port, stop_within))


async def _serve(gateway: Gateway, host: str, port: int, stop_within: float) -> float:
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
    until = loop.time() + stop_within
    await asyncio.wait({serving}, timeout=stop_within)
    stopping.cancel()
    if serving.done():
        serving.result()
    return max(0.0, until - loop.time())
