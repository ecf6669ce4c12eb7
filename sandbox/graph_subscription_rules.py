"""What Graph accepts in a subscription: a meeting's call events, call records, a calendar.

The error codes beyond `ValidationError` and the lifecycle rule are assumed.
https://learn.microsoft.com/graph/api/subscription-post-subscriptions
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

from sandbox.graph_errors import GraphError, read_utc

FIELDS = {
    *("changeType", "notificationUrl", "lifecycleNotificationUrl", "resource", "clientState"),
    *("expirationDateTime", "includeResourceData", "encryptionCertificate"),
    *("encryptionCertificateId", "latestSupportedTlsVersion"),
}
CHANGEABLE = {
    *("expirationDateTime", "notificationUrl", "encryptionCertificate", "encryptionCertificateId"),
}
LONGEST_STATE = 128
SHORTEST_LIFE = timedelta(minutes=45)
LIFE_WITHOUT_LIFECYCLE = timedelta(hours=1)
# The link stands inside the quotes percent-encoded as a whole, or it would end the path segment.
_CALL_EVENTS = re.compile(
    r"/?communications/onlineMeetings\([jJ]oinWebUrl='([^'/:?&]+)'\)/meetingCallEvents"
)
_CALL_RECORDS = re.compile(r"/?communications/callRecords")
_CALENDAR = re.compile(r"/?users/([^/]+)/events")


def invalid(message: str) -> GraphError:
    """A subscription with a wrong property."""
    return GraphError(400, "InvalidRequest", message)


def link_of(resource: str) -> str | None:
    """The join link whose call events a resource names, decoded once; None: something else."""
    if found := _CALL_EVENTS.fullmatch(resource):
        return unquote(found[1])
    if _CALL_RECORDS.fullmatch(resource) or _CALENDAR.fullmatch(resource):
        return None
    raise GraphError(400, "ExtensionError", "Resource is not supported by the stand-in.")


def mailbox_of(resource: str) -> str | None:
    """Whose calendar a resource names; None: something else."""
    found = _CALENDAR.fullmatch(resource)
    return found[1].lower() if found else None


def role_of(resource: str) -> str:
    """The application permission that a subscription to it takes."""
    if mailbox_of(resource) is not None:
        return "Calendars.ReadWrite"
    return "CallRecords.Read.All" if link_of(resource) is None else "OnlineMeetings.Read.All"


def check_request(asked: Mapping[str, Any], *, version: str) -> None:
    """Everything about a new subscription but its life, its certificate and its addresses."""
    if unknown := set(asked) - FIELDS:
        raise GraphError(
            400,
            "BadRequest",
            f"The property '{min(unknown)}' does not exist on type 'microsoft.graph.subscription'.",
        )
    for name in ("changeType", "notificationUrl", "resource", "expirationDateTime"):
        if not isinstance(asked.get(name), str) or not asked[name]:
            raise invalid(f"{name} is required.")
    is_call = link_of(asked["resource"]) is not None
    if is_call and version != "beta":
        raise GraphError(400, "BadRequest", "meetingCallEvents is not supported in v1.0.")
    allowed = {"updated"} if is_call else {"created", "updated"}
    if mailbox_of(asked["resource"]) is not None:
        allowed = {"created", "updated", "deleted"}
    if not set(asked["changeType"].split(",")) <= allowed:
        raise invalid(f"changeType may be {' or '.join(sorted(allowed))} for this resource.")
    if len(str(asked.get("clientState") or "")) > LONGEST_STATE:
        raise invalid("clientState is longer than 128 characters.")
    if is_call is not bool(asked.get("includeResourceData")):
        need = "is required" if is_call else "is not supported"
        raise invalid(f"includeResourceData {need} for this resource.")


def read_expiry(value: object, *, resource: str, has_lifecycle: bool, now: datetime) -> datetime:
    """Until when it lives: less than 45 minutes is raised to them, too much is refused."""
    expires_at = max(read_utc(value), now + SHORTEST_LIFE)
    longest = 4230 if link_of(resource) is None else 4320
    longest = 10080 if mailbox_of(resource) is not None else longest
    if expires_at > now + timedelta(minutes=longest):
        raise GraphError(
            400, "ExtensionError", f"Subscription expiration can only be {longest} minutes ahead."
        )
    if expires_at > now + LIFE_WITHOUT_LIFECYCLE and not has_lifecycle:
        raise invalid(
            "lifecycleNotificationUrl is a required property for subscription creation on this "
            "resource when the expirationDateTime value is set to greater than 1 hour."
        )
    return expires_at
