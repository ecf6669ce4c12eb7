"""The `circle` command: what operators run.

Imports stay inside the commands (the one place of the project where they may): a `--help` should
not wait seconds for libraries that it does not use.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli_common import now, open_database, read_settings
from cli_report import report
from cli_signin import first_link, signin
from cli_zoom import calibrate, media_streams
from settings import Settings, SettingsError

if TYPE_CHECKING:
    from course.store.database import Database

TOKEN_LIFE = timedelta(days=365)
STAND_INS_TOKEN_LIFE = timedelta(hours=12)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="circle")
def main() -> None:
    """Opens a course's sessions on Zoom or Teams, hears who came, keeps the register."""


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port to listen on.")
@click.option(
    "--with-stand-ins",
    is_flag=True,
    help="When no platform is configured, run local stand-ins for both beside the service.",
)
def serve(host: str, port: int, *, with_stand_ins: bool) -> None:
    """Run the service until SIGTERM; ready when /readyz answers 200."""
    settings = read_settings()
    if with_stand_ins and not settings.zoom and not settings.teams:
        _serve_beside_stand_ins(settings, host=host, port=port)
    else:
        _serve(settings, host=host, port=port)
    # A workflow may be waiting for minutes in a thread of its own, and Python would wait for it.
    # Its finished steps are recorded; it goes on at the next start, as after a power cut.
    sys.stderr.flush()
    os._exit(0)


