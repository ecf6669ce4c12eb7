"""Databases that are made once in each process, then copied: ours, and the workflow engine's."""

from __future__ import annotations

import atexit
import os
import shutil
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp

from dbos import DBOS, DBOSClient

from course.store.cipher import Cipher
from course.store.database import Database
from integration.scheduling import declare_queues

NAME = "circle.sqlite"  # as the service calls it in DATA_DIR
CIPHER = Cipher([os.urandom(32)])  # of all tests of a process that need no key of their own


@cache
def migrated_file() -> Path:
    """Of ours, empty and migrated. It holds nothing that a key was needed for."""
    folder = Path(mkdtemp(prefix="circle-migrated-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = Database(f"sqlite:///{folder / NAME}", CIPHER)
    made.migrate()
    made.close()
    return folder / NAME


POLL = 0.1  # seconds between the engine's looks into a queue


@cache
def workflows_file() -> Path:
    """The file of an engine that has been started before and has no work."""
    folder = Path(mkdtemp(prefix="circle-workflows-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "workflows.sqlite"
    prepare_workflows(f"sqlite:///{path}")
    return path


def prepare_workflows(url: str) -> None:
    """The engine's tables, and the queues that it finds at once when it is started."""
    DBOS.migrate(url)
    client = DBOSClient(system_database_url=url)
    declare_queues(partial(client.register_queue, application_name="circle"), poll=POLL)
    client.destroy()


def put_migrated(folder: Path) -> Path:
    """A copy in that folder, where the service looks for it."""
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(migrated_file(), folder / NAME))
