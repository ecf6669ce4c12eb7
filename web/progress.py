"""How far the opening of a cohort is, step by step, as staff may watch it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from course.model import Cohort, CohortState, Platform, SessionState
from course.store import mail, watches
from course.store.cohorts import Enrolment
from course.store.database import Connection

# Zoom tells of all meetings of an account at one address; Teams is asked meeting by meeting.
WATCHED_EACH = frozenset({Platform.TEAMS})


def progress_of(
    connection: Connection,
    cohort: Cohort,
    enrolments: Sequence[Enrolment],
    *,
    sends_mail: bool,
) -> list[dict[str, Any]]:
    """The steps in their order: `says` what, `done` of `of`."""
    platform = cohort.platform.value.capitalize()
    planned = [s for s in cohort.sessions if s.state is SessionState.SCHEDULED]
    active = [e for e in enrolments if e.carer.withdrawn_at is None]
    steps = [
        (f"The meetings on {platform}", int(cohort.series_ref is not None), 1),
        (
            f"Each Saturday, read back from {platform} and compared",
            sum(s.occurrence_ref is not None for s in planned),
            len(planned),
        ),
    ]
    if active:
        linked = sum(e.platform_join_url is not None for e in active)
        steps.append(("A link of their own for every carer", linked, len(active)))
    if cohort.platform in WATCHED_EACH:
        live = watches.live_watches(connection, cohort.id)
        heard = any(w.watch_ref and w.platform is cohort.platform for w in live)
        steps.append(("Hearing from Teams who comes", int(heard), 1))
    if active and sends_mail:
        told = {m.carer_id for m in mail.read_mail(connection, cohort.id) if m.sent_at}
        sent = sum(e.carer.id in told for e in active)
        steps.append(("Mail to every carer with link and calendar", sent, len(active)))
    return [{"says": says, "done": done, "of": of} for says, done, of in steps]


def is_under_way(cohort: Cohort) -> bool:
    """Whether there is anything to watch."""
    return cohort.state is CohortState.OPENING
