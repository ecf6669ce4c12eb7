"""Judges an invented session with the product, and compares every verdict with the truth."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta

from bench.truth import teams_tells, zoom_tells
from bench.truth.hearing import STARTS, Hearing
from bench.truth.world import Person, World, invent, judge
from bench.truth.world import Platform as Where
from course.identity import normalise
from course.instances import all_recorded, find_instances, instances_by_week
from course.model import (
    Attestation,
    Carer,
    CarerWeek,
    Cohort,
    CohortState,
    Evidence,
    Facilitator,
    Level,
    Link,
    Platform,
    RegisterEntry,
    Rule,
    Session,
    SessionRegister,
)
from course.reports import build_report

AFTER = STARTS + timedelta(days=3)
TICKED = 0.9  # of the carers, where facilitators tick


@dataclass(slots=True)
class Score:
    """What became of the verdicts."""

    sessions: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)  # right, wrong, open, avoidable
    by_mix: dict[str, Counter[str]] = field(default_factory=dict)
    cameras: dict[str, Counter[str]] = field(default_factory=dict)
    baselines: dict[str, Counter[str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def add(self, other: Score) -> None:
        """Sum up."""
        self.sessions += other.sessions
        self.verdicts += other.verdicts
        for ours, theirs in (
            (self.by_mix, other.by_mix),
            (self.cameras, other.cameras),
            (self.baselines, other.baselines),
        ):
            for name, counts in theirs.items():
                ours.setdefault(name, Counter()).update(counts)
        self.faults += other.faults


def run(seed: int, score: Score) -> None:
    """One session."""
    luck = random.Random(seed)  # invents, protects nothing  # nosec B311
    platform: Where = luck.choice(("zoom", "teams"))
    world = invent(luck, platform)
    module = zoom_tells if platform == "zoom" else teams_tells
    mix = luck.choice(module.MIXES)
    loss = luck.choice((0.0, 0.0, 0.02, 0.1, 0.3))
    record = luck.random() < 0.85
    teller = (zoom_tells.ZoomTells if platform == "zoom" else teams_tells.TeamsTells)(
        luck, world, mix=mix, loss=loss, record=record
    )
    hearing = teller.tell()
    hearing.open_pages()
    if "ticks" in mix:
        _tick(luck, hearing)
    cohort = _cohort(world)
    weeks, _ = instances_by_week(cohort.sessions, find_instances(hearing.events))
    complete = bool(hearing.recorded) and all_recorded(weeks[1])
    evidence = Evidence(
        events=tuple(hearing.events),
        registers=(RegisterEntry(week=1, closed_at=AFTER, record_complete=complete),),
    )
    first = build_report(cohort, evidence, now=AFTER).registers[0]
    evidence, linked = _asked(luck, world, first, evidence)
    register = build_report(cohort, evidence, now=AFTER).registers[0]
    score.sessions += 1
    for person in world.carers:
        week = register.weeks[f"carer-{person.carer}"]
        possible = _possible(hearing, person, evidence, linked)
        _compare(f"{seed} {platform} {mix}", hearing, person, week, possible, score)


def _tick(luck: random.Random, hearing: Hearing) -> None:
    """Facilitators tick what they saw: on, off, or partly."""
    world = hearing.world
    for person in world.carers:
        present = world.present(person).bit_count()
        if not present or luck.random() > TICKED:
            continue
        share = world.camera(person).bit_count() / present
        level = Level.ON if share > 0.9 else Level.OFF if share < 0.1 else Level.PARTLY
        hearing.tick(person, level)


def _cohort(world: World) -> Cohort:
    session = Session(
        week=1, topic="T", starts_at=STARTS, ends_at=STARTS + timedelta(seconds=world.length)
    )
    carers = tuple(
        Carer(
            id=f"carer-{p.carer}",
            name=p.name,
            email=f"c{p.carer}@example.com",
            household=f"H{p.household:02}",
            position=p.carer or 0,
            enrolled_at=STARTS - timedelta(days=30),
            invitation_ref=f"r{(p.carer or 0) + 1}" if world.platform == "zoom" else None,
        )
        for p in world.carers
    )
    return Cohort(
        id="c",
        name="C",
        platform=Platform(world.platform),
        state=CohortState.READY,
        timezone="Europe/London",
        organiser="host@example.org",
        rule=Rule(),
        sessions=(session,),
        carers=carers,
        facilitators=(Facilitator(name="Dr Alma Lee", email="lee@example.org"),),
        series_ref=zoom_tells.SERIES if world.platform == "zoom" else teams_tells.SERIES,
        created_at=STARTS - timedelta(days=30),
    )


def _asked(
    luck: random.Random, world: World, register: SessionRegister, evidence: Evidence
) -> tuple[Evidence, set[str]]:
    """Facilitators say, for some, who a stranger was and who sat together; always truly.

    Also the names that were said to be somebody.
    """
    links, attestations, linked = [], [], set()
    shown: dict[str, set[int | None]] = {}
    for person in world.people:
        for stay in person.stays:
            for name in stay.names:
                shown.setdefault(normalise(name), set()).add(person.carer)
    for seen in register.unmatched:
        whose = shown.get(normalise(seen.display_name), set())
        if len(whose) == 1 and luck.random() < 0.5:
            number = next(iter(whose))
            carer = None if number is None else f"carer-{number}"
            linked.add(normalise(seen.display_name))
            links.append(Link(ref=seen.ref, carer_id=carer, made_by="Dr Lee", made_at=AFTER))
    for person in world.carers:
        if person.sits_with is not None and luck.random() < 0.5:
            attestations.append(
                Attestation(
                    week=1,
                    carer_id=f"carer-{person.carer}",
                    with_carer_id=f"carer-{person.sits_with}",
                    reason="seen together",
                    made_by="Dr Lee",
                    made_at=AFTER,
                )
            )
    return replace(evidence, links=tuple(links), attestations=tuple(attestations)), linked


def _compare(
    where: str,
    hearing: Hearing,
    person: Person,
    week: CarerWeek,
    possible: set[str],
    score: Score,
) -> None:
    world = hearing.world
    mix = where.split(" ", 1)[1]
    truth = world.verdict(person, hears_microphones=hearing.hears(person))
    said = week.verdict.value
    passed_on = any(
        p.link_of == person.carer and p.stays for p in world.people if p.link_of is not None
    )
    if passed_on and week.minutes_present:
        # The register follows the link, and says that it may have been passed on.
        score.verdicts["passed on, flagged" if week.flags else "wrong"] += 1
        if not week.flags:
            score.faults.append(f"wrong: seed {where}, {person.name}: passed on without a flag")
        return
    if said == "undetermined":
        outcome = "undetermined" if len(possible) > 1 else "avoidable"
    elif said == truth:
        outcome = "right" if possible == {truth} else "right, and could not be known"
    else:
        outcome = "wrong"
    if outcome in ("wrong", "avoidable"):
        score.faults.append(
            f"{outcome}: seed {where}, {person.name}: {said}, truly {truth}, possible "
            f"{sorted(possible)}; {'; '.join(week.reasons)}"
        )
    score.verdicts[outcome] += 1
    score.by_mix.setdefault(mix, Counter())[outcome] += 1
    _compare_camera(mix, hearing, person, week, score)
    _compare_baselines(hearing, person, truth, score)


def _possible(hearing: Hearing, person: Person, evidence: Evidence, linked: set[str]) -> set[str]:
    """The verdicts that everything heard and said leaves open."""
    world = hearing.world
    identified = _identified(hearing, linked)
    owners = {s.number: p for p in world.people for s in p.stays}
    known = {number for number, is_known in identified.items() if is_known}
    ours = {number for number in known if owners[number] is person}
    nobodys = set(identified) - known
    attested = {a.carer_id for a in evidence.attestations}
    beside = person.only_waited
    if f"carer-{person.carer}" in attested and person.sits_with is not None:
        ours |= {s.number for s in world.carers[person.sits_with].stays} & known
    elif not ours:
        beside = beside or any(
            p.household == person.household
            and p is not person
            and known & {s.number for s in p.stays}
            for p in world.carers
        )
    return hearing.possible(person, ours, nobodys, beside)


def _identified(hearing: Hearing, linked: set[str]) -> dict[int, bool]:
    """Of each stay that was heard of: whether it is known whose it was."""
    world = hearing.world
    found: dict[int, bool] = {}
    for person in world.people:
        matched_before = False
        for stay in sorted(person.stays, key=lambda s: s.joined_at):
            told = hearing.of(stay)
            if not (told.joined or told.left or hearing.record):
                continue
            shown = {normalise(n) for n in stay.names}
            whose = person.carer if person.link_of is None else person.link_of
            by_link = world.platform == "zoom" and whose is not None and stay.by_link
            exact = person.carer is not None and normalise(person.name) in shown
            opened = person.opened_page_at
            near = opened is not None and -120 <= stay.joined_at - opened <= 600
            matched = exact and (near or matched_before)
            matched_before = matched_before or (matched and near)
            found[stay.number] = bool(
                person.role in ("host", "bot") or by_link or matched or shown & linked
            )
    return found


def _compare_camera(
    mix: str, hearing: Hearing, person: Person, week: CarerWeek, score: Score
) -> None:
    """The label of the camera against the truth; both are shares of the time present."""
    world = hearing.world
    present = world.present(person).bit_count()
    if not present or not week.minutes_present:
        return
    counts = score.cameras.setdefault(mix, Counter())
    if week.camera_share is None:
        counts["unknown"] += 1
        return
    share = world.camera(person).bit_count() / present
    counts["right" if abs(share - week.camera_share) <= 0.1 else "other"] += 1


def _compare_baselines(hearing: Hearing, person: Person, truth: str, score: Score) -> None:
    world = hearing.world
    present = world.present(person).bit_count()
    # The baselines know nothing of cameras: what they say of presence alone is counted apart.
    presence = judge(held=world.held.bit_count(), present=present, camera=present, microphone=True)
    joined = person.carer in hearing.first_join_told
    seconds = hearing.told_names.get(person.name, 0.0)
    summed = "attended" if seconds >= 0.8 * world.length else "partial" if seconds else "absent"
    for name, said in (
        ("first join counts (Indico's check-in)", "attended" if joined else "absent"),
        ("durations summed by name (Moodle's way)", summed),
    ):
        counts = score.baselines.setdefault(name, Counter())
        counts["right" if said == truth else "wrong"] += 1
        counts["wrong about presence"] += said != presence
        if said == "attended" and truth != "attended":
            counts["a place kept wrongly"] += 1
        if said == "absent" and truth == "attended":
            counts["a place lost wrongly"] += 1
