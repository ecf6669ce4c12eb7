"""What every command begins with: the settings, the database, the time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from settings import Settings, SettingsError

if TYPE_CHECKING:
    from course.store.database import Database


def read_settings() -> Settings:
    """The settings; what is wrong with them is one clear line."""
    try:
        return Settings.load()
    except SettingsError as e:
        raise click.ClickException(f"The settings are not complete. {e}") from e


def open_database(settings: Settings) -> Database:
    """The database, at its newest version."""
    from course.store.database import open_sealed

    try:
        database = open_sealed(**settings.storage())
    except ValueError as e:
        raise click.ClickException(f"The settings are not complete. {e}") from e
    database.migrate()
    return database


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)
