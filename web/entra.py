"""Signing in with Microsoft Entra ID: the way there, and what becomes of whoever comes back.

The role is the app role that the practice's administrator gave in Entra (`admin`, `facilitator`,
`viewer`); a facilitator's cohorts are those that name their address. While somebody is away at
Microsoft their flow, with the PKCE verifier, is in a signed cookie of ten minutes: no server
remembers it, so that any process may take them back.
https://learn.microsoft.com/entra/identity-platform/howto-add-app-roles-in-apps
"""

from __future__ import annotations

import json
from typing import Any, Protocol

from flask import Blueprint, redirect, request
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.wrappers import Response

from course.store import cohorts
from course.store.staff_sessions import Staff
from integration.teams_signin import Account, NotSignedIn
from web.access import ROLES, open_door
from web.browser_session import BrowserSessions, local_path
from web.limits import RateLimit, client_address

AWAY = 600  # seconds that somebody may take at Microsoft
LARGEST = 4000  # characters; Microsoft's own answers are shorter


class Identity(Protocol):
    """An identity provider; `integration.teams_signin.EntraSignin` is one."""

    def begin(self) -> tuple[str, dict[str, Any]]:
        """Where to send the browser, and the flow to keep for it."""

    def finish(self, flow: dict[str, Any], answer: dict[str, str]) -> Account:
        """Who came back. Raises `NotSignedIn`."""


class SigninPage(Protocol):
    """Shows the page to sign in on, with a sentence about what went wrong."""

    def __call__(self, *, after: str, fault: str, code: int) -> Response:
        """The page."""


def add_entra(
    routes: Blueprint,
    *,
    identity: Identity,
    sessions: BrowserSessions,
    secret: str,
    page: SigninPage,
    failures: RateLimit,
) -> None:
    """Add `/signin/microsoft` and `/signin/microsoft/answer`; `secret` signs the cookie."""
    signer = URLSafeTimedSerializer(secret, salt="entra-flow")
    cookie = "__Host-circle-flow" if sessions.is_https else "circle-flow"

    @routes.get("/signin/microsoft")
    @open_door
    def go() -> Response:
        after = local_path(request.args.get("next", "/"))
        try:
            address, flow = identity.begin()
        except NotSignedIn as e:
            return page(after=after, fault=str(e), code=502)
        answer = redirect(address, code=303)
        answer.set_cookie(
            cookie,
            str(signer.dumps({"flow": flow, "after": after})),
            max_age=AWAY,
            secure=sessions.is_https,
            httponly=True,
            samesite="Lax",  # it has to come along when Microsoft sends the browser back
            path="/",
        )
        return answer

    @routes.get("/signin/microsoft/answer")
    @open_door
    def back() -> Response:
        after = "/"
        failures.check(client_address())
        try:
            kept = signer.loads(request.cookies.get(cookie, "")[:LARGEST], max_age=AWAY)
            after = kept["after"]
            told = {name: value[:LARGEST] for name, value in request.args.items()}
            staff = _staff(sessions, identity.finish(kept["flow"], told))
        except (BadSignature, json.JSONDecodeError, UnicodeDecodeError):
            answer = page(after=after, fault="Signing in took too long. Begin again.", code=400)
        except NotSignedIn as e:
            failures.note(client_address())
            sessions.note_failure("Microsoft Entra ID")
            answer = page(after=after, fault=str(e), code=403)
        else:
            answer = sessions.begin(staff, after=after)
        answer.delete_cookie(cookie, secure=sessions.is_https, httponly=True, samesite="Lax")
        return answer


def _staff(sessions: BrowserSessions, account: Account) -> Staff:
    """What the account may do here. Raises `NotSignedIn` for one without a role or a cohort."""
    role = next((role for role in ROLES if role in account.roles), None)
    if role is None:
        raise NotSignedIn(
            f"{account.name} is known at Microsoft but has no role in Circle. An administrator of "
            "your organisation gives one in Entra ID: Enterprise applications, Circle, Users and "
            "groups (admin, facilitator or viewer)."
        )
    given: tuple[str, ...] = ()
    if role != "admin":
        with sessions.database.read() as connection:
            given = tuple(cohorts.naming(connection, account.email)) if account.email else ()
        if not given:
            raise NotSignedIn(
                f"No cohort names {account.email or account.name} as facilitator yet. Whoever "
                "opens a cohort enters your address there; then sign in again."
            )
    return Staff(name=account.name, role=role, cohort_ids=given, account=account.oid)
