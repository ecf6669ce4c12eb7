"""Standings and what needs a person, in rows: always what the evidence says, whatever happened."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, text, update

from course.model import (
    Cohort,
    CohortState,
    CorrectionKind,
    EventKind,
    MessageKind,
    Participant,
    ParticipantEvent,
    Platform,
    RegisterEntry,
    Source,
    Verdict,
)
from course.store import (
    change_log,
    changes,
    cohorts,
    evidence,
    mail,
    registers,
    rehearsals,
    standings,
    statements,
    tables,
    watches,
)
from course.store import series as series_store
from course.store.database import Connection, Database
from course.store.rectifying import rectify, restrict
from course.store.rules import change_rule
from course.store.watches import StoredWatch
from integration.standings import Standings
from tests.factories import FIRST, NOW, make_carer, make_cohort
from tests.fakes import FakeClock

_numbers = itertools.count(1)


class Practice:
    """One more cohort of two carers, and the ways in which something about it changes."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = FakeClock(FIRST - timedelta(days=1))
        self.chores = Standings(database, self.clock)
        number = next(_numbers)
        self.id, self.series = f"c{number}", f"8100000{number}"
        self.carers = [f"{self.id}-a", f"{self.id}-b"]
        cohort = make_cohort(
            id=self.id,
            series_ref=None,
            carers=tuple(
                make_carer(id=carer, name=name, position=position)
                for position, (carer, name) in enumerate(
                    zip(self.carers, ("Maya Patel", "Dev Patel"), strict=True)
                )
            ),
        )
        with database.write() as connection:
            cohorts.insert_cohort(connection, cohort, {carer: carer for carer in self.carers})
            series_store.update_series(connection, self.id, Platform.ZOOM, series_ref=self.series)
            for position, carer in enumerate(self.carers):
                series_store.save_invitation(
                    connection, carer, Platform.ZOOM, ref=f"{self.id}-r{position}", join_url=None
                )

    def do(self, what: str, week: int, who: int) -> None:
        """One change, at this moment."""
        if what == "time passes":
            self.clock.move(timedelta(hours=(week * 31) + who))
        elif what == "a minute":
            self.chores.keep()
        else:
            with self.database.write() as connection:
                cohort = cohorts.read_cohort(connection, self.id)
                assert cohort is not None
                getattr(self, f"_{what.replace(' ', '_')}")(connection, cohort, week, who)

    def _somebody_comes(self, connection: Connection, cohort: Cohort, week: int, who: int) -> None:
        self._tell(connection, cohort, week, who, tuple(EventKind))

    def _somebody_joins(self, connection: Connection, cohort: Cohort, week: int, who: int) -> None:
        self._tell(connection, cohort, week, who, (EventKind.INSTANCE_STARTED, EventKind.JOINED))

    def _tell(
        self,
        connection: Connection,
        cohort: Cohort,
        week: int,
        who: int,
        kinds: tuple[EventKind, ...],
    ) -> None:
        ref = f"{self.id}-r{who}" if who < 2 else None
        name = ("Maya Patel", "Dev Patel", "Galaxy Tab")[who]
        session = cohort.sessions[week - 1]
        told: dict[str, Any] = {
            "platform": Platform.ZOOM,
            "source": Source.WEBHOOK,
            "series_ref": self.series,
            "instance_ref": f"{self.id}-{week}",
            "received_at": self.clock.now,
        }
        seat = {
            "connection_ref": f"{self.id}-{week}-{who}",
            "participant": Participant(display_name=name, invitation_ref=ref),
        }
        moments: tuple[tuple[EventKind, datetime, dict[str, Any]], ...] = (
            (EventKind.INSTANCE_STARTED, session.starts_at, {}),
            (EventKind.JOINED, session.starts_at + timedelta(minutes=who), seat),
            (EventKind.LEFT, session.ends_at - timedelta(minutes=20 * who), seat),
            (EventKind.INSTANCE_ENDED, session.ends_at, {}),
        )
        evidence.save_events(
            connection,
            [
                ParticipantEvent(
                    key=f"{self.id}|{kind}|{at}|{who if more else ''}",
                    kind=kind,
                    occurred_at=at,
                    **told,
                    **more,
                )
                for kind, at, more in moments
                if kind in kinds
            ],
        )

    def _a_correction(self, connection: Connection, cohort: Cohort, week: int, who: int) -> None:
        said = (Verdict.ATTENDED, Verdict.ABSENT, None)[who]
        statements.add_correction(
            connection,
            cohort.id,
            week=week,
            carer_id=self.carers[who % 2],
            verdict=said,
            kind=CorrectionKind.EXCUSED if said else None,
            reason="saw them",
            made_by="Ann",
            now=self.clock.now,
        )

    def _an_identity(self, connection: Connection, cohort: Cohort, week: int, who: int) -> None:
        derived = standings.derive(connection, cohort.id, now=self.clock.now)
        for ref in [item.ref for item in derived.items if item.ref][:1]:
            statements.add_link(
                connection,
                cohort.id,
                ref=ref,
                carer_id=self.carers[who % 2],
                taken_back=week > 6,
                made_by="Ann",
                now=self.clock.now,
            )

    def _an_attestation(self, connection: Connection, cohort: Cohort, week: int, who: int) -> None:
        statements.add_attestation(
            connection,
            cohort.id,
            week=week,
            carer_id=self.carers[who % 2],
            with_carer_id=self.carers[1 - who % 2] if who < 2 else None,
            reason="both were there",
            made_by="Ann",
            now=self.clock.now,
        )

    def _a_message(self, connection: Connection, cohort: Cohort, week: int, who: int) -> None:
        about: dict[str, Any] = {
            "week": week,
            "carer_id": self.carers[who % 2],
            "kind": MessageKind.CONTEST,
        }
        statements.take_message_back(connection, cohort.id, **about, now=self.clock.now)
        if who < 2:
            statements.add_message(
                connection, cohort.id, **about, text="I was there", now=self.clock.now
            )

    def _a_message_settled(
        self, connection: Connection, cohort: Cohort, _week: int, _who: int
    ) -> None:
        for message in statements.read_messages(connection, cohort.id)[:1]:
            statements.settle_message(
                connection, cohort.id, message.id, settled_by="Ann", now=self.clock.now
            )

    def _a_register_closed(
        self, connection: Connection, cohort: Cohort, week: int, who: int
    ) -> None:
        entry = RegisterEntry(week=week, closed_at=self.clock.now, record_complete=who > 0)
        registers.save_register(connection, cohort.id, entry, {})

    def _a_session_moved(self, connection: Connection, cohort: Cohort, week: int, who: int) -> None:
        session, by = cohort.sessions[week - 1], timedelta(hours=who - 1)
        changes.save_session(
            connection,
            cohort.id,
            replace(session, starts_at=session.starts_at + by, ends_at=session.ends_at + by),
        )

    def _somebody_leaves(self, connection: Connection, _: Cohort, _week: int, who: int) -> None:
        changes.withdraw_carers(connection, [self.carers[who % 2]], now=self.clock.now)

    def _another_rule(self, connection: Connection, cohort: Cohort, week: int, _who: int) -> None:
        rule = replace(cohort.rule, presence=week / 10, camera=week / 8)
        change_rule(connection, cohort, rule, reason="agreed", made_by="Ann", now=self.clock.now)

    def _a_cohort_in_trouble(
        self, connection: Connection, cohort: Cohort, week: int, who: int
    ) -> None:
        state = CohortState.READY if who == 0 else CohortState.NEEDS_ATTENTION
        changes.show_state(connection, cohort.id, cohort.version, state, f"Week {week} is gone.")

    def _a_subscription_fails(
        self, connection: Connection, cohort: Cohort, week: int, who: int
    ) -> None:
        watch = StoredWatch(
            id=f"w{next(_numbers)}",
            cohort_id=cohort.id,
            platform=Platform.ZOOM,
            series_ref=self.series,
            client_state=f"state-{next(_numbers)}",
            certificate_ref="c1",
            made_at=self.clock.now,
        )
        watches.insert_watch(connection, watch)
        watches.update_watch(
            connection, watch.id, problem=f"Refused {week} times." if who else None
        )

    def _a_letter_fails(self, connection: Connection, cohort: Cohort, week: int, who: int) -> None:
        mail.plan_mail(
            connection,
            cohort_id=cohort.id,
            carer_id=self.carers[who % 2],
            kind="invitation",
            timetable=f"t{week}",
            now=self.clock.now,
        )
        for letter in mail.read_mail(connection, cohort.id)[:1]:
            mail.note_mail(connection, letter.id, sent_at=None, problem="The address is unknown.")

    def _a_rehearsal(self, connection: Connection, cohort: Cohort, week: int, _who: int) -> None:
        begins = cohort.sessions[week - 1].starts_at - timedelta(minutes=45)
        rehearsals.offer_rehearsal(
            connection,
            cohort.id,
            starts_at=begins,
            ends_at=begins + timedelta(minutes=60),
            offered_by="Ann",
            now=self.clock.now,
        )

    def _a_restriction(self, connection: Connection, cohort: Cohort, week: int, who: int) -> None:
        since = self.clock.now if week < 5 else None
        restrict(connection, cohort.carers[who % 2].id, since=since)

    def _another_name(self, connection: Connection, cohort: Cohort, week: int, who: int) -> None:
        rectify(
            connection,
            cohort.carers[who % 2],
            name=f"Robin {'ABCDEFGH'[week - 1]}shby",
            email="robin@example.com",
            phone=None,
            reason="they said so",
            made_by="Ann",
            now=self.clock.now,
        )

    def _another_link(self, connection: Connection, _: Cohort, week: int, who: int) -> None:
        carer = self.carers[who % 2]
        series_store.forget_invitations(connection, [carer], Platform.ZOOM)
        if week < 7:
            series_store.save_invitation(
                connection, carer, Platform.ZOOM, ref=f"{self.id}-n{week}", join_url=None
            )

    def agree(self) -> None:
        """What is stored is what follows from the evidence alone."""
        with self.database.read() as connection:
            fresh = standings.derive(connection, self.id, now=self.clock.now)
            stored = {
                to_admin: standings.page_of_items(connection, to_admin=to_admin, only_ids=[self.id])
                for to_admin in (True, False)
            }
            table = tables.standing
            rows = connection.execute(
                select(table.c.carer_id, table.c.all_sessions, table.c.missed_weeks).where(
                    table.c.cohort_id == self.id
                )
            ).all()
        assert fresh.changes == ()
        for to_admin, expected in ((True, fresh.items), (False, fresh.veiled)):
            found, total = stored[to_admin]
            assert sorted(map(repr, (item for _, _, item in found))) == sorted(map(repr, expected))
            assert total == len(expected)
            assert [item.since for _, _, item in found] == [item.since for item in expected]
        assert {row[0]: (row[1], tuple(row[2])) for row in rows} == {
            carer: (stand.all_sessions.value, stand.missed_weeks)
            for carer, stand in fresh.carers.items()
        }


