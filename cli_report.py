"""`circle report`: a cohort's attendance on the terminal or as a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from cli_choose import complete_cohort, find_cohort
from cli_common import json_option, json_text, now, open_database, paint, read_settings, width

BINARY = ("xlsx", "pdf")


@click.command()
@click.argument("named", metavar="COHORT", shell_complete=complete_cohort)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "xlsx", "pdf", "html", "json"]),
    default="table",
    show_default=True,
    help="How to give the report.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write it to this file instead of printing it.",
)
@click.option("--household", metavar="REFERENCE", help="Only this household; names nobody else.")
@click.option("--carer", "carer_id", metavar="ID", help="Only this carer; names nobody else.")
@json_option
def report(
    named: str,
    form: str,
    output: Path | None,
    household: str | None,
    carer_id: str | None,
    *,
    as_json: bool,
) -> None:
    """Give the attendance report of a COHORT. --json is short for --format json."""
    form = "json" if as_json else form
    if form in BINARY and output is None and sys.stdout.isatty():
        raise click.ClickException(
            f"A {form.upper()} file is nothing for a terminal. Add: --output report.{form}"
        )
    told = _made(named, form, on_terminal=output is None, household=household, carer_id=carer_id)
    if output is None:
        click.echo(told, nl=False)
        return
    content = told.encode() if isinstance(told, str) else told
    try:
        if not output.exists():
            output.touch(mode=0o600)  # it says who is in psychological care
        output.write_bytes(content)
    except OSError as e:
        raise click.ClickException(f"{output} could not be written: {e.strerror}") from e
    click.echo(f"written: {output}", err=True)


def _made(
    named: str, form: str, *, on_terminal: bool, household: str | None, carer_id: str | None
) -> str | bytes:
    """The finished report; that it was taken away is in the audit trail."""
    from course.narrowing import Only
    from course.store.access import add_audit
    from web.access import Caller
    from web.exports import FORMATS, signed
    from web.report_view import ReportView
    from web.tables import report_table

    database = open_database(read_settings())
    found = find_cohort(database, named)
    only = Only(household=household, carer_id=carer_id)
    if not only.of(found) and not only.is_everybody:
        households = ", ".join(dict.fromkeys(c.household for c in found.carers)) or "none"
        raise click.ClickException(
            f"That is nobody of this cohort. Its households: {households}. "
            f"The ids of its carers: circle report {found.id} --format json"
        )
    operator = Caller(name="command line", role="admin", cohort_ids=None)
    told: dict[str, Any] = ReportView(database, now).handed_out(found, operator, only=only)
    content: str | bytes
    if form == "table" and on_terminal:
        content = f"{report_table(told, paint=paint, width=width())}\n"
    elif form == "table":
        content = f"{report_table(told)}\n"
    elif form == "json":
        content = f"{json_text(told)}\n"
    else:
        about = signed(told, only=only, made_by="command line")
        content = FORMATS[form].make(about).content
    with database.write() as connection:
        add_audit(
            connection,
            actor="operator",
            action="report.export",
            subject=found.id,
            now=now(),
            detail={"format": form, "household": household, "carer": carer_id},
        )
    return content
