"""One running process of the service: how it starts, what it takes up, how it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from flask import Flask

from course.model import Platform
from course.store.database import Database
from course.store.erasures import Erasures
from gateway import Gateway
from integration import durable
from integration.adoption import Adoption
from integration.housekeeping import Housekeeping
from integration.pace import SharedPace
from integration.provider import MeetingProvider
from integration.scheduling import Scheduling
from integration.teams_keys import SigningKeys
from integration.turns import Turns
from webhooks.errands import Errands
from webhooks.inbox import Inbox
from webhooks.rereading import Rereader
from webhooks.routes import Receivers


class Role(Enum):
    """What a process does: answer requests, carry out workflows and chores, or both."""

    BOTH = "both"
    WEB = "web"
    WORKER = "worker"

    @property
    def works(self) -> bool:
        """Whether it carries out workflows."""
        return self is not Role.WEB


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The running parts of one process."""

    flask: Flask
    receivers: Receivers
    gateway: Gateway
    database: Database
    providers: Mapping[Platform, MeetingProvider]
    inbox: Inbox
    errands: Errands
    scheduling: Scheduling
    erasures: Erasures
    pace: SharedPace
    turns: Turns
    rereader: Rereader
    signing_keys: Sequence[SigningKeys]
    chores: Mapping[str, Callable[[], int]]
    role: Role
    adoption: Adoption | None
    started: list[datetime]
    clock: Callable[[], datetime]

    def start(self, *, adopt: str | None = None) -> int:
        """Migrate, start the workflow engine, take up what was left; `adopt`: also by a process of
        that name that does not come back. How many workflows that were.

        Raises `StillAlive`.
        """
        self.database.migrate()
        self.erasures.reapply()  # before anything is read or sent: this may be a restored backup
        self.inbox.keep_looking()
        self.pace.start()
        for keys in self.signing_keys:
            keys.fetch_beside()
        if self.role.works:
            self.rereader.take_up_parked()
        Housekeeping.take_on(self.chores if self.role.works else {}, self.turns)
        durable.launch()
        self.scheduling.launch()
        Housekeeping.schedule()
        adopted = 0
        if self.adoption is not None:
            adopted = self.adoption.adopt(adopt) if adopt else 0
            self.adoption.start()
        self.started.append(self.clock())
        return adopted

    def stop(self, within: float) -> None:
        """Store what is waiting, in so many seconds at most. Workflows need no farewell: they go
        on at the next start.
        """
        until = time.monotonic() + within
        self.inbox.close(within=within)
        self.errands.close(max(0.0, until - time.monotonic()))

    def finish(self, within: int) -> None:
        """Take on no more work, give that under way so many seconds, and stop."""
        durable.finish(within)
        self.stop(within)
