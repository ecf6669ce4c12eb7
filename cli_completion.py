"""`circle completion`: what a shell needs to complete commands, options and cohorts."""

from __future__ import annotations

import click

INSTALL = {
    "bash": "circle completion bash > ~/.local/share/bash-completion/completions/circle",
    "zsh": "circle completion zsh > ~/.zfunc/_circle    (with ~/.zfunc in fpath)",
    "fish": "circle completion fish > ~/.config/fish/completions/circle.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(list(INSTALL)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script with which your SHELL completes this command.

    The script's last line says how to install it: circle completion bash | tail -1
    """
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    if made is None:
        raise click.ClickException(f"There is no completion for {shell}.")
    script = made(context.find_root().command, {}, "circle", "_CIRCLE_COMPLETE").source()
    click.echo(f"{script.rstrip()}\n# To install it, and begin a new shell: {INSTALL[shell]}")
