"""Algebra over spans of time: union, clip, subtract, total. A span is (from, to), from < to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

Span = tuple[datetime, datetime]


def union(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same time, without overlaps and in order; touching spans become one."""
    if isinstance(spans, tuple) and len(spans) < 2:  # what most are: a report asks often
        return spans if spans and spans[0][0] < spans[0][1] else ()
    lasting = [span for span in spans if span[0] < span[1]]
    if len(lasting) < 2:
        return tuple(lasting)
    merged: list[Span] = []
    for begin, end in sorted(lasting):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return tuple(merged)


def intersect(left: Iterable[Span], right: Iterable[Span]) -> tuple[Span, ...]:
    """The time that both cover."""
    ours, theirs = union(left), union(right)
    found: list[Span] = []
    i = j = 0
    while i < len(ours) and j < len(theirs):
        begin, end = max(ours[i][0], theirs[j][0]), min(ours[i][1], theirs[j][1])
        if begin < end:
            found.append((begin, end))
        if ours[i][1] <= theirs[j][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


def subtract(left: Iterable[Span], right: Iterable[Span]) -> tuple[Span, ...]:
    """The time that the left covers and the right does not."""
    remaining = list(union(left))
    for begin, end in union(right):
        cut: list[Span] = []
        for a, b in remaining:
            if b <= begin or end <= a:
                cut.append((a, b))
                continue
            if a < begin:
                cut.append((a, begin))
            if end < b:
                cut.append((end, b))
        remaining = cut
    return tuple(remaining)


def total(spans: Iterable[Span]) -> timedelta:
    """How long, overlaps counted once."""
    return sum((end - begin for begin, end in union(spans)), timedelta())


def minutes(length: timedelta) -> float:
    """A length in minutes, for people."""
    return length.total_seconds() / 60
