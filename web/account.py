"""The page `/account`: what one's own sign-in asks for, and setting up, changing or removing it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from flask import Blueprint, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from course.store import staff_sessions
from course.store.hashing import token_hash
from course.store.staff_sessions import Staff
from web.access import ROLES, Caller, session_id
from web.page import Pages
from web.problems import Problem
from web.second_factor import WRONG

HERE, APP = "/account", "/account/app"


def add_account(routes: Blueprint, pages: Pages) -> None:
    """Add the page and its forms."""
    factors = pages.factors
    page = partial(pages.add, routes)

    @page(HERE, ROLES)
    def account(caller: Caller) -> AnyResponse:
        return _shown(pages, caller)

    @page(APP, ROLES)
    def new_app(caller: Caller) -> AnyResponse:
        _must_sign_in_here(pages)
        if factors.of(caller.name):
            return redirect(HERE, code=303)
        offer = factors.offer(caller.name)
        return pages.answer("account_app.html", caller=caller, here="account", offer=offer)

    @page(APP, ROLES, "POST")
    def app_shown_a_code(caller: Caller) -> AnyResponse:
        _must_sign_in_here(pages)
        instead = request.form.get("instead") == "yes"
        offer = factors.offered(caller.name, request.form.get("offer", ""), instead=instead)
        if offer is None:
            raise Problem(409, "That took too long", f"Nothing was changed. Begin again at {HERE}.")
        code = request.form.get("code", "")
        if factors.set_up(caller.name, offer, code, actor=caller.actor, instead=instead):
            return redirect(HERE, code=303)
        return pages.answer(
            "account_app.html",
            422,
            caller=caller,
            here="account",
            offer=offer,
            instead=instead,
            fault=WRONG,
        )

    @page(f"{APP}/change", ROLES, "POST")
    def change_app(caller: Caller) -> AnyResponse:
        def changed() -> AnyResponse:
            offer = factors.offer(caller.name, instead=True)
            return pages.answer(
                "account_app.html", caller=caller, here="account", offer=offer, instead=True
            )

        return _with_a_code(pages, caller, changed)

    @page(f"{APP}/remove", ROLES, "POST")
    def remove_app(caller: Caller) -> AnyResponse:
        def removed() -> AnyResponse:
            factors.remove(caller.name, actor=caller.actor)
            return redirect(HERE, code=303)

        if factors.required:
            raise Problem(409, "Everybody needs one here", "You can change to another app.")
        return _with_a_code(pages, caller, removed)


def _shown(pages: Pages, caller: Caller, *, fault: str = "", code: int = 200) -> AnyResponse:
    staff = _signed_in(pages)
    factor = pages.factors.of(caller.name) if staff and not staff.account else None
    return pages.answer(
        "account.html",
        code,
        caller=caller,
        here="account",
        staff=staff,
        factor=factor,
        required=pages.factors.required,
        fault=fault,
    )


def _with_a_code(pages: Pages, caller: Caller, then: Callable[[], AnyResponse]) -> AnyResponse:
    """Do it for whoever holds the app, not for whoever sits at an unlocked browser."""
    session = _must_sign_in_here(pages)
    try:
        good = pages.factors.accepts(
            caller.name,
            request.form.get("code", ""),
            tried_with=f"session {token_hash(session)}",
            actor=caller.actor,
        )
    except Problem as slower:
        fault = f"{slower.title}. {slower.detail}"
        return _shown(pages, caller, fault=fault, code=slower.code)
    return then() if good else _shown(pages, caller, fault=WRONG, code=422)


def _signed_in(pages: Pages) -> Staff | None:
    """Whose session it is; None for a program, which has shown a bearer token instead."""
    session = session_id()
    if session is None or "Authorization" in request.headers:
        return None
    with pages.database.read() as connection:
        return staff_sessions.find_session(connection, session, now=pages.clock())


def _must_sign_in_here(pages: Pages) -> str:
    """The session of somebody who signs in by link or token. Others have nothing to set up."""
    staff, session = _signed_in(pages), session_id()
    if staff is None or session is None:
        raise Problem(409, "For people in a browser", "Programs are not asked for a code.")
    if staff.account:
        raise Problem(409, "Microsoft asks for it", "Your second factor is set up at Microsoft.")
    return session
