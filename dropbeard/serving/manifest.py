"""Manifests: what a model is, where it comes from and how an image is put to it (engines/README.md)."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from dropbeard.errors import ConfigInvalid
from dropbeard.types import wire
from dropbeard.types.hashing import digest
from dropbeard.types.ids import Digest

MODEL: Final = "dropbeard 1 model digest"
MANIFEST_BYTES_MAX: Final = 64 << 10
SIDE_MAX: Final = 4096
BATCH_MAX: Final = 4096
CLASSES_MAX: Final = 65_536

NAME: Final = r"^[a-z0-9][a-z0-9.-]{0,63}$"
RELATIVE: Final = r"^[A-Za-z0-9_][A-Za-z0-9_-]*([./][A-Za-z0-9_-]+)*$"

ImageBackend = Literal["onnx", "openvino", "tensorrt"]
"""Libraries that run a model's artefact."""

Name = Annotated[str, Meta(pattern=NAME)]
Text = Annotated[str, Meta(min_length=1, max_length=256)]
Share = Annotated[float, Meta(gt=0, le=1)]
Channels = tuple[float, float, float]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A TOML table in which an unknown key is an error."""


class Recipe(_Table, frozen=True):
    """Which converter makes the artefact, from which file of which installed package."""

    builder: Literal["efficientnet-lite", "squeezenet"]
    variant: Name
    package: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*$")]
    file: Annotated[str, Meta(pattern=RELATIVE)]


class Artefact(_Table, frozen=True):
    """The file that a backend loads; ``blake3`` is its plain BLAKE3, as ``b3sum`` prints it."""

    file: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    bytes: Annotated[int, Meta(ge=1)]
    blake3: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]

    @property
    def digest(self) -> Digest:
        """``blake3`` as 32 bytes."""
        return Digest(bytes.fromhex(self.blake3))


class InputRule(_Table, frozen=True):
    """Preprocessing. ``mean`` and ``scale`` are in the model's channel order."""

    size: Annotated[int, Meta(ge=1, le=SIDE_MAX)]
    crop: Share
    resample: Literal["bicubic", "bilinear"]
    channel_order: Literal["rgb", "bgr"]
    layout: Literal["nchw"]
    mean: Channels
    scale: Channels


class OutputRule(_Table, frozen=True):
    """How the model's numbers become an answer of the task."""

    rule: Literal["softmax of logits"]
    classes: Annotated[int, Meta(ge=1, le=CLASSES_MAX)]


class Profile(_Table, frozen=True):
    """Batch sizes: at most ``batch_max`` in a run; ``preferred`` ones, ascending, are taken where the queue allows."""

    batch_max: Annotated[int, Meta(ge=1, le=BATCH_MAX)]
    preferred: Annotated[tuple[Annotated[int, Meta(ge=1)], ...], Meta(min_length=1, max_length=16)]

    @property
    def batch_best(self) -> int:
        """What a compiled engine is tuned for."""
        return self.preferred[-1]


class Accuracy(_Table, frozen=True):
    """What was measured, on how many images, and why not to believe it too much."""

    top1: Share
    top5: Share
    images: Annotated[int, Meta(ge=1)]
    caveat: Text


class _ManifestFile(_Table, frozen=True):
    name: Name
    label: Text
    license: Text
    source: Text
    task: Name
    recipe: Recipe
    artefact: Artefact
    input: InputRule
    output: OutputRule
    backends: Annotated[tuple[ImageBackend, ...], Meta(min_length=1, max_length=8)]
    profile: Profile
    accuracy: Accuracy


class Manifest(_ManifestFile, frozen=True):
    """A manifest and the exact bytes of its file, which the model digest covers."""

    file_bytes: bytes


def parse_manifest(data: bytes, where: str) -> Manifest:
    """Read a manifest file's bytes; ``ConfigInvalid`` names the file and the key."""
    if len(data) > MANIFEST_BYTES_MAX:
        raise ConfigInvalid(f"{where} has {len(data)} bytes, a manifest has at most {MANIFEST_BYTES_MAX}")
    try:
        parsed = msgspec.toml.decode(data, type=_ManifestFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{where} is not a manifest: {error}") from error
    preferred = parsed.profile.preferred
    if list(preferred) != sorted(set(preferred)) or preferred[-1] > parsed.profile.batch_max:
        raise ConfigInvalid(f"{where}: profile.preferred must ascend and end at batch_max or below")
    return Manifest(file_bytes=data, **{key: getattr(parsed, key) for key in parsed.__struct_fields__})


def _engines() -> Traversable:
    return files("dropbeard") / "engines"


def _read(folder: Traversable) -> Manifest:
    file = folder / "manifest.toml"
    manifest = parse_manifest(file.read_bytes(), f"engines/{folder.name}/manifest.toml")
    if manifest.name != folder.name:
        raise ConfigInvalid(f"engines/{folder.name}/manifest.toml names {manifest.name!r}: rename one of them")
    return manifest


def manifests() -> list[Manifest]:
    """All models that this installation knows, by name."""
    folders = [folder for folder in _engines().iterdir() if (folder / "manifest.toml").is_file()]
    return [_read(folder) for folder in sorted(folders, key=lambda folder: folder.name)]


def manifests_by_digest() -> dict[Digest, Manifest]:
    """All of them by the digest that names them in the protocol."""
    return {model_digest(manifest): manifest for manifest in manifests()}


def load_manifest(name: str) -> Manifest:
    """The manifest of one model; ``ConfigInvalid`` lists the models there are."""
    if re.fullmatch(NAME, name) and (_engines() / name / "manifest.toml").is_file():
        return _read(_engines() / name)
    known = ", ".join(manifest.name for manifest in manifests())
    raise ConfigInvalid(f"there is no model {name!r}; the models are {known}")


def model_digest(manifest: Manifest) -> Digest:
    """Digest that names the model in the protocol: a changed preprocessing is a new model (rule 2.6).

    Covers the length of the manifest file (u32), its exact bytes and the artefact's 32-byte digest.
    """
    length = wire.u32(len(manifest.file_bytes))
    return digest(MODEL, length, manifest.file_bytes, manifest.artefact.digest)
