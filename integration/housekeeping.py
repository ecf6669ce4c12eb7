"""Every minute: renew subscriptions, read what waits, fetch records that are due.

One durable schedule, so that several processes together do it once, and one round at a time: a
chore that takes long is not begun again beside itself. Each chore is its own step: trouble with one
never keeps the others from running.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import structlog
from dbos import DBOS, DBOSClient, WorkflowStatus
from dbos import error as engine

from course.store.database import STORAGE_TROUBLE, NoSuchTable, make_url
from integration.turns import GoOn, Turns

SCHEDULE = QUEUE = "housekeeping"
ROUNDS_KEPT, CHECKS_KEPT = timedelta(days=1), timedelta(days=90)
FORGOTTEN_AT_ONCE = 200  # a round a minute comes, so this is soon through
POLL = 0.5  # seconds between looks into the queue
KEEP_EVERY = 30.0  # seconds after which a chore that goes on keeps the turn
_LAST: dict[str, Any] = {
    "schedule_name": SCHEDULE,
    "status": "SUCCESS",
    "limit": 1,
    "sort_desc": True,
    "load_input": False,
    "load_output": False,
}
log = structlog.get_logger(__name__)


@DBOS.dbos_class()
class Housekeeping:
    """The chores of this process. DBOS schedules only class methods, so they hang on the class."""

    chores: ClassVar[Mapping[str, Callable[[], int]]] = {}
    turns: ClassVar[Turns]
    done_since: ClassVar[datetime | None] = None  # the last whole round here began then

    @classmethod
    @DBOS.workflow(max_recovery_attempts=100_000)
    def round(cls, scheduled_at: datetime, _context: Any) -> None:
        """One round of all chores, unless a whole one has begun since this one was asked for."""
        with cls.turns.turn() as go_on:
            if cls.done_since is not None and scheduled_at < cls.done_since:
                return
            began = datetime.now(UTC)
            for name, chore in cls.chores.items():
                if not go_on():
                    log.warning("round_given_up", before=name)
                    return
                DBOS.run_step({"name": name}, _run, name, chore, go_on)
            cls.done_since = began

    @classmethod
    def take_on(cls, chores: Mapping[str, Callable[[], int]], turns: Turns) -> None:
        """What a round does. Call it before the engine is launched, which may at once take up a
        round that was left.
        """
        cls.chores, cls.turns, cls.done_since = chores, turns, None

    @classmethod
    def schedule(cls) -> None:
        """A round every minute from now on, here or in another process that works.

        Call it after the engine is launched.
        """
        # A queue of our own: every process listens to the engine's, also one that does no work.
        DBOS.register_queue(QUEUE, polling_interval_sec=POLL, worker_concurrency=1)
        DBOS.apply_schedules(
            [
                {
                    "schedule_name": SCHEDULE,
                    "workflow_fn": cls.round,
                    "schedule": "* * * * *",
                    "context": None,
                    "queue_name": QUEUE,
                }
            ]
        )

    @classmethod
    def last_round(cls) -> datetime | None:
        """When the last round ended, whichever process did it."""
        return _ended(DBOS.list_workflows(**_LAST))

    @classmethod
    def forget(cls, now: datetime) -> int:
        """Let the engine forget rounds of more than a day ago, and checks of cohorts of more than
        a quarter of a year ago; how many. It keeps everything by itself, with every step.

        Openings, changes and mail are few, and stay: by their ids nothing is done twice.
        """
        old = [
            *_ended_before(now - ROUNDS_KEPT, schedule_name=SCHEDULE),
            *_ended_before(now - CHECKS_KEPT, workflow_id_prefix="check-"),
        ]
        if old:
            DBOS.delete_workflows(old)
        return len(old)

    @classmethod
    def wake(cls) -> None:
        """Run the chores now instead of at the next minute, in whichever process is free, if the
        engine can be asked: what somebody did is stored by then, and their answer must not be an
        error.
        """
        try:
            DBOS.trigger_schedule(SCHEDULE)
        except (engine.DBOSException, *STORAGE_TROUBLE) as e:
            log.warning("chores_not_woken", kind=type(e).__name__)


def last_round_in(engine_database: str) -> datetime | None:
    """The same for whoever runs no engine; None when none has run on that database yet.

    Raises `STORAGE_TROUBLE`.
    """
    path = make_url(engine_database)
    if path.get_backend_name() == "sqlite" and not Path(path.database or "").exists():
        return None
    client = DBOSClient(
        system_database_url=engine_database, lazy=True, retry_connection_errors=False
    )
    try:
        return _ended(client.list_workflows(**_LAST))
    except NoSuchTable:
        return None  # no service has ever run here
    finally:
        client.destroy()


def _ended_before(at: datetime, **which: str) -> list[str]:
    found = DBOS.list_workflows(
        **which,  # type: ignore[arg-type]
        status=["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
        completed_before=at.astimezone(UTC).isoformat(),
        limit=FORGOTTEN_AT_ONCE,
        load_input=False,
        load_output=False,
    )
    return [workflow.workflow_id for workflow in found]


def _ended(found: Sequence[WorkflowStatus]) -> datetime | None:
    ended = found[0].completed_at if found else None
    return datetime.fromtimestamp(ended / 1000, UTC) if ended else None


def _run(name: str, chore: Callable[[], int], go_on: GoOn) -> int:
    try:
        # In a thread of its own: a chore may start workflows, which the engine refuses inside the
        # step of another one, and it tells by the thread's context.
        with ThreadPoolExecutor(max_workers=1) as thread:
            under_way = thread.submit(chore)
            while not wait([under_way], timeout=KEEP_EVERY).done:
                go_on()
            done = under_way.result()
    except Exception as e:
        log.exception("chore_failed", chore=name, kind=type(e).__name__)
        return 0
    if done:
        log.info("chore_done", chore=name, count=done)
    return done
