"""Joins told over several web processes, each again and again until somebody has answered 2xx."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence

import requests

from tests.test_own_trouble import join, signed

CODES_OK = range(200, 300)


class Stream:
    """What was told, what was answered, and who was taken."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls
        self._numbers = itertools.count(1)
        self._over = threading.Event()
        self.codes: set[int] = set()
        self.taken: list[str] = []
        self.broken = 0

    def start(self, threads: int) -> None:
        """Tell of one join after the other, in so many threads."""
        self._threads = [threading.Thread(target=self._keep) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Tell to the end what was begun."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def reaches(self, count: int) -> None:
        """Wait until so many are taken."""
        while len(self.taken) < count:
            assert any(thread.is_alive() for thread in self._threads)
            self._over.wait(0.01)

    def _keep(self) -> None:
        session = requests.Session()
        while not self._over.is_set():
            self._tell(session, next(self._numbers))

    def _tell(self, session: requests.Session, number: int) -> None:
        """As a platform does: again after a refusal, to whichever process it reaches then."""
        connection, body = join(number)
        for attempt in range(400):
            url = self._urls[(number + attempt) % len(self._urls)]
            try:
                answer = session.post(
                    f"{url}/webhooks/zoom", data=body, headers=signed(body), timeout=10
                )
            except requests.RequestException:
                self.broken += 1
                continue
            self.codes.add(answer.status_code)
            if answer.status_code in CODES_OK:
                self.taken.append(connection)
                return
            threading.Event().wait(0.05)
        raise AssertionError(f"{connection} was never taken: {self.codes}")
