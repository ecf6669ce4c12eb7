"""Zoom's values and pages, as all of Zoom's files read and write them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from integration.http import Answer

PAGE = 300
MOST_PAGES = 100


def twice(uuid: str) -> str:
    """Uuids hold "/" and "=": encoded twice, since Zoom decodes the path before it is routed."""
    return quote(quote(uuid, safe=""), safe="")


def rows(value: object) -> list[dict[str, Any]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def instant(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    if not 2000 <= at.year < 2100:
        return None  # of another age: it would break every sum it is in
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)


def zulu(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"


def pages(
    ask: Callable[[dict[str, str]], Answer], name: str, *, size: int = PAGE
) -> Iterator[dict[str, Any]]:
    """All rows of a paged list. A page's token lives 15 minutes, so pages are asked at once."""
    query = {"page_size": str(size)}
    for _ in range(MOST_PAGES):
        answer = ask(query)
        yield from rows(answer.body.get(name))
        token = answer.body.get("next_page_token")
        if not isinstance(token, str) or not token:
            return
        query = {"page_size": str(size), "next_page_token": token}
