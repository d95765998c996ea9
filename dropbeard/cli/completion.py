"""``dropbeard completion``: what a shell needs to complete verbs, options and files."""

from __future__ import annotations

import click

SHELLS = {
    "bash": "bash-completion/completions/dropbeard",
    "fish": "fish/vendor_completions.d/dropbeard.fish",
    "zsh": "zsh/site-functions/_dropbeard",
}
"""Where each shell looks for it below a prefix's ``share``."""


@click.command("completion")
@click.argument("shell", type=click.Choice(sorted(SHELLS)))
def completion_command(shell: str) -> None:
    """Print the completion script of SHELL; wheels and the Debian package bring it along.

    For bash: dropbeard completion bash > ~/.local/share/bash-completion/completions/dropbeard
    """
    click.echo(script(shell))


def script(shell: str) -> str:
    """The script; it asks the program itself for what may follow."""
    from click.shell_completion import get_completion_class

    from dropbeard.cli.main import PROGRAM, dropbeard

    completion = get_completion_class(shell)
    assert completion is not None
    # The text alone: click would look for a bash of its own here, and the script is for the bash that reads it.
    asked = completion(dropbeard, {}, PROGRAM, f"_{PROGRAM}_COMPLETE".upper())
    return asked.source_template % asked.source_vars()
