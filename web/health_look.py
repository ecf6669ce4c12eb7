"""A look at the database that ends in time, whatever the database does.

A server that stands still refuses nothing: a question to it waits as long as it likes, and whoever
asks how we are must hear that just then.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

WITHIN = 2.0  # seconds
AT_ONCE = 2  # looks under way; those that stand still keep later ones from making it worse

Found = TypeVar("Found")


class NoAnswer(Exception):
    """It did not answer in time."""


class Look:
    """Has questions asked by threads of its own, and waits for them no longer than `within`."""

    def __init__(self, within: float = WITHIN) -> None:
        self._within = within
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="look")

    def __call__(self, ask: Callable[[], Found]) -> Found:
        """What `ask` finds, and what it raises. Raises `NoAnswer`."""
        asked = self._threads.submit(ask)
        try:
            return asked.result(self._within)
        except TimeoutError as e:
            asked.cancel()
            raise NoAnswer from e
