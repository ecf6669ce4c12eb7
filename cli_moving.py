"""`circle cohort move`: the remaining sessions on the other platform, through the service."""

from __future__ import annotations

import click

from cli_choose import complete_cohort, find_cohort
from cli_common import json_option, json_text, open_database, paint, read_settings, width
from cli_opening import RunningService, carried_out
from cli_token import TOKEN_LIFE_OF_A_CALL, passing_token


@click.command("move")
@click.argument("named", metavar="COHORT", shell_complete=complete_cohort)
@click.option(
    "--platform",
    type=click.Choice(["zoom", "teams"]),
    required=True,
    help="Where the remaining sessions are to be held.",
)
@click.option("--organiser", help="Whose account hosts them there  [default: the platform's host]")
@click.option("--url", help="Address of the running service  [default: PUBLIC_URL]")
@json_option
def cohort_move(
    named: str, *, platform: str, organiser: str | None, url: str | None, as_json: bool
) -> None:
    """Move the remaining sessions of a COHORT to the other platform, mid-course.

    Past weeks keep what was seen of them, and the carers' own pages stay the same and lead to the
    new platform as soon as it is ready. The old series goes when its platform answers again.
    """
    from web.tables import schedule_table

    settings = read_settings()
    database = open_database(settings)
    found = find_cohort(database, named)
    body = {"platform": platform} | ({"organiser": organiser} if organiser else {})
    with passing_token(database, name="circle command", life=TOKEN_LIFE_OF_A_CALL) as token:
        told = carried_out(
            RunningService(url or settings.public_url, token),
            f"/api/v1/cohorts/{found.id}/platform",
            body,
        )
    name = platform.capitalize()
    click.echo(
        json_text(told)
        if as_json
        else schedule_table(told, timezone=settings.timezone, paint=paint, width=width())
    )
    if told["state"] != "ready":
        raise click.ClickException(
            f"{found.name} is not ready on {name} yet: "
            f"{told['problem'] or told['state'].replace('_', ' ')}. "
            f"Look again: circle cohort show {found.id}"
        )
    if not as_json:
        click.echo(f"{found.name} meets on {name} from now on; the carers' own pages lead there.")
