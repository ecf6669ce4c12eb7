"""Signing in with Microsoft, against the stand-in of its login service over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from course.model import Facilitator
from course.store import cohorts, second_factor, tables
from course.store.database import Database
from integration.teams_keys import SigningKeys
from integration.teams_signin import EntraSignin
from sandbox.config import SandboxConfig, TenantUser
from tests.factories import NOW, make_cohort
from tests.fakes import FakeClock
from tests.stand_ins import StandIns, stand_ins
from web.access import csrf_token
from web.headers import install_headers
from web.problems import install_problems
from web.second_factor import SecondFactors
from web.signin import create_signin

PUBLIC = "https://circle.example"
ANSWER = f"{PUBLIC}/signin/microsoft/answer"
ADA = TenantUser(oid="oid-ada", name="Ada Admin", address="ada@practice.example", roles=("admin",))
FERN = TenantUser(
    oid="oid-fern", name="Fern Lee", address="Fern@Practice.example", roles=("facilitator",)
)
OTHER = replace(FERN, oid="oid-other", address="other@practice.example")
GUEST = replace(FERN, oid="oid-guest", address="fern_x.example#EXT#@practice.example")
NOBODY = replace(FERN, oid="oid-nobody", name="Nora Nobody", roles=())
CONFIG = SandboxConfig(
    zoom_plan="none",
    teams_users=(ADA, FERN, OTHER, GUEST, NOBODY),
    teams_redirect_uris=(ANSWER,),
)


@pytest.fixture(scope="module")
def microsoft() -> Iterator[StandIns]:
    """The tenant, over HTTP."""
    with stand_ins(CONFIG) as running:
        yield running


class Browser:
    """A browser that signs in at the service; what it gets from Microsoft can be tampered with."""

    def __init__(self, microsoft: StandIns, database: Database, **changes: Any) -> None:
        config = microsoft.config
        login = f"{config.base_url}/login"
        asked: dict[str, Any] = {
            "tenant_id": config.teams_tenant_id,
            "client_id": config.teams_client_id,
            "client_secret": config.teams_client_secret,
            "client_certificate": None,
            "login_url": login,
            "redirect_uri": ANSWER,
            "keys": SigningKeys(
                login_url=login, tenant_id=config.teams_tenant_id, jwks_url=None
            ).current,
        } | changes
        self.database, self.clock = database, FakeClock(NOW)
        app = Flask("test", static_folder=None)
        install_problems(app)
        install_headers(app, public_url=PUBLIC)
        app.register_blueprint(
            create_signin(
                database=database,
                clock=self.clock,
                public_url=PUBLIC,
                notice="",
                factors=SecondFactors(
                    database=database,
                    clock=self.clock,
                    secret="signs",  # invented
                    required=True,
                ),
                identity=EntraSignin(**asked),
                secret="signs the flow",  # invented
            )
        )
        self.app, self.client = app, app.test_client()

    def go(self, after: str = "/") -> str:
        """Where the service sends the browser."""
        answer = self.client.get(f"/signin/microsoft?next={after}", base_url=PUBLIC)
        assert answer.status_code == 303, answer.text
        return answer.headers["Location"]

    def pick(self, address: str, user: TenantUser | None) -> str:
        """Where Microsoft sends the browser once somebody picked an account."""
        shown = requests.get(address, timeout=10)
        assert "Ada Admin" in shown.text
        picked = requests.get(
            f"{address}&as={user.oid if user else ''}", allow_redirects=False, timeout=10
        )
        assert picked.status_code == 302
        return picked.headers["Location"]

    def back(self, address: str, client: FlaskClient | None = None) -> Any:
        """What the service says to whoever comes back."""
        parts = urlsplit(address)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == ANSWER
        path = f"{parts.path}?{parts.query}"
        return (client or self.client).get(path, base_url=PUBLIC)

    def sign_in(self, user: TenantUser | None, after: str = "/") -> Any:
        """All of it."""
        return self.back(self.pick(self.go(after), user))

    def sessions(self) -> list[tuple[str, str, str]]:
        """Name, role and account of every live session."""
        with self.database.read() as connection:
            table = tables.staff_session
            found = connection.execute(
                select(table.c.name, table.c.role, table.c.account).where(
                    table.c.ended_at.is_(None)
                )
            )
            return [(r.name, r.role, r.account) for r in found]


@pytest.fixture
def browser(microsoft: StandIns, database: Database) -> Browser:
    """A fresh browser; cohort-1 names Fern."""
    cohort = replace(
        make_cohort(), facilitators=(Facilitator(name="Fern Lee", email="fern@practice.example"),)
    )
    with database.write() as connection:
        cohorts.insert_cohort(connection, cohort, {"carer-1": "join-token"})
    return Browser(microsoft, database)


def test_an_administrator_signs_in_and_comes_back_to_where_they_were_going(
    browser: Browser,
) -> None:
    page = browser.client.get("/signin?next=/attention", base_url=PUBLIC).text
    assert 'href="/signin/microsoft?next=/attention"' in page
    answer = browser.sign_in(ADA, "/attention")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/attention")
    assert "__Host-circle=" in "".join(answer.headers.getlist("Set-Cookie"))
    assert browser.sessions() == [("Ada Admin", "admin", "oid-ada")]


def test_microsoft_has_asked_for_a_second_factor_and_here_nobody_asks_again(
    browser: Browser,
) -> None:
    """Though one is required here, and a namesake who signs in by link has an app."""
    with browser.database.write() as connection:
        second_factor.add_factor(connection, ADA.name, "secret", step=1, now=NOW)
    assert browser.sign_in(ADA).headers["Location"] == "/"
    assert browser.sessions() == [("Ada Admin", "admin", "oid-ada")]


def test_microsoft_is_asked_with_pkce_and_keeps_no_secret_of_ours(browser: Browser) -> None:
    asked = parse_qs(urlsplit(browser.go()).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == [ANSWER]
    assert "client_secret" not in asked


def test_a_facilitator_sees_the_cohorts_that_name_their_address(browser: Browser) -> None:
    assert browser.sign_in(FERN).status_code == 303
    with browser.database.read() as connection:
        (given,) = connection.exec_driver_sql("SELECT cohort_ids FROM staff_session").one()
    assert given in ('["cohort-1"]', ["cohort-1"])


@pytest.mark.parametrize(
    ("user", "told"),
    [
        (NOBODY, "Nora Nobody is known at Microsoft but has no role in Circle"),
        (OTHER, "No cohort names other@practice.example as facilitator yet"),
        (GUEST, "No cohort names Fern Lee as facilitator yet"),
        (None, "Microsoft says that you have no access"),
    ],
)
def test_whoever_has_no_business_here_is_told_why_and_gets_no_session(
    browser: Browser, user: TenantUser | None, told: str
) -> None:
    answer = browser.sign_in(user)
    assert (answer.status_code, told in answer.text) == (403, True)
    assert browser.sessions() == []


def test_an_answer_is_good_once_and_only_in_the_browser_that_began(browser: Browser) -> None:
    address = browser.pick(browser.go(), ADA)
    stranger = browser.back(address, browser.app.test_client())
    assert (stranger.status_code, "Begin again" in stranger.text) == (400, True)
    assert browser.back(address).status_code == 303
    assert browser.back(address).status_code == 400  # its flow is used up
    assert len(browser.sessions()) == 1


def test_another_answer_slipped_in_is_refused(browser: Browser) -> None:
    """Otherwise somebody could sign you in as themselves and read what you enter."""
    theirs = browser.pick(Browser.go(browser), FERN)
    browser.go()
    answer = browser.back(theirs)
    assert (answer.status_code, "does not belong" in answer.text) == (403, True)
    assert browser.sessions() == []


def test_a_flow_is_kept_for_ten_minutes_and_cannot_be_made_up(browser: Browser) -> None:
    address = browser.pick(browser.go(), ADA)
    browser.client.set_cookie(
        "__Host-circle-flow", "e30.x.y", domain="circle.example", secure=True, path="/"
    )
    assert browser.back(address).status_code == 400


def test_nobody_is_sent_to_another_place_afterwards(browser: Browser) -> None:
    assert browser.sign_in(ADA, "https://evil.example/").headers["Location"] == "/"


def test_a_token_of_another_key_is_refused(microsoft: StandIns, database: Database) -> None:
    with stand_ins(CONFIG) as elsewhere:  # another login service, with a key of its own
        keys = SigningKeys(
            login_url=f"{elsewhere.config.base_url}/login",
            tenant_id=CONFIG.teams_tenant_id,
            jwks_url=None,
        )
        answer = Browser(microsoft, database, keys=keys.current).sign_in(ADA)
    assert (answer.status_code, "key that is not known" in answer.text) == (403, True)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"client_secret": "wrong"}, "has the secret expired?) (AADSTS7000215)"),
    ],
)
def test_wrong_credentials_of_ours_are_told_with_microsofts_number(
    microsoft: StandIns, database: Database, changes: dict[str, Any], told: str
) -> None:
    answer = Browser(microsoft, database, **changes).sign_in(ADA)
    assert (answer.status_code, told in answer.text) == (403, True)


def test_while_microsoft_is_silent_the_page_names_another_way(
    microsoft: StandIns, database: Database
) -> None:
    browser = Browser(microsoft, database, login_url="http://127.0.0.1:9")
    answer = browser.client.get("/signin/microsoft", base_url=PUBLIC)
    assert (answer.status_code, "one-time link" in answer.text) == (502, True)


def test_signing_out_everywhere_ends_the_sessions_of_that_account_alone(
    browser: Browser,
) -> None:
    namesake = replace(ADA, oid="oid-ada-2", address="ada2@practice.example")
    with stand_ins(replace(CONFIG, teams_users=(ADA, namesake))) as tenant:
        first, second, other = (Browser(tenant, browser.database) for _ in range(3))
        for one, user in ((first, ADA), (second, ADA), (other, namesake)):
            assert one.sign_in(user).status_code == 303
    cookie = first.client.get_cookie("__Host-circle", domain="circle.example")
    assert cookie is not None
    gone = first.client.post(
        "/signout",
        data={"everywhere": "yes", "csrf_token": csrf_token(cookie.value)},
        base_url=PUBLIC,
    )
    assert gone.status_code == 303
    assert browser.sessions() == [("Ada Admin", "admin", "oid-ada-2")]


def test_a_code_is_dead_after_ten_minutes(browser: Browser, microsoft: StandIns) -> None:
    address = browser.pick(browser.go(), ADA)
    microsoft.clock.move(timedelta(minutes=11))
    answer = browser.back(address)
    assert (answer.status_code, "AADSTS70008" in answer.text) == (403, True)
