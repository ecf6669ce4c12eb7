"""Signing in and out in a browser: with Microsoft, by a one-time link, or by an access token.

A link is made by `circle signin`, or printed at the first start; following it asks for one more
click, because mail programs follow links by themselves. After a link or a token a code of the
person's authenticator app may be asked for, see `second_step`. A session ends after an hour without
use, after twelve hours, with its token, or when its owner signs out.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from course.store import access, staff_sessions
from course.store.database import Database
from web import first_factor
from web.access import (
    PLAIN_COOKIE,
    SECURE_COOKIE,
    authenticate,
    csrf_token,
    must_be_ours,
    must_not_be_anothers,
    open_door,
    session_id,
)
from web.browser_session import BrowserSessions, local_path
from web.entra import Identity, add_entra
from web.first_factor import FirstFactor
from web.limits import RateLimit, client_address
from web.second_factor import SecondFactors
from web.second_step import SecondStep

TRIES, WITHIN = 20, timedelta(minutes=1)


def create_signin(
    *,
    database: Database,
    clock: Callable[[], datetime],
    public_url: str,
    notice: str,
    factors: SecondFactors,
    secret: str,
    identity: Identity | None = None,
) -> Blueprint:
    """`/signin`, `/signin/{link}`, `/signin/code` and `/signout`; with an `identity` provider its
    own as well. `secret` signs what a browser keeps until somebody is signed in.
    """
    templates = Path(__file__).parent / "templates"
    routes = Blueprint("signin", __name__, template_folder=str(templates))
    sessions = BrowserSessions(
        database=database, clock=clock, is_https=public_url.startswith("https://")
    )
    # Guessing is hopeless by itself; this keeps it from being work. Each address by itself, and
    # failures only, so that nobody keeps others out or out of an office that begins at nine.
    failures = RateLimit(TRIES, WITHIN, told="tries to sign in", clock=clock)

    def failed() -> None:
        failures.note(client_address())
        sessions.note_failure()

    def page(name: str, code: int = 200, **values: object) -> Response:
        return Response(
            render_template(name, notice=notice, **values),
            code,
            mimetype="text/html",
            headers={"Content-Security-Policy": PAGE_POLICY},
        )

    def signin_page(*, after: str, fault: str = "", code: int = 200) -> Response:
        microsoft = identity is not None
        return page("signin.html", code, after=after, fault=fault, microsoft=microsoft)

    second = SecondStep(
        factors=factors,
        sessions=sessions,
        failures=failures,
        secret=secret,
        page=page,
        signin_page=signin_page,
    )
    second.add(routes)

    def enter(first: FirstFactor, *, after: str) -> AnyResponse | None:
        """In, or on to the second step; None when the link or token is not good."""
        staff = first.find(database, now=clock())
        if staff is not None and second.wanted(staff):
            return second.begin(first, after=after)
        return sessions.begin_with(first, after=after)

    if identity is not None:
        add_entra(
            routes,
            identity=identity,
            sessions=sessions,
            secret=secret,
            page=signin_page,
            failures=failures,
        )

    @routes.get("/signin")
    @open_door
    def ask() -> AnyResponse:
        return signin_page(after=local_path(request.args.get("next", "/")))

    @routes.post("/signin")
    @open_door
    def by_token() -> AnyResponse:
        must_not_be_anothers()
        failures.check(client_address())
        token, after = request.form.get("token", "").strip(), request.form.get("next", "/")
        first = first_factor.by_token(database, token, now=clock())
        let_in = enter(first, after=after) if first else None
        if let_in is None:
            failed()
            fault = "This token is not valid: it may have expired, or been mistyped."
            return signin_page(after=local_path(after), fault=fault, code=401)
        return let_in

    @routes.get("/signin/<link>")
    @open_door
    def follow(link: str) -> AnyResponse:
        failures.check(client_address())
        staff = first_factor.by_link(link).find(database, now=clock())
        return page("signin_link.html", 200 if staff else 404, staff=staff)

    @routes.post("/signin/<link>")
    @open_door
    def by_link(link: str) -> AnyResponse:
        must_not_be_anothers()
        failures.check(client_address())
        let_in = enter(first_factor.by_link(link), after="/")
        if let_in is None:
            failed()
            return page("signin_link.html", 404, staff=None)
        return let_in

    @routes.post("/signout")
    @open_door
    def leave() -> AnyResponse:
        session = session_id()
        if session:
            caller = authenticate(database, clock)
            must_be_ours(session)
            everywhere = request.form.get("everywhere") == "yes"
            with database.write() as connection:
                of = None
                if everywhere:
                    of = staff_sessions.find_session(connection, session, now=clock())
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


def csrf_of_page() -> str:
    """The token for the page that is being shown; empty for whoever came with a bearer token."""
    session = session_id()
    return csrf_token(session) if session else ""
