"""What Circle needs of each platform, and what it was granted beyond that.

An application that may read recordings or chats of a clinical practice is a danger even if it never
does: whoever steals its secret may. Lists and reasons are those of docs/connect-*.md.
https://learn.microsoft.com/graph/permissions-reference
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread

from course.model import Platform
from integration.provider import MeetingProvider, ProviderError
from integration.teams_call_records import READ_CALL_RECORDS
from integration.teams_calls import JOIN_CALLS
from integration.teams_values import READ_MEETINGS, READ_REPORTS, READ_USERS, WRITE_CALENDAR
from integration.zoom_values import SCOPES

USED: Mapping[Platform, frozenset[str]] = {
    Platform.ZOOM: SCOPES,
    Platform.TEAMS: frozenset(
        {WRITE_CALENDAR, READ_MEETINGS, READ_REPORTS, READ_USERS, READ_CALL_RECORDS, JOIN_CALLS}
    ),
}
# What is said in a session, and what people write to each other.
_CONTENT = re.compile(
    r"recording|transcript|chat|channelmessage|summar|companion|copilot|insight|accessmedia|archiv"
    r"|mail|sms|phone|whiteboard|clips|notes|files\.|sites\.|meeting_audio|meeting_video",
    re.I,
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
    told: dict[Platform, frozenset[str]] = {}

    def ask(platform: Platform, provider: MeetingProvider) -> None:
        with suppress(ProviderError):
            granted = provider.granted()
            if granted is not None:
                told[platform] = granted

    # Daemons: nobody waits for a platform that hangs, also not at the end.
    asking = [Thread(target=ask, args=one, daemon=True) for one in providers.items()]
    until = time.monotonic() + within
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join(max(0.0, until - time.monotonic()))
    known = dict(told)  # whoever answers later changes nothing any more
    found = [too_much for platform in known if (too_much := excess(platform, known[platform]))]
    return found, [platform for platform in providers if platform not in known]
