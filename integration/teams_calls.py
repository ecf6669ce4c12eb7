"""Our bot in a Teams call: joins with service-hosted media, is kept alive, leaves.

It records nothing and hears nothing; Graph tells it the roster, with who is muted and who sends.
https://learn.microsoft.com/graph/api/application-post-calls
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from integration.provider import ProviderError, Series
from integration.teams_client import GraphCalls
from integration.teams_values import READ_MEETINGS

JOIN_CALLS = "Calls.JoinGroupCall.All"


def join(graph: GraphCalls, series: Series, tenant_id: str, callback_url: str) -> str:
    """POST /communications/calls; the call's id. Raises `ProviderError`."""
    organiser, thread = _meeting(graph, series)
    body = {
        "@odata.type": "#microsoft.graph.call",
        "callbackUri": callback_url,
        "requestedModalities": ["audio"],
        "mediaConfig": {
            "@odata.type": "#microsoft.graph.serviceHostedMediaConfig",
            "preFetchMedia": [],
        },
        "chatInfo": {
            "@odata.type": "#microsoft.graph.chatInfo",
            "threadId": thread,
            "messageId": "0",
        },
        "meetingInfo": {
            "@odata.type": "#microsoft.graph.organizerMeetingInfo",
            "organizer": {
                "@odata.type": "#microsoft.graph.identitySet",
                "user": {
                    "@odata.type": "#microsoft.graph.identity",
                    "id": organiser,
                    "tenantId": tenant_id,
                },
            },
            "allowConversationWithoutHost": True,
        },
        "tenantId": tenant_id,
    }
    answer = graph.call("POST", "v1.0/communications/calls", needs=JOIN_CALLS, body=body)
    ref = answer.body.get("id")
    if not isinstance(ref, str) or not ref:
        raise ProviderError("Graph's answer names no call.", permanent=False, outcome_unknown=True)
    return ref


def keep_alive(graph: GraphCalls, call_ref: str) -> None:
    """POST …/keepAlive: a call that nobody keeps dies after 45 minutes."""
    graph.call("POST", f"{_path(call_ref)}/keepAlive", needs=JOIN_CALLS, body={})


def leave(graph: GraphCalls, call_ref: str) -> None:
    """DELETE …; already gone counts as done."""
    try:
        graph.call("DELETE", _path(call_ref), needs=JOIN_CALLS)
    except ProviderError as e:
        if not e.gone:
            raise


def _path(call_ref: str) -> str:
    return f"v1.0/communications/calls/{quote(call_ref, safe='')}"


def _meeting(graph: GraphCalls, series: Series) -> tuple[str, str]:
    """The organiser's object id and the meeting's thread: never taken out of the join link."""
    organiser = quote(series.organiser_ref, safe="@")
    meeting = quote(series.meeting_ref or "", safe="")
    body: dict[str, Any] = graph.call(
        "GET", f"v1.0/users/{organiser}/onlineMeetings/{meeting}", needs=READ_MEETINGS
    ).body
    chat, people = body.get("chatInfo"), body.get("participants")
    thread = chat.get("threadId") if isinstance(chat, dict) else None
    found: Any = people.get("organizer") if isinstance(people, dict) else None
    for name in ("identity", "user", "id"):
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(thread, str) or not thread:
        raise ProviderError("Teams names no thread of this meeting.", permanent=False)
    return found if isinstance(found, str) and found else series.organiser_ref, thread