WHAT = (
    *("time passes", "a minute", "somebody comes", "a correction", "an identity"),
    *("an attestation", "a message", "a message settled", "a register closed"),
    *("a session moved", "somebody leaves", "another rule", "a cohort in trouble"),
    *("a subscription fails", "a letter fails", "a rehearsal", "another link"),
    *("a restriction", "another name"),
)


STEPS = st.lists(
    st.tuples(st.sampled_from(WHAT), st.integers(1, 8), st.integers(0, 2)), max_size=14
)


def test_after_any_changes_the_rows_are_those_of_a_fresh_derivation(database: Database) -> None:
    @settings(
        max_examples=40 if database.is_sqlite else 10,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(steps=STEPS)
    def holds(steps: list[tuple[str, int, int]]) -> None:
        practice = Practice(database)
        for step in steps:
            practice.do(*step)
        practice.clock.move(timedelta(hours=3))  # nothing is being held any more
        practice.chores.keep()
        practice.agree()

    holds()


def test_each_way_of_changing_is_noticed_by_itself(database: Database) -> None:
    for what in WHAT:
        practice = Practice(database)
        practice.clock.now = FIRST + timedelta(days=5)
        practice.do("somebody comes", 1, 2)
        practice.chores.keep()
        practice.do(what, 1, 1)
        practice.chores.keep()
        practice.agree()


def test_a_session_passes_from_live_to_provisional_when_its_time_is_over(
    database: Database,
) -> None:
    practice = Practice(database)
    ends = FIRST + timedelta(minutes=30)
    for minutes, expected in ((-5, set()), (29, set()), (31, {"absent", "undetermined"})):
        practice.clock.now = ends + timedelta(minutes=minutes)
        practice.chores.keep()
        with database.read() as connection:
            found, _ = standings.page_of_items(connection, to_admin=True, only_ids=[practice.id])
        assert {item.kind for _, _, item in found} <= expected
        assert bool(found) is bool(expected)


def test_who_derived_from_older_evidence_does_not_overwrite(database: Database) -> None:
    practice = Practice(database)
    practice.clock.now = FIRST + timedelta(days=1)
    with database.read() as connection:
        older = standings.derive(connection, practice.id, now=practice.clock.now)
    practice.do("a message", 1, 0)
    with database.write() as connection:
        standings.bring_up_to_date(connection, practice.id, now=practice.clock.now)
    with database.write() as connection:
        assert not standings.store(connection, older)
    practice.agree()


def test_a_change_that_nobody_noted_is_found_by_comparing(database: Database) -> None:
    practice = Practice(database)
    practice.clock.now = FIRST + timedelta(days=1)
    practice.chores.keep()
    practice.do("a message", 1, 0)
    with database.write() as connection:
        connection.execute(delete(tables.cohort_change))
    assert practice.chores.keep() == 0
    assert practice.chores.check() == 1
    practice.agree()


def test_what_another_release_derived_is_derived_anew_whatever_it_was_derived_from(
    database: Database,
) -> None:
    practice = Practice(database)
    practice.clock.now = FIRST + timedelta(days=1)
    practice.chores.keep()
    with database.write() as connection:
        # As a release with another rule leaves it: of the same evidence, and with nothing noted.
        told = evidence.mark(connection, practice.id)
        connection.execute(update(tables.derivation).values(mark=told))
        connection.execute(update(tables.standing).values(all_sessions="at_risk"))
    assert practice.chores.check() == 1
    practice.agree()
    assert practice.chores.check() == 0


def test_ten_oclock_costs_nothing_and_the_end_of_a_session_shows(database: Database) -> None:
    practice = Practice(database)
    practice.clock.now = FIRST + timedelta(weeks=1)
    practice.chores.keep()
    practice.do("somebody joins", 2, 2)
    assert practice.chores.keep() == 0
    practice.clock.move(timedelta(minutes=100))
    practice.do("somebody comes", 2, 2)
    assert practice.chores.keep() == 1
    with database.read() as connection:
        found, _ = standings.page_of_items(connection, to_admin=True, only_ids=[practice.id])
    assert ("unmatched", 2) in {(item.kind, item.week) for _, _, item in found}
    assert practice.chores.keep() == 0


def test_rows_go_with_their_carer_and_their_cohort(database: Database) -> None:
    practice = Practice(database)
    practice.clock.now = FIRST + timedelta(days=1)
    practice.chores.keep()
    carer = practice.carers[0]
    with database.write() as connection:
        connection.execute(text("DELETE FROM invitation WHERE carer_id = :id"), {"id": carer})
        connection.execute(text("DELETE FROM carer WHERE id = :id"), {"id": carer})
        for table in (tables.standing, tables.attention_item):
            assert carer not in connection.execute(select(table.c.carer_id)).scalars().all()
    practice.chores.keep()
    practice.agree()


# One row for each kind of change that a table's triggers notice, by whether it is SQLite.
TRIGGERS = {
    True: "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :name",
    False: "SELECT event_manipulation FROM information_schema.triggers "
    "WHERE event_object_table = :name",
}


def test_every_table_that_belongs_to_a_cohort_is_watched_or_is_no_evidence(
    database: Database,
) -> None:
    no_evidence = {
        *("idempotency", "bot_call", "notice_shown", "rule_change", "register_version"),
        *("standing", "attention_item", "derivation", "cohort_change", "participant_event"),
    }
    about = {
        table.name
        for table in tables.metadata.sorted_tables
        if {"cohort_id", "carer_id"} & set(table.c.keys()) or table.name == "cohort"
    }
    assert about == no_evidence | {table.name for table in change_log.WATCHED}
    with database.write() as connection:
        for table in change_log.WATCHED:
            events = connection.execute(text(TRIGGERS[database.is_sqlite]), {"name": table.name})
            assert len(events.all()) == (2 if table.name == "cohort" else 3), table.name


def test_triggers_that_are_gone_are_made_again_at_the_next_start(database: Database) -> None:
    with database.write() as connection:
        gone = "message_INSERT_changes_cohort"
        if not database.is_sqlite:
            gone = "message_changes_cohort ON message"
        connection.execute(text(f"DROP TRIGGER {gone}"))
    database.migrate()
    practice = Practice(database)
    practice.clock.now = NOW
    practice.chores.keep()
    practice.do("a message", 1, 0)
    assert practice.chores.keep() == 1
