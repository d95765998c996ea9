"""``dropbeard engine``: compile a model for this machine's GPU, and check what an engine computes."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, get_args

import click

from dropbeard.types.node_config import Backend

if TYPE_CHECKING:
    from dropbeard.serving.backends import ModelBackend

SYNTHETIC = "synthetic"


@click.group("engine")
def engine_command() -> None:
    """Compile a model for this machine's GPU, and check what an engine computes."""


@engine_command.command("build")
@click.argument("model")
@click.option("--backend", type=click.Choice(["tensorrt"]), required=True, help="The backend to compile for.")
@click.option("--device", default=0, show_default=True, help="Which GPU, counted from 0.")
@click.option("--again", is_flag=True, help="Even if there is a plan already.")
def build_command(model: str, backend: str, device: int, again: bool) -> None:
    """Compile MODEL for a GPU of this machine; the plan is kept in the cache and is of use on this machine alone."""
    from dropbeard.serving.tensorrt.command import build

    started = time.monotonic()
    path, built = build(model, device, again)
    if built:
        click.echo(f"{path}: {path.stat().st_size} bytes, built in {time.monotonic() - started:.0f} s")
        click.echo(f"next: dropbeard engine check {model} --backend {backend}")
    else:
        click.echo(f"{path} is built already; --again builds it once more")


@engine_command.command("check")
@click.argument("model")
@click.option(
    "--backend",
    type=click.Choice([name for name in get_args(Backend) if name != SYNTHETIC]),
    default="onnx",
    show_default=True,
    help="The backend that is held against ONNX Runtime.",
)
@click.option("--url", help="For oip: http://HOST:PORT or grpc://HOST:PORT of the serving system.")
@click.option("--remote-model", help="For oip: what the serving system calls MODEL; the same if not said.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def check_command(model: str, backend: ModelBackend, url: str | None, remote_model: str | None, as_json: bool) -> None:
    """Ask an engine daemon of its own about real pictures, batched and shuffled, and compare what it answers with
    ONNX Runtime one picture at a time and with what MODEL's manifest records. Exit code 1 when they differ too much.
    """
    from dropbeard.daemon.engine_check import check_engine
    from dropbeard.serving.manifest import load_manifest

    if backend == "tensorrt":
        from dropbeard.serving.tensorrt.libraries import load_libraries

        load_libraries()
    found = check_engine(load_manifest(model), backend, url, remote_model)
    if as_json:
        figures = {name: getattr(found, name) for name in type(found).__slots__}
        click.echo(json.dumps({"model": model, "backend": backend, **figures}))
        return
    click.echo(f"{model} on {backend}: ok, {found.answers} answers to {found.pictures} pictures")
    click.echo(f"largest difference of a probability to ONNX Runtime alone: {found.to_alone:.5f} ({found.worst})")
    if found.to_recorded is not None:
        click.echo(f"largest difference to what the manifest records: {found.to_recorded:.5f}")
