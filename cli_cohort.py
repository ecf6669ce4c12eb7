"""`circle cohort`: open, list, show and move cohorts."""

from __future__ import annotations

from typing import Any

import click

from cli_choose import complete_cohort, find_cohort
from cli_common import json_option, json_text, now, open_database, paint, read_settings, width
from cli_moving import cohort_move
from cli_opening import cohort_create

LISTED = 1000
STATES = ("opening", "ready", "needs_attention", "failed", "cancelled")


@click.group()
def cohort() -> None:
    """Open, list, show and move cohorts."""


cohort.add_command(cohort_create)
cohort.add_command(cohort_move)


@cohort.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option(
    "--platform", type=click.Choice(["zoom", "teams"]), help="Only those that meet there."
)
@json_option
def cohort_list(state: str | None, platform: str | None, *, as_json: bool) -> None:
    """List the cohorts, the newest first. Commands take the beginning of an id as well."""
    from course.model import CohortState, Platform
    from course.store.cohorts import page_of_cohorts, read_names
    from web.listings import cohorts_table, short_ids

    with open_database(read_settings()).read() as connection:
        found, total = page_of_cohorts(
            connection,
            state=CohortState(state) if state else None,
            platform=Platform(platform) if platform else None,
            limit=LISTED,
            offset=0,
        )
        ids = list(read_names(connection))
    at, rows = now(), []
    for c in found:
        following = c.next_session(at)
        rows.append(
            {
                "id": c.id,
                "name": c.name,
                "platform": c.platform.value,
                "state": c.state.value,
                "first_session": c.sessions[0].starts_at.date().isoformat(),
                "next_session": following.starts_at.isoformat() if following else None,
                "carers": sum(carer.withdrawn_at is None for carer in c.carers),
                "problem": c.problem,
            }
        )
    if as_json:
        click.echo(json_text(rows))
    elif rows:
        click.echo(cohorts_table(rows, short_ids(ids), paint=paint, width=width()))
    else:
        click.echo("No such cohort." if ids else "No cohort has been opened yet.")
    if total > len(rows):
        click.echo(f"These are the newest {len(rows)} of {total}.", err=True)


@cohort.command("show")
@click.argument("named", metavar="COHORT", shell_complete=complete_cohort)
@click.option("--links", is_flag=True, help="With each carer's own join link and address.")
@json_option
def cohort_show(named: str, *, links: bool, as_json: bool) -> None:
    """Show one COHORT: its sessions, the next one, its carers, and what is wrong."""
    from zoneinfo import ZoneInfo

    from course.store.cohorts import read_enrolments
    from web.access import Caller
    from web.cohort_view import cohort_json
    from web.tables import cohort_table

    settings = read_settings()
    database = open_database(settings)
    found = find_cohort(database, named)
    with database.read() as connection:
        enrolments = read_enrolments(connection, found.id)
    # A viewer is who sees neither addresses nor links.
    eyes = Caller(name="command line", role="admin" if links else "viewer", cohort_ids=None)
    shown: dict[str, Any] = cohort_json(found, enrolments, eyes, public_url=settings.public_url)
    following = found.next_session(now())
    zone = ZoneInfo(found.timezone)
    shown["next_session"] = following and {
        "week": following.week,
        "starts_at": following.starts_at.astimezone(zone).isoformat(),
    }
    if as_json:
        click.echo(json_text(shown))
        return
    click.echo(
        cohort_table(shown, timezone=found.timezone, links=links, paint=paint, width=width())
    )
