"""`circle report`: a cohort's attendance on the terminal or as a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from cli_common import now, open_database, read_settings

BINARY = ("xlsx", "pdf")


@click.command()
@click.argument("cohort_id", metavar="COHORT")
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
def report(
    cohort_id: str, form: str, output: Path | None, household: str | None, carer_id: str | None
) -> None:
    """Give a cohort's attendance report."""
    if form in BINARY and output is None and sys.stdout.isatty():
        raise click.ClickException(
            f"A {form.upper()} file is nothing for a terminal. Add: --output report.{form}"
        )
    content = _made(cohort_id, form, household=household, carer_id=carer_id)
    if output is None:
        sys.stdout.buffer.write(content)
        return
    try:
        if not output.exists():
            output.touch(mode=0o600)  # it says who is in psychological care
        output.write_bytes(content)
    except OSError as e:
        raise click.ClickException(f"{output} could not be written: {e.strerror}") from e
    click.echo(f"written: {output}", err=True)


def _made(cohort_id: str, form: str, *, household: str | None, carer_id: str | None) -> bytes:
    """The finished report; that it was taken away is in the audit trail."""
    from course.narrowing import Only
    from course.store.access import add_audit
    from course.store.cohorts import read_cohort
    from web.access import Caller
    from web.exports import FORMATS, signed
    from web.report_view import ReportView
    from web.report_words import readable
    from web.tables import report_table

    database = open_database(read_settings())
    with database.read() as connection:
        found = read_cohort(connection, cohort_id)
    if found is None:
        raise click.ClickException(f"There is no cohort {cohort_id}. List them: circle cohort list")
    only = Only(household=household, carer_id=carer_id)
    if not only.of(found) and not only.is_everybody:
        households = ", ".join(dict.fromkeys(c.household for c in found.carers)) or "none"
        raise click.ClickException(
            f"That is nobody of this cohort. Its households: {households}. "
            f"The ids of its carers: circle report {cohort_id} --format json"
        )
    operator = Caller(name="command line", role="admin", cohort_ids=None)
    told: dict[str, Any] = ReportView(database, now).handed_out(found, operator, only=only)
    if form == "table":
        content = f"{report_table(readable(told))}\n".encode()
    elif form == "json":
        content = f"{json.dumps(told, indent=2, ensure_ascii=False)}\n".encode()
    else:
        about = signed(told, only=only, made_by="command line")
        content = FORMATS[form].make(about).content
    with database.write() as connection:
        add_audit(
            connection,
            actor="operator",
            action="report.export",
            subject=cohort_id,
            now=now(),
            detail={"format": form, "household": household, "carer": carer_id},
        )
    return content
