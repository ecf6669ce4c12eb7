"""`circle token`: access tokens for programs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from cli_choose import cohort_id, complete_cohort
from cli_common import json_option, json_text, now, open_database, read_settings

if TYPE_CHECKING:
    from course.store.database import Database

TOKEN_LIFE = timedelta(days=365)
TOKEN_LIFE_OF_A_CALL = timedelta(minutes=10)


@click.group()
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
@click.option(
    "--cohort",
    "named",
    multiple=True,
    metavar="COHORT",
    shell_complete=complete_cohort,
    help="A cohort given to the holder; repeat it. Without any a facilitator sees none, and a "
    "viewer reads the reports of all.",
)
@json_option
def token_create(role: str, name: str, named: tuple[str, ...], *, as_json: bool) -> None:
    """Make a token for the API. It is printed once and kept nowhere."""
    database = open_database(read_settings())
    cohorts = tuple(cohort_id(database, one) for one in named)
    token_id, made, until = new_token(
        database, role=role, name=name, cohorts=cohorts, life=TOKEN_LIFE
    )
    if not as_json:
        click.echo(made)
        return
    told = {
        "id": token_id,
        "token": made,
        "name": name,
        "role": role,
        "cohorts": cohorts,
        "expires_at": until.isoformat(),
    }
    click.echo(json_text(told))


def new_token(
    database: Database, *, role: str, name: str, cohorts: tuple[str, ...], life: timedelta
) -> tuple[str, str, datetime]:
    """Its id, itself, and when it ends; only its hash is kept."""
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
        add_audit(
            connection,
            actor="operator",
            action="token.create",
            subject=token_id,
            now=at,
            detail={"name": name, "role": role, "cohorts": list(cohorts)},
        )
    return token_id, made, at + life


@contextmanager
def passing_token(database: Database, *, name: str, life: timedelta) -> Iterator[str]:
    """An admin token for a while, revoked afterwards."""
    token_id, made, _ = new_token(database, role="admin", name=name, cohorts=(), life=life)
    try:
        yield made
    finally:
        _end_token(database, token_id)


def _end_token(database: Database, token_id: str) -> bool:
    from course.store.access import add_audit, revoke_token

    at = now()
    with database.write() as connection:
        ended = revoke_token(connection, token_id, now=at)
        if ended:
            add_audit(connection, actor="operator", action="token.revoke", subject=token_id, now=at)
    return ended


@token.command("revoke")
@click.argument("token_id", metavar="ID")
def token_revoke(token_id: str) -> None:
    """End a token at once."""
    if not _end_token(open_database(read_settings()), token_id):
        raise click.ClickException(f"There is no live token {token_id}.")
    click.echo("The token is no longer valid.")
