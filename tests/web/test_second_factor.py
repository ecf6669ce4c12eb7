"""The authenticator app of whoever signs in by link or token: set up, asked for, not got round."""

from __future__ import annotations

import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path

import pyotp
import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from course.store import access, audit_trail, second_factor, staff_sessions, tables
from course.store.staff_sessions import Staff
from tests.factories import NOW
from tests.web.conftest import PUBLIC, Door
from tests.whole_app import whole_app
from web.access import csrf_token
from web.one_time_code import matching_step, new_secret
from web.second_factor import TRIES
from web.second_step import PENDING

ANN = Staff(name="Ann Lee", role="facilitator", cohort_ids=("cohort-1",))
BO = Staff(name="Bo", role="admin", cohort_ids=())
CODE = "/signin/code"


@dataclass
class Phone:
    """An authenticator app."""

    secret: str

    def code(self, at: datetime) -> str:
        return pyotp.TOTP(self.secret).at(at)


class Browser:
    """Somebody's browser, at the service."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.client: FlaskClient = door.app.test_client()

    def get(self, path: str) -> TestResponse:
        return self.client.get(path, base_url=PUBLIC)

    def post(self, path: str, **form: str) -> TestResponse:
        return self.client.post(path, data=form, base_url=PUBLIC)

    def follow(self, link: str) -> TestResponse:
        return self.post(f"/signin/{link}")

    def show(self, code: str) -> TestResponse:
        """Type a code where signing in asks for it."""
        return self.post(CODE, code=code, csrf_token=self.pending)

    def scan(self, answer: TestResponse) -> tuple[Phone, str]:
        """The app that a page offers, and what the page sends back."""
        (key,) = re.findall(r'class="key">([A-Z2-7 ]+)<', answer.text)
        (offer,) = re.findall(r'name="offer" value="([^"]+)"', answer.text)
        return Phone(key.replace(" ", "")), unescape(offer)

    @property
    def pending(self) -> str:
        return self._csrf("__Host-circle-pending")

    @property
    def csrf(self) -> str:
        return self._csrf("__Host-circle")

    def _csrf(self, cookie: str) -> str:
        found = self.client.get_cookie(cookie, domain="circle.example")
        return csrf_token(found.value) if found else ""

    @property
    def is_in(self) -> bool:
        return self.get("/").status_code == 200


def invited(door: Door, staff: Staff = ANN) -> str:
    made, now = secrets.token_urlsafe(32), door.clock()
    with door.database.write() as connection:
        staff_sessions.insert_link(
            connection, made, staff, now=now, expires_at=now + timedelta(hours=1)
        )
    return made


def token_of(door: Door, staff: Staff = ANN) -> str:
    made = secrets.token_urlsafe(32)
    with door.database.write() as connection:
        access.insert_token(
            connection,
            token_id=secrets.token_hex(8),
            token=made,
            name=staff.name,
            role=staff.role,
            cohort_ids=staff.cohort_ids,
            now=door.clock(),
            expires_at=door.clock() + timedelta(days=30),
        )
    return made


def protected(door: Door, staff: Staff = ANN) -> Phone:
    """Somebody has an app; the code of this moment is used up by that."""
    phone = Phone(new_secret())
    step = matching_step(phone.secret, phone.code(door.clock()), now=door.clock())
    assert step is not None
    with door.database.write() as connection:
        assert second_factor.add_factor(
            connection, staff.name, phone.secret, step=step, now=door.clock()
        )
    door.clock.move(timedelta(minutes=1))
    return phone


def done(door: Door) -> list[tuple[str, str, str]]:
    """The audit trail's lines about it."""
    table = tables.audit
    with door.database.read() as connection:
        assert audit_trail.check(connection).broken_at is None
        rows = connection.execute(
            select(table.c.actor, table.c.action, table.c.subject).order_by(table.c.id)
        )
        return [(r.actor, r.action, r.subject) for r in rows if r.action.startswith("factor.")]


def sessions(door: Door) -> int:
    with door.database.read() as connection:
        table = tables.staff_session
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


