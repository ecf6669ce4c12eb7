"""The course as data: eight weeks with their topics, the usual lengths, the fee."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time

MOST_HOUSEHOLDS = 500  # of one cohort: with so many, reports and pages are still quick


@dataclass(frozen=True, slots=True, kw_only=True)
class Programme:
    """What is offered. Lengths are minutes; the fees are pounds sterling; `places` are households
    in one cohort.
    """

    topics: tuple[str, ...]
    first_session_minutes: int
    session_minutes: int
    shortest_session_minutes: int
    longest_session_minutes: int
    shortest_first_session_minutes: int
    starts_at: time
    fee_for_one: int
    fee_for_two: int
    places: int

    def fee(self, carers: int) -> int:
        """The fee of a household."""
        return self.fee_for_one if carers == 1 else self.fee_for_two


COURSE = Programme(
    topics=(
        "The concept of the Circle",
        "Exploring our children's needs all the way around the Circle",
        "Being with: helping our children manage their emotions",
        "Being with: infants on the Circle",
        "The path to security",
        "Exploring our own struggles",
        "Rupture and repair",
        "Summary and our own celebration",
    ),
    first_session_minutes=30,
    session_minutes=120,
    shortest_session_minutes=90,
    longest_session_minutes=120,
    shortest_first_session_minutes=15,
    starts_at=time(10, 0),
    fee_for_one=630,
    fee_for_two=700,
    places=12,
)
