"""The `circle` command: what operators run.

Imports stay inside the commands (the one place of the project where they may): a `--help` should
not wait seconds for libraries that it does not use.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper

import click

from cli_backup import backup, restore
from cli_cohort import cohort
from cli_common import (
    Circle,
    json_option,
    json_text,
    now,
    paint,
    read_settings,
    width,
)
from cli_completion import completion
from cli_db import db
from cli_demo import demo
from cli_live import attention, board
from cli_privacy import keys, privacy
from cli_processes import serve, worker
from cli_report import report
from cli_signin import signin, signout
from cli_token import token
from cli_zoom import calibrate, media_streams, reconnect
from settings import wants_no_colour


@click.group(cls=Circle, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="circle")
@click.pass_context
def main(context: click.Context) -> None:
    """Opens a course's sessions on Zoom or Teams, hears who came, keeps the register."""
    if wants_no_colour():
        context.color = False
    if isinstance(sys.stdout, TextIOWrapper):  # an old terminal gets ? where it lacks a sign
        sys.stdout.reconfigure(errors="replace")


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8100, show_default=True, help="Port to listen on.")
@click.option(
    "--service",
    default="http://127.0.0.1:8000",
    show_default=True,
    help="Where the service is that gets the stand-ins' notifications.",
)
@click.option(
    "--token-on-stdin",
    is_flag=True,
    help="Read a staff token from standard input, for the page that plays a session: /play. "
    "The stand-ins end when standard input is closed.",
)
def sandbox(host: str, port: int, service: str, *, token_on_stdin: bool) -> None:
    """Run local stand-ins for Zoom and Microsoft Graph; open the address in a browser."""
    from sandbox.config import SandboxConfig
    from sandbox.desk import Desk
    from sandbox.server import serve as serve_sandbox

    config = SandboxConfig(
        base_url=f"http://{host}:{port}",
        zoom_webhook_url=f"{service}/webhooks/zoom",
        teams_redirect_uris=(f"{service}/signin/microsoft/answer",),
    )
    click.echo(f"The stand-ins listen on {config.base_url}", err=True)
    if not token_on_stdin:
        serve_sandbox(config, host=host, port=port)
        return
    desk = Desk(service=service, token=sys.stdin.readline().strip())
    serve_sandbox(config, host=host, port=port, desk=desk, lifeline=sys.stdin)


@main.command()
@json_option
def doctor(*, as_json: bool) -> None:
    """Check settings, database, platforms and subscriptions; say what to do about each fault."""
    from doctor import examine
    from web.listings import findings_table

    findings = examine(read_settings(), clock=now)
    if as_json:
        click.echo(json_text([finding._asdict() for finding in findings]))
    else:
        click.echo(findings_table(findings, paint=paint, width=width()))
    faults = sum(not finding.well for finding in findings)
    if faults:
        raise click.ClickException(
            f"{faults} of {len(findings)} need{'s' if faults == 1 else ''} a look."
        )


for command in (
    attention,
    backup,
    board,
    calibrate,
    cohort,
    completion,
    db,
    demo,
    keys,
    media_streams,
    privacy,
    reconnect,
    report,
    restore,
    serve,
    signin,
    signout,
    token,
    worker,
):
    main.add_command(command)


if __name__ == "__main__":
    main()
