"""Whose a row of the platform's record is, where the same stay was pushed as well.

The record may show another name than the one somebody came under (the last one instead of the
first), or leave out the personal link. The live connection of that very stay knows better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from course.connections import SAME_JOIN, SAME_LEAVE, Connection
from course.identity import Identity, plain_names
from course.instances import Instance
from course.intervals import intersect

Identified = list[tuple[Instance, Connection, Identity]]
_LINKS = ("personal link", "e-mail address")
_DOUBTFUL = "the record's name may be somebody else's, renamed"


def settle_rows(found: Identified) -> Identified:
    """The same connections; a row of the record is whoever the live connection of that stay was."""
    live = [one for one in found if not one[1].is_record]
    recorded = [one for one in found if one[1].is_record]
    rows = [connection for _, connection, _ in recorded]
    settled: Identified = []
    for instance, connection, who in found:
        own_word = who.how in _LINKS or who.link is not None or (who.known and not who.carer_id)
        if connection.is_record and not own_word:
            who = _whose(instance, connection, who, live, rows)  # noqa: PLW2901
        elif not who.known:
            who = _at_the_seat(instance, connection, recorded) or who  # noqa: PLW2901
        settled.append((instance, connection, who))
    return settled


def _whose(
    instance: Instance, row: Connection, who: Identity, live: Identified, rows: list[Connection]
) -> Identity:
    if any(i is instance and c.seats & row.seats for i, c, _ in live):
        return _at_the_seat(instance, row, live) or who
    doubtful = replace(who, carer_id=None, known=False, how=_DOUBTFUL, by_join_page=False)
    together = [(c, other) for _, c, other in live if _together(row, c)]
    same = [(c, other) for c, other in together if _same_stay(row, c)]
    shown = plain_names(row)
    if by_name := [other for c, other in same if shown & plain_names(c)]:
        return _only(by_name) or doubtful  # whoever came under another name first, nobody knows
    # Somebody else bore that name at that time, and the row is of neither of their stays.
    bore_it = [other for c, other in together if shown & plain_names(c) and other.known]
    if any(other.carer_id != who.carer_id for other in bore_it):
        return doubtful
    # Nobody was seen live under that name: somebody was renamed unseen, or was not seen at all.
    renamed = [
        other
        for c, other in same
        if not any(plain_names(c) & plain_names(other_row) for other_row in rows)
    ]
    if not [other for other in renamed if other.known]:
        return who
    return renamed[0] if len(renamed) == 1 else doubtful


def _together(row: Connection, live: Connection) -> bool:
    """Whether both may be of one time."""
    spans = [*live.spans, *live.orphan_spans]
    if live.orphan_left_at is not None:
        spans.append((live.began_at - SAME_JOIN, live.orphan_left_at))
    if live.open_from is not None:
        spans.append((live.open_from, max(live.open_from + SAME_LEAVE, live.last_seen_at)))
    return bool(intersect(row.spans, spans))


def _at_the_seat(instance: Instance, connection: Connection, others: Identified) -> Identity | None:
    """Who sat there by the other telling; None where nobody known did."""
    seat = [who for i, c, who in others if i is instance and c.seats & connection.seats]
    return _only(seat) if seat else None


def _only(identities: Sequence[Identity]) -> Identity | None:
    """Who all of them are; None where they are not one, or nobody known."""
    first = identities[0]
    same = all((i.carer_id, i.known) == (first.carer_id, first.known) for i in identities)
    return first if same and first.known else None


def _same_stay(row: Connection, live: Connection) -> bool:
    """Whether both began and ended together; a live one that was not told to end only began."""
    for begin, end in row.spans:
        if live.open_from is not None and abs(live.open_from - begin) <= SAME_JOIN:
            return True
        if any(abs(a - begin) <= SAME_JOIN and abs(b - end) <= SAME_LEAVE for a, b in live.spans):
            return True
    return False
