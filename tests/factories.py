"""Plain functions that make what tests need; a test changes only what matters to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from course.model import Carer, Cohort, CohortState, HouseholdRule, Platform, Rule, Session
from integration.scheduling import NewCarer, NewCohort, NewHousehold

NOW = datetime(2027, 1, 4, 9, 0, tzinfo=UTC)
FIRST = datetime(2027, 1, 9, 10, 0, tzinfo=UTC)


def make_sessions(first: datetime = FIRST) -> tuple[Session, ...]:
    """Eight winter Saturdays: 30 minutes, then 120."""
    return tuple(
        Session(
            week=week,
            topic=f"Topic {week}",
            starts_at=first + timedelta(weeks=week - 1),
            ends_at=first + timedelta(weeks=week - 1) + timedelta(minutes=30 if week == 1 else 120),
        )
        for week in range(1, 9)
    )


def make_carer(**changes: Any) -> Carer:
    """A carer of household H1."""
    return replace(
        Carer(
            id="carer-1",
            name="Maya Patel",
            email="maya@example.com",
            household="H1",
            position=0,
            enrolled_at=NOW,
        ),
        **changes,
    )


def make_cohort(**changes: Any) -> Cohort:
    """A cohort of one carer on Zoom."""
    return replace(
        Cohort(
            id="cohort-1",
            name="Spring 2027",
            platform=Platform.ZOOM,
            state=CohortState.READY,
            timezone="Europe/London",
            organiser="host@example.org",
            rule=Rule(),
            sessions=make_sessions(),
            carers=(make_carer(),),
            created_at=NOW,
            series_ref="81000000001",
        ),
        **changes,
    )


def make_new_cohort(**changes: Any) -> NewCohort:
    """What staff ask for: two households, three carers, from 9 January 2027."""
    return replace(
        NewCohort(
            name="Spring 2027",
            platform=Platform.ZOOM,
            first_session_on=date(2027, 1, 9),
            skip_dates=(),
            organiser="host@example.org",
            session_minutes=120,
            first_session_minutes=30,
            starts_at=time(10, 0),
            household_rule=HouseholdRule.EVERY_CARER,
            facilitators=(),
            households=(
                NewHousehold(
                    reference="H1",
                    carers=(
                        NewCarer(name="Maya Patel", email="maya@example.com"),
                        NewCarer(name="Dev Patel", email="dev@example.com"),
                    ),
                ),
                NewHousehold(
                    reference="H2", carers=(NewCarer(name="Zoë Ash", email="zoe@example.com"),)
                ),
            ),
            allow_past=False,
        ),
        **changes,
    )
