"""Households that come back, and households that meet one of their name in another cohort."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta

import pytest

from course.model import AllSessions, Carer, CohortState, ParticipantEvent, Platform, Verdict
from course.reports import AttendanceReport, build_report
from course.store import cohorts, evidence, statements
from course.store import series as series_store
from course.store.database import Database, Transaction
from course.store.erasure import same_person
from integration.amending import Amending, Refused
from integration.households import NewCarer, NewHousehold
from tests.course.evidence import AFTER, SERIES, WEEK_2, carers, held, stay, who
from tests.factories import NOW, make_cohort
from tests.fakes import FakeClock
from tests.integration.conftest import ACTOR, Practice

BOTH = pytest.mark.parametrize("platform", list(Platform))
MAYA, DEV, ANN = (
    NewCarer(name="Maya Patel", email="maya@example.com"),
    NewCarer(name="Dev Patel", email="dev@example.com"),
    NewCarer(name="Ann Oak", email="ann@example.com"),
)
BEFORE_WEEK_3 = WEEK_2 + timedelta(days=3)
WEEK_4 = timedelta(weeks=2)  # after week 2
IPAD = who("iPad", None)


class Desk:
    """Two cohorts on Zoom, each with a household H1 of two carers, and one person who acts."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = FakeClock(NOW)
        self.amending = Amending(database, self.clock)
        here = make_cohort(carers=carers("Maya Patel", "Dev Patel"))
        there = make_cohort(
            id="cohort-2",
            name="Summer 2027",
            series_ref=None,
            carers=tuple(
                replace(carer, id=f"other-{carer.position}", invitation_ref=None)
                for carer in carers("Zoe Ash", "Tom Ash")
            ),
        )
        with database.write() as connection:
            cohorts.insert_cohort(connection, here, {"carer-1": "t1", "carer-2": "t2"})
            cohorts.insert_cohort(connection, there, {"other-0": "t3", "other-1": "t4"})
            series_store.update_series(connection, "cohort-1", Platform.ZOOM, series_ref=SERIES)
            self.invited(connection, "carer-1", "r1")
            self.invited(connection, "carer-2", "r2")

    @staticmethod
    def invited(connection: Transaction, carer_id: str, ref: str) -> None:
        series_store.save_invitation(connection, carer_id, Platform.ZOOM, ref=ref, join_url="u")

    def told(self, events: Sequence[ParticipantEvent], *, later: timedelta = timedelta()) -> None:
        """What the platform says of week 2, or of a later one."""
        moved = [
            replace(
                fact,
                key=f"{later} {number}",
                occurred_at=fact.occurred_at + later,
                instance_ref=f"{later}",
            )
            for number, fact in enumerate(events)
        ]
        with self.database.write() as connection:
            evidence.save_events(connection, moved)

    def people(self, cohort_id: str = "cohort-1") -> list[Carer]:
        with self.database.read() as connection:
            cohort = cohorts.read_cohort(connection, cohort_id)
        assert cohort is not None
        return sorted(cohort.carers, key=lambda c: c.order)

    def staying(self, cohort_id: str = "cohort-1") -> list[tuple[str, str]]:
        return [(c.household, c.name) for c in self.people(cohort_id) if c.withdrawn_at is None]

    def report(self) -> AttendanceReport:
        with self.database.read() as connection:
            cohort = cohorts.read_cohort(connection, "cohort-1")
            assert cohort is not None
            found = evidence.read_evidence(connection, cohort)
        return build_report(cohort, found, now=AFTER)

    def leave(self, *carer_ids: str) -> None:
        for carer_id in carer_ids:
            self.amending.withdraw("cohort-1", carer_id, expected=None, actor=ACTOR)

    def enrol(self, reference: str, *people: NewCarer) -> int | None:
        household = NewHousehold(reference=reference, carers=people)
        return self.amending.enrol("cohort-1", household, expected=None, actor=ACTOR)

    def transfer(self, reference: str, here: str, there: str) -> str:
        """The reference in the other cohort."""
        return self.amending.transfer(here, reference, there, expected=None, actor=ACTOR).household


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def test_a_household_that_left_comes_back_under_its_reference(desk: Desk) -> None:
    desk.leave("carer-1", "carer-2")
    desk.clock.now = BEFORE_WEEK_3
    assert desk.enrol("H1", MAYA, DEV) is not None
    assert desk.enrol("H1", MAYA, DEV) is None  # the same click
    assert desk.staying() == [("H1", "Maya Patel"), ("H1", "Dev Patel")]
    assert len(desk.people()) == 4


