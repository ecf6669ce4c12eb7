"""The API on a real database, with an office that opens cohorts without a platform."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from course.model import CohortState, Platform
from course.store import access, cohorts
from course.store import series as series_store
from course.store.database import Database
from course.store.erasures import Erasures
from integration.scheduling import NewCohort, NewHousehold, Refused
from tests.factories import NOW, make_cohort
from tests.fakes import FakeClock
from web.api import create_api
from web.headers import install_headers
from web.join import create_join_page
from web.page import Pages
from web.pages import create_pages
from web.problems import install_problems
from web.second_factor import SecondFactors
from web.signin import create_signin

PUBLIC = "https://circle.example"


@dataclass
class FakeOffice:
    """Opens cohorts at once and remembers what it was asked."""

    database: Database
    refuse: Refused | None = None
    slow: bool = False
    called_there: str | None = None
    asked: list[tuple[NewCohort, str | None, str]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    changes: list[tuple[object, ...]] = field(default_factory=list)

    def opened_with(self, new: NewCohort, *, key: str, actor: str) -> str | None:
        return next(
            (
                f"opened-{number}"
                for number, asked in enumerate(self.asked, start=1)
                if asked == (new, key, actor)
            ),
            None,
        )

    def open_cohort(self, new: NewCohort, *, key: str | None, actor: str) -> str:
        if self.refuse is not None:
            raise self.refuse
        self.asked.append((new, key, actor))
        cohort = replace(
            make_cohort(carers=()),
            id=f"opened-{len(self.asked)}",
            name=new.name,
            platform=new.platform,
            state=CohortState.OPENING if self.slow else CohortState.READY,
        )
        with self.database.write() as connection:
            cohorts.insert_cohort(connection, cohort, {})
        return cohort.id

    def cancel_cohort(self, cohort_id: str, *, expected: int | None, actor: str) -> None:
        assert actor
        self._is_current(cohort_id, expected)
        self.cancelled.append(cohort_id)

    def _is_current(self, cohort_id: str, expected: int | None) -> None:
        with self.database.read() as connection:
            if expected not in (None, cohorts.read_version(connection, cohort_id)):
                raise Refused("stale", "Somebody changed this cohort since you read it.")

    def move_session(
        self,
        cohort_id: str,
        week: int,
        *,
        starts_at: datetime | None,
        minutes: int | None,
        expected: int | None,
        actor: str,
    ) -> None:
        self._is_current(cohort_id, expected)
        self.changes.append(("move", cohort_id, week, starts_at, minutes, actor))

    def skip_session(self, cohort_id: str, week: int, *, expected: int | None, actor: str) -> None:
        self._is_current(cohort_id, expected)
        self.changes.append(("skip", cohort_id, week, actor))

    def enrol(
        self, cohort_id: str, household: NewHousehold, *, expected: int | None, actor: str
    ) -> None:
        self._is_current(cohort_id, expected)
        self.changes.append(("enrol", cohort_id, household, actor))

    def withdraw(self, cohort_id: str, carer_id: str, *, expected: int | None, actor: str) -> None:
        self._is_current(cohort_id, expected)
        self.changes.append(("withdraw", cohort_id, carer_id, actor))

    def transfer(
        self, cohort_id: str, reference: str, to_cohort: str, *, expected: int | None, actor: str
    ) -> str:
        self._is_current(cohort_id, expected)
        self.changes.append(("transfer", cohort_id, reference, to_cohort, actor))
        return self.called_there or reference

    def repair(self, cohort_id: str, *, expected: int | None, actor: str) -> None:
        self._is_current(cohort_id, expected)
        self.changes.append(("repair", cohort_id, actor))

    def move_platform(
        self,
        cohort_id: str,
        platform: Platform,
        *,
        organiser: str | None,
        expected: int | None,
        actor: str,
    ) -> None:
        self._is_current(cohort_id, expected)
        self.changes.append(("platform", cohort_id, platform, organiser, actor))

    def wait_until_settled(self, cohort_id: str, *, timeout: timedelta) -> None:
        assert cohort_id
        assert timeout <= timedelta(seconds=20)


@dataclass
class Door:
    """The API with everything that a test wants to look at or change."""

    app: Flask
    client: FlaskClient
    database: Database
    office: FakeOffice
    clock: FakeClock
    missing: dict[Platform, list[str]]
    closed: list[tuple[str, int, str]]
    on_close: list[Exception]
    woken: list[bool]
    factors: SecondFactors

    def token(self, role: str = "admin", *cohort_ids: str) -> dict[str, str]:
        """The header of a fresh token."""
        made = secrets.token_urlsafe(16)
        with self.database.write() as connection:
            access.insert_token(
                connection,
                token_id=secrets.token_hex(4),
                token=made,
                name="Ann",
                role=role,
                cohort_ids=cohort_ids,
                now=NOW,
                expires_at=NOW + timedelta(days=300),
            )
        return {"Authorization": f"Bearer {made}"}

    def call(self, method: str, path: str, role: str = "admin", **more: Any) -> Any:
        """One call under /api/v1 as that role, with the cohort given to it."""
        headers = {**self.token(role, "cohort-1"), **more.pop("headers", {})}
        return self.client.open(f"/api/v1{path}", method=method, headers=headers, **more)


@pytest.fixture
def door(database: Database, tmp_path: Path) -> Door:
    """The API and the join page, with cohort-1 of one carer."""
    clock, office = FakeClock(NOW), FakeOffice(database)
    missing: dict[Platform, list[str]] = {Platform.ZOOM: [], Platform.TEAMS: ["TEAMS_TENANT_ID"]}
    closed: list[tuple[str, int, str]] = []
    on_close: list[Exception] = []
    woken: list[bool] = []

    def close(cohort_id: str, week: int, actor: str) -> None:
        if on_close:
            raise on_close.pop()
        closed.append((cohort_id, week, actor))

    app = Flask("test", static_folder=None)
    install_problems(app)
    install_headers(app, public_url=PUBLIC)
    app.register_blueprint(
        create_api(
            database=database,
            office=office,
            close_register=close,
            configured=lambda: missing,
            clock=clock,
            public_url=PUBLIC,
            default_timezone="Europe/London",
            erasures=Erasures(database, data_dir=tmp_path, clock=clock),
            wake=lambda: woken.append(True),
        )
    )
    allowed: Callable[[str], bool] = lambda host: host == "zoom.us"  # noqa: E731
    app.register_blueprint(
        create_join_page(
            database=database,
            clock=clock,
            public_url=PUBLIC,
            allowed_hosts=allowed,
            notice="A notice",
        )
    )
    factors = SecondFactors(database=database, clock=clock, secret="signs")  # invented
    app.register_blueprint(
        create_signin(
            database=database,
            clock=clock,
            public_url=PUBLIC,
            notice="A notice",
            factors=factors,
            secret="signs",  # invented
        )
    )
    app.register_blueprint(
        create_pages(
            Pages(
                database=database,
                clock=clock,
                notice="A notice",
                timezone="Europe/London",
                public_url=PUBLIC,
                configured=lambda: missing,
                office=office,
                factors=factors,
            )
        )
    )
    with database.write() as connection:
        cohorts.insert_cohort(connection, make_cohort(series_ref=None), {"carer-1": "join-token"})
        series_store.update_series(connection, "cohort-1", Platform.ZOOM, series_ref="81000000001")
        series_store.save_invitation(
            connection, "carer-1", Platform.ZOOM, ref="r1", join_url="https://zoom.us/w/1?tk=x"
        )
    client = app.test_client()
    return Door(app, client, database, office, clock, missing, closed, on_close, woken, factors)
