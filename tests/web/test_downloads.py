"""The reports that people download and print: what each format says, and what it never says."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import re
import shutil
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from course.model import (
    CorrectionKind,
    EventKind,
    Participant,
    ParticipantEvent,
    Platform,
    Source,
    Verdict,
)
from course.reports import build_report, report_json
from course.store import cohorts, evidence, statements, tables
from course.store.cipher import Cipher
from course.store.database import Database
from tests.factories import FIRST, make_carer, make_cohort
from tests.web.conftest import Door
from tests.web.full_cohort import (
    AFTER_WEEK_7,
    FULL,
    NAMES,
    SERIES,
    STRANGER,
    full_cohort,
    save_full_cohort,
)
from tests.web.report_files import FORMATS, book, marks, page, pages_of, pdf, text

TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pdf": "application/pdf",
    "html": "text/html; charset=utf-8",
}
HOSTILE = (
    '=HYPERLINK("http://x.example","y")',
    "+44 7700 900000",
    "-2+3",
    "@SUM(A1)",
    "＝1+1",
    "<script>alert(1)</script>",
    "#evil[*x*] $a$ @b",
    "{{ 7*7 }}",
    'O’Brien & "Söhne" \\ \'x',
)


@pytest.fixture(scope="module")
def filled(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Cipher]:
    """The file of a database that holds the full cohort: judged once, copied for each test."""
    path, cipher = tmp_path_factory.mktemp("full") / "circle.sqlite", Cipher([os.urandom(32)])
    shutil.copy(migrated, path)
    made = Database(f"sqlite:///{path}", cipher)
    save_full_cohort(made)
    made.close()
    return path, cipher


@pytest.fixture
def database(tmp_path: Path, filled: tuple[Path, Cipher]) -> Iterator[Database]:
    """A copy of it."""
    path, cipher = filled
    shutil.copy(path, tmp_path / "circle.sqlite")
    made = Database(f"sqlite:///{tmp_path / 'circle.sqlite'}", cipher)
    yield made
    made.close()


@pytest.fixture
def full(door: Door) -> Door:
    """The API with the full cohort, after its seventh week."""
    door.clock.now = AFTER_WEEK_7
    return door


def get(door: Door, ending: str, role: str = "admin", cohort: str = FULL, **query: str) -> Any:
    suffix = "" if ending == "json" else f".{ending}"
    path = f"/api/v1/cohorts/{cohort}/attendance{suffix}"
    return door.client.get(path, headers=door.token(role, cohort), query_string=query)


def audited(door: Door) -> list[tuple[str, str, Any]]:
    table = tables.audit
    with door.database.read() as connection:
        rows = connection.execute(
            select(table.c.actor, table.c.subject, table.c.detail).where(
                table.c.action == "report.export"
            )
        )
        return [(row[0], row[1], row[2]) for row in rows]


@pytest.mark.both_databases
@pytest.mark.parametrize("ending", FORMATS)
def test_a_download_has_its_type_a_name_and_is_kept_by_no_cache_but_in_the_audit_trail(
    full: Door, ending: str
) -> None:
    answer = get(full, ending, "facilitator")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, TYPES[ending])
    assert answer.headers["Content-Disposition"] == (
        f'{"inline" if ending == "html" else "attachment"}; filename="attendance-{FULL}.{ending}"'
    )
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    nobody = {"household": None, "carer": None}
    assert audited(full) == [("facilitator Ann", FULL, {"format": ending, **nobody})]


@pytest.mark.parametrize("ending", [*FORMATS, "json"])
@pytest.mark.parametrize("query", [{"household": "FA99"}, {"carer": "x"}, {"carer": ""}])
def test_nobody_of_this_cohort_is_a_404_that_says_where_to_look(
    full: Door, ending: str, query: dict[str, str]
) -> None:
    answer = get(full, ending, **query)
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
    assert "GET the cohort" in answer.json["detail"]
    assert audited(full) == []


@pytest.mark.parametrize("ending", [*FORMATS, "json"])
def test_a_mistyped_question_never_answers_with_everybody(full: Door, ending: str) -> None:
    answer = get(full, ending, houshold="FA01")
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "houshold")


@pytest.mark.parametrize("ending", [*FORMATS, "json"])
def test_a_whole_report_names_everybody(full: Door, ending: str) -> None:
    whole = text(ending, get(full, ending).data)
    assert all(name in whole for names in [*NAMES.values(), (STRANGER,)] for name in names)


@pytest.mark.parametrize("ending", [*FORMATS, "json"])
@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ({"household": "FA01"}, {"Maya Patel", "Dev Patel"}),
        ({"carer": "full-1"}, {"Maya Patel"}),
        ({"household": "FA02"}, {"Tom Becker"}),
        ({"carer": "full-8"}, {"Carys Davies"}),
    ],
)
def test_a_narrowed_report_names_nobody_else(
    full: Door, ending: str, query: dict[str, str], kept: set[str]
) -> None:
    """Neither in reasons (a link passed on, a correction's free text), nor as a stranger."""
    everybody = {name for names in NAMES.values() for name in names}
    told = text(ending, get(full, ending, **query).data)
    assert all(name in told for name in kept)
    spared = {word for name in kept for word in name.split()}
    others = {word for name in everybody - kept for word in name.split()} - spared
    words = set(re.findall(r"\w+", told))
    assert others & words == set()
    assert STRANGER not in told
    assert all(household not in words for household in set(NAMES) - {"FA01", "FA02", "FA05"})


def test_the_own_names_stay_where_others_are_taken_out(full: Door) -> None:
    told = get(full, "json", carer="full-3").json["carers"][0]["weeks"][2]["reasons"]
    assert told[0].startswith(
        "catch up by facilitator Ann: went through the week with another person's family, "
        "another person took notes"
    )


def test_proposals_name_nobody_else(full: Door) -> None:
    with full.database.write() as connection:
        first = AFTER_WEEK_7.replace(hour=10) + (FIRST - FIRST.replace(day=2))
        coming = make_cohort(id="coming", name="With Tom Becker", series_ref=None, carers=())
        sessions = tuple(
            replace(s, starts_at=s.starts_at + (first - FIRST), ends_at=s.ends_at + (first - FIRST))
            for s in coming.sessions
        )
        cohorts.insert_cohort(connection, replace(coming, sessions=sessions), {})
    whole = {h["reference"]: h for h in get(full, "json").json["households"]}
    assert [p["name"] for p in whole["FA06"]["next_cohorts"]] == ["With Tom Becker"]
    for ending in ("pdf", "html"):
        assert "With another person" in text(ending, get(full, ending, household="FA06").data)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_only_ever_text(door: Door, name: str) -> None:
    with door.database.write() as connection:
        carer = make_carer(id="carer-2", name=name, household=name[:20])
        cohort = make_cohort(id="hostile", name=name, series_ref=None, carers=(carer,))
        cohorts.insert_cohort(connection, cohort, {"carer-2": "token-2"})
    opened = book(get(door, "xlsx", cohort="hostile").data)
    cells = [cell for sheet in opened for row in sheet.iter_rows() for cell in row]
    assert name in {cell.value for cell in cells if cell.data_type == "s"}
    assert not [cell.coordinate for cell in cells if cell.data_type == "f" or cell.hyperlink]
    shown = page(get(door, "html", cohort="hostile").data)
    assert name in shown.texts
    assert "script" not in {tag for tag, _ in shown.tags}
    printed = get(door, "pdf", cohort="hostile").data
    told = "".join("".join(pages_of(printed)).split())
    assert "".join(unicodedata.normalize("NFKC", name).split()) in told
    assert not [p for p in pdf(printed).pages if "/Annots" in p]
    rows = csv.reader(io.StringIO(get(door, "csv", cohort="hostile").text.lstrip("\ufeff")))
    assert name in {row[1].removeprefix("'") for row in rows}


def test_text_that_is_no_text_breaks_no_format(door: Door) -> None:
    with door.database.write() as connection:
        statements.add_correction(
            connection,
            "cohort-1",
            week=1,
            carer_id="carer-1",
            verdict=Verdict.ATTENDED,
            kind=CorrectionKind.CORRECTION,
            reason="a\x00b\x1b[31m\u202egnp.exe " + "long " * 9000,
            made_by="facilitator Ann",
            now=FIRST,
        )
    for ending in FORMATS:
        answer = get(door, ending, cohort="cohort-1")
        assert answer.status_code == 200
        told = text(ending, answer.data)
        assert "gnp.exe long long" in told
        assert not set("\x00\x1b\u202e") & set(told)


@pytest.mark.parametrize("ending", FORMATS)
def test_letters_that_the_fonts_lack_are_no_reason_to_refuse(door: Door, ending: str) -> None:
    with door.database.write() as connection:
        carer = make_carer(id="carer-2", name="鈴木 花 مايا")
        cohort = make_cohort(id="far", series_ref=None, carers=(carer,))
        cohorts.insert_cohort(connection, cohort, {"carer-2": "token-2"})
    assert get(door, ending, cohort="far").status_code == 200


@pytest.mark.parametrize("ending", [*FORMATS, "json"])
def test_a_viewer_gets_no_address_and_no_link(full: Door, ending: str) -> None:
    with full.database.write() as connection:
        statements.add_correction(
            connection,
            FULL,
            week=1,
            carer_id="full-1",
            verdict=Verdict.ATTENDED,
            kind=CorrectionKind.CORRECTION,
            reason="wrote from maya@example.com, see https://mail.example/1",
            made_by="facilitator Ann",
            now=AFTER_WEEK_7,
        )
    assert "maya@example.com" in text(ending, get(full, ending, "facilitator").data)
    told = text(ending, get(full, ending, "viewer").data)
    assert "(address not shown)" in told
    for secret in ("@example.com", "mail.example", "zoom.us", "join-full", "wedding"):
        assert secret not in told


@pytest.mark.parametrize("ending", [*FORMATS, "json"])
@pytest.mark.parametrize(
    "shown", ["+44 7700 900123", "07700 900123", "447700900123", "+4477****123"]
)
def test_a_viewer_gets_no_telephone_number(full: Door, ending: str, shown: str) -> None:
    week = full_cohort().sessions[1]
    seen = Participant(display_name=shown, by_phone=True)
    told = partial(
        ParticipantEvent,
        platform=Platform.ZOOM,
        source=Source.WEBHOOK,
        series_ref=SERIES,
        instance_ref="instance-2",
        connection_ref="by-phone",
        participant=seen,
    )
    came = told(key="came", kind=EventKind.JOINED, occurred_at=week.starts_at)
    went = told(key="went", kind=EventKind.LEFT, occurred_at=week.starts_at + timedelta(hours=1))
    with full.database.write() as connection:
        evidence.save_events(connection, [came, went])
        statements.add_correction(
            connection,
            FULL,
            week=1,
            carer_id="full-1",
            verdict=Verdict.ATTENDED,
            kind=CorrectionKind.CORRECTION,
            reason=f"rang from {shown} on 2027-01-09 at 10:02",
            made_by="facilitator Ann",
            now=AFTER_WEEK_7,
        )
    assert text(ending, get(full, ending, "facilitator").data).count(shown) > 1
    answer = text(ending, get(full, ending, "viewer").data)
    assert shown not in answer
    assert "rang from (number not shown) on 2027-01-09 at 10:02" in answer


@pytest.mark.parametrize("ending", FORMATS)
def test_each_says_when_and_by_whom_it_was_made_from_which_versions_and_what_is_provisional(
    full: Door, ending: str
) -> None:
    content = get(full, ending).data
    if ending == "xlsx":
        about = {str(a.value): b.value for a, b in book(content)["About"].iter_rows(max_col=2)}
        assert about["Made at"] == datetime(2027, 2, 20, 13, 0)  # noqa: DTZ001  cells have no zone
        told = " ".join(map(str, about.values()))
    else:
        told = text(ending, content)
    if ending == "csv":
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
        assert {(r["report made at"], r["report made by"]) for r in rows} == {
            ("2027-02-20T13:00:00+00:00", "Ann (admin)")
        }
        found = {(r["week"], r["register"], r["register version"]) for r in rows}
        assert {("3", "closed", "1"), ("7", "provisional", "0")} <= found
        return
    assert "Ann (admin)" in told
    assert "closed, version 1 of 23 Jan 2027 at 12:30" in told
    assert "Provisional: the register of week 7 is not closed yet" in told


def test_a_corrected_register_is_another_version(full: Door) -> None:
    said = {"verdict": "attended", "reason": "seen by both", "kind": "correction"}
    path = f"/api/v1/cohorts/{FULL}/sessions/4/verdicts/full-9"
    assert full.client.put(path, json=said, headers=full.token()).status_code == 200
    assert "closed, version 2 of 20 Feb 2027 at 13:00" in text("pdf", get(full, "pdf").data)


def test_the_page_needs_nothing_else_and_its_own_style_is_all_it_may_use(full: Door) -> None:
    answer = get(full, "html")
    shown = page(answer.data)
    style = answer.text.split("<style>")[1].split("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.headers["Content-Security-Policy"]
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    (own,) = [found["content"] for _, found in shown.tags if found.get("http-equiv")]
    assert own is not None
    assert policy.startswith(own)
    names = {name for _, found in shown.tags for name in found}
    assert not names & {"src", "href", "style"} and not {n for n in names if n.startswith("on")}
    assert "@import" not in style
    assert "url(" not in style


def test_the_page_can_be_read_without_colour(full: Door) -> None:
    told = " ".join(page(get(full, "html").data).texts)
    for said in ("✓ attended", "◐ partly", "✗ absent", "? undetermined", "◇ catch-up", "· to come"):
        assert said in told
    assert "✗ missed week 4" in told
    assert "at least 80% of the time" in told


def test_the_workbook_has_typed_cells_filters_and_a_chart(full: Door) -> None:
    opened = book(get(full, "xlsx").data)
    assert opened.sheetnames == ["Register", "Weeks", "Sessions", "Unmatched", "About"]
    weeks = opened["Weeks"]
    head = {cell.value: cell.column - 1 for cell in weeks[1]}
    row = next(r for r in weeks.iter_rows(min_row=2) if r[1].value == "Yusuf Rahman")
    assert row[head["Date"]].value == datetime(2027, 1, 9, 10, 0)  # noqa: DTZ001
    assert row[head["Date"]].is_date
    assert (row[head["Share present"]].value, row[head["Share present"]].number_format) == (1, "0%")
    assert row[head["Minutes present"]].value == 30
    assert weeks.max_row == 1 + 20 * 8
    for sheet in opened:
        assert sheet.freeze_panes is not None
        assert sheet.auto_filter.ref is not None
    sessions = opened["Sessions"]
    columns = {cell.value: cell.column - 1 for cell in sessions[1]}
    third = [cell.value for cell in sessions[4]]
    counts = [third[columns[name]] for name in ("Attended", "Exception", "Partial", "Absent")]
    assert counts == [17, 1, 1, 0]
    assert len(sessions._charts) == 1
    assert [cell.value for cell in opened["Unmatched"][2]][1:3] == [STRANGER, 20]


def test_the_pdf_is_tagged_numbered_and_has_a_page_for_each_household(full: Door) -> None:
    printed = get(full, "pdf").data
    opened, pages = pdf(printed), pages_of(printed)
    assert "/StructTreeRoot" in opened.root_object
    assert "pdfuaid" in marks(opened)
    assert opened.metadata is not None
    assert opened.metadata.title == "Attendance report: Winter 2027"
    assert pages[0].endswith(f"Page 1 of {len(pages)}")
    for household in NAMES:
        assert sum(f"Household {household}:" in told for told in pages) == 1


@pytest.mark.parametrize("ending", FORMATS)
def test_the_same_evidence_makes_the_same_file(full: Door, ending: str) -> None:
    assert get(full, ending).data == get(full, ending).data


def test_a_household_with_any_reference_gets_a_file_with_a_safe_name(door: Door) -> None:
    with door.database.write() as connection:
        carer = make_carer(id="carer-2", household='Ä/..\\"7;x')
        cohort = make_cohort(id="odd", series_ref=None, carers=(carer,))
        cohorts.insert_cohort(connection, cohort, {"carer-2": "token-2"})
    answer = get(door, "pdf", cohort="odd", household='Ä/..\\"7;x')
    assert answer.headers["Content-Disposition"] == (
        'attachment; filename="attendance-odd--7-x.pdf"; '
        "filename*=UTF-8''attendance-odd-%C3%84-7-x.pdf"
    )


def test_where_one_carer_came_from_is_shown(full: Door) -> None:
    with full.database.write() as connection:
        carer = make_carer(id="moved", transferred_from="full-9", name="Grace Okafor")
        cohort = make_cohort(id="next", series_ref=None, carers=(carer,))
        cohorts.insert_cohort(connection, cohort, {"moved": "token-2"})
    told = text("pdf", get(full, "pdf", cohort="next").data)
    assert "Before, in Winter 2027 (shown, not counted here): week 1 attended" in told


def test_households_stand_in_the_order_in_which_people_count(database: Database) -> None:
    references = ["H10", "H2", "h1", "Müller 3", "Müller 21", "H2b"]
    carers = tuple(
        make_carer(id=f"c{n}", household=reference, email=f"c{n}@example.com")
        for n, reference in enumerate(references)
    )
    with database.write() as connection:
        cohort = make_cohort(carers=carers, series_ref=None)
        cohorts.insert_cohort(connection, cohort, {c.id: f"join-{c.id}" for c in carers})
        read = cohorts.read_cohort(connection, cohort.id)
        assert read is not None
        told = report_json(
            build_report(read, evidence.read_evidence(connection, read), now=cohort.created_at)
        )
    expected = ["h1", "H2", "H2b", "H10", "Müller 3", "Müller 21"]
    assert [carer["household"] for carer in told["carers"]] == expected
    assert [household["reference"] for household in told["households"]] == expected
    assert [carer.household for carer in read.carers] == expected
