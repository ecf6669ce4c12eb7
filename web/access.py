"""Who may come in: by token or a browser's session, by role; and a mark on every route."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from flask import request

from course.store import access, staff_sessions
from course.store.database import Database
from web.problems import Problem

# With the prefix a browser takes it from this very host over https alone.
SECURE_COOKIE, PLAIN_COOKIE = "__Host-circle", "circle"
_OURS = ("same-origin", "none")
ROLES = ("admin", "facilitator", "viewer")
View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls. `cohort_ids` None: all of them."""

    name: str
    role: str
    cohort_ids: tuple[str, ...] | None

    @property
    def actor(self) -> str:
        """How the audit trail names them."""
        return f"{self.role} {self.name}"

    @property
    def sees_addresses(self) -> bool:
        """Whether e-mail addresses and join links are for these eyes."""
        return self.role != "viewer"

    def may_see(self, cohort_id: str) -> bool:
        """Whether this cohort was given to them."""
        return self.cohort_ids is None or cohort_id in self.cohort_ids


def open_door(view: View) -> View:
    """Mark a route that anybody may use, on purpose."""
    view.circle_roles = ()  # type: ignore[attr-defined]
    return view


def authenticate(database: Database, clock: Callable[[], datetime]) -> Caller:
    """The caller, by bearer token or by the session of a browser; anything else is 401.

    A browser sends its cookie along with whatever another site makes it ask: what changes anything
    needs the session's own token as well, which no other site can read.
    """
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    now = clock()
    if kind.lower() == "bearer" and token.isascii() and 0 < len(token) <= 200:
        with database.read() as connection:
            found = access.find_token(connection, token.strip(), now=now)
        if found is not None:
            return _caller(found.name, found.role, found.cohort_ids, narrow=False)
    session = session_id()
    if not kind and session:
        with database.read() as connection:
            staff = staff_sessions.find_session(connection, session, now=now)
            noting = staff and staff_sessions.wants_noting(connection, session, now=now)
        if staff is not None:
            if request.method not in ("GET", "HEAD"):
                must_be_ours(session)
            if noting:
                with database.write() as connection:
                    staff_sessions.note_session(connection, session, now=now)
            by_microsoft = staff.account is not None
            return _caller(staff.name, staff.role, staff.cohort_ids, narrow=by_microsoft)
    raise Problem(
        401,
        "Who are you?",
        "Send a valid token as Authorization: Bearer TOKEN; circle token create makes one.",
        headers={"WWW-Authenticate": "Bearer"},
    )


def _caller(name: str, role: str, cohort_ids: tuple[str, ...], *, narrow: bool) -> Caller:
    """A facilitator sees the cohorts given to them. A viewer reads all reports, or those of the
    cohorts given to them; `narrow`: with none given, none (a Microsoft account that no cohort
    names).
    """
    reads_all = role == "viewer" and not cohort_ids and not narrow
    return Caller(
        name=name, role=role, cohort_ids=None if role == "admin" or reads_all else cohort_ids
    )


def session_id() -> str | None:
    """The browser's session, if it sends one that could be one."""
    found = request.cookies.get(SECURE_COOKIE) or request.cookies.get(PLAIN_COOKIE)
    return found if found and found.isascii() and len(found) <= 100 else None


def csrf_token(session: str) -> str:
    """What a page of ours sends with every change; nobody can make it without the session."""
    return hashlib.sha256(f"csrf {session}".encode()).hexdigest()


def must_not_be_anothers() -> None:
    """Refuse a sign-in that another site's page sent: nobody is signed in as somebody else."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in _OURS:
        raise Problem(403, "This did not come from a page of ours", "Open this page and try again.")


def must_be_ours(session: str) -> None:
    """Refuse a change that another site's page may have asked for."""
    given = request.headers.get("X-CSRF-Token") or request.form.get("csrf_token", "")
    ours = hmac.compare_digest(given.encode(), csrf_token(session).encode())
    must_not_be_anothers()
    if not ours:
        raise Problem(
            403,
            "This did not come from a page of ours",
            "Reload the page and try again. Programs send a bearer token instead of a cookie.",
        )
