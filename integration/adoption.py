"""Takes up the work that a dead process left: another one carries it on, and nobody does it twice.

The engine recovers only what a process of the same name and of the same version of the workflows
left, when it starts. Here a live process does it for one that does not come back, and moves what
waits in a version that nobody carries out any more to its own: from its first step, as every step
looks before it acts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog
from dbos import DBOS

from course.store.database import STORAGE_TROUBLE
from course.store.processes import Processes
from integration.housekeeping import QUEUE as HOUSEKEEPING_QUEUE

LOOK = 2.0  # seconds between looks
AT_ONCE = 100  # workflows of another version that are moved in one look
OPEN = ["PENDING", "ENQUEUED", "DELAYED"]

log = structlog.get_logger(__name__)


class StillAlive(Exception):
    """The process whose work should be adopted is running."""


class Adoption:
    """`after`: for how many seconds a process must be gone, as a database that restarts frees every
    name for a moment; 0: only when told to. `name` and `version` are this process's own.
    """

    def __init__(
        self,
        processes: Processes,
        *,
        name: str,
        version: str,
        after: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._processes = processes
        self._name = name
        self._version = version
        self._after = after
        self._monotonic = monotonic
        self._gone_since: dict[str, float] = {}

    def start(self) -> None:
        """Look again and again, in a thread of its own, after the engine is launched."""
        if not self._after:
            return
        threading.Thread(target=self._keep_looking, daemon=True, name="adoption").start()

    def adopt(self, name: str) -> int:
        """Take up the work of a process that will not come back; how many workflows.

        Raises `StillAlive`.
        """
        with self._processes.in_place_of(name) as alone:
            if not alone:
                raise StillAlive(
                    f"{name} is running; its work is its own. Stop it first, then adopt its work."
                )
            # The engine keeps the name of this function to itself since its version 3.
            taken = len(DBOS._recover_pending_workflows([name]))
        log.info("work_adopted", of=name, count=taken)
        return taken

    def look(self) -> int:
        """Take up what processes left that are gone for long enough; how many workflows."""
        with self._processes.only_one() as alone:
            return self._of_the_dead() + self._of_other_versions() if alone else 0

    def _keep_looking(self) -> None:
        rest = threading.Event()
        while not rest.wait(LOOK):
            try:
                self.look()
            except STORAGE_TROUBLE:
                continue  # it will be back
            except Exception as e:
                log.exception("adoption_failed", kind=type(e).__name__)

    def _of_the_dead(self) -> int:
        pending = DBOS.list_workflows(
            status="PENDING", app_version=self._version, load_input=False, load_output=False
        )
        names = {w.executor_id for w in pending if w.executor_id} - {self._name}
        gone = {name for name in names if not self._processes.is_alive(name)}
        taken = 0
        for name in self._long_enough("process ", gone):
            try:
                taken += self.adopt(name)
            except StillAlive:
                continue  # it has just come back
        return taken

    def _of_other_versions(self) -> int:
        known = {found["version_name"] for found in DBOS.list_application_versions()}
        gone = {v for v in known - {self._version} if not self._processes.carries_out(v)}
        return sum(self._move(version) for version in self._long_enough("version ", gone))

    def _long_enough(self, kind: str, gone: set[str]) -> list[str]:
        """Those of them that are gone for long enough; who came back begins anew."""
        now = self._monotonic()
        since = {kind + name: self._gone_since.get(kind + name, now) for name in gone}
        others = {k: at for k, at in self._gone_since.items() if not k.startswith(kind)}
        self._gone_since = others | since
        return sorted(name for name in gone if now - since[kind + name] >= self._after)

    def _move(self, version: str) -> int:
        # Nobody but us cancels workflows: one that is cancelled was being moved when who moved it
        # died, and has lost its queue.
        found = DBOS.list_workflows(
            status=[*OPEN, "CANCELLED"],
            app_version=version,
            load_input=False,
            load_output=False,
            limit=AT_ONCE,
        )
        for workflow in found:
            if workflow.status in OPEN:
                DBOS.cancel_workflow(workflow.workflow_id)
            DBOS.rewind_workflow(
                workflow.workflow_id,
                application_version=self._version,
                queue_name=workflow.queue_name or HOUSEKEEPING_QUEUE,
                queue_partition_key=workflow.queue_partition_key,
            )
        if found:
            # What the engine starts by itself goes to the version that it takes for the latest.
            DBOS.set_latest_application_version(self._version)
            log.info("work_moved", from_version=version, to=self._version, count=len(found))
        return len(found)
