"""Column types: aware UTC instants, and text and JSON that are sealed at rest."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import DateTime, Dialect, Text
from sqlalchemy.types import TypeDecorator

from course.store.cipher import Cipher


class UtcDateTime(TypeDecorator[datetime]):
    """An aware instant. SQLite keeps no zone, so it is stored as UTC and given its zone back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive datetimes: they would be an hour wrong for half the year."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime must not be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Aware UTC again."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def cipher_of(dialect: Dialect) -> Cipher:
    """The cipher that `Database` hung on its engine's dialect: keys per database, no global."""
    return cast(Cipher, dialect.circle_cipher)  # type: ignore[attr-defined]


class Sealed(TypeDecorator[str]):
    """Text that is encrypted in the database."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Seal on the way in."""
        return None if value is None else cipher_of(dialect).seal(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Open on the way out."""
        return None if value is None else cipher_of(dialect).open(value)


class SealedJson(TypeDecorator[Any]):
    """A JSON value that is encrypted in the database."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Seal on the way in."""
        if value is None:
            return None
        return cipher_of(dialect).seal(json.dumps(value, ensure_ascii=False, sort_keys=True))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Open on the way out."""
        return None if value is None else json.loads(cipher_of(dialect).open(value))
