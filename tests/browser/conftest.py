"""A real browser at a real server: Debian's chromium, with devices that are invented."""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright
from werkzeug.serving import make_server

from course.model import Platform
from course.store import access, staff_sessions
from course.store.database import Database
from course.store.staff_sessions import Staff
from demo import free_port
from tests.attendance.room import Room, at
from web.headers import install_headers

CHROMIUM = next(
    (
        path
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (path := shutil.which(name))
    ),
    None,
)
# The same without a window's machinery: a third of the work, and no camera.
SHELL = shutil.which("chromium-headless-shell") or CHROMIUM
FAKE = "--use-fake-device-for-media-stream"
AXE = (Path(__file__).parent / "axe.min.js").read_text(encoding="utf-8")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a browser the tests of this folder are left out, and say so."""
    if CHROMIUM is None:
        left_out = pytest.mark.skip(reason="chromium is not installed; browser tests are left out")
        for item in items:
            if "tests/browser" in str(item.path):
                item.add_marker(left_out)


@pytest.fixture(scope="module")
def driver() -> Iterator[Playwright]:
    """The browser's driver. It keeps an event loop running in this thread, and the workflow engine
    of other tests refuses to start beside one: so it ends with the module.
    """
    with sync_playwright() as found:
        yield found


def launch(driver: Playwright, *more: str, program: str | None = CHROMIUM) -> Browser:
    """A browser; inside a container it cannot have a sandbox of its own."""
    return driver.chromium.launch(executable_path=program, args=["--no-sandbox", *more])


@pytest.fixture(scope="module")
def browser(driver: Playwright) -> Iterator[Browser]:
    """A browser for pages that ask for no device."""
    found = launch(driver, program=SHELL)
    yield found
    found.close()


class Site:
    """The room at an address, and pages that must stay without errors."""

    def __init__(self, room: Room, base: str) -> None:
        self.room = room
        self.base = base
        self.errors: list[str] = []

    def open(self, context: BrowserContext, path: str) -> Page:
        """A page; whatever it complains of fails the test."""
        page = context.new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(f"{self.base}{path}")
        return page

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def token(self) -> str:
        """An access token of an administrator."""
        made = secrets.token_urlsafe(32)
        now = self.room.clock.now
        with self.room.database.write() as connection:
            access.insert_token(
                connection,
                token_id="of-the-browser",
                token=made,
                name="Ann",
                role="admin",
                cohort_ids=(),
                now=now,
                expires_at=now + timedelta(days=1),
            )
        return made

    def sign_in(self, context: BrowserContext, role: str = "admin") -> Page:
        """Staff follow the link that they were given."""
        link = secrets.token_urlsafe(32)
        now = self.room.clock.now
        staff = Staff(name="Ann", role=role, cohort_ids=(self.room.cohort_id,))
        with self.room.database.write() as connection:
            staff_sessions.insert_link(
                connection, link, staff, now=now, expires_at=now + timedelta(hours=1)
            )
        page = self.open(context, f"/signin/{link}")
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{self.base}/")
        return page


@contextmanager
def site_of(database: Database, platform: Platform = Platform.ZOOM, **more: Any) -> Iterator[Site]:
    """A room at a real server on this machine."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    room = Room(database, platform, public_url=base, **more)
    room.clock.now = at(-5)
    install_headers(room.flask, public_url=base)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", port, room.flask, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    site = Site(room, base)
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        room.inbox.close()
    assert site.errors == []


@pytest.fixture
def site(database: Database) -> Iterator[Site]:
    """A Zoom cohort of two families, H1 with two carers, in week 2."""
    with site_of(
        database, carers={"H1": ("Maya Patel", "Dev Patel"), "H2": ("Tom Becker",)}
    ) as found:
        yield found


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser as somebody new would have it."""
    found = browser.new_context(locale="en-GB", viewport={"width": 1200, "height": 800})
    yield found
    found.close()


def faults(page: Page) -> list[str]:
    """What axe finds against WCAG 2.2 AA."""
    page.wait_for_load_state()
    page.evaluate(AXE)
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    found = page.evaluate("tags => axe.run(document, {runOnly: {type: 'tag', values: tags}})", tags)
    return [f"{v['id']}: {node['html'][:200]}" for v in found["violations"] for node in v["nodes"]]


def too_wide(page: Page) -> int:
    """By how many pixels the page scrolls sideways."""
    page.wait_for_load_state()
    return int(
        page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    )
