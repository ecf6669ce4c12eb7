"""The calls that bots are in on the Graph stand-in, and what they are told.

https://learn.microsoft.com/graph/api/resources/commsnotifications
"""

from __future__ import annotations

import json
from typing import Any

from sandbox.delivery import Courier
from sandbox.login import LoginStandIn


class Calls:
    """The calls that bots are in: id to the body that asked for it."""

    def __init__(self, login: LoginStandIn, courier: Courier) -> None:
        self._login = login
        self._courier = courier
        self.live: dict[str, dict[str, Any]] = {}

    def tell(self, call_id: str, about: str, data: object, change: str = "updated") -> int:
        """Send one notification to whoever is in that call; the last code."""
        resource = f"/communications/calls/{call_id}{about}"
        body = {
            "@odata.type": "#microsoft.graph.commsNotifications",
            "value": [
                {
                    "@odata.type": "#microsoft.graph.commsNotification",
                    "changeType": change,
                    "resource": resource,
                    "resourceUrl": resource,
                    "resourceData": data,
                }
            ],
        }
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self._login.call_token()}",
        }
        url = str(self.live[call_id]["callbackUri"])
        return self._courier.deliver(url, json.dumps(body).encode(), headers)
