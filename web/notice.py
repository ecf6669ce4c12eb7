"""The privacy notice for parents: its words, and the version under which they were shown.

The version is a short hash of the very text, so that other words, settings or another platform are
another version, and nobody can forget to raise a number.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from flask import render_template

from course.model import Platform

PROVIDERS = {
    Platform.ZOOM: ("Zoom", "Zoom Communications"),
    Platform.TEAMS: ("Microsoft Teams", "Microsoft"),
}
BASIS = (
    "We rely on our legitimate interest in running the course that you booked (UK GDPR, "
    "Article 6(1)(f)). Taking part may say something about the health or care of your family; "
    "for that we rely on providing health or social care under a duty of confidence "
    "(Article 9(2)(h))."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Practice:
    """Who is responsible, whom to ask, on which lawful basis (empty: a careful wording), and how
    many days each kind is kept.
    """

    name: str = ""
    contact: str = ""
    basis: str = ""
    notification_days: int = 30
    interval_days: int = 90
    record_days: int = 2557
    link_days: int = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """The notice for the cohorts of one platform. Needs Flask's application context."""

    practice: Practice
    platform: Platform
    has_bot: bool

    def values(self) -> dict[str, Any]:
        """What `join_privacy_text.html` is filled in with, the same for a platform's cohorts."""
        name, company = PROVIDERS[self.platform]
        return {
            "practice": self.practice.name or "your practice",
            "responsible": self.practice.name or "The practice that invited you to this course",
            "contact": self.practice.contact,
            "basis": self.practice.basis or BASIS,
            "notification_days": self.practice.notification_days,
            "interval_days": self.practice.interval_days,
            "records": _long(self.practice.record_days),
            "link_days": self.practice.link_days,
            "platform": name,
            "company": company,
            "bot": self.has_bot,
        }

    def version(self) -> str:
        """Another one whenever a word is another."""
        text = render_template("join_privacy_text.html", **self.values())
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def _long(days: int) -> str:
    """A long time as people say it."""
    years = round(days / 365.25)
    return f"{years} years" if abs(days - years * 365.25) < 2 <= years else f"{days} days"
