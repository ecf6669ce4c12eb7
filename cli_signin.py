"""`circle signin`: one-time links with which staff sign in, and the one of the first start."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from cli_choose import cohort_id, complete_cohort
from cli_common import json_option, json_text, now, open_database, read_settings

if TYPE_CHECKING:
    from course.store.database import Database

LIFE = timedelta(hours=1)
ROLES = ("admin", "facilitator", "viewer")


@click.command()
@click.option("--name", required=True, help="Whose link it is; shown in the audit trail.")
@click.option("--role", type=click.Choice(ROLES), required=True)
@click.option(
    "--cohort",
    "named",
    multiple=True,
    metavar="COHORT",
    shell_complete=complete_cohort,
    help="Given to them; may be repeated.",
)
@click.option(
    "--new-second-factor",
    "resets",
    is_flag=True,
    help="Forget their authenticator app, when the phone is lost: the next sign-in asks for none, "
    "or sets up a new one. Be sure who asks you for it.",
)
@json_option
def signin(name: str, role: str, named: tuple[str, ...], *, resets: bool, as_json: bool) -> None:
    """Make a link that signs one person in, once, within an hour."""
    settings = read_settings()
    if role != "admin" and not named:
        raise click.ClickException(
            f"A {role} sees the cohorts given to them. Add: --cohort COHORT (circle cohort list)"
        )
    database = open_database(settings)
    cohorts = tuple(cohort_id(database, one) for one in named)
    at = now()
    if resets and not reset_second_factor(database, name, at=at):
        raise click.ClickException(
            f"Nobody called {name} has an authenticator app. Write the name as on their links; "
            "circle signin without --new-second-factor makes a link alone."
        )
    link = make_link(database, settings.public_url, name=name, role=role, cohorts=cohorts, at=at)
    if not as_json:
        click.echo(link)
        return
    until = (at + LIFE).isoformat()
    told = {"link": link, "name": name, "role": role, "cohorts": cohorts, "expires_at": until}
    click.echo(json_text(told))


@click.command()
@click.option("--name", required=True, help="As on their links and tokens.")
@json_option
def signout(name: str, *, as_json: bool) -> None:
    """End at once whatever signs people of a name in: sessions, unused links, tokens.

    For a lost laptop or a sign-in that was misused. With a Microsoft account they can sign in
    again: block it there as well.
    """
    from dataclasses import asdict

    from course.store.access import add_audit
    from course.store.staff_sessions import shut_out

    at = now()
    with open_database(read_settings()).write() as connection:
        ended = shut_out(connection, name, now=at)
        told = asdict(ended)
        if any(told.values()):
            add_audit(
                connection,
                actor="operator",
                action="staff.shut_out",
                subject=name,
                now=at,
                detail=told,
            )
    if not any(told.values()):
        raise click.ClickException(
            f"Nothing of {name} was live. Write the name as on their links and tokens: "
            "circle privacy trail shows who signed in."
        )
    if as_json:
        click.echo(json_text(told))
        return
    counts = (ended.sessions, "session"), (ended.links, "unused link"), (ended.tokens, "token")
    parts = [f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts]
    click.echo(f"Ended: {', '.join(parts)}.")


def make_link(
    database: Database,
    public_url: str,
    *,
    name: str,
    role: str,
    at: datetime,
    cohorts: tuple[str, ...] = (),
) -> str:
    """The link; only its hash is kept."""
    import secrets

    from course.store.access import add_audit
    from course.store.staff_sessions import Staff, insert_link

    made = secrets.token_urlsafe(32)
    staff = Staff(name=name, role=role, cohort_ids=cohorts)
    with database.write() as connection:
        insert_link(connection, made, staff, now=at, expires_at=at + LIFE)
        add_audit(
            connection,
            actor="operator",
            action="staff.invite",
            subject=name,
            now=at,
            detail={"role": role, "cohorts": list(cohorts)},
        )
    return f"{public_url}/signin/{made}"


def reset_second_factor(database: Database, name: str, *, at: datetime) -> bool:
    """Forget somebody's authenticator app; False when there is none under that name."""
    from course.store.access import add_audit
    from course.store.second_factor import remove_factor

    with database.write() as connection:
        gone = remove_factor(connection, name)
        if gone:
            add_audit(connection, actor="operator", action="factor.reset", subject=name, now=at)
    return gone


def first_link(database: Database, public_url: str, *, always: bool) -> str | None:
    """At the first start, when nobody could sign in: a link for the first administrator."""
    from course.store.staff_sessions import anybody_known

    with database.read() as connection:
        wanted = always or not anybody_known(connection)
    if not wanted:
        return None
    return make_link(database, public_url, name="Administrator", role="admin", at=now())
