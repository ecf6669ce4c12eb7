"""`circle demo`: the demonstration, with its progress."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click


@click.command()
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-output"),
    show_default=True,
    help="Folder for the reports.",
)
def demo(output: Path) -> None:
    """Open, play and report one course on each platform, with stand-ins, on this machine."""
    import demo as demonstration
    from sandbox.player import DemoFailed

    interactive = sys.stderr.isatty()
    bars: list[Any] = []

    def steps(number: int) -> None:
        bar = click.progressbar(
            length=number, file=sys.stderr, hidden=not interactive, item_show_func=_shown
        )
        bars.append(stack.enter_context(bar))

    def progress(name: str) -> None:
        (bar,) = bars
        bar.update(1, name)
        if not interactive:
            click.echo(f"[{bar.pos:>2}/{bar.length}] {name}", err=True)

    def say(line: str) -> None:
        if interactive:
            click.echo("\r\033[K", nl=False, err=True)
        click.echo(line)

    try:
        with ExitStack() as stack:
            demonstration.run(output=output, say=say, progress=progress, steps=steps)
    except DemoFailed as e:
        first, *more = str(e).splitlines()
        for line in more:
            click.echo(line, err=True)
        raise click.ClickException(first) from e


def _shown(step: str | None) -> str | None:
    return step
