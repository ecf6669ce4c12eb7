"""What Circle needs of each platform, and what it was granted beyond that.

An application that may read recordings or chats of a clinical practice is a danger even if it never
does: whoever steals its secret may. Lists and reasons are those of docs/connect-*.md.
https://developers.zoom.us/docs/integrations/oauth-scopes-granular/
https://learn.microsoft.com/graph/permissions-reference
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from course.model import Platform
from integration.provider import MeetingProvider, ProviderError

USED: Mapping[Platform, frozenset[str]] = {
    Platform.ZOOM: frozenset(
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
            # The same in the words of an app that was made before 2024, which has no finer ones.
            "meeting:write:admin",
            "meeting:read:admin",
            "report:read:admin",
            "dashboard_meetings:read:admin",
        }
    ),
    Platform.TEAMS: frozenset(
        {
            "Calendars.ReadWrite",
            "OnlineMeetings.Read.All",
            "OnlineMeetingArtifact.Read.All",
            "User.Read.All",
            "CallRecords.Read.All",
            "Calls.JoinGroupCall.All",
        }
    ),
}
# What is said in a session, and what people write to each other.
_CONTENT = re.compile(
    r"recording|transcript|chat|summar|ai_companion|aiinsight|accessmedia|archiv|^mail\.", re.I
)
WHERE = {
    Platform.ZOOM: "in the Zoom marketplace: the app, Scopes",
    Platform.TEAMS: "in Microsoft Entra ID: App registrations, the app, API permissions",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """What was granted to us on one platform and is used for nothing; sorted names."""

    platform: Platform
    content: tuple[str, ...]
    other: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.content or self.other)

    def says(self) -> str:
        """A sentence for whoever can take them away."""
        names = ", ".join((*self.content, *self.other))
        return (
            f"The {self.platform.capitalize()} app was granted what Circle never uses: {names}. "
            f"Take it away {WHERE[self.platform]}."
        )


def excess(platform: Platform, granted: Iterable[str]) -> Excess:
    """Whatever of that is not used. Pure."""
    unused = sorted(set(granted) - USED[platform])
    content = tuple(name for name in unused if _CONTENT.search(name))
    other = tuple(name for name in unused if name not in content)
    return Excess(platform=platform, content=content, other=other)


def look(
    providers: Mapping[Platform, MeetingProvider], *, within: float
) -> tuple[list[Excess], list[Platform]]:
    """What was granted too much, and the platforms that did not say so in that many seconds.

    Asks all platforms at once. One that is down keeps nobody from starting: webhooks would be lost.
    """

    def ask(provider: MeetingProvider) -> frozenset[str] | None:
        try:
            return provider.granted()
        except ProviderError:
            return None

    found: list[Excess] = []
    silent: list[Platform] = []
    pool = ThreadPoolExecutor(max(1, len(providers)), thread_name_prefix="permissions")
    asked = {platform: pool.submit(ask, provider) for platform, provider in providers.items()}
    for platform, answer in asked.items():
        try:
            granted = answer.result(timeout=within)
        except TimeoutError:
            granted = None
        if granted is None:
            silent.append(platform)
        elif too_much := excess(platform, granted):
            found.append(too_much)
    pool.shutdown(wait=False)
    return found, silent
