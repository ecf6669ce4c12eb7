"""The commands on a real database: what an operator reads, what a program gets, what is refused."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from click import Command, Group
from click.shell_completion import BashComplete, ZshComplete
from sqlalchemy import select
from sqlalchemy import text as sql

from cli import main
from cli_common import now
from course.model import (
    CohortState,
    EventKind,
    Level,
    Participant,
    ParticipantEvent,
    Platform,
    Source,
)
from course.store import cohorts, evidence, second_factor, series, staff_sessions, tables
from course.store.database import Database
from course.store.rectifying import restrict
from course.store.staff_sessions import Staff
from tests.cli.conftest import circle
from tests.factories import NOW, make_carer, make_cohort, make_sessions
from web.terminal_text import columns

EVIL = "Evil \x1b[2J\u202e Families"
FIRST_ID, SECOND_ID = "aaaa1111" + "0" * 24, "aaaa2222" + "0" * 24


@pytest.fixture
def stored(database: Database) -> Database:
    """Two cohorts: one that needs a person, and one whose first session began five minutes ago."""
    began = now() - timedelta(minutes=5)
    people = {
        "carer-1": ("H1", "Maya Patel"),
        "carer-2": ("H1", "Dev Patel"),
        "carer-3": ("H2", "שלום כהן"),
    }
    held = make_cohort(
        id=FIRST_ID,
        name="Spring 2027",
        sessions=make_sessions(began),
        carers=tuple(
            make_carer(id=one, household=household, name=name, position=n)
            for n, (one, (household, name)) in enumerate(people.items())
        ),
    )
    broken = make_cohort(
        id=SECOND_ID,
        name=EVIL,
        platform=Platform.TEAMS,
        state=CohortState.NEEDS_ATTENTION,
        problem="Week 3 was moved on the platform itself.",
        sessions=make_sessions(began + timedelta(weeks=20)),
        carers=(make_carer(id="carer-9", name="Zoë Ash"),),
        series_ref=None,
    )
    with database.write() as connection:
        cohorts.insert_cohort(connection, held, {one: f"join-{one}" for one in people})
        cohorts.insert_cohort(connection, broken, {"carer-9": "join-carer-9"})
        series.update_series(connection, FIRST_ID, Platform.ZOOM, series_ref="81000000001")
        series.save_invitation(
            connection, "carer-1", Platform.ZOOM, ref="ref-1", join_url="https://zoom.us/w/1"
        )
    begin(database)
    return database


def begin(database: Database) -> None:
    """Maya is in with her camera on, and a stranger is in."""
    with database.write() as connection:
        cohort = cohorts.read_cohort(connection, FIRST_ID)
        assert cohort is not None
        starts = cohort.sessions[0].starts_at
        seen = Participant(display_name="Maya Patel", invitation_ref="ref-1")
        facts = [
            (EventKind.INSTANCE_STARTED, None, None, None),
            (EventKind.JOINED, "one", seen, None),
            (EventKind.CAMERA, "one", None, Level.ON),
            (EventKind.JOINED, "two", Participant(display_name="Galaxy \x1b[31mTab"), None),
        ]
        evidence.save_events(
            connection,
            [
                ParticipantEvent(
                    key=f"event-{n}",
                    platform=Platform.ZOOM,
                    kind=kind,
                    occurred_at=starts + timedelta(seconds=n),
                    source=Source.WEBHOOK,
                    series_ref="81000000001",
                    instance_ref="instance-1",
                    connection_ref=connection_ref,
                    participant=participant,
                    level=level,
                    received_at=starts + timedelta(seconds=n),
                )
                for n, (kind, connection_ref, participant, level) in enumerate(facts)
            ],
        )


def fits(told: str) -> bool:
    return all(columns(line) <= 80 for line in told.splitlines()) and "\x1b" not in told


@pytest.mark.usefixtures("stored")
def test_the_list_fits_the_terminal_and_names_what_is_wrong() -> None:
    done = circle("cohort", "list")
    assert (done.exit_code, fits(done.stdout)) == (0, True)
    assert re.search(
        r"^aaaa2222 .* needs attention +Evil  ?\[2J Families: Week 3", done.stdout, re.M
    )
    assert re.search(r"^aaaa1111 .* Zoom +ready +Spring 2027$", done.stdout, re.M)


@pytest.mark.usefixtures("stored")
def test_the_list_is_filtered_by_state_and_platform() -> None:
    for option in (("--state", "ready"), ("--platform", "zoom")):
        (row,) = json.loads(circle("cohort", "list", *option, "--json").stdout)
        assert (row["id"], row["carers"], row["problem"]) == (FIRST_ID, 3, None)
    assert circle("cohort", "list", "--state", "failed").stdout == "No such cohort.\n"


@pytest.mark.parametrize("named", [FIRST_ID, "aaaa1", "Spring 2027"])
@pytest.mark.usefixtures("stored")
def test_a_cohort_is_named_by_id_beginning_or_name(named: str) -> None:
    told = json.loads(circle("cohort", "show", named, "--json").stdout)
    assert (told["id"], told["next_session"]["week"]) == (FIRST_ID, 1)


@pytest.mark.usefixtures("stored")
def test_what_fits_two_cohorts_lists_both_in_one_harmless_line() -> None:
    done = circle("report", "aaaa")
    assert (done.exit_code, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "fits 2 cohorts" in line
    assert f"{FIRST_ID} (Spring 2027)" in line
    assert SECOND_ID in line
    assert "\x1b" not in line


@pytest.mark.parametrize(
    "command",
    [
        ("cohort", "show", "x"),
        ("report", "x"),
        ("report", "x", "--json"),
        ("board", "x"),
        ("board", "x", "--json"),
        ("signin", "--name", "A", "--role", "viewer", "--cohort", "x"),
        ("token", "create", "--name", "A", "--role", "viewer", "--cohort", "x"),
    ],
)
@pytest.mark.usefixtures("stored")
def test_an_unknown_cohort_is_one_line_that_says_where_they_are(command: tuple[str, ...]) -> None:
    done = circle(*command)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "Error: There is no cohort x. List them: circle cohort list\n"


@pytest.mark.usefixtures("stored")
def test_links_are_shown_only_when_asked_for() -> None:
    plain = circle("cohort", "show", "aaaa1")
    assert (plain.exit_code, fits(plain.stdout)) == (0, True)
    assert "Maya Patel" in plain.stdout
    for told in (plain.stdout, circle("cohort", "show", "aaaa1", "--json").stdout):
        assert "join-carer-1" not in told
        assert "maya@example.com" not in told
    asked = circle("cohort", "show", "aaaa1", "--links").stdout
    assert "    http://127.0.0.1:8000/join/join-carer-1\n" in asked
    (carer, *_) = json.loads(circle("cohort", "show", "aaaa1", "--links", "--json").stdout)[
        "carers"
    ]
    assert carer["join_url"].endswith("/join/join-carer-1")


@pytest.mark.usefixtures("stored")
def test_the_board_shows_who_is_missing_first() -> None:
    done = circle("board", "Spring 2027")
    assert (done.exit_code, fits(done.stdout)) == (0, True)
    assert "1 in, 0 waiting, 0 left, 2 not seen" in done.stdout
    lines = done.stdout.splitlines()
    marks = [line[0] for line in lines if re.match(r"[!✓·] ", line)]
    assert marks == ["!", "!", "✓"]
    assert re.search(r"^! +H1 +Dev Patel +not seen +ring them$", done.stdout, re.M)
    assert re.search(r"^✓ +H1 +Maya Patel +in since \d\d:\d\d +on", done.stdout, re.M)
    assert "Who is this?\n  Galaxy [31mTab, in since" in done.stdout


@pytest.mark.usefixtures("stored")
def test_the_board_for_programs_is_the_one_of_the_api() -> None:
    told = json.loads(circle("board", "aaaa1", "--week", "1", "--json").stdout)
    assert told["counts"] == {"in": 1, "waiting": 0, "left": 0, "not_seen": 2}
    assert circle("board", "aaaa1", "--week", "9").stderr == (
        "Error: This course has weeks 1 to 8.\n"
    )
    assert circle("board", "aaaa1", "--watch", "--json").exit_code == 2
    # Where nobody looks, nothing is redrawn.
    assert circle("board", "aaaa1", "--watch").stdout.count("Spring 2027, week 1") == 1


def test_attention_lists_what_waits_for_a_person(stored: Database) -> None:
    done = circle("attention")
    assert (done.exit_code, fits(done.stdout)) == (0, True)
    assert "Week 3 was moved on the" in done.stdout
    (item,) = json.loads(circle("attention", "--json").stdout)["items"]
    assert (item["kind"], item["cohort"]) == ("cohort", SECOND_ID)
    with stored.write() as connection:
        connection.execute(sql("UPDATE cohort SET state = 'ready', problem = NULL"))
    assert circle("attention").stdout == "Nothing needs a person.\n"


@pytest.mark.usefixtures("stored")
def test_doctor_names_each_fault_and_counts_them() -> None:
    done = circle("doctor")
    assert (done.exit_code, fits(done.stdout)) == (1, True)
    assert re.search(r"^LOOK  cohort aaaa2222", done.stdout, re.M)
    assert re.search(r"^ok    database: open", done.stdout, re.M)
    assert re.fullmatch(r"Error: 1 of \d+ needs a look\.\n", done.stderr)
    findings = json.loads(circle("doctor", "--json").stdout)
    assert sum(not finding["well"] for finding in findings) == 1


@pytest.mark.usefixtures("stored")
def test_what_is_made_once_is_given_to_programs_with_its_end() -> None:
    made = circle("signin", "--name", "Ann", "--role", "viewer", "--cohort", "aaaa1", "--json")
    told = json.loads(made.stdout)
    assert told["cohorts"] == [FIRST_ID]
    assert told["link"].startswith("http://127.0.0.1:8000/signin/")
    made = circle("token", "create", "--name", "Ann", "--role", "viewer", "--json")
    assert set(json.loads(made.stdout)) == {
        *("id", "token", "name", "role", "cohorts", "expires_at"),
    }
    told = json.loads(circle("reconnect", "zoom", "--json").stdout)
    assert told == {"platform": "zoom", "asked_again": False}


def test_a_lost_telephone_is_forgotten_by_the_operator_and_noted(stored: Database) -> None:
    asked = ("signin", "--new-second-factor", "--name", "ann  lee", "--role", "admin")
    refused = circle(*asked)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("Error: Nobody called ann lee has an authenticator app.")
    with stored.write() as connection:
        second_factor.add_factor(connection, "Ann Lee", "secret", step=1, now=NOW)
    done = circle(*asked)
    assert (done.exit_code, done.stdout.startswith("http://127.0.0.1:8000/signin/")) == (0, True)
    with stored.read() as connection:
        assert second_factor.find_factor(connection, "Ann Lee") is None
        table = tables.audit
        told = connection.execute(select(table.c.actor, table.c.action, table.c.subject)).all()
    assert ("operator", "factor.reset", "ann  lee") in [tuple(row) for row in told]


def test_whoever_is_shut_out_is_out_at_once_however_they_came_in(stored: Database) -> None:
    with stored.write() as connection:
        for name, session in (("Ann Lee", "hers"), ("ann  lee", "hers too"), ("Bo", "his")):
            staff = Staff(name=name, role="admin", cohort_ids=())
            staff_sessions.insert_session(connection, session, staff, now=now())
    circle("signin", "--name", "Ann Lee", "--role", "admin")
    circle("token", "create", "--name", "Ann Lee", "--role", "admin")
    done = circle("signout", "--name", "ANN LEE")
    assert done.stdout == "Ended: 2 sessions, 1 unused link, 1 token.\n"
    with stored.read() as connection:
        left = [staff_sessions.find_session(connection, s, now=now()) for s in ("hers", "his")]
        told = connection.execute(select(tables.audit.c.action)).scalars().all()
    assert [one.name if one else None for one in left] == [None, "Bo"]
    assert told[-1] == "staff.shut_out"
    again = circle("signout", "--name", "Ann Lee")
    assert (again.exit_code, "Nothing of Ann Lee was live" in again.stderr) == (1, True)


def test_the_upgrade_says_which_version_the_tables_are(stored: Database) -> None:
    told = json.loads(circle("db", "upgrade", "--json").stdout)
    assert told == {"before": stored.version(), "version": stored.version()}
    with stored.write() as connection:
        connection.execute(sql("UPDATE alembic_version SET version_num = '9999'"))
    done = circle("cohort", "list")
    assert (done.exit_code, len(done.stderr.splitlines())) == (1, 1)
    assert "Install the release that made it" in done.stderr


def test_a_fresh_folder_is_told_from_which_version(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "fresh"))
    assert "was empty and is now version" in circle("db", "upgrade").stdout
    assert database.version() is not None


@pytest.mark.usefixtures("database")
def test_settings_that_are_wrong_and_a_database_that_is_away_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'file' / 'x.sqlite'}")
    for command in (("cohort", "list"), ("attention", "--json")):
        done = circle(*command)
        assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
        assert "x.sqlite" in done.stderr or str(tmp_path) in done.stderr
    monkeypatch.setenv("ZOOM_ACCOUNT_ID", "only-half")
    done = circle("cohort", "list")
    assert (done.exit_code, len(done.stderr.splitlines())) == (1, 1)
    assert "ZOOM_CLIENT_SECRET" in done.stderr


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (("token", "create", "--role", "boss", "--name", "A"), "'boss' is not one of"),
        (("token", "create", "--name", "A"), "'--role'"),
        (("token", "creat"), "creat"),
        (("tokens",), "tokens"),
        (("--nope",), "--nope"),
        (("report",), "COHORT"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, tuple) else "",
)
def test_what_is_typed_wrong_is_one_line_that_says_where_help_is(
    typed: tuple[str, ...], says: str
) -> None:
    done = circle(*typed)
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    assert says in line
    assert "--help" in line


def test_a_group_of_commands_alone_lists_them() -> None:
    done = circle("token")
    assert "Commands:" in done.output
    assert "create" in done.output


def every_command(group: Group, *before: str) -> list[tuple[tuple[str, ...], Command]]:
    found: list[tuple[tuple[str, ...], Command]] = []
    for name, command in group.commands.items():
        found.append(((*before, name), command))
        if isinstance(command, Group):
            found += every_command(command, *before, name)
    return found


@pytest.mark.parametrize("path", [path for path, _ in every_command(main)], ids=" ".join)
def test_every_command_explains_itself_within_80_columns(path: tuple[str, ...]) -> None:
    done = circle(*path, "--help")
    assert done.exit_code == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "Usage: main" in done.stdout


SILENT = {("worker",), ("serve",), ("sandbox",), ("demo",), ("media-streams",), ("completion",)}


def test_every_command_that_prints_data_prints_json() -> None:
    without = {
        path
        for path, command in every_command(main)
        if not isinstance(command, Group) and all(p.name != "as_json" for p in command.params)
    }
    assert without == SILENT | {("token", "revoke")}


@pytest.mark.parametrize(
    "arguments",
    [
        ["report"],
        ["board"],
        ["cohort", "show"],
        ["signin", "--cohort"],
        ["token", "create", "--cohort"],
    ],
)
@pytest.mark.usefixtures("stored")
def test_cohorts_are_completed_by_id_and_by_name(arguments: list[str]) -> None:
    zsh = ZshComplete(main, {}, "circle", "_CIRCLE_COMPLETE")
    found = {item.value: item.help for item in zsh.get_completions(arguments, "aaaa")}
    assert found[FIRST_ID] == "Spring 2027"
    assert set(found) == {FIRST_ID, SECOND_ID}
    assert "\x1b" not in str(found[SECOND_ID])
    named = zsh.get_completions(arguments, "spr")
    assert [item.value for item in named] == [FIRST_ID]


def test_a_pressed_key_makes_no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "none"))
    bash = BashComplete(main, {}, "circle", "_CIRCLE_COMPLETE")
    assert bash.get_completions(["report"], "") == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_says_how_to_install_it(shell: str) -> None:
    done = circle("completion", shell)
    assert done.exit_code == 0
    assert "_CIRCLE_COMPLETE" in done.stdout
    assert f"circle completion {shell} > ~/" in done.stdout.splitlines()[-1]


@pytest.mark.usefixtures("stored")
def test_a_name_in_json_keeps_its_letters_and_orders_no_terminal() -> None:
    told = circle("cohort", "list", "--json").stdout
    assert "\\u001b[2J\\u202e" in told
    assert {row["name"] for row in json.loads(told)} == {EVIL, "Spring 2027"}
    assert '"name": "Zoë Ash"' in circle("cohort", "show", "aaaa2", "--json").stdout


def test_a_restricted_carer_is_not_named_on_a_board_that_is_looked_at_together(
    stored: Database,
) -> None:
    with stored.write() as connection:
        restrict(connection, "carer-1", since=now())
    done = circle("board", "Spring 2027")
    assert done.exit_code == 0
    assert "Dev Patel" in done.stdout
    assert "Maya" not in done.stdout
    assert "restricted" in done.stdout
