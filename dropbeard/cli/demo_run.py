"""What the demo does, stage by stage: progress to standard error, results to standard output."""

from __future__ import annotations

import json
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from dropbeard.cli.infer_view import save
from dropbeard.client.answers import Answer
from dropbeard.client.client import Client
from dropbeard.client.inputs import input_from
from dropbeard.daemon.local_group import LocalGroup
from dropbeard.errors import GroupUnreachable, InputInvalid
from dropbeard.serving.catalogue import Progress, fetch_set
from dropbeard.serving.free_images import free_images
from dropbeard.serving.manifest import manifests_by_digest
from dropbeard.types.certificates import decode_certificate
from dropbeard.types.genesis_file import task_schema
from dropbeard.verification.certificate import verify

TIMEOUT_S: Final = 60.0
PATIENCE_S: Final = 20.0
CONNECT_TRY_S: Final = 0.5
START_TIMEOUT_S: Final = 45.0


class _Stages:
    """Seconds of each stage, in order."""

    def __init__(self, console: Console) -> None:
        self.seconds: dict[str, float] = {}
        self._console = console

    @contextmanager
    def stage(self, name: str, text: str) -> Iterator[None]:
        """Say what is being done, and afterwards how long it took."""
        started = time.monotonic()
        with self._console.status(text):
            yield
        self.seconds[name] = round(time.monotonic() - started, 3)
        self._console.print(f"[green]done[/] {text} [dim]({self.seconds[name]:.1f} s)[/]", highlight=False)


def run_demo(images: Sequence[Path], directory: Path | None, as_json: bool) -> None:
    """The whole demo; DropbeardError with one line for everything that can be wrong. Nothing is left running."""
    console = Console(stderr=True)
    stages = _Stages(console)
    started = time.monotonic()
    signal.signal(signal.SIGTERM, _interrupt)  # leave the same way as on Ctrl-C: children are ended first
    with ExitStack() as stack:
        pictures = _prepare(images, stages)
        home = directory or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dropbeard-")))
        with stages.stage("start", "starting four nodes and four engines"):
            local = stack.enter_context(LocalGroup(home / "group"))
            group = stack.enter_context(_connect(local))
        with stages.stage("classify", "asking the group about each picture"):
            answers = list(group.map(pictures))
        with stages.stage("verify", "saving the certificates and verifying them from their files"):
            folder = home / "certificates"
            folder.mkdir(exist_ok=True)
            saved = [save(answer, picture, folder) for answer, picture in zip(answers, pictures, strict=True)]
            for path, picture in zip(saved, pictures, strict=True):
                verify(decode_certificate(path.read_bytes()), group.group, input_from(picture))
        with stages.stage("stop", "stopping every process"):
            group.close()
            local.supervisor.stop()
        stages.seconds["total"] = round(time.monotonic() - started, 3)
        rows = list(zip(pictures, answers, saved, strict=True))
        _show(console if as_json else Console(), rows, stages)
        _say_where(console, directory, local)
        if as_json:
            print(json.dumps(_as_json(rows, local, stages)))


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _prepare(images: Sequence[Path], stages: _Stages) -> list[Path]:
    with stages.stage("models", "making the four models (only the first time takes a moment)"):
        fetch_set("imagenet", _ignore)
    if not images:
        with stages.stage("pictures", "getting free pictures"):
            return free_images()
    # What every engine would refuse is refused here, before eight processes start. Imported late: a missing extra was
    # reported by the models above.
    from dropbeard.serving.images import check_picture

    schema = task_schema("imagenet", ("a", "b"))
    for path in images:
        given = input_from(path)
        try:
            check_picture(given, schema)
        except InputInvalid as wrong:
            raise InputInvalid(f"{path}: {wrong}") from wrong
    return list(images)


def _ignore(_: Progress) -> None:
    """The status line says enough."""


def _connect(local: LocalGroup) -> Client:
    """Wait for the daemons; a daemon that ends at once is reported with its own last line."""
    until = time.monotonic() + START_TIMEOUT_S
    while True:
        local.check()
        try:
            return Client(local.group, timeout=TIMEOUT_S, patience=PATIENCE_S, connect_timeout=CONNECT_TRY_S)
        except GroupUnreachable:
            if time.monotonic() > until:
                raise


Row = tuple[Path, Answer, Path]


def _model_names() -> dict[str, str]:
    return {digest.hex(): manifest.name for digest, manifest in manifests_by_digest().items()}


def _show(console: Console, rows: Sequence[Row], stages: _Stages) -> None:
    names = _model_names()
    table = Table(title="What each owner answered, and what the group agreed on", title_style="bold")
    for column in ("picture", "owner", "model", "answer"):
        table.add_column(column, overflow="fold")
    table.add_column("", justify="right")
    for picture, answer, _ in rows:
        for place, owner in enumerate(answer.owners):
            name = picture.name if place == 0 else ""
            model = f"[dim]{names.get(owner.model, owner.model[:12])}[/]"
            table.add_row(name, owner.owner, model, owner.label, f"{owner.probability:.0%}")
        agreed = f"[bold green]{answer.label}[/]" if answer.label is not None else "[bold yellow]undecided[/]"
        assurance = f"margin {answer.margin}, {answer.assurance.value}"
        table.add_row("", "[bold]agreed[/]", f"[bold]{assurance}[/]", agreed, "", end_section=True)
    console.print(table)
    sizes = [len(answer.certificate.data) for _, answer, _ in rows]
    parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in stages.seconds.items())
    console.print(f"{min(sizes)} to {max(sizes)} bytes a certificate, each saved and verified; {parts}")


def _say_where(console: Console, directory: Path | None, local: LocalGroup) -> None:
    if directory is None:
        console.print("Everything was in a temporary directory; keep it with: dropbeard demo --dir DIR", style="dim")
    else:
        example = directory / "certificates" / "NAME.dbcert"
        command = f"dropbeard verify {example} --group {local.genesis}"
        console.print(f"Check one yourself: {command}", style="dim", soft_wrap=True)


def _as_json(rows: Sequence[Row], local: LocalGroup, stages: _Stages) -> dict[str, Any]:
    names = _model_names()
    answers = [
        {
            "input": str(picture),
            "label": answer.label,
            "margin": answer.margin,
            "assurance": answer.assurance.value,
            "owners": [
                {
                    "owner": owner.owner,
                    "model": names.get(owner.model, owner.model[:12]),
                    "version": owner.version,
                    "label": owner.label,
                    "probability": round(owner.probability, 4),
                }
                for owner in answer.owners
            ],
            "certificate": str(saved),
            "latency_ms": round(answer.latency_ms, 1),
        }
        for picture, answer, saved in rows
    ]
    return {"answers": answers, "genesis": str(local.genesis), "seconds": stages.seconds}
