"""After a session: the platform's own record closes the register, and silence proves nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from course.model import (
    CarerWeek,
    EventKind,
    Participant,
    ParticipantEvent,
    Platform,
    RegisterState,
    Source,
    Verdict,
)
from course.reports import build_report
from course.store import cohorts, evidence, registers, tables
from course.store import series as series_store
from course.store.database import Database
from integration.provider import PlatformRecord, ProviderError
from integration.reconciliation import NotYet, Reconciliation
from tests.factories import FIRST, make_carer, make_cohort
from tests.fakes import FakeClock, FakeProvider

OVER = FIRST + timedelta(hours=1)


class Desk:
    """A cohort of two carers, each a household, with a fake platform behind it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.provider = FakeProvider()
        self.clock = FakeClock(OVER)
        self.closed: list[tuple[str, int]] = []
        self.reconciliation = self.process()
        zoe = make_carer(id="carer-2", name="Zoe Ash", household="H2", email="zoe@example.com")
        cohort = make_cohort(series_ref=None, carers=(make_carer(), zoe))
        with database.write() as connection:
            cohorts.insert_cohort(connection, cohort, {"carer-1": "t1", "carer-2": "t2"})
            series_store.update_series(connection, cohort.id, Platform.ZOOM, series_ref="9")
            for number in (1, 2):
                series_store.save_invitation(
                    connection, f"carer-{number}", Platform.ZOOM, ref=f"r{number}", join_url="u"
                )

    def process(self) -> Reconciliation:
        """One of several processes at work."""
        return Reconciliation(
            database=self.database,
            providers={Platform.ZOOM: self.provider},
            clock=self.clock,
            closed=lambda cohort, week: self.closed.append((cohort.id, week)),
        )

    def recorded(self, invitation: str, until: float = 30) -> None:
        """The platform's record now shows that person from the start of the first session."""
        stay = ParticipantEvent(
            key=f"row-{invitation}",
            platform=Platform.ZOOM,
            kind=EventKind.STAY,
            occurred_at=FIRST,
            until_at=FIRST + timedelta(minutes=until),
            source=Source.PLATFORM_RECORD,
            series_ref="9",
            instance_ref="u",
            connection_ref=f"c-{invitation}",
            participant=Participant(invitation_ref=invitation),
        )
        self.provider.record = PlatformRecord(events=(stay,), complete=True)

    def week(self, carer: str) -> tuple[RegisterState, CarerWeek]:
        with self.database.read() as connection:
            cohort = cohorts.read_cohort(connection, "cohort-1")
            assert cohort is not None
            found = evidence.read_evidence(connection, cohort)
        register = build_report(cohort, found, now=self.clock()).registers[0]
        return register.state, register.weeks[carer]


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def test_a_complete_record_closes_the_register_and_proves_absence(desk: Desk) -> None:
    desk.recorded("r1")
    desk.reconciliation.close("cohort-1", 1, actor="Ann")
    assert desk.week("carer-1")[0] is RegisterState.CLOSED
    assert desk.week("carer-1")[1].minutes_present == 30
    assert desk.week("carer-2")[1].verdict is Verdict.ABSENT


def test_an_empty_record_closes_on_a_persons_word_and_proves_nothing(desk: Desk) -> None:
    desk.reconciliation.close("cohort-1", 1, actor="Ann")
    state, week = desk.week("carer-2")
    assert (state, week.verdict) == (RegisterState.CLOSED, Verdict.UNDETERMINED)


def test_closing_twice_changes_nothing(desk: Desk) -> None:
    desk.recorded("r1")
    desk.reconciliation.close("cohort-1", 1, actor="Ann")
    before = desk.week("carer-1")
    desk.reconciliation.close("cohort-1", 1, actor="Ann")
    assert desk.week("carer-1") == before


def test_late_evidence_after_closing_is_still_counted(desk: Desk) -> None:
    desk.reconciliation.close("cohort-1", 1, actor="Ann")
    desk.recorded("r2")
    desk.reconciliation.close("cohort-1", 1, actor="Ann")
    assert desk.week("carer-2")[1].minutes_present == 30