@pytest.mark.both_databases
def test_an_app_is_set_up_on_ones_own_page_and_asked_for_at_the_next_sign_in(door: Door) -> None:
    browser = Browser(door)
    assert browser.follow(invited(door)).headers["Location"] == "/"  # nothing is asked of her yet
    assert "Protect my sign-in" in browser.get("/account").text
    phone, offer = browser.scan(browser.get("/account/app"))
    wrong = browser.post("/account/app", offer=offer, code="000000", csrf_token=browser.csrf)
    assert (wrong.status_code, "not right" in wrong.text) == (422, True)
    assert browser.scan(wrong) == (phone, offer)  # no need to scan again
    code = phone.code(door.clock())
    answer = browser.post("/account/app", offer=offer, code=code, csrf_token=browser.csrf)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account")
    assert "✓ Protected: since" in browser.get("/account").text
    assert done(door) == [("facilitator Ann Lee", "factor.add", "Ann Lee")]

    door.clock.move(timedelta(minutes=1))
    again = Browser(door)
    assert again.follow(invited(door)).headers["Location"] == CODE
    assert "Now your code" in again.get(CODE).text
    answer = again.show(f" {phone.code(door.clock())[:3]} {phone.code(door.clock())[3:]} ")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert again.is_in


def test_a_token_asks_for_the_code_as_well_and_leads_on_to_the_page_that_was_wanted(
    door: Door,
) -> None:
    phone, browser = protected(door), Browser(door)
    answer = browser.post("/signin", token=token_of(door), next="/attention")
    assert answer.headers["Location"] == CODE
    answer = browser.show(phone.code(door.clock()))
    assert answer.headers["Location"] == "/attention"
    too_long = "/attention?x=" + "x" * 5000
    Browser(door).post("/signin", token=token_of(door), next=too_long)  # its cookie is kept
    with door.database.write() as connection:
        connection.exec_driver_sql("UPDATE access_token SET revoked_at = created_at")
    assert not browser.is_in  # the session ends with its token all the same


def test_a_program_with_a_bearer_token_is_not_asked(door: Door) -> None:
    protected(door)
    headers = {"Authorization": f"Bearer {token_of(door)}"}
    assert door.client.get("/api/v1/cohorts", headers=headers, base_url=PUBLIC).status_code == 200
    told = door.client.get("/account", headers=headers, base_url=PUBLIC).text
    assert "A program that sends a bearer token is not asked" in told
    refused = door.client.post("/account/app/change", headers=headers, base_url=PUBLIC)
    assert refused.status_code == 409


def test_a_link_alone_shows_nothing_and_survives_a_mistyped_code(door: Door) -> None:
    phone, browser, link = protected(door), Browser(door), invited(door)
    answer = browser.follow(link)
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-circle-pending=")
    for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert part in cookie
    assert "Ann" not in cookie
    assert (browser.is_in, sessions(door)) == (False, 0)
    for mistyped in ("", "12345", "abcdef", "١٢٣٤٥٦", "0" * 500):
        refused = browser.show(mistyped)
        assert (refused.status_code, "not right" in refused.text) == (401, True)
        assert not browser.is_in
    assert "Welcome, Ann Lee" in browser.get(f"/signin/{link}").text
    assert ("facilitator Ann Lee, not signed in yet", "factor.refused", "Ann Lee") in done(door)
    assert browser.show(phone.code(door.clock())).status_code == 303
    assert browser.is_in
    assert Browser(door).follow(link).status_code == 404
    assert browser.client.get_cookie("__Host-circle-pending", domain="circle.example") is None


@pytest.mark.parametrize(("seconds", "code"), [(-60, 401), (-30, 303), (30, 303), (60, 401)])
def test_a_clock_may_be_half_a_minute_out_and_no_more(door: Door, seconds: int, code: int) -> None:
    phone, browser = protected(door), Browser(door)
    door.clock.move(timedelta(minutes=5))
    browser.follow(invited(door))
    shown = phone.code(door.clock() + timedelta(seconds=seconds))
    assert browser.show(shown).status_code == code


@pytest.mark.both_databases
def test_a_code_is_good_once_and_none_before_it_is_good_after_it(door: Door) -> None:
    phone, first, second = protected(door), Browser(door), Browser(door)
    earlier, code = phone.code(door.clock() - timedelta(seconds=30)), phone.code(door.clock())
    for browser in (first, second):
        browser.follow(invited(door))
    assert first.show(code).status_code == 303
    for used in (code, earlier):
        refused = second.show(used)
        assert (refused.status_code, "used already" in refused.text) == (401, True)
    door.clock.move(timedelta(seconds=30))
    assert second.show(phone.code(door.clock())).status_code == 303


def test_the_code_of_somebody_else_is_worth_nothing(door: Door) -> None:
    protected(door)
    of_bo, browser = protected(door, BO), Browser(door)
    browser.follow(invited(door, ANN))
    assert browser.show(of_bo.code(door.clock())).status_code == 401


