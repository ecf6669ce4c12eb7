"""Doubts about who was there: what must ask a person although the connections alone would not.

A carer who was not seen may have sat at the partner's device, or have been the participant whom
nobody has identified. Whoever could be judged otherwise then is not judged by the software.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from course.connections import Connection
from course.identity import Roster, participant_key
from course.intervals import intersect
from course.model import Carer, CarerWeek, Cohort, Evidence, Verdict
from course.verdicts import Found

Judged = dict[str, CarerWeek]
JudgeWith = Callable[[Carer, Found], CarerWeek]
ROUNDED = 0.01  # a share is shown with two places, and 0.7996 is not 0.8
_SETTLED_AGAINST = (Verdict.ABSENT, Verdict.PARTIAL)


def ask_for_the_second(
    cohort: Cohort, evidence: Evidence, found: Judged, shared: Mapping[str, str]
) -> Judged:
    """Whoever may have sat at another's device, or has another's link, is not called absent.

    `shared`: a carer id -> the carer whose connection was made by a link or address of both.
    """
    answer = dict(found)
    carers = {carer.id: carer for carer in cohort.carers}
    for carer in cohort.carers:
        week = found[carer.id]
        if week.verdict is not Verdict.ABSENT and not (
            week.verdict is Verdict.UNDETERMINED and not week.intervals
        ):
            continue
        owner = carers.get(shared.get(carer.id, ""))
        partner = owner or next(
            (c for c in cohort.partners(carer) if found[c.id].intervals),
            None,
        )
        if partner is None:
            continue
        if owner is not None:
            reason = (
                f"has the same link as {owner.name}, who was there; "
                "whether both were there a person must say"
            )
        else:
            reason = (
                f"not seen, but {partner.name} of the same household was there; whether they "
                "shared one device a person must say"
            )
        habit = next(
            (
                a
                for a in sorted(evidence.attestations, key=lambda a: a.week, reverse=True)
                if a.carer_id == carer.id and a.with_carer_id == partner.id
            ),
            None,
        )
        if habit is not None:
            reason += f" ({habit.made_by} said so for week {habit.week})"
        answer[carer.id] = replace(
            week,
            verdict=Verdict.UNDETERMINED,
            reasons=(reason,),
            offered_with=partner.id if habit else None,
        )
    return answer


def ask_about_strangers(
    cohort: Cohort, roster: Roster, found: Judged, strangers: Found, judge: JudgeWith
) -> Judged:
    """Whom an unidentified participant could have been is asked about, if it would matter.

    `judge` judges a carer with more connections than are known to be theirs.
    """
    groups: dict[str, Found] = {}
    for instance, connection in strangers:
        groups.setdefault(participant_key(connection), []).append((instance, connection))
    if not groups:
        return found
    everybody = list(groups.values())
    worlds = [*everybody, [pair for group in everybody for pair in group]]
    named = {  # compared with every carer once, and not once for every carer
        id(pair[1]): {s.carer_id for s in roster.suggest(pair[1]) if s.score == 1}
        for pair in strangers
    }
    answer = dict(found)
    for carer in cohort.carers:
        week = found[carer.id]
        if week.verdict not in _SETTLED_AGAINST:
            continue
        # Whoever stayed for long enough needs no second device, unless one bore their own name.
        stayed = (week.share_present or 0) >= cohort.rule.presence + ROUNDED
        for world in worlds:
            possible = [
                pair
                for pair in world
                if _could_be(cohort, carer, pair[1], found, named[id(pair[1])], by_name_only=stayed)
            ]
            if not possible:
                continue
            other = judge(carer, possible)
            if other.verdict is not week.verdict:
                names = [c.names[0] if c.names else "somebody without a name" for _, c in possible]
                shown = " and ".join(f"“{name}”" for name in dict.fromkeys(names))
                reason = (
                    f"{shown} was there and nobody has said who it was; were it {carer.name}, "
                    "the verdict could be another. A person must say"
                )
                answer[carer.id] = replace(
                    week, verdict=Verdict.UNDETERMINED, reasons=(reason, *week.reasons)
                )
                break
    return answer


def _could_be(
    cohort: Cohort,
    carer: Carer,
    connection: Connection,
    found: Judged,
    named: Collection[str],
    *,
    by_name_only: bool,
) -> bool:
    """Whether an unidentified participant, shown as one of `named`, may have been this carer.

    Who bears the full name of one carer is taken for that one, or for somebody at their device;
    unless that one was there already, at the same time: then the name says nothing.
    """
    if carer.id in named or any(c.id in named for c in cohort.partners(carer)):
        return True
    stay = [*connection.spans, (connection.began_at, connection.last_seen_at)]
    elsewhere = {c for c in named if intersect(found[c].intervals, stay)}
    return not by_name_only and set(named) == elsewhere


def link_flags(
    cohort: Cohort, roster: Roster, carer: Carer, connections: Sequence[Connection]
) -> tuple[str, ...]:
    """Signs that a personal link was passed on. Nobody is doubled or struck out by them."""
    present = [c for c in connections if c.was_present]
    strange = [c for c in present if roster.unlike(carer.id, [c])]
    if not strange:
        return ()
    name = roster.unlike(carer.id, strange)[0]
    same_family = {c.name for c in cohort.partners(carer)}
    whose = ", of the same household" if name in same_family else ""
    if len(strange) == len(present):
        said = f"the personal link was used under the name “{name}”{whose}"
    else:
        said = f"the personal link was used under the name “{name}”{whose} as well"
    return (f"{said}; it may have been passed on",)
