"""``dropbeard config``: a node's configuration with the source of each value."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.group("config")
def config_command() -> None:
    """Look at a node's configuration."""


@config_command.command("show")
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--effective", is_flag=True, help="Every value that counts, defaults included.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show_command(config: Path, effective: bool, as_json: bool) -> None:
    """Print the values of CONFIG and where each came from: its line, an environment variable, or the default.

    DROPBEARD_STATE replaces `state`, DROPBEARD_ENGINE_THREADS replaces `threads` of [engine], and so on; names, keys
    and lists stand in the file alone.
    """
    import msgspec

    from dropbeard.daemon.files import read_node_files

    files = read_node_files(config)
    plain = msgspec.to_builtins(files.config)
    values = {**plain, **{f"{name}.{key}": one for name in ("keys", "engine") for key, one in plain[name].items()}}
    rows = [
        {"key": key, "value": values[key], "source": source}
        for key, source in files.sources.items()
        if effective or source != "default"
    ]
    if as_json:
        click.echo(json.dumps({"config": rows, "unknown": list(files.unknown)}))
        return
    for row in rows:
        click.echo(f"{row['key']} = {json.dumps(row['value'])}  # {row['source']}")
    for row_text in files.unknown:
        click.echo(f"warning: {row_text}", err=True)
