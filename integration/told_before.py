"""What an older release told facilitators: it remembered that by lines of the audit trail alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from course.store import access
from course.store.database import Connection


class Trail:
    """One round's look at what was told: read once for each action, however many cohorts ask."""

    def __init__(self, *, actor: str, since: datetime) -> None:
        self._actor = actor
        self._since = since
        self._read: dict[str, dict[str, list[datetime]]] = {}

    def told(
        self, connection: Connection, *, action: str, subjects: Iterable[str], since: datetime
    ) -> set[datetime]:
        """When it was told of one of the subjects since then, by whichever release."""
        if action not in self._read:
            lines: dict[str, list[datetime]] = defaultdict(list)
            for at, subject in access.done_to_since(
                connection, actor=self._actor, action=action, since=self._since
            ):
                lines[subject].append(at)
            self._read[action] = lines
        found = self._read[action]
        return {at for subject in subjects for at in found.get(subject, ()) if at >= since}
