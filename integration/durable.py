"""Durable work: how a step is tried until it is done, whatever happens to this process.

The engine is DBOS Transact (https://docs.dbos.dev): a workflow's finished steps are recorded, so a
killed process goes on where it was. Remote effects stay at-least-once; every step here is safe to
repeat. Inputs and outputs of steps are stored by the engine: pass ids, never names or secrets.
"""

from __future__ import annotations

import random
import socket
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, TypedDict

import structlog
from dbos import DBOS, DBOSClient, DBOSConfig, error

from course.store.database import STORAGE_TROUBLE, Database, NoSuchTable, make_url
from course.store.processes import Seat, take_seat
from integration.provider import ProviderError

# Only workflows of the same version are taken up again after a restart. Raise it when the steps of
# a workflow change so that a half-done one could not go on, and let the old ones finish first.
WORKFLOW_VERSION = "2"
PATIENCE = 30.0  # seconds of trouble before staff are told; the trying goes on
FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0
SLOWER_AFTER, SLOW_WAIT = 60, 600.0  # tries, and the seconds between the later ones
MOST_TRIES = 200  # about a day of trouble; then only a person starts it again
IN_PLACE = 5.0  # seconds to wait inside a workflow; for longer ones it ends and comes back
_STATUS = {
    "PENDING": "begun",
    "ENQUEUED": "queued",
    "DELAYED": "delayed",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "given_up",
}
MOST_ON_A_HOST = 64  # processes whose names are found by themselves
LOOK_EVERY = 0.5  # seconds between looks whether the work has become pointless

log = structlog.get_logger(__name__)


class StepRefused(Exception):
    """The platform refused for good. The message is a sentence for staff."""


class Superseded(Exception):
    """Staff have changed what is wanted: newer work is on its way, this one ends."""


class Parked(Exception):
    """To be taken up again after `wait` seconds; no thread is kept for so long."""

    def __init__(self, wait: float) -> None:
        super().__init__()
        self.wait = wait


class Trouble(TypedDict):
    """How long a piece of work has been in trouble; handed from one workflow to the next."""

    step: str
    tries: int
    seconds: float
    told: str


NO_TROUBLE = Trouble(step="", tries=0, seconds=0.0, told="")


class Outcome(TypedDict):
    """What is recorded of one try: `done`, `again` (after `wait` seconds), `refused` or
    `superseded`.
    """

    state: str
    value: Any
    message: str
    wait: float
    spent: float


def configure(
    *, database_url: str, executor_id: str, works: bool = True, listen_every: float = 1.0
) -> DBOS:
    """Prepare the engine. Register workflow objects after this, then call `DBOS.launch()`.

    `database_url` is the engine's own database (a file beside ours, or the same PostgreSQL, where
    it lives in its own schema). `executor_id` must be the same after a restart. A process that
    does not work hands workflows in for others to carry out. `listen_every`: seconds between the
    engine's looks for messages of workflows to each other, which ours do not send; an engine that
    ends waits for the last look.
    """
    _let_readers_and_writers_pass(database_url)
    config: DBOSConfig = {
        "name": "circle",
        "system_database_url": database_url,
        "application_version": WORKFLOW_VERSION,
        "executor_id": executor_id,
        "enable_otlp": False,
        "log_level": "ERROR",
        "notification_listener_polling_interval_sec": listen_every,
    }
    if database_url.startswith("sqlite"):
        # One connection: the engine's threads stand in line for it. Left to SQLite they would poll
        # for its lock, and sleep ever longer in between.
        config["sys_db_pool_size"] = 1
        config["db_engine_kwargs"] = {"max_overflow": 0, "pool_timeout": 30}
    engine = DBOS(config=config)
    if not works:
        DBOS.listen_queues([])
    return engine


def launch() -> None:
    """Start the engine: from now on it takes up what was begun, and what is handed in."""
    DBOS.launch()


def finish(within: int) -> None:
    """Take on no more work, and give what is under way so many seconds."""
    DBOS.destroy(workflow_completion_timeout_sec=within)


def take_name(
    database: Database, *, executor_id: str | None, works: bool, lost: Callable[[], object]
) -> Seat:
    """The name of this process among those of this database: the one that is set, or the first
    free one of this machine's, so that after a restart it is the same again.

    Raises `NameTaken`.
    """
    host = f"circle-{socket.gethostname()}" if works else f"circle-web-{socket.gethostname()}"
    numbered = [host, *(f"{host}-{number}" for number in range(2, MOST_ON_A_HOST + 1))]
    return take_seat(
        database,
        [executor_id] if executor_id else numbered,
        version=WORKFLOW_VERSION if works else None,
        lost=lost,
    )


