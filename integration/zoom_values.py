"""Zoom's values and pages, as all of Zoom's files read and write them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from integration.http import Answer

PAGE = 300
MOST_PAGES = 100
# https://developers.zoom.us/docs/integrations/oauth-scopes-granular/
SCOPES = frozenset(
    {
        "meeting:write:meeting:admin",
        "meeting:read:meeting:admin",
        "meeting:read:list_meetings:admin",
        "meeting:update:meeting:admin",
        "meeting:delete:meeting:admin",
        "meeting:write:registrant:admin",
        "meeting:read:list_registrants:admin",
        "meeting:update:registrant_status:admin",
        "report:read:list_meeting_participants:admin",
        "meeting:read:past_meeting:admin",
        "meeting:read:list_past_instances:admin",
        "meeting:read:list_past_participants:admin",
        "meeting:read:participant:admin",
        "dashboard:read:list_meeting_participants_qos:admin",
        "dashboard:read:meeting_participant_qos:admin",
        "qss:read:meeting_participant_data:admin",
        "marketplace_app:read:admin",
        "rtms:read:rtms_started:admin",
        "rtms:read:rtms_stopped:admin",
        "rtms:read:rtms_interrupted:admin",
        # The same in the words of an app that was made before 2024, which has no finer ones.
        "meeting:write:admin",
        "meeting:read:admin",
        "report:read:admin",
        "dashboard_meetings:read:admin",
    }
)


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