def test_a_father_and_a_son_of_one_name_stay_two_people(desk: Desk) -> None:
    son = NewCarer(name="Tom Hill", email="son@example.com")
    father = NewCarer(name="Tom Hill", email="father@example.com")
    desk.enrol("H9", son, father)
    was = {c.id: c.email for c in desk.people() if c.household == "H9"}
    desk.leave(*was)
    desk.clock.now = BEFORE_WEEK_3
    desk.enrol("H9", father, replace(son, email="son@example.org"))
    back = [c for c in desk.people() if c.household == "H9" and c.withdrawn_at is None]
    # The son's address is another one now: nothing says that he was the one of the two.
    assert [was.get(c.transferred_from or "") for c in back] == ["father@example.com", None]


def test_one_of_a_couple_is_withdrawn_and_enrolled_again_beside_the_other(desk: Desk) -> None:
    desk.leave("carer-2")
    desk.clock.now = BEFORE_WEEK_3
    moved = replace(DEV, email="dev.patel@example.org")
    assert desk.enrol("H1", MAYA, moved) is not None
    assert desk.staying() == [("H1", "Maya Patel"), ("H1", "Dev Patel")]
    assert [c.id for c in desk.people() if c.name == "Maya Patel"] == ["carer-1"]


def test_who_comes_back_is_judged_by_the_weeks_since_and_blamed_for_none_before(
    desk: Desk,
) -> None:
    first = [*held(), *stay(0, 120, "c1"), *stay(0, 120, "c2", who("Dev Patel", "r2"))]
    desk.told(first)  # week 2, while both took part
    desk.clock.now = BEFORE_WEEK_3
    desk.leave("carer-1")
    desk.clock.now = BEFORE_WEEK_3 + timedelta(days=8)  # week 3 was held without her
    desk.told([*held(), *stay(0, 120, "c3", who("Dev Patel", "r2"))], later=timedelta(weeks=1))
    desk.enrol("H1", MAYA, DEV)
    again = next(c for c in desk.people() if c.name == "Maya Patel" and c.withdrawn_at is None)
    with desk.database.write() as connection:
        # To the platform an address is one person: the link may be the one from before.
        desk.invited(connection, again.id, "r1")
    desk.told(first, later=WEEK_4)
    report = desk.report()
    weeks = [r.weeks for r in report.registers]
    assert [w["carer-1"].minutes_present for w in weeks[:4]] == [0, 120, 0, 0]
    assert [w[again.id].minutes_present for w in weeks[:4]] == [0, 0, 0, 120]
    assert [w[again.id].verdict for w in weeks[:3]] == [Verdict.PENDING] * 3
    assert weeks[3]["carer-1"].verdict is Verdict.PENDING
    assert report.households["H1"].missed_weeks == ()
    assert report.households["H1"].all_sessions is not AllSessions.MISSED
    assert report.registers[3].unmatched == ()


def test_by_the_name_and_the_own_join_page_the_one_who_takes_part_is_known(desk: Desk) -> None:
    desk.leave("carer-1", "carer-2")
    desk.clock.now = BEFORE_WEEK_3
    desk.enrol("H1", MAYA, DEV)
    again = next(c for c in desk.people() if c.name == "Maya Patel" and c.withdrawn_at is None)
    seen = who("Maya Patel", None)
    desk.told([*held(), *stay(0, 120, "c1", seen)], later=WEEK_4)
    register = desk.report().registers[3]
    (stranger,) = register.unmatched
    assert [s.carer_id for s in stranger.suggestions if s.score == 1] == [again.id]


