"""Durable work: how a step is tried until it is done, whatever happens to this process.

The engine is DBOS Transact (https://docs.dbos.dev): a workflow's finished steps are recorded, so a
killed process goes on where it was. Remote effects stay at-least-once; every step here is safe to
repeat. Inputs and outputs of steps are stored by the engine: pass ids, never names or secrets.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypedDict

import structlog
from dbos import DBOS, DBOSConfig

from course.store.database import STORAGE_TROUBLE
from integration.provider import ProviderError

# Only workflows of the same version are taken up again after a restart. Raise it when the steps of
# a workflow change so that a half-done one could not go on, and let the old ones finish first.
WORKFLOW_VERSION = "1"
PATIENCE = 30.0  # seconds of trouble before staff are told; the trying goes on
FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0

log = structlog.get_logger(__name__)


class StepRefused(Exception):
    """The platform refused for good. The message is a sentence for staff."""


class Outcome(TypedDict):
    """What is recorded of one try: `done`, `again` (after `wait` seconds) or `refused`."""

    state: str
    value: Any
    message: str
    wait: float
    spent: float


def configure(*, database_url: str, executor_id: str) -> DBOS:
    """Prepare the engine. Register workflow objects after this, then call `DBOS.launch()`.

    `database_url` is the engine's own database (a file beside ours, or the same PostgreSQL, where
    it lives in its own schema). `executor_id` must be the same after a restart.
    """
    config: DBOSConfig = {
        "name": "circle",
        "system_database_url": database_url,
        "application_version": WORKFLOW_VERSION,
        "executor_id": executor_id,
        "enable_otlp": False,
        "log_level": "ERROR",
    }
    return DBOS(config=config)


def _backoff(attempt: int) -> float:
    wait = min(FIRST_WAIT * 2.0 ** min(attempt - 1, 10), LONGEST_WAIT)
    return wait * random.uniform(0.75, 1.25)  # spreads retries, no secret  # nosec B311


def _try(action: Callable[[], Any], attempt: int) -> Outcome:
    """One try. Its wait is chosen here, inside the recorded step, so that a replay repeats it."""
    began = time.monotonic()
    state, value, message, wait = "done", None, "", 0.0
    try:
        value = action()
    except ProviderError as e:
        message = str(e)
        if e.permanent:
            state = "refused"
        else:
            state = "again"
            wait = max(_backoff(attempt), (e.retry_after or timedelta()).total_seconds())
    except STORAGE_TROUBLE:
        state, message, wait = "again", "The database did not answer.", _backoff(attempt)
    except Exception as e:
        # A fault of our own. Its text could hold anything, so only its kind leaves the process.
        log.exception("step_failed", kind=type(e).__name__)
        state = "refused"
        message = f"Something unexpected went wrong ({type(e).__name__}); please report it."
    return Outcome(
        state=state, value=value, message=message, wait=wait, spent=time.monotonic() - began
    )


def persist(name: str, action: Callable[[], Any], *, on_trouble: Callable[[str], object]) -> Any:
    """Inside a workflow: try `action` until it is done and return its (JSON-able) value.

    After `PATIENCE` seconds of trouble `on_trouble` gets the sentence for staff, once for every
    new sentence, and the trying goes on, ever more slowly. Raises `StepRefused`.
    """
    waited, told = 0.0, ""
    for attempt in itertools.count(1):
        outcome: Outcome = DBOS.run_step({"name": name}, _try, action, attempt)
        if outcome["state"] == "done":
            return outcome["value"]
        if outcome["state"] == "refused":
            raise StepRefused(outcome["message"])
        waited += outcome["spent"] + outcome["wait"]
        if waited > PATIENCE and outcome["message"] != told:
            told = outcome["message"]
            DBOS.run_step({"name": f"{name}: tell staff"}, on_trouble, told)
        DBOS.sleep(outcome["wait"])
    raise AssertionError("unreachable")
