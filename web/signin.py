"""Signing in and out in a browser: by a one-time link, or by an access token.

A link is made by `circle signin`, or printed at the first start; following it asks for one more
click, because mail programs follow links by themselves. A session ends after an hour without use,
after twelve hours, with its token, or when its owner signs out.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from course.store import access, staff_sessions
from course.store.database import Database
from course.store.staff_sessions import LONGEST, Staff
from web.access import (
    PLAIN_COOKIE,
    SECURE_COOKIE,
    authenticate,
    csrf_token,
    must_be_ours,
    open_door,
    session_id,
)
from web.problems import Problem

TRIES, WITHIN = 20, timedelta(minutes=1)


def create_signin(
    *, database: Database, clock: Callable[[], datetime], public_url: str, notice: str
) -> Blueprint:
    """`/signin`, `/signin/{link}` and `/signout`."""
    templates = Path(__file__).parent / "templates"
    routes = Blueprint("signin", __name__, template_folder=str(templates))
    is_https = public_url.startswith("https://")
    tried: deque[datetime] = deque(maxlen=TRIES)

    def page(name: str, code: int = 200, **values: object) -> Response:
        return Response(
            render_template(name, notice=notice, **values),
            code,
            mimetype="text/html",
            headers={"Content-Security-Policy": PAGE_POLICY},
        )

    def slow_down() -> None:
        """Guessing is hopeless by itself; this keeps it from being work."""
        now = clock()
        if len(tried) == TRIES and now - tried[0] < WITHIN:
            raise Problem(
                429,
                "Too many tries to sign in",
                "Wait a minute, then try again.",
                headers={"Retry-After": "60"},
            )
        tried.append(now)

    def begin(staff: Staff, *, token_id: str | None, after: str) -> AnyResponse:
        made, now = secrets.token_urlsafe(32), clock()
        with database.write() as connection:
            if old := session_id():
                staff_sessions.end_sessions(connection, session=old, now=now)
            staff_sessions.insert_session(connection, made, staff, now=now, token_id=token_id)
            access.add_audit(
                connection,
                actor=f"{staff.role} {staff.name}",
                action="staff.signin",
                subject=staff.name,
                now=now,
            )
        answer = redirect(local_path(after), code=303)
        answer.set_cookie(
            SECURE_COOKIE if is_https else PLAIN_COOKIE,
            made,
            max_age=LONGEST,
            secure=is_https,
            httponly=True,
            samesite="Lax",
            path="/",
        )
        return answer

    @routes.get("/signin")
    @open_door
    def ask() -> AnyResponse:
        return page("signin.html", after=local_path(request.args.get("next", "/")), fault="")

    @routes.post("/signin")
    @open_door
    def by_token() -> AnyResponse:
        slow_down()
        token, after = request.form.get("token", "").strip(), request.form.get("next", "/")
        with database.read() as connection:
            usable = token.isascii() and 0 < len(token) <= 200
            found = access.find_token(connection, token, now=clock()) if usable else None
        if found is None:
            note_failure()
            fault = "This token is not valid: it may have expired, or been mistyped."
            return page("signin.html", 401, after=local_path(after), fault=fault)
        staff = Staff(name=found.name, role=found.role, cohort_ids=found.cohort_ids)
        return begin(staff, token_id=found.id, after=after)

    def note_failure() -> None:
        with database.write() as connection:
            access.add_audit(
                connection, actor="nobody known", action="staff.refused", subject="", now=clock()
            )

    @routes.get("/signin/<link>")
    @open_door
    def follow(link: str) -> AnyResponse:
        with database.read() as connection:
            staff = staff_sessions.find_link(connection, link[:100], now=clock())
        return page("signin_link.html", 200 if staff else 404, staff=staff)

    @routes.post("/signin/<link>")
    @open_door
    def by_link(link: str) -> AnyResponse:
        slow_down()
        with database.write() as connection:
            staff = staff_sessions.use_link(connection, link[:100], now=clock())
        if staff is None:
            note_failure()
            return page("signin_link.html", 404, staff=None)
        return begin(staff, token_id=None, after="/")

    @routes.post("/signout")
    @open_door
    def leave() -> AnyResponse:
        session = session_id()
        if session:
            caller = authenticate(database, clock)
            must_be_ours(session)
            everywhere = request.form.get("everywhere") == "yes"
            of = Staff(name=caller.name, role=caller.role, cohort_ids=()) if everywhere else None
            with database.write() as connection:
                staff_sessions.end_sessions(connection, session=session, of=of, now=clock())
                access.add_audit(
                    connection,
                    actor=caller.actor,
                    action="staff.signout",
                    subject=caller.name,
                    now=clock(),
                )
        answer = redirect("/signin", code=303)
        answer.delete_cookie(SECURE_COOKIE, secure=True, httponly=True, samesite="Lax")
        answer.delete_cookie(PLAIN_COOKIE, httponly=True, samesite="Lax")
        return answer

    return routes


PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
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


def csrf_of_page() -> str:
    """The token for the page that is being shown; empty for whoever came with a bearer token."""
    session = session_id()
    return csrf_token(session) if session else ""