def test_other_people_do_not_take_over_the_reference_of_a_household_that_left(desk: Desk) -> None:
    desk.leave("carer-1", "carer-2")
    with pytest.raises(
        Refused, match=r"H1 was another household, which has left.*such as H2"
    ) as no:
        desk.enrol("H1", ANN)
    assert (no.value.kind, no.value.field) == ("unacceptable", "reference")
    assert desk.enrol("H2", ANN) is not None


def test_a_reference_that_a_household_has_is_no_other_households(desk: Desk) -> None:
    with pytest.raises(Refused, match=r"H1 is another household of this cohort.*such as H2"):
        desk.enrol("H1", ANN)


def test_a_household_meets_its_name_in_the_other_cohort_and_gets_a_free_one(desk: Desk) -> None:
    assert desk.transfer("H1", "cohort-1", "cohort-2") == "H2"
    assert desk.transfer("H1", "cohort-1", "cohort-2") == "H2"  # the same click
    assert desk.staying("cohort-2") == [
        ("H1", "Zoe Ash"),
        ("H1", "Tom Ash"),
        ("H2", "Maya Patel"),
        ("H2", "Dev Patel"),
    ]
    assert desk.staying() == []


def test_a_transferred_household_can_be_transferred_back_and_there_again(desk: Desk) -> None:
    assert desk.transfer("H1", "cohort-1", "cohort-2") == "H2"
    assert desk.transfer("H2", "cohort-2", "cohort-1") == "H1"
    assert desk.transfer("H1", "cohort-1", "cohort-2") == "H2"
    assert [name for _, name in desk.staying("cohort-2")] == [
        "Zoe Ash",
        "Tom Ash",
        "Maya Patel",
        "Dev Patel",
    ]
    assert desk.staying() == []


def test_the_reference_of_other_people_who_left_is_not_taken_over_by_a_transfer(
    desk: Desk,
) -> None:
    for carer_id in ("other-0", "other-1"):
        desk.amending.withdraw("cohort-2", carer_id, expected=None, actor=ACTOR)
    assert desk.transfer("H1", "cohort-1", "cohort-2") == "H2"


def test_who_comes_back_is_the_same_person_for_an_erasure(desk: Desk) -> None:
    desk.leave("carer-1", "carer-2")
    desk.enrol("H1", MAYA)
    again = next(c for c in desk.people() if c.withdrawn_at is None)
    with desk.database.read() as connection:
        assert {*same_person(connection, again.id)} == {"carer-1", again.id}


@BOTH
@pytest.mark.parametrize("is_gone_there", [True, False])
def test_whoever_comes_back_is_let_in_again(
    practice: Practice, platform: Platform, *, is_gone_there: bool
) -> None:
    cohort = practice.open(
        platform=platform, organiser="host@practice.example", first_session_on=date(2027, 2, 27)
    )
    for carer in cohort.carers:
        if carer.household == "H1":
            practice.scheduling.withdraw(cohort.id, carer.id, expected=None, actor=ACTOR)
    if is_gone_there:
        practice.finished(cohort.id)
        assert practice.platforms.people(platform) == ["zoe@example.com"]
    household = NewHousehold(reference="H1", carers=(MAYA, DEV))
    practice.scheduling.enrol(cohort.id, household, expected=None, actor=ACTOR)
    after = practice.finished(cohort.id)
    assert (after.state, after.problem) == (CohortState.READY, None)
    assert practice.platforms.people(platform) == [
        "dev@example.com",
        "maya@example.com",
        "zoe@example.com",
    ]
    with practice.database.read() as connection:
        found = cohorts.read_enrolments(connection, cohort.id)
    links = {e.carer.name: e.platform_join_url for e in found if e.carer.withdrawn_at is None}
    assert all(links.values())


