"""The first use for real: from `circle serve --with-stand-ins` to a live board with people in."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from demo import free_port
from tests.nursery import Process, circle

OURS = ("ZOOM_", "TEAMS_", "GRAPH_", "LOGIN_", "DATABASE_", "DATA_", "PUBLIC_")
PROMPT = {"Maya Patel", "Daniel Cohen", "Owen Davies"}


@contextmanager
def serving(folder: Path, port: int) -> Iterator[Process]:
    """What `make serve` runs; everything that it says is in `said`."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    with (folder / "said").open("wb") as said:
        process = circle(
            *("serve", "--with-stand-ins", "--port", str(port)),
            env=env | {"DATA_DIR": str(folder)},
            stdout=said,
            stderr=said,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)


def eventually(look: Callable[[], Any], *, within: float = 40) -> Any:
    """What is found once something is; the last look otherwise."""
    until = time.monotonic() + within
    while not (found := look()) and time.monotonic() < until:
        time.sleep(0.1)
    return found


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False


@pytest.mark.slow
def test_one_click_on_the_banner_fills_a_live_board_on_either_platform(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with serving(tmp_path, port) as process:
        assert eventually(lambda: answers(f"{url}/readyz"))
        said = (tmp_path / "said").read_text()
        (link,) = re.findall(r"Sign in here, once, within the hour: (\S+)", said)
        browser = requests.Session()
        home = browser.post(link, timeout=10)
        assert "There is no cohort yet" in home.text
        (play,) = re.findall(r'href="(http://127\.0\.0\.1:\d+/play)">Play a session', home.text)
        assert "Play it on Zoom" in browser.get(play, timeout=10).text

        boards = {}
        for platform in ("zoom", "teams"):
            board = browser.post(
                f"{play}/example", data={"platform": platform, "speed": "30"}, timeout=60
            )
            assert board.url.startswith(f"{url}/cohorts/"), board.text
            assert 'id="board"' in board.text
            boards[platform] = board.url.replace("/cohorts/", "/api/v1/cohorts/") + "/board"

        def inside(platform: str) -> dict[str, Any]:
            told = browser.get(boards[platform], timeout=10).json()
            return {c["name"]: c for c in told["carers"] if c["place"] == "in"}

        for platform in boards:
            assert eventually(lambda p=platform: set(inside(p)) >= PROMPT), inside(platform)  # type: ignore[misc]
        # Zoom tells of cameras while the session lasts; Teams only in its record.
        assert eventually(lambda: inside("zoom")["Maya Patel"]["camera"] == "on")
        assert eventually(
            lambda: [s["display_name"] for s in browser.get(boards["teams"]).json()["strangers"]]
        ) == ["iPad"]

        again = browser.post(f"{play}/session", data={"cohort": _id(board.url), "speed": "30"})
        assert again.status_code == 409
        assert "Week 1 is being played." in again.text
        forged = browser.post(
            f"{play}/example",
            data={"platform": "zoom", "speed": "30"},
            headers={"Sec-Fetch-Site": "cross-site"},
        )
        assert forged.status_code == 403

        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        assert not answers(play)


def _id(board: str) -> str:
    return board.split("/cohorts/")[1].split("/")[0]
