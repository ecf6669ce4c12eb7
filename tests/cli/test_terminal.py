"""On a real terminal: colours, progress and a board that is drawn again; nowhere else."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest
from sqlalchemy import update

from cli_common import now
from course.store import tables
from course.store.database import Database
from tests.cli.test_opening import body, served
from tests.nursery import Process, circle, run_circle
from tests.web.conftest import Door
from tests.web.full_cohort import FULL, save_full_cohort
from web.terminal_text import columns

PATIENCE = 60.0

pytestmark = pytest.mark.slow


@dataclass
class Terminal:
    """A command on a terminal of its own."""

    process: Process
    pipe: IO[str]
    ours: int
    seen: str = ""

    def until(self, wanted: str) -> str:
        """All that was shown up to the first sight of that; or everything, at the end."""
        by = time.monotonic() + PATIENCE
        while wanted not in self.seen:
            ready, _, _ = select.select([self.ours], [], [], max(0.0, by - time.monotonic()))
            assert ready, self.seen
            try:
                found = os.read(self.ours, 65536)
            except OSError:  # the other side is closed
                break
            if not found:
                break
            self.seen += found.decode(errors="replace")
        return self.seen

    def forget(self) -> None:
        self.seen = ""


@contextmanager
def terminal(
    *arguments: str, wide: int = 80, stdout_too: bool = True, **settings: str
) -> Iterator[Terminal]:
    """Run a command; standard error is the terminal, and standard output too unless it is piped."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, wide, 0, 0))
    reading, writing = os.pipe()
    with os.fdopen(reading, encoding="utf-8") as pipe:
        process = circle(
            *arguments,
            env={k: v for k, v in os.environ.items() if k != "COLUMNS"}
            | {"TERM": "xterm"}
            | settings,
            stdin=theirs,
            stdout=theirs if stdout_too else writing,
            stderr=theirs,
        )
        os.close(theirs)
        os.close(writing)
        try:
            yield Terminal(process, pipe, ours)
        finally:
            process.kill()
            process.wait()
            os.close(ours)


@pytest.fixture
def stored(database: Database) -> Database:
    save_full_cohort(database)
    return database


def told(*arguments: str, **settings: str) -> str:
    """What goes into a pipe."""
    return run_circle(*arguments, env=os.environ | settings, timeout=PATIENCE).stdout


@pytest.mark.usefixtures("stored")
def test_colours_come_on_a_terminal_and_nowhere_else() -> None:
    with terminal("report", FULL) as shown:
        coloured = shown.until("\0")
    assert "\x1b[32m✓\x1b[0m" in coloured
    assert "\x1b[31m\x1b[1m✗" in coloured
    with terminal("report", FULL, NO_COLOR="1") as shown:
        plain = shown.until("\0").replace("\r\n", "\n")
    assert "\x1b" not in plain
    assert plain == told("report", FULL)  # the signs say it all


@pytest.mark.usefixtures("stored")
def test_a_wider_terminal_is_used_and_a_pipe_is_80_columns() -> None:
    with terminal("attention", wide=110, NO_COLOR="1") as shown:
        wide = shown.until("\0").replace("\r\n", "\n")
    assert 80 < max(map(columns, wide.splitlines())) <= 110
    assert max(map(columns, told("attention").splitlines())) <= 80


def test_the_board_is_drawn_again_until_ctrl_c(stored: Database) -> None:
    with terminal("board", FULL, "--watch", "--week", "7") as shown:
        assert "Maya Patel" in shown.until("Ctrl-C ends it.")
        with stored.write() as connection:
            connection.execute(update(tables.cohort).values(name="Renamed"))
        shown.forget()
        assert "\x1b[2J" in shown.until("Renamed, week 7")
        shown.process.send_signal(signal.SIGINT)
        shown.until("\0")
        assert shown.process.wait(timeout=PATIENCE) == 0


def test_progress_is_on_the_terminal_and_the_answer_in_the_pipe(door: Door) -> None:
    door.clock.now = now()
    file = Path("cohort.json").absolute()
    file.write_text(body())
    with (
        served(door.app) as url,
        terminal("cohort", "create", str(file), "--url", url, stdout_too=False) as shown,
    ):
        answer = shown.pipe.read()
        assert shown.process.wait(timeout=PATIENCE) == 0
        bar = shown.until("\0")
    assert answer.startswith("opened-1\nSpring on Zoom: ready\n")
    assert "\x1b[?25l" in bar  # the bar hides the cursor while it moves
    assert "\x1b" not in answer