def in_hand() -> dict[str, int] | None:
    """How many workflows are begun, queued or given up; None where no engine runs."""
    try:
        found = DBOS.list_workflows(status=list(_STATUS), load_input=False, load_output=False)
    except error.DBOSException:
        return None
    counts = Counter(_STATUS[workflow.status] for workflow in found)
    return {word: counts[word] for word in _STATUS.values()}


def unfinished_mail(database_url: str) -> int:
    """How many cohorts' mail is still being sent, by the engine's own records."""
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        return 0
    client = DBOSClient(system_database_url=database_url, lazy=True)
    try:
        waiting = client.list_workflows(
            status=["PENDING", "ENQUEUED", "DELAYED"], load_input=False, load_output=False
        )
    except NoSuchTable:
        return 0  # no service has ever run here
    finally:
        client.destroy()
    return sum(one.name.endswith("mail_workflow") for one in waiting)


def _let_readers_and_writers_pass(database_url: str) -> None:
    """WAL mode for the engine's SQLite file, which stays with the file; its default locks it all.

    Every commit still reaches the disk (`synchronous` is FULL unless said otherwise).
    """
    path = make_url(database_url).database
    if database_url.startswith("sqlite") and path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if not Path(path).exists():
            Path(path).touch(mode=0o600)
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")


def _backoff(tries: int) -> float:
    if tries > SLOWER_AFTER:
        return SLOW_WAIT
    wait = min(FIRST_WAIT * 2.0 ** min(tries - 1, 10), LONGEST_WAIT)
    return wait * random.uniform(0.75, 1.25)  # spreads retries, no secret  # nosec B311


def _try(action: Callable[[], Any], tries: int) -> Outcome:
    """One try. Its wait is chosen here, inside the recorded step, so that a replay repeats it."""
    began = time.monotonic()
    state, value, message, wait = "done", None, "", 0.0
    try:
        value = action()
    except Superseded:
        state = "superseded"
    except ProviderError as e:
        message = str(e)
        if e.permanent:
            state = "refused"
        elif tries >= MOST_TRIES:
            state = "refused"
            message += " It was tried for a day. When it works again, ask for a repair."
        else:
            state = "again"
            wait = max(_backoff(tries), (e.retry_after or timedelta()).total_seconds())
    except STORAGE_TROUBLE:
        state, message, wait = "again", "The database did not answer.", _backoff(tries)
    except Exception as e:
        # A fault of our own. Its text could hold anything, so only its kind leaves the process.
        log.exception("step_failed", kind=type(e).__name__)
        state = "refused"
        message = f"Something unexpected went wrong ({type(e).__name__}); please report it."
    return Outcome(
        state=state, value=value, message=message, wait=wait, spent=time.monotonic() - began
    )


class Work:
    """Inside a workflow: does one step after the other, whatever the platform is up to.

    `pointless` is asked while waiting and must never turn from true to false: it may end the
    workflow, so its answer need not be recorded.
    """

    def __init__(
        self,
        trouble: Trouble,
        *,
        on_trouble: Callable[[str], object],
        pointless: Callable[[], bool],
    ) -> None:
        self.trouble = trouble
        self._on_trouble = on_trouble
        self._pointless = pointless

    def step(self, name: str, action: Callable[..., Any], *arguments: Any) -> Any:
        """Try `action` until it is done; its (JSON-able) value.

        After `PATIENCE` seconds of trouble, and before a long wait, staff get the sentence, once
        for each new one. Raises `StepRefused`, `Superseded` and `Parked`.
        """
        while True:
            tries = self.trouble["tries"] + 1
            outcome: Outcome = DBOS.run_step(
                {"name": name}, _try, lambda: action(*arguments), tries
            )
            if outcome["state"] == "done":
                if self.trouble["step"] == name:
                    self.trouble = NO_TROUBLE
                return outcome["value"]
            if outcome["state"] == "refused":
                raise StepRefused(outcome["message"])
            if outcome["state"] == "superseded":
                raise Superseded
            wait = outcome["wait"]
            told, message = self.trouble["told"], outcome["message"]
            seconds = self.trouble["seconds"] + outcome["spent"] + wait
            if (seconds > PATIENCE or wait > IN_PLACE) and message != told:
                DBOS.run_step({"name": f"{name}: tell staff"}, self._on_trouble, message)
                told = message
            self.trouble = Trouble(step=name, tries=tries, seconds=seconds, told=told)
            if wait > IN_PLACE:
                raise Parked(wait)
            self._wait(wait)

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_EVERY))
            if self._pointless():
                raise Superseded
