"""`circle privacy trail`: who did what, and whose data that touched."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from cli_common import json_option, json_text, now, open_database, paint, read_settings, width

if TYPE_CHECKING:
    from course.store.trail import Line, Touched

DAYS = 7
FORMS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]


@click.command()
@click.option(
    "--by", default="", metavar="NAME", help="Only of people with these words in their name."
)
@click.option(
    "--since",
    type=click.DateTime(FORMS),
    metavar="WHEN",
    help=f"Like 2027-03-01 or 2027-03-01T22:15  [default: {DAYS} days ago]",
)
@click.option("--until", type=click.DateTime(FORMS), metavar="WHEN", help="[default: now]")
@json_option
def trail(by: str, since: datetime | None, until: datetime | None, *, as_json: bool) -> None:
    """Show who did what, and whose data that touched.

    After a breach: what a sign-in that was misused saw, took away and changed. Times are those of
    the practice. Looks at the same within an hour are noted once, so those of the hour before are
    shown too.
    """
    from course.store.trail import read_trail, touched

    settings = read_settings()
    zone = ZoneInfo(settings.timezone)
    begins = since.replace(tzinfo=zone) if since else now() - timedelta(days=DAYS)
    ends = until.replace(tzinfo=zone) if until else now()
    with open_database(settings).read(snapshot=True) as connection:
        lines = read_trail(connection, since=begins, until=ends, by=by)
        affected = touched(connection, lines)
    if as_json:
        click.echo(json_text(_told(lines, affected)))
        return
    click.echo(_shown(lines, affected, zone))


def _told(lines: list[Line], affected: list[Touched]) -> dict[str, object]:
    return {
        "lines": [
            {
                "at": line.at.isoformat(),
                "by": line.actor,
                "action": line.action,
                "subject": line.subject,
                "detail": line.detail,
            }
            for line in lines
        ],
        "affected": [
            {
                "cohort": one.cohort_id,
                "cohort_name": one.cohort,
                "actions": dict(one.actions),
                "carers": [{"id": carer, "name": name} for carer, name in one.carers.items()],
            }
            for one in affected
        ],
    }


def _shown(lines: list[Line], affected: list[Touched], zone: ZoneInfo) -> str:
    from web.grid import Column, grid
    from web.terminal_text import inert, wrap

    if not lines:
        return "Nothing was done in that time."
    shape = (
        Column(head="when", least=16),
        Column(head="who", least=12, most=24),
        Column(head="what", least=14, most=20),
        Column(head="of", least=12),
    )
    rows = [
        (f"{line.at.astimezone(zone):%Y-%m-%d %H:%M}", line.actor, line.action, line.subject)
        for line in lines
    ]
    count = sum(len(one.carers) for one in affected)
    told = [*grid(shape, rows, paint=paint, width=width()), ""]
    carers = f"{count} carer{'' if count == 1 else 's'}"
    cohorts = f"{len(affected)} cohort{'' if len(affected) == 1 else 's'}"
    told += [paint(f"Whose data: {carers} of {cohorts}", "head")]
    for one in affected:
        actions = ", ".join(f"{action} {times}x" for action, times in sorted(one.actions.items()))
        names = "; ".join(inert(name) for name in one.carers.values())
        told += wrap(f"{inert(one.cohort)} ({actions}): {names or 'nobody'}", width(), later="  ")
    return "\n".join(told)
