"""Notifications over HTTP as the platforms send them: some tries on 5xx or no answer, then lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import requests

TRIES = 3
WAIT = 0.5  # seconds between tries; the platforms wait minutes
ANSWER_WITHIN = 10.0


@dataclass(slots=True)
class Tally:
    """What became of the notifications of one scene."""

    delivered: int = 0
    lost: int = 0
    failed: list[str] = field(default_factory=list)

    def count(self, code: int, what: str) -> None:
        """One notification was answered with that code, 0 for no answer."""
        if 200 <= code < 300:
            self.delivered += 1
        else:
            self.failed.append(f"{what}: {code or 'no answer'}")

    def summary(self) -> dict[str, object]:
        """For the control interface."""
        return {"delivered": self.delivered, "lost": self.lost, "failed": self.failed}


class Courier:
    """Delivers bodies; one connection per thread, since players may run side by side."""

    def __init__(self) -> None:
        self._local = threading.local()

    def ask(
        self, url: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, object]]:
        """POST once; the code and the JSON object that came back, if one did."""
        try:
            answer = requests.post(url, data=body, headers=dict(headers), timeout=ANSWER_WITHIN)
            found = answer.json()
        except requests.RequestException:
            return 0, {}
        return answer.status_code, found if isinstance(found, dict) else {}

    def deliver(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """POST until it is answered; the last code, 0 for no answer at all."""
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.trust_env = False
        code = 0
        for attempt in range(TRIES):
            if attempt:
                time.sleep(WAIT)
            try:
                code = session.post(
                    url, data=body, headers=dict(headers), timeout=ANSWER_WITHIN
                ).status_code
            except requests.RequestException:
                code = 0
            if 0 < code < 500:
                break
        return code
