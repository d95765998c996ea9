"""``dropbeard models``: what engines can run."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.group("models")
def models_command() -> None:
    """Make, list and check models."""


@models_command.command("fetch")
@click.argument("task", type=click.Choice(["imagenet"]))
def fetch_command(task: str) -> None:
    """Make every model of TASK from the packages of its extra; downloads nothing itself."""
    from dropbeard.serving.catalogue import Progress, fetch_set

    def show(progress: Progress) -> None:
        click.echo(f"[{progress.done}/{progress.total}] {progress.name}: {progress.stage.value}", err=True)

    for path in fetch_set(task, show):
        click.echo(str(path))


@models_command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def list_command(as_json: bool) -> None:
    """List the models of the catalogue and whether each is in the cache."""
    from dropbeard.serving.catalogue import is_ready
    from dropbeard.serving.manifest import manifests, model_digest

    rows = [
        {
            "name": manifest.name,
            "version": manifest.label,
            "digest": model_digest(manifest).hex(),
            "backends": list(manifest.backends),
            "ready": is_ready(manifest),
        }
        for manifest in manifests()
    ]
    if as_json:
        click.echo(json.dumps({"models": rows}))
        return
    for row in rows:
        ready = "ready" if row["ready"] else "not made yet: dropbeard models fetch imagenet"
        click.echo(f"{row['name']:20} {row['version']!s:10} {str(row['digest'])[:12]}  {ready}")


@models_command.command("add")
@click.argument("manifest", type=click.Path(path_type=Path))
@click.argument("artefact", type=click.Path(path_type=Path))
def add_command(manifest: Path, artefact: Path) -> None:
    """Take a model of your own: its MANIFEST (engines/README.md has the keys) and the ONNX file ARTEFACT."""
    from dropbeard.serving.catalogue import add

    added = add(manifest, artefact)
    click.echo(f"added {added.name}; next: dropbeard engine check {added.name} --backend {added.backends[0]}")


@models_command.command("verify")
def verify_command() -> None:
    """Check every cached artefact against its manifest's digest."""
    from dropbeard.errors import ModelMissing
    from dropbeard.serving.catalogue import artefact
    from dropbeard.serving.manifest import manifests

    wrong: list[ModelMissing] = []
    for manifest in manifests():
        try:
            click.echo(f"{manifest.name}: ok ({artefact(manifest.name)})")
        except ModelMissing as missing:
            wrong.append(missing)
            click.echo(f"{manifest.name}: {missing}", err=True)
    if wrong:
        raise ModelMissing(f"{len(wrong)} of {len(manifests())} models cannot be used: dropbeard models fetch imagenet")
