"""``dropbeard``: finds the verb, turns an expected error into one line and its exit code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Final

import click

from dropbeard import __version__
from dropbeard.errors import DropbeardError

PROGRAM: Final = "dropbeard"
INTERRUPTED: Final = 130

VERBS: Final = {
    "audit": ("dropbeard.cli.audit:audit_command", "Put certificates together: order, gaps, versions, how owners did."),
    "bench": ("dropbeard.cli.bench:bench_command", "Measure a group on this machine (in a checkout)."),
    "blame": ("dropbeard.cli.blame:blame_command", "Find who signed what nobody honest signs, and write the evidence."),
    "check": (
        "dropbeard.cli.check:check_command",
        "Check a node's or a gateway's configuration and files before it runs.",
    ),
    "completion": ("dropbeard.cli.completion:completion_command", "Print the completion script of a shell."),
    "config": ("dropbeard.cli.config:config_command", "Show a configuration with the source of each value."),
    "demo": ("dropbeard.cli.demo:demo_command", "Four owners on this machine classify pictures and certify it."),
    "disclose": ("dropbeard.cli.disclose:disclose_command", "Give certificates to owners, who then know how they did."),
    "doctor": ("dropbeard.cli.doctor:doctor_command", "Find out what ails a node, running or not."),
    "drain": ("dropbeard.cli.drain:drain_command", "End a running node without a failed request."),
    "engine": ("dropbeard.cli.engine:engine_command", "Compile a model for a GPU, and check what an engine computes."),
    "group": ("dropbeard.cli.group:group_command", "Make a group's genesis, change its owners, sign its card."),
    "groups": ("dropbeard.cli.groups:groups_command", "List what groups offer, from their signed cards."),
    "infer": ("dropbeard.cli.infer:infer_command", "Ask a group about pictures and keep the certificates."),
    "init": ("dropbeard.cli.init:init_command", "Make an owner's keys, node configuration and public card."),
    "ledger": ("dropbeard.cli.ledger:ledger_command", "Replay a node's ledger without keys, or show it."),
    "model": ("dropbeard.cli.model:model_command", "Update an owner's model, and see which was in force when."),
    "models": ("dropbeard.cli.models:models_command", "Make, list and check the models an engine can run."),
    "replay": ("dropbeard.cli.replay:replay_command", "Run a node's recorded core again, turn by turn."),
    "run": ("dropbeard.cli.run:run_command", "Run a node, an engine or a gateway until it is told to stop."),
    "reputation": ("dropbeard.cli.reputation:reputation_command", "Show what is known of each owner, as counts."),
    "simulate": ("dropbeard.cli.simulate:simulate_command", "Run the protocol in a deterministic simulated world."),
    "status": ("dropbeard.cli.status:status_command", "Ask a running node how it is; the exit code is a health check."),
    "top": ("dropbeard.cli.top:top_command", "Watch the whole group, live, in this terminal."),
    "systemd": ("dropbeard.cli.systemd:systemd_command", "Show and install the service units."),
    "upgrade-check": (
        "dropbeard.cli.upgrade_check:upgrade_check_command",
        "Ask whether a node may be stopped for an upgrade.",
    ),
    "usage": (
        "dropbeard.cli.usage:usage_command",
        "Count a month's answers from a ledger, and price them.",
    ),
    "verify": ("dropbeard.cli.verify:verify_command", "Check an inference certificate or a piece of evidence offline."),
    "web": ("dropbeard.cli.web:web_command", "Serve the page of a running node on loopback, read-only."),
}


class LazyGroup(click.Group):
    """Knows its verbs and their one-line help without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs."""
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb that is called."""
        if cmd_name not in VERBS:
            return None
        module, _, name = VERBS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs with their help."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, VERBS[verb][1]) for verb in sorted(VERBS)])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=PROGRAM)
def dropbeard() -> None:
    """Certified inference: owners of different models agree on what was answered; anyone can check it offline."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. An expected error is one line on standard error."""
    try:
        given = None if arguments is None else list(arguments)
        code = dropbeard.main(given, PROGRAM, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.ClickException as wrong:
        wrong.show()
        return wrong.exit_code
    except DropbeardError as wrong:
        say(wrong)
        return wrong.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo(f"{PROGRAM}: interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        return 1


def say(wrong: DropbeardError) -> None:
    """An expected error, in its line."""
    click.echo(f"{PROGRAM}: {one_line(str(wrong))}", err=True)


def one_line(text: str) -> str:
    """What a file or a path says stands on one line and cannot steer the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