def test_a_register_is_not_closed_before_its_session(desk: Desk) -> None:
    desk.clock.now = FIRST - timedelta(days=1)
    with pytest.raises(NotYet):
        desk.reconciliation.close("cohort-1", 1, actor="Ann")
    desk.clock.now = FIRST + timedelta(minutes=10)
    with pytest.raises(NotYet):
        desk.reconciliation.close("cohort-1", 1, actor="Ann")


def test_a_platform_that_cannot_be_asked_leaves_the_register_open(desk: Desk) -> None:
    trouble = ProviderError("Zoom does not answer.", permanent=False)
    desk.provider.trouble.append(("fetch_record", trouble))
    with pytest.raises(ProviderError):
        desk.reconciliation.close("cohort-1", 1, actor="Ann")
    assert desk.week("carer-1")[0] is not RegisterState.CLOSED


def test_the_record_is_asked_for_at_growing_intervals_until_it_comes(desk: Desk) -> None:
    desk.clock.now = FIRST + timedelta(minutes=32)
    assert desk.reconciliation.reconcile_due() == 0
    assert desk.provider.calls == []  # five minutes after the end at the earliest
    for minutes, asked in ((36, 1), (37, 1), (41, 2), (44, 2), (51, 3)):
        desk.clock.now = FIRST + timedelta(minutes=minutes)
        desk.reconciliation.reconcile_due()
        assert desk.provider.calls.count("fetch_record") == asked, minutes
    desk.recorded("r1")
    desk.clock.now = FIRST + timedelta(hours=3)
    assert desk.reconciliation.reconcile_due() == 0  # one reading may be of half a record
    desk.clock.move(timedelta(minutes=5))
    assert desk.reconciliation.reconcile_due() == 1
    assert desk.week("carer-1")[0] is RegisterState.CLOSED
    assert desk.reconciliation.reconcile_due() == 0


def test_half_a_record_is_asked_for_again_and_closes_nothing(desk: Desk) -> None:
    with desk.database.write() as connection:
        evidence.save_events(connection, [moved(EventKind.JOINED, 2), moved(EventKind.LEFT, 28)])
    desk.recorded("r1", until=15)
    for minutes in (36, 41, 51, 71):
        desk.clock.now = FIRST + timedelta(minutes=minutes)
        assert desk.reconciliation.reconcile_due() == 0
    assert desk.week("carer-2")[1].verdict is Verdict.UNDETERMINED


def test_after_two_days_without_a_record_a_person_is_asked(desk: Desk) -> None:
    desk.clock.now = FIRST + timedelta(minutes=30) + timedelta(hours=48)
    desk.reconciliation.reconcile_due()
    with desk.database.read() as connection:
        entry = registers.read_register(connection, "cohort-1", 1)
    assert entry.closed_at is None
    assert "A person must settle" in (entry.problem or "")


def test_whoever_looks_for_drift_hears_of_a_closed_register(desk: Desk) -> None:
    desk.recorded("r1")
    desk.reconciliation.close("cohort-1", 1, actor="admin Ann")
    assert desk.closed == [("cohort-1", 1)]


def moved(kind: EventKind, minute: float) -> ParticipantEvent:
    """The first carer comes or goes in another instance than the recorded one."""
    return ParticipantEvent(
        key=f"{kind}-{minute}",
        platform=Platform.ZOOM,
        kind=kind,
        occurred_at=FIRST + timedelta(minutes=minute),
        source=Source.WEBHOOK,
        series_ref="9",
        instance_ref="another",
        connection_ref="live",
        participant=Participant(invitation_ref="r1"),
    )


def versions(desk: Desk) -> list[str]:
    with desk.database.read() as connection:
        table = tables.register_version
        return list(connection.execute(select(table.c.cause).order_by(table.c.id)).scalars())


def test_a_record_is_read_until_two_readings_agree(desk: Desk) -> None:
    desk.recorded("r1")
    end = FIRST + timedelta(minutes=30)
    read_at = []
    for minute in range(240):
        desk.clock.now = end + timedelta(minutes=minute)
        before = desk.provider.calls.count("fetch_record")
        desk.reconciliation.reconcile_due()
        if desk.provider.calls.count("fetch_record") > before:
            read_at.append(minute)
    assert read_at == [5, 10]
    assert versions(desk) == ["closed"]


