"""What needs a person, across all cohorts that the caller may see."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from flask import Response, jsonify

from course.attention import AttentionItem
from course.store import standings
from course.store.database import Database
from web.access import Caller
from web.cohort_view import note_overview
from web.operations import Operations
from web.schemas import AttentionOut, AttentionPage

_TOLD = ("message", "ref", "reasons")


def add_attention(api: Operations) -> None:
    """`GET /attention`."""

    @api.add(
        "GET",
        "/attention",
        summary="What needs a person, the oldest first",
        roles=("admin", "facilitator"),
        query=AttentionPage,
        answers={200: AttentionOut},
    )
    def attention(caller: Caller, query: AttentionPage) -> Response:
        note_overview(api.database, caller, "attention", api.clock())
        found = read_attention(
            api.database, caller, clock=api.clock, limit=query.limit, offset=query.offset
        )
        following = query.offset + query.limit
        more = f"/api/v1/attention?limit={query.limit}&offset={following}"
        return jsonify(**found, next=more if following < found["total"] else None)


def read_attention(
    database: Database,
    caller: Caller,
    *,
    clock: Callable[[], datetime],
    limit: int | None = None,
    offset: int = 0,
) -> dict[str, Any]:
    """What needs a person in the cohorts that the caller may see, the oldest first.

    `total`: how many there are in all. `behind`: how many of those cohorts have changed and will be
    looked at within minutes.
    """
    only_ids = caller.cohort_ids
    standings.refresh_few(database, now=clock(), only_ids=only_ids)
    with database.read() as connection:
        found, total = standings.page_of_items(
            connection,
            to_admin=caller.role == "admin",
            only_ids=only_ids,
            limit=limit,
            offset=offset,
        )
        behind = standings.behind(connection, now=clock(), only_ids=only_ids)
    items = [_item_json(cohort_id, name, item) for cohort_id, name, item in found]
    return {"items": items, "total": total, "behind": len(behind)}


def carers_of(found: dict[str, Any]) -> set[str]:
    """The ids of the carers whom the items are about."""
    return {item["carer"] for item in found["items"] if "carer" in item}


def _item_json(cohort_id: str, name: str, item: AttentionItem) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "cohort": cohort_id,
        "cohort_name": name,
        "kind": item.kind,
        "week": item.week,
        "since": item.since.isoformat(),
        "says": item.says,
    }
    if item.carer_id is not None:
        shown["carer"] = item.carer_id
    return shown | {told: value for told in _TOLD if (value := getattr(item, told)) is not None}
