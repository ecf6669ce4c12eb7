"""What a report, the list of what needs a person and the standings cost as cohorts become many.

A few courses that are over are stored and derived by the service's own code; the others are copies
of them, made by the database. The same questions are asked at each size, of SQLite and, where it is
installed, of PostgreSQL; ratios are to the smallest size. Of the rounds the quickest counts.
Usage: python -m bench.standing [--cohorts 1000,10000,40000] [--database sqlite] [--rounds 3]
"""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from sqlalchemy import Table, select, text

from course.attendance import Judge
from course.model import (
    AllSessions,
    Carer,
    Cohort,
    CohortState,
    EventKind,
    Participant,
    ParticipantEvent,
    Platform,
    RegisterEntry,
    Rule,
    Session,
    Source,
)
from course.reports import verdicts_json
from course.store import cohorts, evidence, registers, revisions, series, standings, tables
from course.store.database import Connection, Database, open_sealed
from integration.standings import Standings
from tests.postgresql import BINARIES, cluster
from web.access import Caller
from web.attention import read_attention
from web.report_view import ReportView

ORIGINALS, CARERS, ASKED = 20, 8, 40
NOW = datetime(2027, 6, 1, 9, 0, tzinfo=UTC)
WEEKS = range(1, 9)
ANYONE = Caller(name="bench", role="admin", cohort_ids=None)
FLAT, ENOUGH = 1.2, 0.5  # the goals: times the smallest size; seconds at 10,000
COPIED = (
    *(tables.cohort, tables.session, tables.carer, tables.series, tables.invitation),
    *(tables.participant_event, tables.register, tables.register_version),
    *(tables.standing, tables.attention_item, tables.derivation),
)
# What is another one in each copy; all else stays as it is sealed.
OWN = {"cohort_id", "carer_id", "series_ref", "instance_ref", "key", "join_token_hash"}


@contextmanager
def databases(only: str | None) -> Iterator[list[Database]]:
    """Empty, migrated databases in folders of their own."""
    with TemporaryDirectory() as folder, cluster() if BINARIES else _nothing() as server:
        urls = {"sqlite": f"sqlite:///{folder}/bench.sqlite"}
        if server:
            urls["postgresql"] = f"{server.url}/postgres"
        made = [
            open_sealed(url=url, keys=(), key_file=Path(folder) / "key")
            for name, url in urls.items()
            if only in (None, name)
        ]
        for database in made:
            database.migrate()
        yield made
        for database in made:
            database.close()


@contextmanager
def _nothing() -> Iterator[None]:
    yield None


def original(number: int) -> Cohort:
    """A course of four couples; each began on another Saturday."""
    first = datetime(2027, 1, 9, 10, 0, tzinfo=UTC) - timedelta(weeks=number)
    lengths = [timedelta(minutes=30 if week == 1 else 120) for week in WEEKS]
    starts = [first + timedelta(weeks=week - 1) for week in WEEKS]
    return Cohort(
        id=f"o{number}",
        name=f"Group {number}",
        platform=Platform.ZOOM,
        state=CohortState.READY,
        timezone="Europe/London",
        organiser="host@example.org",
        rule=Rule(camera=0.0, microphone="any"),
        sessions=tuple(
            Session(week=week, topic=f"Topic {week}", starts_at=at, ends_at=at + length)
            for week, at, length in zip(WEEKS, starts, lengths, strict=True)
        ),
        carers=tuple(
            Carer(
                id=f"o{number}-c{place}",
                name=f"Robin {'ABCDEFGH'[place]}shby",
                email=f"robin{place}@example.com",
                household=f"H{place // 2}",
                position=place % 2,
                enrolled_at=first - timedelta(weeks=4),
                invitation_ref=f"r{place}",
            )
            for place in range(CARERS)
        ),
        created_at=first - timedelta(weeks=5),
        series_ref=f"8{number}",
    )