def test_a_record_that_grows_after_closing_makes_a_new_version(desk: Desk) -> None:
    desk.recorded("r1")
    desk.clock.now = FIRST + timedelta(minutes=65)
    desk.reconciliation.close("cohort-1", 1, actor="Ann")
    assert desk.week("carer-2")[1].verdict is Verdict.ABSENT
    desk.recorded("r2")
    desk.clock.now = FIRST + timedelta(minutes=71)
    desk.reconciliation.reconcile_due()
    assert desk.week("carer-2")[1].minutes_present == 30
    assert desk.closed == [("cohort-1", 1)]  # closed once, changed once
    assert versions(desk) == ["closed", "later evidence"]
    with desk.database.read() as connection:
        actions = connection.execute(select(tables.audit.c.action)).scalars().all()
    assert actions == ["register.close", "register.change"]


def test_lost_notifications_have_the_record_read_again_even_of_a_closed_register(
    desk: Desk,
) -> None:
    desk.recorded("r1")
    desk.reconciliation.close("cohort-1", 1, actor="Ann")
    desk.clock.now = FIRST + timedelta(days=3)
    desk.reconciliation.reconcile_due()
    read = desk.provider.calls.count("fetch_record")
    desk.recorded("r2")
    with desk.database.write() as connection:
        registers.want_records(
            connection, "cohort-1", since=FIRST - timedelta(hours=1), until=desk.clock.now
        )
    desk.reconciliation.reconcile_due()
    assert desk.provider.calls.count("fetch_record") == read + 1
    assert desk.week("carer-2")[1].minutes_present == 30


def test_a_record_that_is_wanted_again_is_not_asked_for_every_minute_in_trouble(
    desk: Desk,
) -> None:
    desk.recorded("r1")
    desk.reconciliation.close("cohort-1", 1, actor="Ann")
    desk.clock.now = FIRST + timedelta(days=4)
    desk.reconciliation.reconcile_due()
    with desk.database.write() as connection:
        registers.want_records(connection, "cohort-1", since=FIRST, until=desk.clock.now)
    read = desk.provider.calls.count("fetch_record")
    down = ProviderError("Zoom does not answer.", permanent=False)
    desk.provider.trouble += [("fetch_record", down)] * 2
    for _ in range(30):
        desk.reconciliation.reconcile_due()
        desk.clock.move(timedelta(minutes=1))
    assert desk.provider.calls.count("fetch_record") == read + 2
    desk.clock.move(timedelta(minutes=15))
    desk.reconciliation.reconcile_due()
    assert desk.provider.calls.count("fetch_record") == read + 3
    assert versions(desk) == ["closed"]


def test_two_readings_at_the_same_time_are_one_and_do_not_agree_with_themselves(
    desk: Desk,
) -> None:
    desk.recorded("r1")
    other = desk.process()
    desk.clock.now = FIRST + timedelta(minutes=36)
    desk.provider.meanwhile["fetch_record"] = other.reconcile_due
    assert desk.reconciliation.reconcile_due() == 0
    assert desk.provider.calls.count("fetch_record") == 1
    assert desk.week("carer-1")[0] is not RegisterState.CLOSED


def test_a_reading_begun_by_a_process_that_died_is_begun_again_by_another(desk: Desk) -> None:
    class Died(BaseException):
        pass

    def die() -> None:
        raise Died

    desk.recorded("r1")
    desk.clock.now = FIRST + timedelta(minutes=36)
    desk.provider.meanwhile["fetch_record"] = die
    with pytest.raises(Died):
        desk.reconciliation.reconcile_due()
    other = desk.process()
    for _ in range(25):
        desk.clock.move(timedelta(minutes=1))
        other.reconcile_due()
    assert desk.week("carer-1")[0] is RegisterState.CLOSED