@pytest.mark.parametrize("name", ["ann lee", "  Ann   Lee ", "ANN LEE", "Ａｎｎ Lee"])
def test_a_person_is_known_by_their_name_however_the_operator_writes_it(
    door: Door, name: str
) -> None:
    protected(door)
    staff = Staff(name=name, role="admin", cohort_ids=())
    assert Browser(door).follow(invited(door, staff)).headers["Location"] == CODE


def test_between_the_steps_there_are_ten_minutes_and_a_good_link(door: Door) -> None:
    phone, browser = protected(door), Browser(door)
    link = invited(door)
    browser.follow(link)
    door.clock.move(PENDING)
    late = browser.show(phone.code(door.clock()))
    assert (late.status_code, "Begin again" in late.text) == (400, True)
    assert browser.follow(link).headers["Location"] == CODE  # the link is good for an hour
    other = Browser(door)
    other.follow(link)
    assert browser.show(phone.code(door.clock())).status_code == 303
    door.clock.move(timedelta(minutes=1))
    assert other.show(phone.code(door.clock())).status_code == 400
    assert not other.is_in


@pytest.mark.both_databases
def test_a_token_that_is_revoked_between_the_steps_lets_nobody_in(door: Door) -> None:
    phone, browser = protected(door), Browser(door)
    browser.post("/signin", token=token_of(door))
    with door.database.write() as connection:
        connection.exec_driver_sql("UPDATE access_token SET revoked_at = created_at")
    assert browser.show(phone.code(door.clock())).status_code == 400
    assert not browser.is_in


@pytest.mark.parametrize("cookie", ["", "e30.x", "{}", "a" * 4000])
def test_nobody_makes_up_that_they_have_shown_a_link(door: Door, cookie: str) -> None:
    phone, browser = protected(door), Browser(door)
    browser.client.set_cookie(
        "__Host-circle-pending", cookie, domain="circle.example", secure=True, path="/"
    )
    for answer in (browser.get(CODE), browser.show(phone.code(door.clock()))):
        assert (answer.status_code, "Begin again" in answer.text) == (400, True)


def test_another_sites_page_types_no_code(door: Door) -> None:
    phone, browser = protected(door), Browser(door)
    browser.follow(invited(door))
    code = phone.code(door.clock())
    assert browser.post(CODE, code=code).status_code == 403
    answer = browser.client.post(
        CODE,
        data={"code": code, "csrf_token": browser.pending},
        headers={"Sec-Fetch-Site": "cross-site"},
        base_url=PUBLIC,
    )
    assert answer.status_code == 403
    assert browser.show(code).status_code == 303


@pytest.mark.both_databases
def test_guessing_ends_with_the_link_and_keeps_its_owner_out_of_nothing(door: Door) -> None:
    phone, link = protected(door), invited(door)
    door.clock.move(timedelta(minutes=5))
    for number in range(TRIES):
        thief = Browser(door)  # from wherever: the link is what counts
        thief.client.environ_base["REMOTE_ADDR"] = f"192.0.2.{number}"
        thief.follow(link)
        assert thief.show(f"{number:06}").status_code == 401
    thief.client.environ_base["REMOTE_ADDR"] = "198.51.100.1"
    refused = thief.show(phone.code(door.clock()))
    assert (refused.status_code, "Too many codes" in refused.text) == (429, True)
    owner = Browser(door)
    owner.follow(invited(door))
    assert owner.show(phone.code(door.clock())).status_code == 303


def test_one_address_is_slowed_down_as_with_any_other_failure(door: Door) -> None:
    phone = protected(door)
    browsers = [Browser(door) for _ in range(4)]
    for browser in browsers:
        browser.follow(invited(door))
        for _ in range(5):
            assert browser.show("000000").status_code == 401
    assert browsers[0].show(phone.code(door.clock())).status_code == 429
    door.clock.move(timedelta(minutes=1))
    assert browsers[0].show(phone.code(door.clock())).status_code == 303


@pytest.mark.both_databases
def test_of_two_at_once_with_the_same_code_only_one_gets_in(door: Door) -> None:
    phone = protected(door)
    browsers = [Browser(door) for _ in range(8)]
    for browser in browsers:
        browser.follow(invited(door))
    code = phone.code(door.clock())
    with ThreadPoolExecutor(len(browsers)) as pool:
        codes = list(pool.map(lambda browser: browser.show(code).status_code, browsers))
    assert sorted(codes) == [303] + [401] * 7
    assert (sum(browser.is_in for browser in browsers), sessions(door)) == (1, 1)