def facts(cohort: Cohort) -> Iterator[ParticipantEvent]:
    """The platform's record: one carer misses a week, and once a stranger is there.

    The rule asks for presence alone, so few things wait in each cohort, as after a person's work.
    """
    for session in cohort.sessions:
        for place in range(CARERS + (session.week == 4)):
            if (session.week, place) == (5, 2):
                continue
            yield ParticipantEvent(
                key=f"{cohort.id}-{session.week}-{place}",
                platform=Platform.ZOOM,
                series_ref=cohort.series_ref,
                instance_ref=f"{cohort.id}-{session.week}",
                kind=EventKind.STAY,
                occurred_at=session.starts_at,
                until_at=session.ends_at,
                source=Source.PLATFORM_RECORD,
                instance_started_at=session.starts_at,
                connection_ref=f"seat-{place}",
                participant=Participant(
                    display_name="Galaxy Tab" if place == CARERS else cohort.carers[place].name,
                    invitation_ref=None if place == CARERS else f"r{place}",
                ),
            )


def save_originals(database: Database) -> None:
    """Stored, closed and derived as the service does it."""
    for number in range(ORIGINALS):
        cohort = original(number)
        with database.write() as connection:
            cohorts.insert_cohort(connection, cohort, {c.id: f"join-{c.id}" for c in cohort.carers})
            series.update_series(connection, cohort.id, cohort.platform, series_ref=f"8{number}")
            for carer in cohort.carers:
                series.save_invitation(
                    connection, carer.id, cohort.platform, ref=carer.invitation_ref, join_url=None
                )
            evidence.save_events(connection, list(facts(cohort)))
            for week in WEEKS:
                _close(connection, cohort, week)
        standings.refresh(database, cohort.id, now=NOW)


def _close(connection: Connection, cohort: Cohort, week: int) -> None:
    entry = RegisterEntry(week=week, closed_at=NOW, record_complete=True)
    registers.save_register(connection, cohort.id, entry)
    judge = Judge(cohort, evidence.read_evidence(connection, cohort), now=NOW)
    verdicts = verdicts_json(judge.register(cohort.sessions[week - 1]))
    registers.save_register(connection, cohort.id, entry, verdicts)
    revisions.add_version(
        connection, cohort.id, week, verdicts=verdicts, cause=revisions.CLOSED, now=NOW
    )


