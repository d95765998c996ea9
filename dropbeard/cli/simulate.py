"""``dropbeard simulate``: the deterministic simulator."""

from __future__ import annotations

import click


@click.command("simulate", add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def simulate_command(arguments: tuple[str, ...]) -> int:
    """Run the protocol in a deterministic simulated world: --seeds A..B, or --seed N --trace."""
    from dropbeard.simulator.command import main

    return main(arguments)
