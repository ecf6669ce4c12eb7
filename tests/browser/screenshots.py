"""`make screenshots`: a picture of each page, of invented families, into docs/screenshots."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, sync_playwright

from course.store.cipher import Cipher
from course.store.database import Database
from tests.attendance.room import HOST_NAME, Room, at
from tests.browser.conftest import FAKE, Site, launch, site_of

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
MAYA, DEV, TOM, RUTH, ZOE = "Maya Patel", "Dev Patel", "Tom Becker", "Ruth Cohen", "Zoë Ash"
FAMILIES = {"H1": (MAYA, DEV), "H2": (TOM,), "H3": (RUTH,), "H4": (ZOE,)}


def five_past_ten(room: Room) -> None:
    """One is in, one waits, one has no camera, one told us, and there is a stranger."""
    room.clock.now = at(-60 * 24)
    room.page(ZOE, "/weeks/2/absence", text="A wedding in Leeds")
    room.started(-5)
    room.join(HOST_NAME, -5, link="nobody")
    room.join(MAYA, -3)
    room.camera(MAYA, -3, 4, on=True)
    room.wait(TOM, 1)
    room.join("iPad", 2, link="nobody")
    room.clock.now = at(5)


def afterwards(room: Room) -> None:
    """The same session, held and closed."""
    room.join(TOM, 6)
    room.camera(TOM, 6, 40, on=True)
    room.camera(TOM, 40, 119, on=False)
    room.camera(MAYA, 4, 119, on=True)
    for who in (MAYA, TOM, "iPad", HOST_NAME):
        room.leave(who, 119)
    room.ended(120)
    room.record((HOST_NAME, -5, 119), (MAYA, -3, 119), (TOM, 6, 119), ("iPad", 2, 119))
    room.close()


def new_cohort(page: Page) -> None:
    """Half filled in."""
    page.get_by_label("Name", exact=True).fill("Spring 2027")
    page.get_by_label("Zoom").check()
    page.get_by_label("First Saturday").select_option(index=4)
    page.get_by_label("Families, one carer a line").fill(
        "H1, Maya Patel, maya@example.com, 07700 900123\nH1, Dev Patel, dev@example.com\n"
        "H2, Tom Becker, tom@example.com"
    )
    page.locator("#plan tbody tr").nth(7).wait_for()
    page.locator("#families tbody tr").nth(2).wait_for()


def check(page: Page) -> None:
    """The check of camera and microphone, done."""
    page.get_by_role("button", name="Check camera and microphone").click()
    page.get_by_role("button", name="Check again").wait_for()


def take(site: Site, context: BrowserContext) -> None:
    """Every picture; a page more is a line more."""
    base = f"/cohorts/{site.room.cohort_id}"

    def shoot(name: str, path: str, first: Callable[[Page], None] = lambda _page: None) -> None:
        page = site.open(context, path)
        first(page)
        page.screenshot(path=FOLDER / f"{name}.png", full_page=True)
        page.close()

    site.sign_in(context).close()
    five_past_ten(site.room)
    shoot("board", f"{base}/sessions/2")
    shoot("new-cohort", "/cohorts/new", new_cohort)
    shoot("cohorts", "/")
    context.grant_permissions(["camera", "microphone"], origin=site.base)
    phone = site.open(context, "/join/join-carer-1")
    phone.set_viewport_size({"width": 390, "height": 800})
    check(phone)
    phone.screenshot(path=FOLDER / "join.png", full_page=True)
    phone.close()
    afterwards(site.room)
    site.sign_in(context).close()  # the morning's session has ended meanwhile
    shoot("register", base)
    shoot("week", f"{base}/sessions/2/carers/{site.room.carers[TOM].id}")
    shoot("attention", "/attention")


def main() -> None:
    """Take them all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        database = Database(f"sqlite:///{folder}/circle.sqlite", Cipher([os.urandom(32)]))
        database.migrate()
        browser = launch(driver, FAKE)
        context = browser.new_context(locale="en-GB", viewport={"width": 1200, "height": 700})
        with site_of(database, carers=FAMILIES) as site:
            take(site, context)
        browser.close()
        database.close()


if __name__ == "__main__":
    main()
