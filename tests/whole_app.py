"""The real application as `app.create_app` builds it, on a fresh database; nothing is started."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from dbos import DBOS
from flask import Flask

from app import create_app
from course.model import Platform
from course.store import access, cohorts, staff_sessions
from course.store import series as series_store
from course.store.staff_sessions import Staff
from service import Service
from settings import Settings
from tests.databases import put_migrated
from tests.factories import NOW, make_carer, make_cohort
from tests.fakes import FakeClock
from web.access import csrf_token

PUBLIC = "https://circle.example"
GIVEN, FOREIGN = "cohort-1", "cohort-2"
CONFIGURED: dict[str, Any] = {
    "public_url": PUBLIC,
    "zoom_account_id": "account",
    "zoom_client_id": "zoom-client",
    "zoom_client_secret": "zoom-client-secret",
    "zoom_webhook_secrets": "zoom-webhook-secret",
    "zoom_api_url": "http://127.0.0.1:9/zoom",  # nobody is there
    "zoom_oauth_url": "http://127.0.0.1:9/zoom/token",
    "teams_tenant_id": "11111111-1111-1111-1111-111111111111",
    "teams_client_id": "22222222-2222-2222-2222-222222222222",
    "teams_client_secret": "teams-client-secret",
    "teams_call_bot": True,
    "graph_url": "http://127.0.0.1:9/graph",
    "login_url": "http://127.0.0.1:9/login",
}


@dataclass
class WholeApp:
    """The application, and ways in for every kind of person."""

    service: Service
    clock: FakeClock

    @property
    def flask(self) -> Flask:
        return self.service.flask

    def bearer(self, role: str, *given: str, name: str = "") -> dict[str, str]:
        """The header of a fresh token."""
        made = secrets.token_urlsafe(32)
        with self.service.database.write() as connection:
            access.insert_token(
                connection,
                token_id=secrets.token_hex(8),
                token=made,
                name=name or f"Ann {secrets.token_hex(4)}",
                role=role,
                cohort_ids=given,
                now=self.clock(),
                expires_at=self.clock() + timedelta(days=30),
            )
        return {"Authorization": f"Bearer {made}"}

    def cookie(self, role: str, *given: str) -> tuple[dict[str, str], dict[str, str]]:
        """The headers of a browser that is signed in: as a browser sends them, and what a page
        of ours adds when it changes something.
        """
        made = secrets.token_urlsafe(32)
        name = f"Bo {secrets.token_hex(4)}"
        with self.service.database.write() as connection:
            staff = Staff(name=name, role=role, cohort_ids=given)
            staff_sessions.insert_session(connection, made, staff, now=self.clock())
        return {"Cookie": f"__Host-circle={made}"}, {"X-CSRF-Token": csrf_token(made)}


def whole_app(folder: Path, **changes: Any) -> WholeApp:
    """The application with two cohorts; `changes` are settings."""
    clock = FakeClock(NOW)
    settings = Settings(**{"_env_file": None, **CONFIGURED, "data_dir": folder, **changes})
    DBOS.destroy(destroy_registry=False)
    put_migrated(folder)
    service = create_app(settings, clock=clock, name=f"scheduling {folder}")
    with service.database.write() as connection:
        for number, cohort_id in enumerate((GIVEN, FOREIGN), 1):
            carer = make_carer(id=f"carer-{number}")
            cohort = make_cohort(
                id=cohort_id, carers=(carer,), series_ref=None, name=f"Spring {number}"
            )
            cohorts.insert_cohort(connection, cohort, {carer.id: f"join-token-{number}"})
            link = f"https://zoom.us/w/8100000000{number}?tk=secret-{number}"
            series_store.save_invitation(
                connection, carer.id, Platform.ZOOM, ref=f"r{number}", join_url=link
            )
    return WholeApp(service, clock)
