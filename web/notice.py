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

INTERVAL_DAYS, VERDICT_YEARS, LINK_DAYS = 90, 7, 14
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
    """Who is responsible, whom to ask, and on which lawful basis; empty: a careful wording."""

    name: str = ""
    contact: str = ""
    basis: str = ""
    notification_days: int = 30


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
            "interval_days": INTERVAL_DAYS,
            "verdict_years": VERDICT_YEARS,
            "link_days": LINK_DAYS,
            "platform": name,
            "company": company,
            "bot": self.has_bot,
        }

    def version(self) -> str:
        """Another one whenever a word is another."""
        text = render_template("join_privacy_text.html", **self.values())
        return hashlib.sha256(text.encode()).hexdigest()[:12]
