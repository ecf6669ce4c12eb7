"""The second step of signing in by link or token: a code, or setting up the app that makes them.

Between the steps nobody is signed in. That this browser has shown a good link or token is in a
signed cookie of ten minutes, which names it and no person; whether it is still good is looked up
again with every request. `required`: whoever has no app sets one up here, before anything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from flask import Blueprint, Response, redirect, request
from itsdangerous import BadData, URLSafeSerializer
from werkzeug.wrappers import Response as AnyResponse

from course.store.staff_sessions import Staff
from web.access import csrf_token, must_be_ours, open_door
from web.browser_session import BrowserSessions, local_path
from web.entra import SigninPage
from web.first_factor import FirstFactor
from web.limits import RateLimit, client_address
from web.problems import Problem
from web.second_factor import WRONG, Offer, SecondFactors

PENDING = timedelta(minutes=10)
LARGEST = 4000  # characters that a browser keeps of a cookie
LONGEST_WAY = 1000  # of the page to which somebody wanted to go: it has to fit in there
PATH = "/signin/code"


class Page(Protocol):
    """Shows a page of signing in."""

    def __call__(self, name: str, code: int = 200, **values: object) -> Response:
        """The page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """Somebody who has shown a good link or token, and where they want to go."""

    first: FirstFactor
    staff: Staff
    after: str
    cookie: str

    @property
    def actor(self) -> str:
        """How the audit trail names somebody who is not signed in yet."""
        return f"{self.staff.role} {self.staff.name}, not signed in yet"


class SecondStep:
    """What comes after the link or the token, and the routes of it."""

    def __init__(
        self,
        *,
        factors: SecondFactors,
        sessions: BrowserSessions,
        failures: RateLimit,
        secret: str,
        page: Page,
        signin_page: SigninPage,
    ) -> None:
        self._factors, self._sessions, self._failures = factors, sessions, failures
        self._page, self._signin_page = page, signin_page
        self._signer = URLSafeSerializer(secret, salt="pending-signin")
        self._cookie = "__Host-circle-pending" if sessions.is_https else "circle-pending"

    def wanted(self, staff: Staff) -> bool:
        """Whether this person is asked for more than a link or a token."""
        return self._factors.required or self._factors.of(staff.name) is not None

    def begin(self, first: FirstFactor, *, after: str) -> AnyResponse:
        """On to the second step; nobody is signed in by that."""
        until = (self._sessions.clock() + PENDING).isoformat()
        after = local_path(after) if len(after) <= LONGEST_WAY else "/"
        kept = {"kind": first.kind, "ref": first.ref, "after": after, "until": until}
        answer = redirect(PATH, code=303)
        answer.set_cookie(
            self._cookie,
            str(self._signer.dumps(kept)),
            max_age=PENDING,
            secure=self._sessions.is_https,
            httponly=True,
            samesite="Lax",
            path="/",
        )
        return answer

    def add(self, routes: Blueprint) -> None:
        """Add `/signin/code`."""

        @routes.get(PATH)
        @open_door
        def second_step() -> AnyResponse:
            pending = self._pending()
            if pending is None:
                return self._too_late()
            if self._factors.of(pending.staff.name):
                return self._ask(pending)
            return self._show(pending, self._factors.offer(pending.staff.name))

        @routes.post(PATH)
        @open_door
        def second_step_taken() -> AnyResponse:
            pending = self._pending()
            if pending is None:
                return self._too_late()
            must_be_ours(pending.cookie)
            code = request.form.get("code", "")
            if self._factors.of(pending.staff.name):
                return self._by_code(pending, code)
            return self._by_setting_up(pending, code)

    def _by_code(self, pending: Pending, code: str) -> AnyResponse:
        try:
            self._failures.check(client_address())
            good = self._factors.accepts(
                pending.staff.name,
                code,
                tried_with=f"{pending.first.kind} {pending.first.ref}",
                actor=pending.actor,
            )
        except Problem as slower:
            fault = f"{slower.title}. {slower.detail}"
            return self._ask(pending, fault=fault, code=slower.code)
        if not good:
            self._failures.note(client_address())
            return self._ask(pending, fault=WRONG, code=401)
        return self._let_in(pending)

    def _by_setting_up(self, pending: Pending, code: str) -> AnyResponse:
        name = pending.staff.name
        offer = self._factors.offered(name, request.form.get("offer", ""))
        if offer is None:
            fault = "That took too long. Scan this new one."
            return self._show(pending, self._factors.offer(name), fault=fault, code=400)
        if not self._factors.set_up(name, offer, code, actor=pending.actor):
            return self._show(pending, offer, fault=WRONG, code=401)
        return self._let_in(pending)

    def _let_in(self, pending: Pending) -> AnyResponse:
        answer = self._sessions.begin_with(pending.first, after=pending.after)
        return self._too_late() if answer is None else self._forgotten(answer)

    def _pending(self) -> Pending | None:
        """Whoever is between the steps; None when their time, link or token has ended."""
        cookie, now = request.cookies.get(self._cookie, "")[:LARGEST], self._sessions.clock()
        try:
            kept = self._signer.loads(cookie)
        except BadData:
            return None
        if datetime.fromisoformat(kept["until"]) <= now:
            return None
        first = FirstFactor(kept["kind"], kept["ref"])
        staff = first.find(self._sessions.database, now=now)
        # Without an app nobody is asked for a code, unless they are to set one up.
        if staff is None or not self.wanted(staff):
            return None
        return Pending(first=first, staff=staff, after=kept["after"], cookie=cookie)

    def _ask(self, pending: Pending, *, fault: str = "", code: int = 200) -> Response:
        csrf = csrf_token(pending.cookie)
        return self._page("signin_code.html", code, csrf=csrf, fault=fault)

    def _show(
        self, pending: Pending, offer: Offer, *, fault: str = "", code: int = 200
    ) -> Response:
        csrf = csrf_token(pending.cookie)
        return self._page("signin_protect.html", code, csrf=csrf, fault=fault, offer=offer)

    def _too_late(self) -> AnyResponse:
        fault = "Signing in took too long, or its link was used. Begin again."
        return self._forgotten(self._signin_page(after="/", fault=fault, code=400))

    def _forgotten(self, answer: AnyResponse) -> AnyResponse:
        answer.delete_cookie(
            self._cookie, secure=self._sessions.is_https, httponly=True, samesite="Lax"
        )
        return answer
