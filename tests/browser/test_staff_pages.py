"""The pages of staff in a real browser: each one's main job, by mouse, keyboard and on a phone."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Literal

import pyotp
import pytest
from playwright.sync_api import Browser, BrowserContext, FilePayload, Page, expect

from course.model import CohortState, Platform
from course.store import changes, cohorts, series
from tests.attendance.room import HOST_NAME, at
from tests.browser.conftest import Site, faults, too_wide
from tests.factories import make_carer, make_cohort
from tests.web.test_families import workbook
from web.families import XLSX

MAYA, DEV, TOM = "Maya Patel", "Dev Patel", "Tom Becker"
ROWS = (
    ("Household", "Name", "E-mail", "Telephone"),
    ("H1", MAYA, "maya@example.com", 7700900123),
    ("H2", TOM, "tom at example", None),
)
PAGES = [
    "/",
    "/cohorts/new",
    "/attention",
    "{cohort}",
    "{cohort}/sessions/2",
    "{cohort}/sessions/2/carers/carer-1",
    "/api/v1{cohort}/attendance.html",
]


def started(site: Site) -> None:
    room = site.room
    room.clock.now = at(5)
    room.started(-5)
    room.join(HOST_NAME, -5, link="nobody")
    room.join(MAYA, -1)


def test_the_board_changes_by_itself_when_somebody_comes(
    site: Site, context: BrowserContext
) -> None:
    started(site)
    site.sign_in(context).close()
    page = site.open(context, f"/cohorts/{site.room.cohort_id}/sessions/2")
    needs = page.locator("li", has_text=TOM)
    expect(needs).to_contain_text("not seen")
    site.room.join(TOM, 5)
    expect(needs).to_contain_text("in since 10:05", timeout=5000)
    page.get_by_role("button", name=f"Camera seen: {TOM}").click()
    expect(needs).to_contain_text("seen on", timeout=5000)
    page.get_by_role("button", name=f"{DEV} sits beside {MAYA}").click()
    expect(page.locator("li", has_text=DEV)).to_contain_text(f"beside {MAYA}", timeout=5000)
    site.room.join("iPad", 6, link="nobody")
    page.get_by_label("Who is iPad?").select_option(label="no carer of ours", timeout=5000)
    page.get_by_role("button", name="That is them").click()
    expect(page.get_by_text("iPad")).to_have_count(0, timeout=5000)
    assert faults(page) == []


def test_a_cohort_is_opened_by_one_form_that_names_every_fault(
    site: Site, context: BrowserContext
) -> None:
    page = site.sign_in(context)
    page.get_by_role("link", name="Open a cohort").click()
    page.get_by_label("Name", exact=True).fill("Spring 2027")
    page.get_by_label("Zoom").check()
    page.get_by_label("First Saturday").select_option("2027-02-06")
    held = page.locator("#plan tbody tr")
    expect(held).to_have_count(8)
    page.get_by_label("Leave out 27 March 2027").check()
    expect(held).to_have_count(9)
    expect(held.nth(7)).to_contain_text("Easter Saturday")
    families = page.get_by_label("Families, one carer a line")
    families.fill("H1, Maya Patel\nH2, Tom Becker, tom@example.com")
    expect(page.locator("#families")).to_contain_text("Line 1: e-mail is missing")
    page.get_by_role("button", name="Open it").click()
    expect(page.get_by_role("alert")).to_contain_text(
        "Nothing was opened yet: 1 thing to put right"
    )
    expect(families).to_have_value("H1, Maya Patel\nH2, Tom Becker, tom@example.com")
    expect(held).to_have_count(9)
    assert ["422" in error for error in site.errors] == [True]  # the browser notes the answer
    site.errors.clear()
    families.fill("H1, =HYPERLINK(1), maya@example.com\nH2, Tom Becker, tom@example.com")
    expect(page.locator("#families tbody tr")).to_have_count(2)
    assert faults(page) == []
    page.get_by_role("button", name="Open it").click()
    page.wait_for_url("**/cohorts/opened-1")
    expect(page.get_by_role("heading", level=1)).to_have_text("Spring 2027")


def test_families_come_from_a_workbook_and_what_is_wrong_is_put_right_in_place(
    site: Site, context: BrowserContext
) -> None:
    site.sign_in(context).close()
    page = site.open(context, "/cohorts/new")
    file = FilePayload(name="families.xlsx", mimeType=XLSX, buffer=workbook(*ROWS))
    page.get_by_label("A CSV file or an Excel workbook").set_input_files(file)
    expect(page.locator("#families")).to_contain_text("Line 2: e-mail is not an e-mail address")
    families = page.get_by_label("Families, one carer a line")
    expect(families).to_have_value(
        "H1,Maya Patel,maya@example.com,07700900123\nH2,Tom Becker,tom at example\n"
    )
    families.fill("H1,Maya Patel,maya@example.com\nH2,Tom Becker,tom@example.com\n")
    expect(page.locator("#families tbody tr")).to_have_count(2)
    expect(page.locator("#families .fault")).to_have_count(0)


def test_an_opening_is_followed_step_by_step_until_it_is_done(
    site: Site, context: BrowserContext
) -> None:
    opening = make_cohort(id="slow", name="Autumn", state=CohortState.OPENING, series_ref=None)
    carer = make_carer(id="slow-1")
    with site.room.database.write() as connection:
        cohorts.insert_cohort(
            connection, replace(opening, carers=(carer,)), {carer.id: "slow-token"}
        )
    site.sign_in(context).close()
    page = site.open(context, "/cohorts/slow")
    steps = page.locator("#steps li")
    expect(steps.first).to_have_text("… The meetings on Zoom, not yet")
    assert faults(page) == []
    with site.room.database.write() as connection:
        series.update_series(connection, "slow", Platform.ZOOM, series_ref="81000000009")
    expect(steps.first).to_have_text("✓ The meetings on Zoom, done")
    with site.room.database.write() as connection:
        changes.show_state(connection, "slow", opening.version, CohortState.READY, None)
    expect(page.get_by_text("Zoom · ready")).to_be_visible()


def test_everybodys_link_is_copied_for_passing_on(site: Site, context: BrowserContext) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    site.sign_in(context).close()
    page = site.open(context, f"/cohorts/{site.room.cohort_id}")
    page.get_by_role("button", name="Copy everybody's link").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert f"{MAYA}\tcarer1@example.com\t{site.base}/join/" in copied
    assert len(copied.splitlines()) == 3


def test_a_token_signs_in_with_the_keyboard_and_leads_where_one_wanted_to_go(
    site: Site, context: BrowserContext
) -> None:
    page = site.open(context, "/attention")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.keyboard.type(site.token())
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Needs a person")


def code_of(page: Page, at: datetime) -> str:
    """What an app shows whose owner typed the key."""
    page.get_by_text("It cannot be scanned?").click()
    key = page.locator(".key").inner_text().replace(" ", "")
    return pyotp.TOTP(key).at(at)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_sign_in_is_protected_with_an_app_by_hand_and_on_a_phone(
    site: Site, context: BrowserContext, scheme: Literal["light", "dark"]
) -> None:
    page = site.sign_in(context)
    page.emulate_media(color_scheme=scheme)
    page.get_by_role("link", name="My sign-in").click()
    page.get_by_role("link", name="Protect my sign-in").click()
    expect(page.get_by_label("The six digits")).to_be_visible()  # the page that was asked for
    for width in (360, 1200):
        page.set_viewport_size({"width": width, "height": 740})
        assert too_wide(page) == 0
        assert faults(page) == []
    code = code_of(page, site.room.clock.now)
    assert faults(page) == []
    page.get_by_label("The six digits").fill(code)
    page.keyboard.press("Enter")
    expect(page.get_by_text("✓ Protected")).to_be_visible()
    assert faults(page) == []
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.get_by_label("Access token").fill(site.token())
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Now your code")
    assert faults(page) == []
    page.keyboard.type("000000")  # the field has the focus
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not right")
    assert faults(page) == []
    assert ["401" in error for error in site.errors] == [True]  # the browser notes the answer
    site.errors.clear()


@pytest.mark.parametrize("path", PAGES)
def test_in_the_dark_everything_can_be_read_as_well(
    site: Site, context: BrowserContext, path: str
) -> None:
    started(site)
    site.sign_in(context).close()
    page = site.open(context, path.format(cohort=f"/cohorts/{site.room.cohort_id}"))
    page.emulate_media(color_scheme="dark")
    assert faults(page) == []


def test_a_verdict_is_corrected_with_the_keyboard_alone(
    site: Site, context: BrowserContext
) -> None:
    def held() -> None:
        started(site)
        site.room.leave(MAYA, 60)
        site.room.ended(120)
        site.room.record((MAYA, -1, 60), (HOST_NAME, -5, 120))
        site.room.close()

    held()
    site.sign_in(context).close()
    page = site.open(context, f"/cohorts/{site.room.cohort_id}")
    assert faults(page) == []
    page.locator("td.partial a").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{MAYA}, week 2")
    assert faults(page) == []
    page.get_by_label("The verdict").focus()
    page.keyboard.type("attended")
    page.keyboard.press("Tab")
    page.keyboard.type("a catch-up")
    page.keyboard.press("Tab")
    page.keyboard.type("went through it on Monday")
    page.keyboard.press("Enter")
    expect(page.locator(".verdict")).to_have_text("✓ attended (catch up)")
    expect(page.get_by_text("catch up by Ann: went through it on Monday")).to_be_visible()


def test_what_needs_a_person_is_listed_with_what_to_do(site: Site, context: BrowserContext) -> None:
    def held() -> None:
        started(site)
        site.room.ended(120)
        site.room.record((MAYA, -1, 120), (HOST_NAME, -5, 120))
        site.room.close()

    held()
    page = site.sign_in(context)
    page.get_by_role("link", name="Needs a person").click()
    expect(page.get_by_text(f"{TOM}: missed a session")).to_be_visible()
    assert faults(page) == []
    here = page.locator("li", has_text=DEV).filter(has_text="week 2")
    here.get_by_role("link", name="Decide").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{DEV}, week 2")


@pytest.mark.parametrize("path", ["", "/sessions/2", "/sessions/2/carers/carer-1"])
def test_on_a_phone_nothing_runs_off_the_side(
    site: Site, context: BrowserContext, path: str
) -> None:
    started(site)
    site.sign_in(context).close()
    page = site.open(context, f"/cohorts/{site.room.cohort_id}{path}")
    page.set_viewport_size({"width": 360, "height": 740})
    assert too_wide(page) == 0
    assert faults(page) == []


def test_signing_out_leaves_nothing_open(site: Site, context: BrowserContext) -> None:
    page = site.sign_in(context)
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.wait_for_url("**/signin")
    assert faults(page) == []
    page.goto(f"{site.base}/cohorts/{site.room.cohort_id}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_signing_out_everywhere_ends_the_other_browsers_as_well(
    site: Site, context: BrowserContext, browser: Browser
) -> None:
    page, elsewhere = site.sign_in(context), site.sign_in(browser.new_context())
    page.get_by_role("button", name="Sign out everywhere").click()
    page.wait_for_url("**/signin")
    elsewhere.goto(f"{site.base}/cohorts/{site.room.cohort_id}")
    expect(elsewhere.get_by_role("heading", level=1)).to_have_text("Sign in")
