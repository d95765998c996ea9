"""The models on this machine: made once from installed packages, kept in the cache, never used unchecked."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from blake3 import blake3

from dropbeard.errors import ConfigInvalid, ModelMissing
from dropbeard.serving.cache import cache_directory, has_digest, read_cached, store
from dropbeard.serving.manifest import (
    MANIFEST_BYTES_MAX,
    Manifest,
    keep_manifest,
    load_manifest,
    manifests,
    parse_manifest,
)

ARTEFACT_BYTES_MAX: Final = 8 << 30


class Stage(enum.Enum):
    """What happens to one model while a set is fetched."""

    MAKING = "making"
    CACHED = "in the cache"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Progress:
    """Model ``done`` of ``total`` of a set has reached a stage."""

    name: str
    stage: Stage
    done: int
    total: int


OnProgress = Callable[[Progress], None]


def _ignore(_: Progress) -> None:
    """Nobody watches."""


def artefact_path(manifest: Manifest) -> Path:
    """Where the artefact lies once it is fetched; the path has its digest, so versions lie side by side."""
    return cache_directory() / "models" / manifest.artefact.blake3[:16] / manifest.artefact.file


def _command(manifest: Manifest) -> str:
    if manifest.recipe is None:
        return "run: dropbeard models add MANIFEST ARTEFACT"
    return f"run: dropbeard models fetch {manifest.task}"


def artefact_bytes(manifest: Manifest) -> bytes:
    """The artefact, checked against the manifest's digest; ``ModelMissing`` says how to get it."""
    path = artefact_path(manifest)
    data = read_cached(path)
    if data is None:
        raise ModelMissing(f"the model {manifest.name} is not in the cache; {_command(manifest)}")
    if not has_digest(data, manifest.artefact.blake3):
        raise ModelMissing(f"{path} is not the file that its manifest names; {_command(manifest)}")
    return data


def artefact(name: str) -> Path:
    """Path of a model's artefact, whose digest was just checked."""
    manifest = load_manifest(name)
    artefact_bytes(manifest)
    return artefact_path(manifest)


def is_ready(manifest: Manifest) -> bool:
    """Whether the artefact is in the cache with the right digest."""
    data = read_cached(artefact_path(manifest))
    return data is not None and has_digest(data, manifest.artefact.blake3)


def _make(manifest: Manifest) -> None:
    # Imported only now: an owner whose models are in the cache needs no converter.
    from dropbeard.serving.recipes.build import build_artefact

    if manifest.recipe is None:
        raise ModelMissing(f"{manifest.name} cannot be made here; {_command(manifest)}")
    data = build_artefact(manifest.recipe)
    if not has_digest(data, manifest.artefact.blake3):
        raise ModelMissing(
            f"{manifest.name} was made from {manifest.recipe.package}, but its digest is not the manifest's: "
            f"install {manifest.source} again"
        )
    store(artefact_path(manifest), data)


def fetch(name: str, on_progress: OnProgress = _ignore, *, done: int = 1, total: int = 1) -> Path:
    """Make a model's artefact unless the cache has it; a damaged one is made again."""
    manifest = load_manifest(name)
    path = artefact_path(manifest)
    if is_ready(manifest):
        on_progress(Progress(name, Stage.CACHED, done, total))
        return path
    on_progress(Progress(name, Stage.MAKING, done, total))
    _make(manifest)
    on_progress(Progress(name, Stage.READY, done, total))
    return path


def add(manifest_file: Path, artefact_file: Path) -> Manifest:
    """Take an owner's own model into this machine's catalogue: its manifest and its artefact, checked.

    Raises ConfigInvalid when either cannot be read or they do not belong together; nothing is kept then.
    """
    manifest = parse_manifest(_read(manifest_file, MANIFEST_BYTES_MAX), str(manifest_file))
    data = _read(artefact_file, ARTEFACT_BYTES_MAX)
    found = blake3(data).hexdigest()
    if (len(data), found) != (manifest.artefact.bytes, manifest.artefact.blake3):
        raise ConfigInvalid(
            f"{artefact_file} is not what {manifest_file} names: write bytes = {len(data)} and blake3 = "
            f'"{found}" under [artefact] if it is meant'
        )
    keep_manifest(manifest)
    store(artefact_path(manifest), data)
    return manifest


def _read(path: Path, bytes_max: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except OSError as error:
        raise ConfigInvalid(f"cannot read {path}: {error.strerror}") from error
    if len(data) > bytes_max:
        raise ConfigInvalid(f"{path} has more than {bytes_max} bytes")
    return data


def models_of(task: str) -> list[Manifest]:
    """The models that answer a task; ``ConfigInvalid`` when there are none."""
    found = [manifest for manifest in manifests() if manifest.task == task]
    if not found:
        tasks = ", ".join(sorted({manifest.task for manifest in manifests()}))
        raise ConfigInvalid(f"there are no models for {task!r}; there are some for {tasks}")
    return found


def fetch_set(task: str, on_progress: OnProgress = _ignore) -> list[Path]:
    """Fetch all models of a task but those that an owner added: these are here already."""
    found = [manifest for manifest in models_of(task) if manifest.recipe is not None]
    return [
        fetch(manifest.name, on_progress, done=index, total=len(found)) for index, manifest in enumerate(found, start=1)
    ]
