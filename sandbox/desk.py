"""The stand-ins' seat at the service's staff API: they ask for no more than staff could."""

from __future__ import annotations

import logging
import time
from typing import Any

import requests

OPEN_WITHIN = 30.0  # seconds

log = logging.getLogger(__name__)


class ServiceRefused(Exception):
    """The service said no, or nothing; the message is for a person."""


class Desk:
    """Calls the API with a token."""

    def __init__(self, *, service: str, token: str) -> None:
        self.service = service
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str) -> requests.Response:
        """What is there, as it comes."""
        return self._session.get(f"{self.service}/api/v1{path}", timeout=60)

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        """Call it; the JSON of a good answer. Raises `ServiceRefused`."""
        try:
            answer = self._session.request(
                method, f"{self.service}/api/v1{path}", json=body, headers=headers, timeout=60
            )
            told = answer.json() if answer.content else None
        except requests.RequestException as e:
            raise ServiceRefused(f"The service at {self.service} does not answer.") from e
        if not answer.ok:
            raise ServiceRefused(_why(answer.status_code, told))
        return told

    def press(self, join_page: str, *, both: bool) -> None:
        """The button of somebody's own join page; where it leads is not followed."""
        who = {"who": "both" if both else "one"}
        try:
            requests.post(join_page, data=who, allow_redirects=False, timeout=10)
        except requests.RequestException:
            log.warning("a join page did not answer")

    def open(self, cohort: object, *, key: str) -> dict[str, Any]:
        """Open a cohort, and wait should it take longer than an answer may."""
        opened: dict[str, Any] = self.call("POST", "/cohorts", cohort, **{"Idempotency-Key": key})
        until = time.monotonic() + OPEN_WITHIN
        while opened["state"] == "opening" and time.monotonic() < until:
            time.sleep(0.2)
            opened = self.call("GET", f"/cohorts/{opened['id']}")
        if opened["state"] != "ready":
            raise ServiceRefused(
                f"the {opened['platform']} cohort is {opened['state']}: {opened['problem']}"
            )
        return opened


def _why(code: int, told: Any) -> str:
    """A problem in one line: its title, its detail, and each fault."""
    found = told if isinstance(told, dict) else {}
    faults = [fault["message"] for fault in found.get("errors", [])]
    said = ". ".join(part for part in (found.get("title"), found.get("detail"), *faults) if part)
    return f"The service answered {code}: {said}"