@pytest.mark.both_databases
def test_of_two_who_set_one_up_at_once_only_one_does(door: Door) -> None:
    browsers = [Browser(door) for _ in range(6)]
    offers = []
    for browser in browsers:
        browser.follow(invited(door))
        offers.append(browser.scan(browser.get("/account/app")))

    def confirm(number: int) -> int:
        (phone, offer), browser = offers[number], browsers[number]
        code = phone.code(door.clock())
        answer = browser.post("/account/app", offer=offer, code=code, csrf_token=browser.csrf)
        return answer.status_code

    with ThreadPoolExecutor(len(browsers)) as pool:
        codes = list(pool.map(confirm, range(len(browsers))))
    assert sorted(codes) == [303] + [422] * 5
    assert len(done(door)) == 1


def test_where_it_is_required_nobody_gets_round_setting_one_up(door: Door) -> None:
    door.factors.required = True
    browser, link = Browser(door), invited(door)
    assert browser.follow(link).headers["Location"] == CODE
    for path in ("/", "/account", "/account/app", "/cohorts/cohort-1", "/attention"):
        assert browser.get(path).headers["Location"].startswith("/signin?next="), path
    assert browser.get("/api/v1/cohorts").status_code == 401
    shown = browser.get(CODE)
    assert "Protect your sign-in" in shown.text
    phone, offer = browser.scan(shown)
    for form in ({}, {"offer": offer}, {"offer": offer, "code": "000000"}, {"offer": "x.y"}):
        answer = browser.post(CODE, **form, csrf_token=browser.pending)
        assert answer.status_code in (400, 401)
        assert (browser.is_in, sessions(door)) == (False, 0)
    code = phone.code(door.clock())
    answer = browser.post(CODE, offer=offer, code=code, csrf_token=browser.pending)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert browser.is_in
    assert done(door)[-1] == ("facilitator Ann Lee, not signed in yet", "factor.add", "Ann Lee")
    # The code that set it up is used up, and by now the code is what is asked for.
    token = token_of(door)
    again = Browser(door)
    assert again.post("/signin", token=token).headers["Location"] == CODE
    assert "Now your code" in again.get(CODE).text
    assert again.show(code).status_code == 401
    assert again.post(CODE, offer=offer, code=code, csrf_token=again.pending).status_code == 401, (
        "an app that was offered earlier takes nobody's place"
    )


@pytest.mark.parametrize(("setting", "leads_to"), [("offered", "/"), ("required", CODE)])
def test_the_setting_says_whether_everybody_needs_one(
    tmp_path: Path, setting: str, leads_to: str
) -> None:
    app = whole_app(tmp_path, staff_second_factor=setting, practice_name="Lee: Families & Co")
    try:
        token = app.bearer("admin", name="Ann: Lee")["Authorization"].removeprefix("Bearer ")
        client = app.flask.test_client()
        answer = client.post("/signin", data={"token": token}, base_url=PUBLIC)
        assert answer.headers["Location"] == leads_to
        shown = client.get(CODE, base_url=PUBLIC).text
        assert ("Protect your sign-in" in shown) == (setting == "required")
    finally:
        app.service.database.close()


def test_what_is_offered_is_for_one_person_and_fifteen_minutes(door: Door) -> None:
    ann, bo = Browser(door), Browser(door)
    ann.follow(invited(door))
    bo.follow(invited(door, BO))
    phone, offer = ann.scan(ann.get("/account/app"))
    code = phone.code(door.clock())
    answer = bo.post("/account/app", offer=offer, code=code, csrf_token=bo.csrf)
    assert answer.status_code == 409
    assert ann.scan(ann.get("/account/app"))[0] != phone  # nobody else sees what one will use
    door.clock.move(timedelta(minutes=15))
    code = phone.code(door.clock())
    answer = ann.post("/account/app", offer=offer, code=code, csrf_token=ann.csrf)
    assert (answer.status_code, "took too long" in answer.text) == (409, True)
    assert done(door) == []


def signed_in(door: Door, phone: Phone, staff: Staff = ANN) -> Browser:
    browser = Browser(door)
    browser.follow(invited(door, staff))
    assert browser.show(phone.code(door.clock())).status_code == 303
    door.clock.move(timedelta(minutes=1))
    return browser


