"""The rule that is stamped on a cohort, and its changes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, update

from course.model import Cohort, CorrectionKind, HouseholdRule, Rule
from course.store import tables


def rule_json(rule: Rule) -> dict[str, Any]:
    """A rule as it is stored; `read_rule` reads it."""
    return {
        "presence": rule.presence,
        "camera": rule.camera,
        "microphone": rule.microphone,
        "late_after_seconds": rule.late_after.total_seconds(),
        "household": rule.household.value,
        "satisfied_by": sorted(kind.value for kind in rule.satisfied_by),
    }


def read_rule(stored: dict[str, Any]) -> Rule:
    """A stored rule."""
    return Rule(
        presence=stored["presence"],
        camera=stored["camera"],
        microphone=stored["microphone"],
        late_after=timedelta(seconds=stored["late_after_seconds"]),
        household=HouseholdRule(stored["household"]),
        satisfied_by=frozenset(CorrectionKind(kind) for kind in stored["satisfied_by"]),
    )


def change_rule(
    connection: Connection, cohort: Cohort, rule: Rule, *, reason: str, made_by: str, now: datetime
) -> None:
    """Give a cohort another rule; which it had before, and why, is kept."""
    connection.execute(
        insert(tables.rule_change).values(
            cohort_id=cohort.id,
            rule=rule_json(rule),
            before=rule_json(cohort.rule),
            reason=reason,
            made_by=made_by,
            made_at=now,
        )
    )
    table = tables.cohort
    connection.execute(update(table).where(table.c.id == cohort.id).values(rule=rule_json(rule)))
