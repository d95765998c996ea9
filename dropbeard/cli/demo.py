"""``dropbeard demo``: four owners with four real models on this machine, and certificates for what they agree on."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("demo")
@click.argument("images", nargs=-1, type=click.Path(path_type=Path))
@click.option("--dir", "directory", type=click.Path(path_type=Path), help="Keep keys, logs and certificates here.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
def demo_command(images: tuple[Path, ...], directory: Path | None, as_json: bool) -> None:
    """Start four nodes and four engines, classify IMAGES (free pictures if none are given), save and verify
    certificates, stop everything.
    """
    from dropbeard.cli.demo_run import run_demo

    run_demo(images, directory, as_json)
