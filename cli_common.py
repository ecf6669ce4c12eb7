"""What commands share: settings, database, time, colours, JSON, and errors of one clear line."""

from __future__ import annotations

import errno
import json
import re
import shutil
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from click.exceptions import NoArgsIsHelpError

from settings import Settings, SettingsError
from web.terminal_text import WIDTH, inert

if TYPE_CHECKING:
    from course.store.database import Database

WIDEST = 120  # a longer line is hard to follow
COLOURS: dict[str, dict[str, Any]] = {
    "good": {"fg": "green"},
    "look": {"fg": "yellow"},
    "bad": {"fg": "red", "bold": True},
    "quiet": {"dim": True},
    "head": {"bold": True},
}
# JSON leaves these as they are, and a terminal would obey them.
_ORDERS = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class _Mistyped(click.ClickException):
    """What was typed is no command of ours."""

    exit_code = click.UsageError.exit_code


class Circle(click.Group):
    """Commands whose every error is one line that a terminal may show."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # as the library hands it on
    ) -> click.Context:
        """Read what was typed."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as e:
            raise _mistyped(e) from e

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. What only a programmer could mend stays a traceback."""
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort):
            raise
        except click.UsageError as e:
            raise _mistyped(e) from e
        except click.ClickException as e:
            raise click.ClickException(_one_line(e.message)) from e
        except Exception as e:
            says = _in_words(e)
            if says is None:
                raise
            raise click.ClickException(_one_line(says)) from e


def _mistyped(error: click.UsageError) -> click.ClickException:
    """The error in one line, which names the help instead of showing the beginning of it."""
    if isinstance(error, NoArgsIsHelpError):
        return error
    where = error.ctx.command_path if error.ctx else "circle"
    says = _one_line(error.format_message()).removesuffix(".")
    return _Mistyped(f"{says}. More: {where} --help")


def _one_line(text: str) -> str:
    return " ".join(inert(text).split())


def _in_words(error: Exception) -> str | None:
    from course.store.cipher import UnreadableField
    from course.store.database import STORAGE_TROUBLE, NewerDatabase

    if isinstance(error, STORAGE_TROUBLE):
        why = str(getattr(error, "orig", None) or error).partition("\n")[0]
        return f"The database does not answer ({why}). Check DATABASE_URL and DATA_DIR."
    if isinstance(error, UnreadableField | NewerDatabase):
        return str(error)
    if isinstance(error, OSError) and error.filename and error.errno != errno.EPIPE:
        return f"{error.filename}: {error.strerror}"
    return None


def read_settings(**overrides: str) -> Settings:
    """The settings; what is wrong with them is one clear line. Options of a command go first."""
    try:
        return Settings.load(**overrides)
    except SettingsError as e:
        raise click.ClickException(f"The settings are not complete. {e}") from e


def open_database(settings: Settings, *, migrate: bool = True) -> Database:
    """The database, at its newest version."""
    from course.store.database import open_sealed

    try:
        database = open_sealed(**settings.storage())
    except ValueError as e:
        raise click.ClickException(f"The settings are not complete. {e}") from e
    if migrate:
        database.migrate()
    return database


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


def paint(text: str, tone: str) -> str:
    """The text in the tone's colour; `click.echo` takes it out where there is no terminal."""
    return click.style(text, **COLOURS[tone]) if tone else text


def width() -> int:
    """How many columns a table may take."""
    if not sys.stdout.isatty():
        return WIDTH
    return max(WIDTH, min(shutil.get_terminal_size((WIDTH, 24)).columns, WIDEST))


def json_text(told: Any) -> str:
    """The JSON of it, with names that one can read and nothing that a terminal obeys."""
    text = json.dumps(told, indent=2, ensure_ascii=False)
    return _ORDERS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
