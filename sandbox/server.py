"""The stand-ins as one server on this machine: Zoom, its OAuth, Graph, its login, and controls."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from types import FrameType

from flask import Flask
from werkzeug.serving import make_server

from sandbox.config import SandboxConfig
from sandbox.control import create_control
from sandbox.delivery import Courier
from sandbox.faults import Faults
from sandbox.graph_api import create_graph, create_graph_api
from sandbox.limits import Limits
from sandbox.login import create_login
from sandbox.zoom_account import ZoomStandIn
from sandbox.zoom_api import create_zoom
from sandbox.zoom_stage import ZoomStage


def wall_clock() -> datetime:
    """Now, aware."""
    return datetime.now(UTC)


def create_sandbox(config: SandboxConfig, *, clock: Callable[[], datetime] = wall_clock) -> Flask:
    """The application with both platforms, their state in memory."""
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
    app.wsgi_app = faults  # type: ignore[method-assign]  # Flask's own way to put layers around it
    return app


def serve(config: SandboxConfig, *, host: str, port: int) -> None:
    """Serve until SIGTERM or Ctrl-C. Threaded: a subscription's handshake calls back meanwhile."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = make_server(host, port, create_sandbox(config), threaded=True)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()