@pytest.mark.both_databases
def test_an_app_is_changed_and_removed_only_by_whoever_holds_it(door: Door) -> None:
    old = protected(door)
    browser = signed_in(door, old)
    for path in ("/account/app/change", "/account/app/remove"):
        answer = browser.post(path, code="000000", csrf_token=browser.csrf)
        assert (answer.status_code, "not right" in answer.text) == (422, True)
        assert browser.post(path, code=old.code(door.clock())).status_code == 403
    assert browser.get("/account/app").headers["Location"] == "/account"

    code = old.code(door.clock())
    new, offer = browser.scan(
        browser.post("/account/app/change", code=code, csrf_token=browser.csrf)
    )
    form = {"offer": offer, "csrf_token": browser.csrf, "code": new.code(door.clock())}
    assert browser.post("/account/app", **form).status_code == 409  # it is no first one
    assert browser.post("/account/app", **form, instead="yes").status_code == 303
    door.clock.move(timedelta(minutes=1))
    other = Browser(door)
    other.follow(invited(door))
    assert other.show(old.code(door.clock())).status_code == 401
    assert other.show(new.code(door.clock())).status_code == 303

    door.clock.move(timedelta(minutes=1))
    code = new.code(door.clock())
    answer = browser.post("/account/app/remove", code=code, csrf_token=browser.csrf)
    assert answer.status_code == 303
    assert Browser(door).follow(invited(door)).headers["Location"] == "/"
    assert [action for _, action, _ in done(door) if action != "factor.refused"] == [
        "factor.replace",
        "factor.remove",
    ]


def test_where_it_is_required_it_can_be_changed_but_not_removed(door: Door) -> None:
    door.factors.required = True
    phone = protected(door)
    browser = signed_in(door, phone)
    assert "no code any more" not in browser.get("/account").text
    code = phone.code(door.clock())
    answer = browser.post("/account/app/remove", code=code, csrf_token=browser.csrf)
    assert (answer.status_code, "Everybody needs one" in answer.text) == (409, True)
    changed = browser.post("/account/app/change", code=code, csrf_token=browser.csrf)
    assert "Change to another app" in changed.text


def test_whoever_signs_in_with_microsoft_has_nothing_to_set_up_here(door: Door) -> None:
    protected(door)  # a namesake who signs in by link
    with door.database.write() as connection:
        staff = Staff(name="Ann Lee", role="admin", cohort_ids=(), account="oid-ann")
        staff_sessions.insert_session(connection, "from-microsoft", staff, now=door.clock())
    browser = Browser(door)
    browser.client.set_cookie("__Host-circle", "from-microsoft", domain="circle.example")
    assert "Microsoft asks for your second factor" in browser.get("/account").text
    assert browser.get("/account/app").status_code == 409
    answer = browser.post("/account/app/remove", code="1", csrf_token=browser.csrf)
    assert (answer.status_code, "set up at Microsoft" in answer.text) == (409, True)


def test_signing_out_everywhere_ends_what_began_without_a_code(door: Door) -> None:
    before = Browser(door)
    before.follow(invited(door))
    assert before.is_in
    browser = signed_in(door, protected(door))
    browser.post("/signout", csrf_token=browser.csrf, everywhere="yes")
    assert not before.is_in


def test_nothing_of_it_is_readable_in_the_database_or_on_a_page(door: Door) -> None:
    phone = protected(door)
    with door.database.read() as connection:
        (row,) = connection.exec_driver_sql("SELECT * FROM second_factor").all()
    assert phone.secret not in str(row)
    assert "Ann" not in str(row)
    browser = signed_in(door, phone)
    assert phone.secret not in browser.get("/account").text


@pytest.mark.both_databases
def test_an_app_goes_two_years_after_its_last_use(door: Door) -> None:
    protected(door)
    with door.database.write() as connection:
        for days, gone in ((730, 0), (732, 1)):
            now = NOW + timedelta(days=days)
            assert second_factor.forget_unused(connection, now=now) == gone


@pytest.mark.both_databases
def test_an_app_that_was_replaced_meanwhile_is_not_replaced_by_an_older_page(door: Door) -> None:
    def next_code(phone: Phone) -> str:
        door.clock.move(timedelta(minutes=1))
        return phone.code(door.clock())

    def changes(browser: Browser, held: Phone) -> tuple[Phone, str]:
        form = {"code": next_code(held), "csrf_token": browser.csrf}
        return browser.scan(browser.post("/account/app/change", **form))

    def shows(browser: Browser, phone: Phone, offer: str) -> int:
        form = {"offer": offer, "instead": "yes", "code": next_code(phone)}
        return browser.post("/account/app", **form, csrf_token=browser.csrf).status_code

    first = protected(door)
    early, late = signed_in(door, first), signed_in(door, first)
    second, offer = changes(early, first)
    assert shows(early, second, offer) == 303
    third, later = changes(late, second)
    assert shows(late, third, later) == 303
    assert shows(early, second, offer) == 409
    with door.database.read() as connection:
        kept = second_factor.find_factor(connection, ANN.name)
    assert kept is not None
    assert kept.secret == third.secret
