"""`circle serve` and `circle worker`: the processes of the service, one or several."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from cli_common import now, open_database, read_settings
from cli_signin import first_link
from cli_token import passing_token

if TYPE_CHECKING:
    from course.store.processes import Seat
    from service import Role, Service
    from settings import Settings

STAND_INS_TOKEN_LIFE = timedelta(hours=12)
FINISH_WITHIN = 5  # seconds for workflows under way when a worker is asked to stop
PERMISSIONS_WITHIN = 5.0  # seconds for a platform to say what we were granted
STOP_WITHIN = 8.0  # seconds from being asked until it goes in any case
ONE_PROCESS = (
    "SQLite is for one process that does everything: run `circle serve` without --web, or set "
    "DATABASE_URL to a PostgreSQL database."
)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port to listen on.")
@click.option(
    "--web",
    "web_only",
    is_flag=True,
    help="Only answer requests; `circle worker` does the work. Needs PostgreSQL.",
)
@click.option(
    "--with-stand-ins",
    is_flag=True,
    help="When no platform is configured, run local stand-ins for both beside the service.",
)
def serve(host: str, port: int, *, web_only: bool, with_stand_ins: bool) -> None:
    """Run the service until SIGTERM; ready when /readyz answers 200."""
    settings = read_settings()
    if web_only:
        _need_postgresql(settings)
    if with_stand_ins and not settings.zoom and not settings.teams:
        _serve_beside_stand_ins(settings, host=host, port=port)
    else:
        _serve(settings, host=host, port=port, web_only=web_only)
    _go()


@click.command()
@click.option("--id", "executor_id", help="Its own name; also EXECUTOR_ID.  [default: by machine]")
@click.option(
    "--adopt",
    metavar="ID",
    help="Take up the work of that process, which is dead and does not come back.",
)
def worker(executor_id: str | None, adopt: str | None) -> None:
    """Carry out workflows and chores until SIGTERM, without answering requests.

    It needs PostgreSQL, and `circle serve --web` beside it. See docs/processes.md.
    """
    settings = read_settings(executor_id=executor_id) if executor_id else read_settings()
    _need_postgresql(settings)
    gc.disable()
    from integration.adoption import StillAlive
    from service import Role

    gc.enable()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    service, seat = _build(settings, Role.WORKER)
    _refuse_excess(service, settings)
    try:
        adopted = service.start(adopt=adopt)
    except StillAlive as e:
        raise click.ClickException(str(e)) from e
    if adopt:
        noun = "workflow" if adopted == 1 else "workflows"
        click.echo(f"Adopted {adopted} {noun} of {adopt}", err=True)
    click.echo(f"Circle works as {seat.name}", err=True)
    stop.wait()
    # What is not finished in time is recorded up to its last step, and another worker goes on.
    ending = threading.Thread(target=service.finish, args=(FINISH_WITHIN,), daemon=True)
    ending.start()
    ending.join(STOP_WITHIN)
    _go()


def _go() -> None:
    # A workflow may be waiting for minutes in a thread of its own, and Python would wait for it.
    # Its finished steps are recorded; it goes on at the next start, as after a power cut.
    sys.stderr.flush()
    os._exit(0)


def _need_postgresql(settings: Settings) -> None:
    if settings.database().startswith("sqlite"):
        raise click.ClickException(ONE_PROCESS)


def _serve_beside_stand_ins(settings: Settings, *, host: str, port: int) -> None:
    from demo import beside_stand_ins

    service = f"http://{host}:{port}"
    database = open_database(settings)
    with (
        passing_token(database, name="the stand-ins", life=STAND_INS_TOKEN_LIFE) as made,
        beside_stand_ins(settings.data_dir, service=service, token=made) as (found, where),
    ):
        notice = (
            f"No platform is configured: local stand-ins for both are at {where}. "
            "Nothing here reaches Zoom or Microsoft."
        )
        click.echo(notice, err=True)
        link = ("Play a session", f"{where}/play")
        _serve(found, host=host, port=port, notice=notice, notice_link=link)


def _serve(
    settings: Settings,
    *,
    host: str,
    port: int,
    web_only: bool = False,
    notice: str = "",
    notice_link: tuple[str, str] | None = None,
) -> None:
    gc.disable()  # what imports make stays: looking for rubbish in it is a sixth of the start
    from server import serve as serve_http
    from service import Role

    gc.enable()
    role = Role.WEB if web_only else Role.BOTH
    service, _ = _build(settings, role, notice=notice, notice_link=notice_link)
    _refuse_excess(service, settings)
    service.start()
    link = first_link(service.database, settings.public_url, always=bool(notice))
    if link:
        click.echo(f"Sign in here, once, within the hour: {link}", err=True)
    left = STOP_WITHIN
    try:
        click.echo(f"Circle listens on http://{host}:{port}", err=True)
        left = serve_http(service.gateway, host=host, port=port, stop_within=STOP_WITHIN)
    finally:
        service.stop(left)


def _refuse_excess(service: Service, settings: Settings) -> None:
    """Do not start with permissions to hear or read what people say; tell of others unused."""
    from integration.permissions import look

    service.database.migrate()  # whether Zoom has done with us is stored there
    found, silent = look(service.providers, within=PERMISSIONS_WITHIN)
    for one in found:
        if one.content or settings.refuse_permissions == "unused":
            raise click.ClickException(f"{one.says()} Then start again.")
        click.echo(f"Note: {one.says()}", err=True)
    for platform in silent:
        click.echo(
            f"Note: {platform.capitalize()} did not say what it grants us; circle doctor asks "
            "again.",
            err=True,
        )


def _build(
    settings: Settings,
    role: Role,
    *,
    notice: str = "",
    notice_link: tuple[str, str] | None = None,
) -> tuple[Service, Seat]:
    from app import create_app
    from course.store.processes import NameTaken
    from integration.durable import take_name
    from settings import SettingsError

    try:
        seat = take_name(
            open_database(settings, migrate=False),
            executor_id=settings.executor_id,
            works=role.works,
            # Another process has our name and our work: whoever watches over us starts us anew.
            lost=lambda: os.kill(os.getpid(), signal.SIGTERM),
        )
        service = create_app(
            settings, clock=now, notice=notice, notice_link=notice_link, role=role, seat=seat
        )
    except NameTaken as e:
        raise click.ClickException(str(e)) from e
    except SettingsError as e:
        raise click.ClickException(f"The settings are not complete. {e}") from e
    return service, seat
