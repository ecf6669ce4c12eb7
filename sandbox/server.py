"""The stand-ins as one server on this machine: Zoom, its OAuth, Graph, its login, and controls."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from types import FrameType
from typing import TextIO

from flask import Flask
from werkzeug.serving import make_server

from sandbox.config import SandboxConfig
from sandbox.control import create_control
from sandbox.delivery import Courier
from sandbox.desk import Desk
from sandbox.faults import Faults
from sandbox.graph_api import create_graph, create_graph_api
from sandbox.limits import Limits
from sandbox.live import Live
from sandbox.login import create_login
from sandbox.play_page import create_play_page
from sandbox.zoom_account import ZoomStandIn
from sandbox.zoom_api import create_zoom
from sandbox.zoom_stage import ZoomStage


def wall_clock() -> datetime:
    """Now, aware."""
    return datetime.now(UTC)


def create_sandbox(
    config: SandboxConfig,
    *,
    clock: Callable[[], datetime] = wall_clock,
    desk: Desk | None = None,
) -> Flask:
    """The application with both platforms, their state in memory.

    With a desk at a service it has the page that lets a session take place now.
    """
    zoom = ZoomStandIn(config, clock)
    graph = create_graph(config, clock=clock)
    app = Flask("sandbox")
    app.register_blueprint(create_zoom(zoom), url_prefix="/zoom")
    app.register_blueprint(create_graph_api(graph), url_prefix="/graph")
    app.register_blueprint(create_login(graph.login), url_prefix="/login")
    stage = ZoomStage(zoom, Courier())
    zoom.announce = stage.announce
    limits = Limits(app.wsgi_app, plan=config.zoom_plan, latency=config.latency)
    faults = Faults(limits)
    app.register_blueprint(create_control(zoom, stage, graph, faults, limits))
    if desk is not None:
        live = Live(
            desk=desk,
            stages={"zoom": stage, "teams": graph},
            held={
                "zoom": lambda: {str(number) for number in zoom.account.meetings},
                "teams": lambda: {series.id for series in graph.calendar.live()},
            },
            zoom=zoom,
            clock=clock,
        )
        app.register_blueprint(create_play_page(live))
    app.wsgi_app = faults  # type: ignore[method-assign]  # Flask's own way to put layers around it
    return app


def serve(
    config: SandboxConfig,
    *,
    host: str,
    port: int,
    desk: Desk | None = None,
    lifeline: TextIO | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C. Threaded: a subscription's handshake calls back meanwhile.

    `lifeline`: somebody else's end of it is closed when they are gone, and then this ends too.
    """
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = make_server(host, port, create_sandbox(config, desk=desk), threaded=True)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    if lifeline is not None:
        threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


def _end_with(lifeline: TextIO) -> None:
    lifeline.read()
    os.kill(os.getpid(), signal.SIGTERM)
