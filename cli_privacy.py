"""`circle privacy`: what carers may ask for, and what the practice must do by itself."""

from __future__ import annotations

import json

import click

from cli_common import now, open_database, read_settings

ACTOR = "operator"


@click.group()
def privacy() -> None:
    """Copies, erasure, retention: what is asked under data protection law."""


@privacy.command("erase")
@click.argument("carer_id", metavar="CARER")
@click.option("--reason", required=True, help="Why; it is kept, so write no names.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def erase(carer_id: str, *, reason: str, yes: bool, as_json: bool) -> None:
    """Erase CARER everywhere. It cannot be taken back.

    The running service takes them off the platform within minutes; without one, the next start
    does.
    """
    from course.store.erasures import Erasures, UnknownCarer

    settings = read_settings()
    database = open_database(settings)
    erasures = Erasures(database, data_dir=settings.data_dir, clock=now)
    if not yes:
        click.confirm(f"Erase carer {carer_id} for good?", abort=True, err=True)
    try:
        done = erasures.erase(carer_id, reason=reason, actor=ACTOR)
    except UnknownCarer as e:
        raise click.ClickException(
            f"There is no carer {carer_id}. Their ids: circle report COHORT --format json"
        ) from e
    told = {
        "tombstones": [stone.id for stone in done.stones],
        "erased_at": done.stones[0].erased_at.isoformat(),
        "platform_to_be_told": any(stone.to_tell for stone in done.stones),
        "same_address": [{"cohort": cohort, "carer": other} for cohort, other in done.same_address],
        "keep_apart": str(settings.data_dir / "erasures.jsonl"),
    }
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    click.echo(f"Erased; tombstone {', '.join(stone.id for stone in done.stones)}.")
    if told["platform_to_be_told"]:
        click.echo("The service takes them off the platform next.")
    for cohort, other in done.same_address:
        click.echo(f"The same address: carer {other} in cohort {cohort}. The same person? Decide.")
    click.echo(f"Back up {told['keep_apart']} apart from the database: a restored backup needs it.")