def _serve_beside_stand_ins(settings: Settings, *, host: str, port: int) -> None:
    from demo import beside_stand_ins

    service = f"http://{host}:{port}"
    database = open_database(settings)
    with (
        _passing_token(database, name="the stand-ins", life=STAND_INS_TOKEN_LIFE) as token,
        beside_stand_ins(settings.data_dir, service=service, token=token()) as (found, where),
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
    notice: str = "",
    notice_link: tuple[str, str] | None = None,
) -> None:
    gc.disable()  # what imports make stays: looking for rubbish in it is a sixth of the start
    from app import create_app
    from server import serve as serve_http

    gc.enable()

    try:
        service = create_app(settings, clock=now, notice=notice, notice_link=notice_link)
    except SettingsError as e:
        raise click.ClickException(f"The settings are not complete. {e}") from e
    service.start()
    link = first_link(service.database, settings.public_url, always=bool(notice))
    if link:
        click.echo(f"Sign in here, once, within the hour: {link}", err=True)
    try:
        click.echo(f"Circle listens on http://{host}:{port}", err=True)
        serve_http(service.gateway, host=host, port=port)
    finally:
        service.stop()


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
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-output"),
    show_default=True,
    help="Folder for the reports.",
)
def demo(output: Path) -> None:
    """Open, play and report one course on each platform, with stand-ins, on this machine."""
    import demo as demonstration
    from sandbox.player import DemoFailed

    total, done, interactive = 0, 0, sys.stderr.isatty()

    def steps(number: int) -> None:
        nonlocal total
        total = number

    def progress(name: str) -> None:
        nonlocal done
        done += 1
        if interactive:
            filled = "#" * (30 * done // total)
            click.echo(f"\r\033[K[{filled:<30}] {name}", nl=False, err=True)
        else:
            click.echo(f"[{done:>2}/{total}] {name}", err=True)

    def say(line: str) -> None:
        if interactive:
            click.echo("\r\033[K", nl=False, err=True)
        click.echo(line)

    try:
        demonstration.run(output=output, say=say, progress=progress, steps=steps)
    except DemoFailed as e:
        say("")
        raise click.ClickException(str(e)) from e


@main.group()
def cohort() -> None:
    """Open and list cohorts."""


@cohort.command("create")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option("--url", help="Address of the running service  [default: PUBLIC_URL]")
@click.option("--json", "as_json", is_flag=True, help="Print the service's answer as JSON.")
def cohort_create(file: Any, url: str | None, *, as_json: bool) -> None:
    """Open the cohort described in FILE (JSON, - for standard input) through the service."""
    import requests

    from web.tables import schedule_table

    settings = read_settings()
    try:
        body = json.load(file)
    except ValueError as e:
        raise click.ClickException(f"{file.name} is not JSON: {e}") from e
    with _passing_token(
        open_database(settings), name="circle command", life=timedelta(minutes=5)
    ) as token:
        try:
            answer = requests.post(
                f"{url or settings.public_url}/api/v1/cohorts",
                json=body,
                headers={"Authorization": f"Bearer {token()}"},
                timeout=60,
            )
        except requests.RequestException as e:
            raise click.ClickException(
                f"No service answers at {url or settings.public_url}. Start it: circle serve"
            ) from e
    told = answer.json()
    if not answer.ok:
        lines = [told.get("title", "Refused"), told.get("detail", "")]
        lines += [f"{fault['field']}: {fault['message']}" for fault in told.get("errors", [])]
        raise click.ClickException("\n  ".join(line for line in lines if line))
    click.echo(
        json.dumps(told, indent=2)
        if as_json
        else f"{told['id']}\n{schedule_table(told, timezone=settings.timezone)}"
    )


class _passing_token:  # noqa: N801  a context manager, read like a function
    """An admin token that is revoked afterwards, and dies by itself should that not happen."""

    def __init__(self, database: Database, *, name: str, life: timedelta) -> None:
        self._database = database
        self._name = name
        self._life = life
        self._id = ""

    def __enter__(self) -> Callable[[], str]:
        def make() -> str:
            self._id, token = _new_token(
                self._database,
                role="admin",
                name=self._name,
                cohorts=(),
                life=self._life,
            )
            return token

        return make

    def __exit__(self, *_: object) -> None:
        from course.store.access import revoke_token

        with self._database.write() as connection:
            revoke_token(connection, self._id, now=now())


@cohort.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cohort_list(*, as_json: bool) -> None:
    """List the cohorts, the newest first."""
    from course.store.cohorts import page_of_cohorts

    with open_database(read_settings()).read() as connection:
        found, _ = page_of_cohorts(connection, limit=1000, offset=0)
    rows = [
        {
            "id": c.id,
            "name": c.name,
            "platform": c.platform.value,
            "state": c.state.value,
            "first_session": c.sessions[0].starts_at.date().isoformat(),
            "problem": c.problem,
        }
        for c in found
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(
            f"{row['id']}  {row['first_session']}  {row['platform']:<5}  {row['state']:<15}  "
            f"{row['name']}"
        )
    if not rows:
        click.echo("No cohort has been opened yet.")


@main.group()
def token() -> None:
    """Make and end access tokens."""


@token.command("create")
@click.option(
    "--role",
    type=click.Choice(["admin", "facilitator", "viewer"]),
    required=True,
    help="What the holder may do.",
)
@click.option("--name", required=True, help="Whose token it is; shown in the audit trail.")
@click.option("--cohort", "cohorts", multiple=True, help="A cohort given to the holder; repeat it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def token_create(role: str, name: str, cohorts: tuple[str, ...], *, as_json: bool) -> None:
    """Make a token for the API. It is printed once and kept nowhere."""
    token_id, made = _new_token(
        open_database(read_settings()), role=role, name=name, cohorts=cohorts, life=TOKEN_LIFE
    )
    click.echo(json.dumps({"id": token_id, "token": made}) if as_json else made)


def _new_token(
    database: Database, *, role: str, name: str, cohorts: tuple[str, ...], life: timedelta
) -> tuple[str, str]:
    import secrets

    from course.store.access import add_audit, insert_token

    token_id, made, at = secrets.token_hex(8), secrets.token_urlsafe(32), now()
    with database.write() as connection:
        insert_token(
            connection,
            token_id=token_id,
            token=made,
            name=name,
            role=role,
            cohort_ids=cohorts,
            now=at,
            expires_at=at + life,
        )
        add_audit(connection, actor="operator", action="token.create", subject=token_id, now=at)
    return token_id, made


@token.command("revoke")
@click.argument("token_id", metavar="ID")
def token_revoke(token_id: str) -> None:
    """End a token at once."""
    from course.store.access import revoke_token

    with open_database(read_settings()).write() as connection:
        if not revoke_token(connection, token_id, now=now()):
            raise click.ClickException(f"There is no live token {token_id}.")
    click.echo("The token is no longer valid.")


@main.group()
def db() -> None:
    """Look after the database."""


@db.command("upgrade")
def db_upgrade() -> None:
    """Bring the tables up to date (the service does it at its start as well)."""
    open_database(read_settings())
    click.echo("The database is up to date.")


main.add_command(calibrate)
main.add_command(signin)
main.add_command(report)
main.add_command(media_streams)


@main.command()
@click.argument("platform", type=click.Choice(["zoom"]))
def reconnect(platform: str) -> None:
    """Say that our app is in the account again, after the platform said it was taken out."""
    from course.model import Platform
    from course.store.notifications import settle_flags

    database = open_database(read_settings())
    with database.write() as connection:
        settled = settle_flags(connection, Platform(platform))
    click.echo(
        f"{platform} is asked again from now on."
        if settled
        else f"{platform} has not said that our app was taken out; nothing to do."
    )


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(*, as_json: bool) -> None:
    """Check settings, database, platforms and subscriptions; say what to do about each fault."""
    from doctor import examine

    findings = examine(read_settings(), clock=now)
    if as_json:
        click.echo(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        for finding in findings:
            click.echo(f"{'ok  ' if finding.well else 'LOOK'}  {finding.subject}: {finding.says}")
    if not all(finding.well for finding in findings):
        sys.exit(1)


if __name__ == "__main__":
    main()
