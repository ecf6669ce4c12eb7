"""`circle backup` and `circle restore`: the whole installation in one file, and back."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from cli_common import json_option, json_text, now, open_database, read_settings

NAMED, ENDING = "circle-", ".backup"
KEYS_APART = (
    "The encryption keys are not in it, and without them it cannot be read: keep ENCRYPTION_KEYS, "
    "or the file encryption.key in DATA_DIR, in another place."
)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--keep-days",
    type=click.IntRange(min=1),
    help="FILE is a folder: remove older backups from it when this one is made.",
)
@json_option
def backup(file: Path, *, keep_days: int | None, as_json: bool) -> None:
    """Write a backup of the whole installation into FILE, while the service runs.

    In a folder it is named by the time. It restores onto SQLite or PostgreSQL. The encryption keys
    are not in it: keep them apart.
    """
    from course.store.backup import make_backup
    from course.store.copying import NotCopied
    from course.store.types import cipher_of

    folder = file if file.is_dir() else None
    if keep_days is not None and folder is None:
        raise click.UsageError("--keep-days is for a folder of backups; this is a file.")
    if folder is not None:
        file = folder / f"{NAMED}{now():%Y-%m-%d-%H%M%S}{ENDING}"
    if file.exists():
        raise click.ClickException(f"{file} is there already. Give another name.")
    with closing(open_database(read_settings())) as source:
        try:
            found = make_backup(source, cipher_of(source.engine.dialect), file, now=now())
        except NotCopied as e:
            raise click.ClickException(str(e)) from e
    gone = _expire(folder, timedelta(days=keep_days)) if folder and keep_days else []
    rows = sum(held.rows for held in found.values())
    if as_json:
        told = {"file": str(file), "rows": rows, "bytes": file.stat().st_size}
        click.echo(json_text({**told, "removed": [str(old) for old in gone]}))
        return
    click.echo(f"{file}: {rows} rows of {len(found)} tables, read back and compared.\n{KEYS_APART}")
    for old in gone:
        click.echo(f"Removed, older than {keep_days} days: {old}")


def _expire(folder: Path, age: timedelta) -> list[Path]:
    """Backups that were made there by this command, by their own names' times: old ones go, because
    they hold people who were erased since.
    """
    gone = []
    for path in sorted(folder.glob(f"{NAMED}*{ENDING}")):
        try:
            told = path.name.removeprefix(NAMED).removesuffix(ENDING)
            made_at = datetime.strptime(told, "%Y-%m-%d-%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            continue  # somebody else's name
        if now() - made_at > age:
            path.unlink()
            gone.append(path)
    return gone


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Give up what this installation holds now.")
@json_option
def restore(file: Path, *, replace: bool, as_json: bool) -> None:
    """Put the backup in FILE into this installation. Stop the service first.

    Afterwards it looks before it acts: what was opened after the backup may stand on Zoom or Teams
    and is found there again instead of made twice.
    """
    from course.store.backup import restore_backup
    from course.store.copying import NotCopied, refuse_if_in_use
    from course.store.types import cipher_of

    settings = read_settings()
    with closing(open_database(settings)) as target:
        try:
            refuse_if_in_use(target)
            found = restore_backup(
                file,
                target,
                cipher_of(target.engine.dialect),
                replace=replace,
                now=now(),
                actor="command line",
                told=lambda table, rows: (
                    click.echo(f"{rows:>9}  {table}", err=True) if rows else None
                ),
            )
        except NotCopied as e:
            raise click.ClickException(str(e)) from e
    engine = settings.workflow_database()
    if engine.startswith("sqlite:///"):
        # What the engine has done since the backup it would take for done; it begins anew.
        for ending in ("", "-wal", "-shm"):
            Path(engine.removeprefix("sqlite:///") + ending).unlink(missing_ok=True)
    if as_json:
        click.echo(json_text({"made_at": found.made_at.isoformat(), "rows": found.rows}))
        return
    click.echo(
        f"Restored {found.rows} rows as they were on {found.made_at:%d %B %Y at %H:%M} UTC.\n"
        "What happened after that is not here, and may still stand on Zoom or Teams. Start the "
        "service,\nrun circle doctor, and open what is missing again: its meetings are found, not "
        "made twice."
    )
