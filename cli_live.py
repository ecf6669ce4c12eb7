"""`circle board` and `circle attention`: who is missing now, and what waits for a person."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from cli_choose import complete_cohort, find_cohort
from cli_common import json_option, json_text, now, open_database, paint, read_settings, width

if TYPE_CHECKING:
    from course.model import Cohort
    from course.store.database import Database

REDRAW_EVERY = 3.0


@click.command()
@json_option
def attention(*, as_json: bool) -> None:
    """List what needs a person in any cohort, the oldest first."""
    from course.store.cohorts import read_carer_names
    from web.access import Caller
    from web.attention import carers_of, read_attention
    from web.listings import attention_table

    operator = Caller(name="command line", role="admin", cohort_ids=None)
    database = open_database(read_settings())
    found = read_attention(database, operator, clock=now)
    items, behind = found["items"], found["behind"]
    if as_json:
        click.echo(json_text(found))
        return
    with database.read() as connection:
        names = read_carer_names(connection, carers_of(found), to_admin=True)
    if items:
        click.echo(attention_table(items, names, paint=paint, width=width()))
    elif not behind:
        click.echo("Nothing needs a person.")
    if behind:
        click.echo(
            f"{behind} more cohorts have changed. The running service looks at them within "
            "minutes; ask again then.",
            err=True,
        )


@click.command()
@click.argument("named", metavar="COHORT", shell_complete=complete_cohort)
@click.option("--week", type=click.IntRange(min=1), help="Which week  [default: now, or the next]")
@click.option("--watch", is_flag=True, help="Stay, and show what changes; Ctrl-C ends it.")
@json_option
def board(named: str, week: int | None, *, watch: bool, as_json: bool) -> None:
    """Show who of a COHORT is in, who is missing, and whom to ring: the live board."""
    from web.listings import board_table

    if watch and as_json:
        raise click.UsageError("--watch is for people, --json for programs: give one of them.")
    database = open_database(read_settings())
    cohort = find_cohort(database, named)
    told, names = _board(database, cohort, week)
    if as_json:
        click.echo(json_text(told))
        return
    if watch and sys.stdout.isatty():
        with suppress(KeyboardInterrupt):
            _watch(database, cohort, week)
        return
    click.echo(board_table(told, names, paint=paint, width=width()))


def _watch(database: Database, cohort: Cohort, week: int | None) -> None:
    """Draw the board again and again."""
    from web.listings import board_table

    while True:
        told, names = _board(database, find_cohort(database, cohort.id), week)
        drawn = board_table(told, names, paint=paint, width=width())
        click.clear()
        click.echo(f"{drawn}\n\n{paint('Ctrl-C ends it.', 'quiet')}")
        time.sleep(REDRAW_EVERY)


def _board(
    database: Database, cohort: Cohort, week: int | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """The board as the API gives it, and the carers' names."""
    from course.restriction import shown_name
    from web.board import BoardView, board_json

    following = cohort.next_session(now()) or cohort.sessions[-1]
    session = following if week is None else cohort.session(week)
    if session is None:
        raise click.ClickException(f"This course has weeks 1 to {len(cohort.sessions)}.")
    boards = BoardView(database, now)
    told = board_json(cohort, boards.built(cohort, session, boards.mark(cohort.id)))
    # A board is looked at together: whoever is restricted is not named on it.
    return told, {carer.id: shown_name(carer, to_admin=False) for carer in cohort.carers}
