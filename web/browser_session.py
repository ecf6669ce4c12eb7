"""Begins the session of a browser, however its owner proved who they are."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from flask import redirect
from werkzeug.wrappers import Response

from course.store import access, staff_sessions
from course.store.database import Connection, Database
from course.store.staff_sessions import LONGEST, Staff
from web.access import PLAIN_COOKIE, SECURE_COOKIE, session_id
from web.first_factor import FirstFactor


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserSessions:
    """`is_https`: whether the service is reached by https, so that cookies may insist on it."""

    database: Database
    clock: Callable[[], datetime]
    is_https: bool

    def begin(self, staff: Staff, *, after: str) -> Response:
        """A session under a new id, a note in the audit trail, and the way to the page `after`."""
        with self.database.write() as connection:
            made = self._begin(connection, staff, token_id=None)
        return self._on_to(after, made)

    def begin_with(self, first: FirstFactor, *, after: str) -> Response | None:
        """The same for whoever holds a link, which is used up by it, or a token; None when it is
        not good any more. In one go: whoever is shut out meanwhile does not get in.
        """
        with self.database.write() as connection:
            staff = first.use(connection, now=self.clock())
            if staff is None:
                return None
            made = self._begin(connection, staff, token_id=first.token_id)
        return self._on_to(after, made)

    def _begin(self, connection: Connection, staff: Staff, *, token_id: str | None) -> str:
        made, now = secrets.token_urlsafe(32), self.clock()
        if old := session_id():
            staff_sessions.end_sessions(connection, session=old, now=now)
        staff_sessions.insert_session(connection, made, staff, now=now, token_id=token_id)
        access.add_audit(
            connection,
            actor=f"{staff.role} {staff.name}",
            action="staff.signin",
            subject=staff.account or staff.name,
            now=now,
        )
        return made

    def _on_to(self, after: str, made: str) -> Response:
        answer = redirect(local_path(after), code=303)
        answer.set_cookie(
            SECURE_COOKIE if self.is_https else PLAIN_COOKIE,
            made,
            max_age=LONGEST,
            secure=self.is_https,
            httponly=True,
            samesite="Lax",
            path="/",
        )
        return answer

    def note_failure(self, why: str = "") -> None:
        """Somebody tried to sign in and could not."""
        with self.database.write() as connection:
            access.add_audit(
                connection,
                actor="nobody known",
                action="staff.refused",
                subject=why,
                now=self.clock(),
            )


def local_path(asked: str) -> str:
    """A path of this service, whatever was asked for: nobody is sent to another place."""
    parts = urlsplit(asked)
    safe = (
        asked.startswith("/")
        and not asked.startswith(("//", "/\\"))
        and not parts.scheme
        and not parts.netloc
        and asked.isprintable()
    )
    return asked if safe else "/"
