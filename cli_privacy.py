"""`circle privacy`: what carers may ask for, and what the practice must do by itself."""

from __future__ import annotations

import json
from pathlib import Path

import click

from cli_common import json_option, json_text, now, open_database, read_settings
from cli_trail import trail

ACTOR = "operator"


@click.group()
def privacy() -> None:
    """Copies, erasure, retention: what is asked under data protection law."""


@privacy.command("export")
@click.argument("carer_id", metavar="CARER")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write: .json, or .pdf to read  [default: JSON on standard output]",
)
@click.option("--json", "as_json", is_flag=True, help="JSON, whatever the file is called.")
def export(carer_id: str, output: Path | None, *, as_json: bool) -> None:
    """Write a copy of everything held on CARER, and nothing of anybody else."""
    from course.store.access import add_audit
    from course.store.subject_access import held_on
    from web.subject_access import subject_access_pdf

    settings = read_settings()
    form = "json" if as_json or output is None else output.suffix.lower().lstrip(".")
    if form not in ("json", "pdf"):
        raise click.ClickException(f"{output} should end in .json or .pdf.")
    with open_database(settings).write() as connection:
        held = held_on(connection, carer_id, now=now())
        if held is None:
            raise _unknown(carer_id)
        add_audit(
            connection,
            actor=ACTOR,
            action="carer.export",
            subject=carer_id,
            now=now(),
            detail={"format": form},
        )
    if output is None:
        click.echo(json_text(held))
        return
    content = (
        subject_access_pdf(held, timezone=settings.timezone)
        if form == "pdf"
        else f"{json.dumps(held, indent=2, ensure_ascii=False)}\n".encode()
    )
    try:
        output.touch(mode=0o600)
        output.write_bytes(content)
    except OSError as e:
        raise click.ClickException(f"{output} could not be written: {e.strerror}") from e
    click.echo(f"written: {output}", err=True)


privacy.add_command(trail)


def _unknown(carer_id: str) -> click.ClickException:
    return click.ClickException(
        f"There is no carer {carer_id}. Their ids: circle report COHORT --format json"
    )


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
        raise _unknown(carer_id) from e
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


@privacy.command("map")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def data_map(*, as_json: bool) -> None:
    """Print the data map: every column, what it is, why, for how long, who sees it."""
    from dataclasses import asdict

    from course.store.data_map import as_markdown, entries

    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in entries()], indent=2))
    else:
        click.echo(as_markdown(), nl=False)


@privacy.command("retain")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def retain(*, dry_run: bool, as_json: bool) -> None:
    """Let go of what has been kept long enough (the running service does it once a day)."""
    from course.store.retention import Periods
    from course.store.retention import retain as apply

    settings = read_settings()
    periods = Periods(**settings.periods())
    counts = apply(open_database(settings), periods, now=now(), dry_run=dry_run)
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, "counts": counts}, indent=2))
        return
    click.echo("Would go:" if dry_run else "Gone:")
    for what, count in counts.items():
        click.echo(f"{count:>8}  {what}")
    if settings.keep_reason:
        click.echo(f"Some periods are longer than usual, because: {settings.keep_reason}")


@click.group()
def keys() -> None:
    """The keys that names, addresses and free text are sealed with."""


@keys.command("new")
@json_option
def new_key(*, as_json: bool) -> None:
    """Print a fresh key. Put it before the others: ENCRYPTION_KEYS=NEW,OLD"""
    import base64
    import secrets

    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    click.echo(json_text({"key": key}) if as_json else key)


@keys.command("rotate")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def rotate(*, as_json: bool) -> None:
    """Seal everything with the newest key. Interrupt it as you like; run it again."""
    from course.store.access import add_audit
    from course.store.cipher import UnreadableField
    from course.store.erasures import Erasures
    from course.store.rekeying import keys_in_use, rekey

    settings = read_settings()
    database = open_database(settings)
    try:
        count = rekey(database)
        Erasures(database, data_dir=settings.data_dir, clock=now).seal_anew()
    except UnreadableField as e:
        raise click.ClickException(f"Not everything could be sealed anew: {e}") from e
    with database.write() as connection:
        add_audit(
            connection, actor=ACTOR, action="keys.rotate", subject=database.cipher.newest, now=now()
        )
    used = keys_in_use(database)
    if as_json:
        told = {"sealed_anew": count, "newest": database.cipher.newest, "in_use": used}
        click.echo(json.dumps(told, indent=2))
        return
    click.echo(f"{count} values sealed anew; all are sealed with key {database.cipher.newest} now.")
    click.echo("The older keys are needed for older backups only. docs/privacy/keys.md says more.")
