"""Zoom's log of webhooks: what it tried to tell us and gave up on.

Zoom tries four times within 85 minutes and then forgets; the log keeps seven days.
https://developers.zoom.us/docs/api/marketplace/#tag/app/GET/marketplace/apps/{appId}/webhook_logs
"""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

from integration.provider import ProviderError
from integration.zoom_client import PooledZoomClient
from integration.zoom_values import pages, zulu

FAILED = "2"


def lost_deliveries(
    zoom: PooledZoomClient, app_id: str, since: datetime, until: datetime
) -> tuple[str, ...]:
    """The bodies of the deliveries that failed in that span, each once. Raises `ProviderError`.

    A delivery that failed first and came through at a retry may be among them.
    """
    path = f"/marketplace/apps/{quote(app_id, safe='')}/webhook_logs"
    span = {"from": zulu(since), "to": zulu(until), "type": FAILED}
    logged = pages(
        lambda query: zoom.meeting.get_request(path, params={**span, **query}), "webhook_logs"
    )
    try:
        bodies = [row.get("request_body") for row in logged]
    except ProviderError as e:
        if e.gone:
            raise ProviderError(
                "Zoom does not know the app of ZOOM_APP_ID: copy it from the app's page in the "
                "marketplace.",
                permanent=True,
            ) from e
        raise
    return tuple(dict.fromkeys(body for body in bodies if isinstance(body, str) and body))
