"""Who may come in: bearer tokens, roles, and a mark on every route that says for whom it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from flask import request

from course.store import access
from course.store.database import Database
from web.problems import Problem

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
    """The caller by their bearer token; anything else is 401, in the same words."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    found = None
    if kind.lower() == "bearer" and token.isascii() and 0 < len(token) <= 200:
        with database.read() as connection:
            found = access.find_token(connection, token.strip(), now=clock())
    if found is None:
        raise Problem(
            401,
            "Who are you?",
            "Send a valid token as Authorization: Bearer TOKEN; circle token create makes one.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return Caller(
        name=found.name,
        role=found.role,
        cohort_ids=None if found.role == "admin" else found.cohort_ids,
    )
