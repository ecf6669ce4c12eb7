"""A report for fewer eyes: who is left out, whose names go, and what stays as it was judged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from course.model import Correction, CorrectionKind, Evidence, Verdict
from course.narrowing import ANOTHER, Only, hiding, narrowed, without_addresses
from course.reports import build_report
from tests.course.evidence import AFTER, carers, held, stay, who
from tests.factories import make_carer, make_cohort

MAYA, DEV = carers("Maya Patel", "Dev Patel")
TOM = make_carer(id="carer-3", name="Tom Becker", household="H2", invitation_ref="r3")
COHORT = make_cohort(carers=(MAYA, DEV, TOM))
EVIDENCE = Evidence(
    events=(
        *held(),
        *stay(0, 120),
        *stay(0, 50, "c3", who("Tom Becker", "r3")),
        *stay(5, 100, "c9", who("Ines Vogel", None)),
    )
)


@pytest.mark.parametrize(
    ("told", "stays"),
    [
        ("sat with Tom Becker", f"sat with {ANOTHER}"),
        ("sat with tom  becker", f"sat with {ANOTHER}"),
        ("Tom's wife was ill", f"{ANOTHER}'s wife was ill"),
        ("BECKER called", f"{ANOTHER} called"),
        ("“Galaxy Tab” was there", f"“{ANOTHER}” was there"),
        ("he will come; Maya Patel knows", "he will come; Maya Patel knows"),
        ("Tomorrow at Beckerhof", "Tomorrow at Beckerhof"),
    ],
)
def test_names_of_others_go_from_a_sentence_and_nothing_else(told: str, stays: str) -> None:
    hide = hiding(["Tom Becker", "Will Patel"], shown=["Galaxy Tab"], kept=["Maya Patel"])
    assert hide(told) == stays


def test_a_name_typed_in_small_letters_is_known_as_it_is_usually_written() -> None:
    hide = hiding(["will smith"], shown=[], kept=["Maya Patel"])
    assert hide("Will told us, and he will come") == f"{ANOTHER} told us, and he will come"


def test_a_name_that_two_carers_share_stays_the_own_one() -> None:
    hide = hiding(["Maya Cohen"], shown=[], kept=["Maya Patel"])
    assert hide("Maya was there") == "Maya was there"
    assert hide("Maya Cohen was there") == f"{ANOTHER} was there"


def test_the_verdicts_are_those_of_the_whole_report() -> None:
    whole = build_report(COHORT, EVIDENCE, now=AFTER)
    report, _ = narrowed(COHORT, EVIDENCE, Only(household="H2"), now=AFTER)
    assert [c.id for c in report.cohort.carers] == ["carer-3"]
    for ours, theirs in zip(report.registers, whole.registers, strict=True):
        assert ours.weeks["carer-3"].verdict is theirs.weeks["carer-3"].verdict
        assert ours.unmatched == ()
    assert report.carers["carer-3"] == whole.carers["carer-3"]
    assert report.households == {"H2": whole.households["H2"]}


def test_one_of_two_carers_is_told_nothing_of_the_other() -> None:
    """Where the household stands would tell what the partner did."""
    report, _ = narrowed(COHORT, EVIDENCE, Only(carer_id="carer-2"), now=AFTER)
    (reason, *_) = report.registers[1].weeks["carer-2"].reasons
    assert reason.startswith(f"not seen, but {ANOTHER} of the same household was there")
    assert report.households == {}
    assert set(report.carers) == {"carer-2"}


def test_a_stranger_is_named_to_nobody_but_the_facilitators() -> None:
    whole = build_report(COHORT, EVIDENCE, now=AFTER).registers[1].weeks["carer-3"]
    assert "Ines Vogel" in whole.reasons[0]
    report, _ = narrowed(COHORT, EVIDENCE, Only(household="H2"), now=AFTER)
    told = report.registers[1].weeks["carer-3"].reasons
    assert "Ines" not in " ".join(told)
    assert told[0].startswith(f"“{ANOTHER}” was there and nobody has said who it was")


def test_what_people_wrote_is_searched_for_names_in_small_letters_too() -> None:
    said = Correction(
        week=2,
        carer_id="carer-1",
        verdict=Verdict.ATTENDED,
        kind=CorrectionKind.CORRECTION,
        reason="sat with tom, as dev knows",
        made_by="facilitator Ann",
        made_at=AFTER,
    )
    evidence = replace(EVIDENCE, corrections=(said,))
    report, _ = narrowed(COHORT, evidence, Only(household="H1"), now=AFTER)
    told = report.registers[1].weeks["carer-1"].reasons[0]
    assert told.startswith(f"correction by facilitator Ann: sat with {ANOTHER}, as dev knows (")


def test_somebody_else_on_ones_own_link_is_not_named_either() -> None:
    passed_on = Evidence(events=(*held(), *stay(0, 120, "c1", who("Ines Vogel", "r1"))))
    whole = build_report(COHORT, passed_on, now=AFTER).registers[1].weeks["carer-1"]
    assert "Ines Vogel" in " ".join(whole.flags)
    report, _ = narrowed(COHORT, passed_on, Only(household="H1"), now=AFTER)
    flags = report.registers[1].weeks["carer-1"].flags
    assert flags
    assert "Ines" not in " ".join(flags)


def test_everybody_is_the_report_as_it_is() -> None:
    report, hide = narrowed(COHORT, EVIDENCE, Only(), now=AFTER)
    assert report == build_report(COHORT, EVIDENCE, now=AFTER)
    assert hide("Tom Becker") == "Tom Becker"


def test_household_and_carer_together_must_agree() -> None:
    assert Only(household="H1", carer_id="carer-3").of(COHORT) == ()
    assert Only(household="H2", carer_id="carer-3").of(COHORT) == (TOM,)


def test_without_addresses_leaves_no_address_and_no_link_in_any_text() -> None:
    shown = [who("ines.vogel@example.com", None), who("see https://x.example/y now", None)]
    events = [*held(), *stay(0, 60, "c1", shown[0]), *stay(0, 60, "c2", shown[1])]
    cohort = replace(COHORT, carers=(replace(MAYA, name="maya@example.com"), TOM))
    whole = build_report(cohort, Evidence(events=tuple(events)), now=AFTER)
    report = without_addresses(whole)
    names = {seen.display_name for seen in report.registers[1].unmatched}
    assert names == {"(address not shown)", "see (address not shown) now"}
    reasons = [r for w in report.registers[1].weeks.values() for r in w.reasons]
    assert "example" not in " ".join([*reasons, *(c.name for c in report.cohort.carers)])
    assert report.carers == whole.carers