def test_readings_that_agree_are_minutes_apart(desk: Desk) -> None:
    desk.recorded("r1")
    end = FIRST + timedelta(minutes=30)
    desk.clock.now = end + timedelta(minutes=9)  # the round before took long
    assert desk.reconciliation.reconcile_due() == 0
    desk.clock.now = end + timedelta(minutes=10)
    assert desk.reconciliation.reconcile_due() == 0
    assert desk.provider.calls.count("fetch_record") == 1
    desk.clock.now = end + timedelta(minutes=14)
    assert desk.reconciliation.reconcile_due() == 1


@pytest.mark.parametrize("hours", [13, 25, 37, 47, 60])
def test_a_register_that_is_read_late_for_the_first_time_closes_within_minutes(
    desk: Desk, hours: int
) -> None:
    """After a restore or an outage."""
    desk.recorded("r1")
    desk.clock.now = back = FIRST + timedelta(hours=hours)
    while desk.week("carer-1")[0] is not RegisterState.CLOSED:
        desk.reconciliation.reconcile_due()
        desk.clock.move(timedelta(minutes=1))
        assert desk.clock.now - back < timedelta(minutes=10)
    assert desk.provider.calls.count("fetch_record") <= 2


def test_a_record_that_goes_on_changing_is_read_at_growing_intervals(desk: Desk) -> None:
    desk.clock.now = FIRST + timedelta(hours=13)
    for minutes in range(60):
        desk.recorded(f"r{minutes}")
        desk.reconciliation.reconcile_due()
        desk.clock.move(timedelta(minutes=1))
    assert desk.provider.calls.count("fetch_record") == 2


def test_a_late_record_that_is_empty_is_asked_for_at_growing_intervals(desk: Desk) -> None:
    desk.clock.now = FIRST + timedelta(hours=13)
    for _ in range(60):
        desk.reconciliation.reconcile_due()
        desk.clock.move(timedelta(minutes=1))
    assert desk.provider.calls.count("fetch_record") == 1


def three_days_of(desk: Desk, trouble: ProviderError) -> int:
    """Somebody wishes a closed register's record anew, and the platform never gives it again; how
    often it is asked."""
    desk.recorded("r1")
    desk.reconciliation.close("cohort-1", 1, actor="Ann")
    desk.clock.now = FIRST + timedelta(days=4)
    desk.reconciliation.reconcile_due()
    with desk.database.write() as connection:
        registers.want_records(connection, "cohort-1", since=FIRST, until=desk.clock.now)
    read = desk.provider.calls.count("fetch_record")
    desk.provider.trouble = [("fetch_record", trouble)] * 5_000
    for _ in range(3 * 24 * 4):
        desk.reconciliation.reconcile_due()
        desk.clock.move(timedelta(minutes=15))
    return desk.provider.calls.count("fetch_record") - read


def problem(desk: Desk) -> str:
    with desk.database.read() as connection:
        return registers.read_register(connection, "cohort-1", 1).problem or ""


def test_a_record_that_is_refused_for_good_is_given_up_after_two_days_and_staff_are_told(
    desk: Desk,
) -> None:
    refused = ProviderError("Zoom has no such meeting.", permanent=True)
    assert three_days_of(desk, refused) < 12
    assert problem(desk).startswith("Zoom has no such meeting. ")
    assert "close the register once more" in problem(desk)


def test_a_record_that_never_comes_is_given_up_after_two_days(desk: Desk) -> None:
    assert three_days_of(desk, ProviderError("Zoom does not answer.", permanent=False)) < 200
    assert "close the register once more" in problem(desk)


def test_a_record_that_is_wanted_once_more_has_two_days_of_its_own(desk: Desk) -> None:
    down = ProviderError("Zoom does not answer.", permanent=False)
    three_days_of(desk, down)
    desk.provider.trouble = [("fetch_record", down)]
    desk.recorded("r2")
    with desk.database.write() as connection:
        registers.want_records(connection, "cohort-1", since=FIRST, until=desk.clock.now)
    for _ in range(20):
        desk.reconciliation.reconcile_due()
        desk.clock.move(timedelta(minutes=1))
    assert desk.week("carer-2")[1].minutes_present == 30
    assert problem(desk) == ""