def grow(database: Database, before: int, after: int) -> None:
    """Copy the originals until there are so many cohorts."""
    with database.write() as connection:
        for table in COPIED:
            connection.execute(
                text(_copying(table)), {"first": before // ORIGINALS, "last": after // ORIGINALS}
            )
        connection.execute(text("DELETE FROM cohort_change"))
    if not database.is_sqlite:  # its own housekeeping would do so in time
        with database.engine.connect().execution_options(
            isolation_level="AUTOCOMMIT"
        ) as connection:
            connection.execute(text("VACUUM ANALYZE"))


def _copying(table: Table) -> str:
    """Names and originals' ids come from here; a copy has a number more in each of its ids."""
    is_own = OWN | ({"id"} if table in (tables.cohort, tables.carer) else set())
    columns = [c.name for c in table.c if c.name in is_own or c.name != "id"]
    # Shortened, because PostgreSQL takes nothing longer than its column.
    own = {c: f"substr({c}, 1, 40) || '-' || i" for c in is_own}
    shown = ", ".join(own.get(c, c) for c in columns)
    ids = ", ".join(f"'o{number}'" for number in range(ORIGINALS))
    which = f"cohort_id IN ({ids})"
    if table is tables.cohort:
        which = f"id IN ({ids})"
    elif table is tables.participant_event:
        refs = ", ".join(f"'8{number}'" for number in range(ORIGINALS))
        which = f"platform = 'zoom' AND series_ref IN ({refs})"
    elif "cohort_id" not in table.c:
        which = f"carer_id IN (SELECT id FROM carer WHERE cohort_id IN ({ids}))"  # nosec B608
    numbers = "SELECT CAST(:first AS INTEGER) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :last"
    copies = f"SELECT {shown} FROM {table.name}, n WHERE {which}"  # nosec B608
    into = f"INSERT INTO {table.name} ({', '.join(columns)})"  # nosec B608
    return f"{into} WITH RECURSIVE n(i) AS ({numbers}) {copies}"


Question = Callable[[str], object]


def questions(database: Database) -> dict[str, Question]:
    """What is asked of one cohort, or of all; each is given a cohort's id."""
    view, chores = ReportView(database, lambda: NOW), Standings(database, lambda: NOW)

    def report(cohort_id: str) -> str:
        with database.read() as connection:
            cohort = cohorts.read_cohort(connection, cohort_id)
        if cohort is None:
            raise click.ClickException(f"the copy {cohort_id} is missing")
        return json.dumps(view.shown(cohort, ANYONE))

    def attention(limit: int | None) -> str:
        return json.dumps(read_attention(database, ANYONE, clock=lambda: NOW, limit=limit))

    def missed(_of_all: str) -> int:
        with database.read() as connection:
            _, total = cohorts.page_of_cohorts(
                connection, stands=AllSessions.MISSED, limit=50, offset=0
            )
        return total

    def at_risk(_of_all: str) -> int:
        table = tables.standing
        asked = select(table.c.cohort_id, table.c.carer_id, table.c.all_sessions).where(
            table.c.all_sessions.in_([AllSessions.MISSED.value, AllSessions.AT_RISK.value])
        )
        with database.read() as connection:
            return len(connection.execute(asked.order_by(table.c.cohort_id)).all())

    return {
        "one cohort's report": report,
        "one cohort derived anew": lambda one: standings.refresh(database, one, now=NOW),
        "attention, first page": lambda _: attention(200),
        "attention, everything": lambda _: attention(None),
        "cohorts that missed, page": missed,
        "all carers at risk": at_risk,
        "a minute without changes": lambda _: chores.keep(),
    }


WHOLE = (
    *("attention, everything", "cohorts that missed, page", "all carers at risk"),
    "a minute without changes",
)


def measure(database: Database, count: int, rounds: int) -> dict[str, float]:
    """Seconds each; of one cohort the median over many."""
    chosen = random.Random(count)  # nosec B311
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, ask in questions(database).items():
            taken = []
            for _ in range(3 if name in WHOLE else ASKED):
                copy = chosen.randrange(1, count // ORIGINALS)
                began = time.perf_counter()
                ask(f"o{chosen.randrange(ORIGINALS)}-{copy}")
                taken.append(time.perf_counter() - began)
            found.setdefault(name, []).append(statistics.median(taken))
    return {name: min(taken) for name, taken in found.items()}


def show(name: str, sizes: list[int], found: list[dict[str, float]]) -> None:
    """A table: milliseconds, and how many times the smallest size's."""
    click.echo(f"\n{name}, milliseconds (times those at {sizes[0]:,} cohorts)")
    click.echo(f"  {'':28}" + "".join(f"{size:>18,}" for size in sizes))
    for question in found[0]:
        cells = (
            f"{row[question] * 1000:10.1f} ({row[question] / found[0][question]:4.2f})"
            for row in found
        )
        click.echo(f"  {question:28}" + "".join(f"{cell:>18}" for cell in cells))
    flat = max(row["one cohort's report"] for row in found) / found[0]["one cohort's report"]
    click.echo(f"  one report: at most {flat:.2f} times (goal {FLAT})")
    for size, row in zip(sizes, found, strict=True):
        if size == 10_000:
            taken = row["all carers at risk"]
            click.echo(f"  all at risk at 10,000 cohorts: {taken:.2f} s (goal {ENOUGH} s)")


@click.command()
@click.option("--cohorts", "sizes", default="1000,10000,40000", show_default=True)
@click.option("--database", "only", type=click.Choice(["sqlite", "postgresql"]), help="[both]")
@click.option("--rounds", default=3, show_default=True)
def main(sizes: str, only: str | None, rounds: int) -> None:
    """Measure at each size."""
    counts = [int(size) for size in sizes.split(",")]
    with databases(only) as made:
        for database in made:
            save_originals(database)
            found, before = [], ORIGINALS
            for count in counts:
                began = time.perf_counter()
                grow(database, before, count)
                took = time.perf_counter() - began
                click.echo(f"  {count:,} cohorts after {took:.0f} s", err=True)
                found.append(measure(database, count, rounds))
                before = count
            show("SQLite" if database.is_sqlite else "PostgreSQL", counts, found)


if __name__ == "__main__":
    main()
