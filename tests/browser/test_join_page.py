"""The parents' page in a real browser: the check, the way in, on a phone, without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect

from tests.attendance.room import at
from tests.browser.conftest import FAKE, Site, faults, launch, too_wide

MAYA, DEV = "Maya Patel", "Dev Patel"
PAGE = "/join/join-carer-1"


@pytest.fixture(scope="module")
def equipped(driver: Playwright) -> Iterator[Browser]:
    """A browser that has a camera and a microphone."""
    found = launch(driver, FAKE)
    yield found
    found.close()


@pytest.fixture
def context(equipped: Browser) -> Iterator[BrowserContext]:
    """It, as somebody new would have it."""
    found = equipped.new_context(locale="en-GB", viewport={"width": 1200, "height": 800})
    yield found
    found.close()


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
    assert said.startswith("Camera: refused, microphone: refused.")
    assert "What to do is below; then check again" in said
    advice = page.locator("details.help dt")
    expect(advice.first).to_be_visible()
    expect(advice.first).to_have_text("Chrome or Edge on a computer")
    assert faults(page) == []
    assert devices(site) == set()


AGENTS = {
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Version/19.0 Mobile/15E148 Safari/604.1": "Safari on an iPhone or iPad",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/19.0 Safari/605.1.15": "Safari on a Mac",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0": "Firefox",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Mobile Safari/537.36": "Chrome on an Android phone or tablet",
}


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: AGENTS[agent].replace(" ", "-"))
def test_the_advice_for_the_own_browser_comes_first(
    site: Site, browser: Browser, agent: str
) -> None:
    context = browser.new_context(user_agent=agent)
    page = site.open(context, PAGE)
    expect(page.locator("details.help dt").first).to_have_text(AGENTS[agent])
    context.close()


def test_camera_and_microphone_can_be_switched_off_again(
    site: Site, context: BrowserContext
) -> None:
    context.grant_permissions(["camera", "microphone"], origin=site.base)
    page = site.open(context, PAGE)
    checked(page)
    page.get_by_role("button", name="Switch them off").click()
    expect(page.locator(".check [role=status]")).to_have_text(
        "Camera and microphone are off again."
    )
    expect(page.locator("video")).to_be_hidden()
    assert page.evaluate("Object.keys(streams).length") == 0


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        ("America/New_York", "By this device's clock: Saturday 16 January, 05:00 to 07:00."),
        ("Pacific/Auckland", "By this device's clock: Saturday 16 January, 23:00 to 01:00."),
        ("Europe/Lisbon", None),  # the same clock, by another name
    ],
)
def test_the_local_time_stands_beside_where_it_is_another(
    site: Site, browser: Browser, zone: str, words: str | None
) -> None:
    context = browser.new_context(timezone_id=zone, locale="en-GB")
    page = site.open(context, PAGE)
    expect(page.locator(".when")).to_contain_text("10:00 to 12:00 (UK time)")
    local = page.locator(".local")
    expect(local).to_be_hidden() if words is None else expect(local).to_have_text(words)
    context.close()


def test_at_every_moment_the_page_fits_a_phone_and_has_no_fault(
    site: Site, browser: Browser
) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme="dark")
    site.room.clock.now = at(-48 * 60)
    wanted = {"starts_at": at(-16 * 60).isoformat(), "minutes": 30}
    site.room.call("POST", "/rehearsal", 201, json=wanted)
    for minute, path, words in (
        (-48 * 60, PAGE, "Try it now"),
        (-16 * 60, PAGE, "Go to the rehearsal"),
        (12, PAGE, "Come in now"),
        (125, PAGE, "Is it running on?"),
        (125, f"{PAGE}/privacy", "What you can ask of us"),
        (6 * 7 * 24 * 60 + 125, PAGE, "The course is over"),
    ):
        site.room.clock.now = at(minute)
        page = site.open(context, path)
        expect(page.get_by_text(words).first).to_be_visible()
        assert (faults(page), too_wide(page)) == ([], 0), words
        page.close()
    context.close()


def test_without_a_script_everything_but_the_check_is_there(site: Site, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    site.room.clock.now = at(-48 * 60)
    page = site.open(context, PAGE)
    expect(page.locator("noscript p")).to_be_visible()
    assert "You can join all the same" in page.locator("noscript p").inner_text()
    page.get_by_text("If the browser refuses camera or microphone").click()
    expect(page.get_by_text("Safari on an iPhone or iPad")).to_be_visible()
    page.locator("li", has_text="Week 2").get_by_text("We can't come").click()
    page.get_by_label("Why, in a few words").first.fill("A wedding")
    page.locator("li", has_text="Week 2").get_by_role("button").click()
    expect(page.get_by_text("Thank you. Your facilitators will read it.")).to_be_visible()
    page.get_by_role("link", name="All about your privacy").click()
    expect(page.get_by_role("heading", name="How long")).to_be_visible()
    context.close()


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


def test_during_the_session_the_first_key_stroke_leads_to_the_way_in(
    site: Site, context: BrowserContext
) -> None:
    site.room.clock.now = at(12)
    page = site.open(context, PAGE)
    page.route("https://zoom.us/**", lambda route: route.fulfill(body="the meeting"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Come in now"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").startswith(DEV)
    page.keyboard.press("Enter")
    expect(page.get_by_text("the meeting")).to_be_visible()
    seats = {c["name"]: c for c in site.room.call("GET", "/sessions/2/board")["carers"]}
    assert seats[DEV]["says_together"]


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
