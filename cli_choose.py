"""A cohort as an operator names it: by its id, the beginning of its id, or its name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from settings import Settings
from web.terminal_text import inert

if TYPE_CHECKING:
    from course.model import Cohort
    from course.store.database import Database

MOST_CANDIDATES = 5


def find_cohort(database: Database, named: str) -> Cohort:
    """The one cohort of that id, beginning of an id or exact name."""
    from course.store.cohorts import read_cohort

    with database.read() as connection:
        found = read_cohort(connection, cohort_id(database, named))
    if found is None:
        raise _unknown(named)
    return found


def cohort_id(database: Database, named: str) -> str:
    """Its id."""
    from course.store.cohorts import read_names

    with database.read() as connection:
        names = read_names(connection)
    if named in names:
        return named
    fits = [
        one for one, name in names.items() if named and (name == named or one.startswith(named))
    ]
    if not fits:
        raise _unknown(named)
    if len(fits) > 1:
        listed = ", ".join(f"{one} ({names[one]})" for one in fits[:MOST_CANDIDATES])
        more = f" and {len(fits) - MOST_CANDIDATES} more" if len(fits) > MOST_CANDIDATES else ""
        raise click.ClickException(
            f"“{named}” fits {len(fits)} cohorts: {listed}{more}. Give more of the id."
        )
    return fits[0]


def _unknown(named: str) -> click.ClickException:
    return click.ClickException(f"There is no cohort {named}. List them: circle cohort list")


def complete_cohort(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """Ids that begin like that, or whose names do; a pressed key makes and changes nothing."""
    try:
        names = _stored_names()
    except Exception:  # an error message in the middle of typing helps nobody
        return []
    begun = incomplete.casefold()
    return [
        CompletionItem(one, help=inert(name))
        for one, name in names.items()
        if one.startswith(incomplete) or name.casefold().startswith(begun)
    ]


def _stored_names() -> dict[str, str]:
    from course.store.cohorts import read_names
    from course.store.database import make_url, open_sealed

    settings = Settings.load()
    storage = settings.storage()
    file = make_url(storage["url"])
    if file.get_backend_name() == "sqlite" and not Path(file.database or "").is_file():
        return {}
    database = open_sealed(**storage)
    try:
        with database.read() as connection:
            return read_names(connection)
    finally:
        database.close()
