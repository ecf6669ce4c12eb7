"""The parents' page in a real browser: the check, the way in, on a phone, without JavaScript."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect

from tests.attendance.room import at
from tests.browser.conftest import Site, faults, launch, too_wide

MAYA, DEV = "Maya Patel", "Dev Patel"
PAGE = "/join/join-carer-1"


def checked(page: Page) -> str:
    page.get_by_role("button", name="Check camera and microphone").click()
    expect(page.get_by_role("button", name="Check again")).to_be_visible(timeout=10_000)
    return page.locator(".check [role=status]").inner_text()


def devices(site: Site) -> set[str]:
    """What was kept of the check, by the evidence behind the verdict."""
    with site.room.database.read() as connection:
        rows = connection.exec_driver_sql(
            "SELECT kind FROM participant_event WHERE source = 'join_page' AND level IS NOT NULL"
        )
        return {row[0] for row in rows}


def test_a_camera_and_a_microphone_that_work_are_kept_as_devices(
    site: Site, context: BrowserContext
) -> None:
    context.grant_permissions(["camera", "microphone"], origin=site.base)
    page = site.open(context, PAGE)
    assert checked(page) == "Camera: works, microphone: works."
    expect(page.locator("video")).to_be_visible()
    expect(page.locator("meter")).to_be_visible()
    assert faults(page) == []
    assert devices(site) == {"camera", "microphone"}


def test_whoever_refuses_is_told_what_to_do(site: Site, context: BrowserContext) -> None:
    context.grant_permissions([], origin=site.base)
    page = site.open(context, PAGE)
    said = checked(page)
    assert said.startswith("Camera: not found, microphone: not found.")
    assert "allow camera and microphone, and check again" in said
    assert devices(site) == set()


def test_whoever_has_no_device_is_told_so(site: Site, driver: Playwright) -> None:
    bare = launch(driver)
    try:
        context = bare.new_context()
        context.grant_permissions(["camera", "microphone"], origin=site.base)
        assert "No device was found" in checked(site.open(context, PAGE))
    finally:
        bare.close()


def test_both_at_one_device_is_told_on_the_way_in_and_offered_on_the_board(
    site: Site, context: BrowserContext
) -> None:
    page = site.open(context, PAGE)
    page.get_by_label(f"{DEV} and I are both here").check()
    page.route("https://zoom.us/**", lambda route: route.fulfill(body="the meeting"))
    page.get_by_role("button", name="Join now").click()
    expect(page.get_by_text("the meeting")).to_be_visible()

    def come() -> dict[str, Any]:
        site.room.clock.now = at(5)
        site.room.started(-5)
        site.room.join(MAYA, 0)
        found: dict[str, Any] = site.room.call("GET", "/sessions/2/board")
        return found

    seats = {c["name"]: c for c in come()["carers"]}
    assert (seats[DEV]["place"], seats[DEV]["says_together"]) == ("not_seen", True)
    assert seats[DEV]["shared_with"] is None  # said, and not yet seen by anybody


@pytest.mark.parametrize("script", [True, False])
def test_on_a_phone_and_without_a_script_the_way_in_is_one_button(
    site: Site, browser: Browser, *, script: bool
) -> None:
    context = browser.new_context(
        viewport={"width": 360, "height": 740}, java_script_enabled=script
    )
    page = site.open(context, PAGE)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Week 2")
    button = page.get_by_role("button", name="Join now")
    expect(button).to_be_visible()
    box = button.bounding_box()
    assert box is not None
    assert box["height"] >= 44
    if script:
        assert too_wide(page) == 0
        assert faults(page) == []
    context.close()


def test_the_way_in_needs_no_mouse(site: Site, context: BrowserContext) -> None:
    page = site.open(context, PAGE)
    page.route("https://zoom.us/**", lambda route: route.fulfill(body="the meeting"))
    page.get_by_label("Only me").focus()
    for _ in range(3):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Join now":
            break
    page.keyboard.press("Enter")
    expect(page.get_by_text("the meeting")).to_be_visible()