def pointed_out(desk: Desk) -> None:
    """In week 2 a facilitator says that "iPad" is Maya."""
    desk.told([*held(), *stay(0, 120, "c1", IPAD)])
    (stranger,) = desk.report().registers[1].unmatched
    said(desk, stranger.ref, "carer-1")


def said(desk: Desk, ref: str, carer_id: str) -> None:
    with desk.database.write() as connection:
        statements.add_link(
            connection,
            "cohort-1",
            ref=ref,
            carer_id=carer_id,
            taken_back=False,
            made_by="Ann",
            now=desk.clock.now,
        )


def enrolled_again(desk: Desk) -> str:
    return next(c.id for c in desk.people() if c.name == "Maya Patel" and c.withdrawn_at is None)


def left_and_came_back(desk: Desk) -> None:
    desk.leave("carer-1", "carer-2")
    desk.enrol("H1", MAYA)


def was_transferred_and_back(desk: Desk) -> None:
    desk.transfer(desk.transfer("H1", "cohort-1", "cohort-2"), "cohort-2", "cohort-1")


def went_twice(desk: Desk) -> None:
    was_transferred_and_back(desk)
    desk.clock.now += timedelta(hours=1)
    was_transferred_and_back(desk)


@pytest.mark.parametrize("story", [left_and_came_back, was_transferred_and_back, went_twice])
def test_a_remembered_word_names_the_person_also_after_they_came_back(
    desk: Desk, story: Callable[[Desk], None]
) -> None:
    pointed_out(desk)
    desk.clock.now = BEFORE_WEEK_3
    story(desk)
    desk.told([*held(), *stay(0, 120, "c1", IPAD)], later=WEEK_4)
    report = desk.report()
    again = enrolled_again(desk)
    weeks = [r.weeks for r in report.registers]
    assert weeks[1]["carer-1"].minutes_present == 120
    assert weeks[3][again].minutes_present == 120
    assert weeks[3]["carer-1"].minutes_present == 0
    assert weeks[3][again].verdict is not Verdict.ABSENT
    assert report.registers[3].unmatched == ()


def test_a_word_said_after_they_came_back_names_the_person_in_the_weeks_before_too(
    desk: Desk,
) -> None:
    desk.told([*held(), *stay(0, 120, "c1", IPAD)])
    desk.clock.now = BEFORE_WEEK_3
    left_and_came_back(desk)
    (stranger,) = desk.report().registers[1].unmatched
    again = enrolled_again(desk)
    said(desk, stranger.ref, again)
    weeks = desk.report().registers[1].weeks
    assert (weeks["carer-1"].minutes_present, weeks[again].minutes_present) == (120, 0)


def test_a_word_about_weeks_without_them_stays_with_whom_it_named(desk: Desk) -> None:
    pointed_out(desk)
    desk.clock.now = BEFORE_WEEK_3
    desk.leave("carer-1")
    desk.told([*held(), *stay(0, 120, "c1", IPAD)], later=timedelta(weeks=1))
    desk.clock.now = BEFORE_WEEK_3 + timedelta(days=8)
    desk.enrol("H1", MAYA, DEV)
    weeks = desk.report().registers[2].weeks
    assert weeks["carer-1"].minutes_present == 120
    assert weeks[enrolled_again(desk)].minutes_present == 0


def test_a_link_from_before_is_known_after_a_way_through_another_cohort(desk: Desk) -> None:
    desk.clock.now = BEFORE_WEEK_3
    was_transferred_and_back(desk)
    again = enrolled_again(desk)
    desk.told([*held(), *stay(0, 120, "c1", who("iPad", "r1"))], later=WEEK_4)
    weeks = desk.report().registers[3].weeks
    assert (weeks["carer-1"].minutes_present, weeks[again].minutes_present) == (0, 120)
