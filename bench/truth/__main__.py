"""`python -m bench.truth`: verdicts against a known truth, beside two baselines.

Invents sessions from a seed, tells them through the product's own readers of webhooks and records,
and compares every verdict with what truly happened.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import click

from bench.truth.trial import Score, run

BATCH = 50


def _batch(seeds: tuple[int, int]) -> Score:
    score = Score()
    for seed in range(*seeds):
        run(seed, score)
    return score


@click.command()
@click.option("--carers", default=100_000, help="How many carer-sessions to judge.")
@click.option("--seed", default=1, help="Where to begin; the same seed invents the same sessions.")
@click.option("--show", default=10, help="How many faults to print.")
@click.option("--only", default=0, help="Judge this one seed and print it.")
def main(carers: int, seed: int, show: int, only: int) -> None:
    """Judge invented sessions until so many verdicts are given."""
    score, begun = Score(), time.monotonic()
    if only:
        run(only, score)
    else:
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            start = seed * 1_000_000
            while score.verdicts.total() < carers:
                left = carers - score.verdicts.total()
                batches = max(1, min(40, left // (BATCH * 6) + 1))
                spans = [(start + n * BATCH, start + (n + 1) * BATCH) for n in range(batches)]
                start += batches * BATCH
                for part in pool.map(_batch, spans):
                    score.add(part)
    for line in report(score, show=show, seconds=time.monotonic() - begun):
        click.echo(line)
    sys.exit(1 if score.verdicts["wrong"] else 0)


def report(score: Score, *, show: int, seconds: float) -> list[str]:
    """What to print."""
    verdicts = score.verdicts
    everything = verdicts.total()
    right = verdicts["right"] + verdicts["right, and could not be known"]
    asked = verdicts["undetermined"] + verdicts["avoidable"]
    lines = [
        f"{everything:,} carer-sessions in {score.sessions:,} sessions, {seconds:.0f} s",
        f"  right         {_share(right, everything)}",
        f"  wrong         {_share(verdicts['wrong'], everything)}",
        f"  undetermined  {_share(asked, everything)}, of which the evidence truly allows two "
        f"answers in {verdicts['undetermined'] / max(asked, 1):.1%}",
        f"  passed on     {_share(verdicts['passed on, flagged'], everything)}: counted by the "
        "link, and flagged for a person",
        f"  (of the right ones {verdicts['right, and could not be known']:,} allowed another one)",
        "",
        "baselines on the same notifications and records:",
    ]
    for name, counts in sorted(score.baselines.items()):
        lines.append(
            f"  {name}: wrong {_share(counts['wrong'], everything)}, about presence alone "
            f"{counts['wrong about presence'] / max(everything, 1):.1%}; a place kept wrongly "
            f"{counts['a place kept wrongly']:,}, lost wrongly {counts['a place lost wrongly']:,}"
        )
    lines += [
        "",
        f"  {'sources':44} {'wrong':>6} {'undetermined':>13}   camera right/other/unknown",
    ]
    for mix, counts in sorted(score.by_mix.items()):
        cameras = score.cameras.get(mix, Counter())
        open_ = counts["undetermined"] + counts["avoidable"]
        lines.append(
            f"  {mix:44} {counts['wrong']:>6} {open_ / counts.total():>13.1%}   "
            f"{cameras['right']} / {cameras['other']} / {cameras['unknown']}"
        )
    return [*lines, *(["", *sorted(score.faults, reverse=True)[:show]] if score.faults else [])]


def _share(count: int, of: int) -> str:
    return f"{count:>8,} ({count / max(of, 1):.2%})"


if __name__ == "__main__":
    main()
