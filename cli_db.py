"""`circle db`: bring the tables up to date, and move an installation to another database."""

from __future__ import annotations

import click

from cli_common import json_option, json_text, open_database, read_settings


@click.group()
def db() -> None:
    """Look after the database."""


@db.command("upgrade")
@json_option
def db_upgrade(*, as_json: bool) -> None:
    """Bring the tables up to date (the service does it at its start as well)."""
    database = open_database(read_settings(), migrate=False)
    before = database.version()
    database.migrate()
    version = database.version()
    if as_json:
        click.echo(json_text({"before": before, "version": version}))
    elif before == version:
        click.echo(f"The database is up to date: version {version}.")
    else:
        click.echo(f"The database was {before or 'empty'} and is now version {version}.")


@db.command("move")
@click.option("--to", "url", required=True, help="Address of an empty database.")
@json_option
def db_move(url: str, *, as_json: bool) -> None:
    """Copy the whole installation into another, empty database: SQLite to PostgreSQL or back.

    Stop the service first. Everything is copied as it is stored, in one transaction, and compared
    row by row. What is encrypted stays so: keep the same ENCRYPTION_KEYS (or the key file in
    DATA_DIR). The old database is left as it was.
    """
    from course.store.copying import NotCopied, copy_everything, refuse_if_in_use
    from course.store.database import open_sealed
    from integration.durable import unfinished_mail

    if not url.startswith(("sqlite:///", "postgresql://")):
        raise click.BadParameter(
            "write sqlite:////path/to/file or postgresql://user@host/name", param_hint="--to"
        )
    settings = read_settings()
    source = open_database(settings)
    target = open_sealed(
        url=url, keys=settings.storage()["keys"], key_file=settings.storage()["key_file"]
    )
    try:
        if source.engine.url == target.engine.url:
            raise NotCopied("That is the database which is in use now. Give another one.")
        refuse_if_in_use(source)
        waiting = unfinished_mail(settings.workflow_database())
        if waiting:
            raise NotCopied(
                f"{waiting} cohorts still have mail to be sent. Start the service, wait until it "
                "is sent (or until circle attention says why not), stop it, and try again."
            )
        target.migrate()
        found = copy_everything(
            source,
            target,
            told=lambda table, rows: click.echo(f"{rows:>9}  {table}", err=True) if rows else None,
        )
    except NotCopied as e:
        raise click.ClickException(str(e)) from e
    finally:
        source.close()
        target.close()
    rows = sum(held.rows for held in found.values())
    if as_json:
        click.echo(
            json_text({t: {"rows": held.rows, "sha256": held.sha256} for t, held in found.items()})
        )
        return
    click.echo(
        f"{rows} rows of {len(found)} tables were copied, and each is the same in both databases.\n"
        "Now set DATABASE_URL to the new address, keep the encryption keys as they are, and start "
        "the service.\nDo not start it with the old address again: it would open and change the "
        "same meetings."
    )
