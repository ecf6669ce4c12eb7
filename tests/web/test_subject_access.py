"""The copy of a carer's data: everything of theirs, nobody else's."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from course.model import Facilitator, MessageKind
from course.store import access, statements, tables
from tests.web.conftest import Door
from tests.web.full_cohort import AFTER_WEEK_7, FULL, NAMES, STRANGER, save_full_cohort
from tests.web.report_files import pages_of

pytestmark = pytest.mark.both_databases

MAYA = "full-1"
OTHERS = {
    word for names in NAMES.values() for name in names for word in name.split() if len(word) > 2
} - {"Maya", "Patel"}


@pytest.fixture
def full(door: Door) -> Door:
    """The door with a full cohort, in which much was said."""
    save_full_cohort(door.database)
    door.clock.move(AFTER_WEEK_7 + timedelta(days=1) - door.clock())
    with door.database.write() as connection:
        person = Facilitator(name="Ruth Lindqvist", email="ruth@practice.example")
        connection.execute(
            tables.facilitator.insert().values(
                cohort_id=FULL, position=0, name=person.name, email=person.email
            )
        )
        statements.add_message(
            connection,
            FULL,
            week=4,
            carer_id=MAYA,
            kind=MessageKind.NOTE,
            text="told Ruth Lindqvist that Tom becker lent her a tablet; ask carer3@example.com",
            now=AFTER_WEEK_7,
            settled_by="facilitator Ruth Lindqvist",
        )
        access.add_audit(
            connection,
            actor="facilitator Ruth Lindqvist",
            action="evidence.view",
            subject=f"{FULL}/4/{MAYA}",
            now=AFTER_WEEK_7,
        )
    return door


def test_a_copy_holds_everything_of_the_carers(full: Door) -> None:
    answer = full.call("GET", f"/carers/{MAYA}/export")
    assert answer.headers["Cache-Control"] == "no-store"
    (course,) = answer.get_json()["courses"]
    assert course["you"]["name"] == "Maya Patel"
    assert course["you"]["email"] == "carer1@example.com"
    assert len(course["attendance"]["weeks"]) == 8
    assert len(course["facts"]) > 30
    assert [m["text"] for m in course["messages"] if m["kind"] == "absence"] == [
        "We are at another person's wedding"
    ]
    assert "lent her a tablet" in json.dumps(course["messages"])
    assert len(course["register_versions"]) == 6
    assert course["audit"][0] == {
        "at": AFTER_WEEK_7.isoformat(),
        "who": "facilitator",
        "what": "evidence.view",
        "detail": None,
    }
    told = answer.get_json()
    assert any("7 years" in kept["how_long"] for kept in told["kept"])
    assert told["recipients"]
    assert told["rights"]


def test_a_copy_names_nobody_else(full: Door) -> None:
    copy = full.call("GET", f"/carers/{MAYA}/export").get_data(as_text=True)
    for word in (*OTHERS, STRANGER, "Lindqvist", "becker", "carer3@", "ruth@", "join-full"):
        assert word not in copy, word


def test_the_readable_copy_says_the_same_and_names_nobody_else(full: Door) -> None:
    answer = full.call("GET", f"/carers/{MAYA}/export.pdf")
    assert answer.content_type == "application/pdf"
    text = " ".join(pages_of(answer.data))
    assert "Everything that we hold about you" in text
    assert "Maya Patel" in text
    assert "lent her a tablet" in " ".join(text.split())
    for word in (*OTHERS, STRANGER, "Lindqvist"):
        assert word not in text, word


def test_taking_a_copy_is_in_the_audit_trail_and_for_admins_alone(full: Door) -> None:
    for role in ("facilitator", "viewer"):
        assert full.call("GET", f"/carers/{MAYA}/export", role=role).status_code == 403
    full.call("GET", f"/carers/{MAYA}/export")
    with full.database.read() as connection:
        lines = connection.execute(
            select(tables.audit.c.subject).where(tables.audit.c.action == "carer.export")
        ).scalars()
        assert list(lines) == [f"{FULL}/{MAYA}"]
    assert full.call("GET", "/carers/nobody/export").status_code == 404
