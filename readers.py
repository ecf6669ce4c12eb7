"""What reads the platforms' notifications, for each platform that is configured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from certificates import NotificationCertificate
from course.model import Platform
from course.store.database import Database
from integration.provider import MeetingProvider
from integration.teams_keys import SigningKeys
from settings import Settings
from webhooks.calls_reader import CallsReader
from webhooks.evidence import TeamsReader, ZoomReader
from webhooks.rereading import Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """None where the platform, or the calling bot, is not configured."""

    zoom: ZoomReader | None
    teams: TeamsReader | None
    calls: CallsReader | None
    signing_keys: Sequence[SigningKeys]

    def by_platform(self) -> dict[Platform, Reader]:
        """Those that read stored deliveries again."""
        found: dict[Platform, Reader] = {}
        if self.zoom:
            found[Platform.ZOOM] = self.zoom
        if self.teams:
            found[Platform.TEAMS] = self.teams
        return found


def build_readers(
    settings: Settings,
    *,
    database: Database,
    providers: Mapping[Platform, MeetingProvider],
    certificates: Sequence[NotificationCertificate],
    wake: Callable[[], object],
) -> Readers:
    """The readers, and Microsoft's signing keys that they need: nobody has fetched these yet.
    `wake` has what waits for keys read at once when they have come.
    """
    zoom, teams = settings.zoom, settings.teams
    zoom_reader = (
        ZoomReader(
            secrets=zoom.webhook_secrets,
            account_id=zoom.account_id,
            sent_direction=zoom.sent_direction,
            client_id=zoom.client_id,
        )
        if zoom
        else None
    )
    teams_reader = None
    signing_keys = []
    if teams:
        keys = SigningKeys(
            login_url=teams.login_url,
            tenant_id=teams.tenant_id,
            jwks_url=teams.jwks_url,
            arrived=wake,
        )
        signing_keys.append(keys)
        teams_reader = TeamsReader(
            database=database,
            audience=teams.client_id,
            tenant_id=teams.tenant_id,
            keys_at_hand=keys.at_hand,
            signing_keys=keys.current,
            private_keys={c.ref: c.key for c in certificates},
            fetch_call_record=providers[Platform.TEAMS].fetch_call_record,
        )
    calls_reader = None
    if teams and teams.call_bot:
        bot_keys = SigningKeys(
            login_url=teams.login_url,
            tenant_id=teams.tenant_id,
            jwks_url=teams.jwks_url,
            metadata_url=teams.calls_metadata_url,
        )
        signing_keys.append(bot_keys)
        calls_reader = CallsReader(
            database=database,
            audience=teams.client_id,
            keys_at_hand=bot_keys.at_hand,
        )
    return Readers(
        zoom=zoom_reader, teams=teams_reader, calls=calls_reader, signing_keys=signing_keys
    )
