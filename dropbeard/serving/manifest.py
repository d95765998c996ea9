"""Manifests: what a model is, where it comes from and how an image is put to it (engines/README.md)."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from dropbeard.errors import ConfigInvalid
from dropbeard.serving.cache import cache_directory, store
from dropbeard.types import wire
from dropbeard.types.hashing import digest
from dropbeard.types.ids import Digest
from dropbeard.types.limits import DIMENSIONS_MAX, OUTPUT_BYTES_MAX

MODEL: Final = "dropbeard 1 model digest"
MANIFEST_BYTES_MAX: Final = 64 << 10
FILE: Final = "manifest.toml"
SIDE_MAX: Final = 4096
BATCH_MAX: Final = 4096
CLASSES_MAX: Final = 65_536
ROWS_MAX: Final = 4_096
BOX_COLUMNS: Final = 6

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


class LogitsRule(_Table, frozen=True, tag_field="rule", tag="softmax of logits"):
    """One logit for each class; the answer is a classification."""

    classes: Annotated[int, Meta(ge=1, le=CLASSES_MAX)]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what the model gives for one image."""
        return (self.classes,)


class EmbeddingRule(_Table, frozen=True, tag_field="rule", tag="embedding"):
    """One vector; ``normalise`` makes its length 1 first."""

    numbers: Annotated[int, Meta(ge=1, le=OUTPUT_BYTES_MAX)]
    normalise: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what the model gives for one image."""
        return (self.numbers,)


class ScoresRule(_Table, frozen=True, tag_field="rule", tag="scores"):
    """One number for each of the task's labels: the model's, times ``multiply``, plus ``add``."""

    numbers: Annotated[int, Meta(ge=1, le=OUTPUT_BYTES_MAX)]
    multiply: float = 1.0
    add: float = 0.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what the model gives for one image."""
        return (self.numbers,)


class BoxesRule(_Table, frozen=True, tag_field="rule", tag="boxes"):
    """``rows`` rows of x0, y0, x1, y1, score, class id, overlaps already removed; a row of class -1 is empty.

    ``coordinates`` are pixels of the model's input, or shares of its side. A score below ``score_min`` does not count.
    """

    rows: Annotated[int, Meta(ge=1, le=ROWS_MAX)]
    coordinates: Literal["pixels", "shares"]
    score_min: Annotated[float, Meta(ge=0, le=1)]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what the model gives for one image."""
        return (self.rows, BOX_COLUMNS)


class TensorRule(_Table, frozen=True, tag_field="rule", tag="tensor"):
    """The model's own array, of the task's shape."""

    shape: Annotated[tuple[Annotated[int, Meta(ge=1)], ...], Meta(min_length=1, max_length=DIMENSIONS_MAX)]


OutputRule = LogitsRule | EmbeddingRule | ScoresRule | BoxesRule | TensorRule
"""How the model's numbers become an answer of the task."""


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


class Reference(_Table, frozen=True):
    """What the model answered to a free picture when its manifest was written: (class id, 1/65535), best first."""

    picture: Annotated[str, Meta(pattern=r"^[a-z0-9]+\.[a-z]+$")]
    choices: Annotated[tuple[tuple[int, int], ...], Meta(min_length=1, max_length=16)]


class _ManifestFile(_Table, frozen=True, kw_only=True):
    name: Name
    label: Text
    license: Text
    source: Text
    task: Name
    recipe: Recipe | None = None
    """Without one the artefact cannot be made again: its owner keeps it."""
    artefact: Artefact
    input: InputRule
    output: OutputRule
    backends: Annotated[tuple[ImageBackend, ...], Meta(min_length=1, max_length=8)]
    profile: Profile
    accuracy: Accuracy | None = None
    """A classifier's."""
    reference: Annotated[tuple[Reference, ...], Meta(max_length=64)] = ()


class Manifest(_ManifestFile, frozen=True, kw_only=True):
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
    if isinstance(parsed.output, LogitsRule) != (parsed.accuracy is not None):
        raise ConfigInvalid(f"{where}: a classifier, and nothing else, has [accuracy]")
    if parsed.reference and not isinstance(parsed.output, LogitsRule):
        raise ConfigInvalid(f"{where}: a [[reference]] is of a classifier")
    return Manifest(file_bytes=data, **{key: getattr(parsed, key) for key in parsed.__struct_fields__})


def _engines() -> Traversable:
    return files("dropbeard") / "engines"


def _added() -> Path:
    """Manifests that an owner added on this machine."""
    return cache_directory() / "engines"


def _read(folder: Traversable) -> Manifest:
    manifest = parse_manifest((folder / FILE).read_bytes(), f"engines/{folder.name}/manifest.toml")
    if manifest.name != folder.name:
        raise ConfigInvalid(f"engines/{folder.name}/manifest.toml names {manifest.name!r}: rename one of them")
    return manifest


def _folders() -> dict[str, Traversable]:
    """By name; a model that was added does not take the place of one that came with the package."""
    places: list[Traversable] = [_engines()]
    if _added().is_dir():
        places.insert(0, _added())
    return {folder.name: folder for place in places for folder in place.iterdir() if (folder / FILE).is_file()}


def manifests() -> list[Manifest]:
    """All models that this installation knows, by name."""
    return [_read(folder) for _, folder in sorted(_folders().items())]


def keep_manifest(manifest: Manifest) -> None:
    """Add a model to this machine's. Raises ConfigInvalid when its name is another model's."""
    there = _folders().get(manifest.name)
    if there is not None and _read(there).file_bytes != manifest.file_bytes:
        raise ConfigInvalid(f"there is another model {manifest.name!r} already: give this one another name")
    store(_added() / manifest.name / FILE, manifest.file_bytes)


def manifests_by_digest() -> dict[Digest, Manifest]:
    """All of them by the digest that names them in the protocol."""
    return {model_digest(manifest): manifest for manifest in manifests()}


def load_manifest(name: str) -> Manifest:
    """The manifest of one model; ``ConfigInvalid`` lists the models there are."""
    folder = _folders().get(name)
    if folder is not None:
        return _read(folder)
    known = ", ".join(manifest.name for manifest in manifests())
    raise ConfigInvalid(f"there is no model {name!r}; the models are {known}")


def model_digest(manifest: Manifest) -> Digest:
    """Digest that names the model in the protocol: a changed preprocessing is a new model (rule 2.6).

    Covers the length of the manifest file (u32), its exact bytes and the artefact's 32-byte digest.
    """
    length = wire.u32(len(manifest.file_bytes))
    return digest(MODEL, length, manifest.file_bytes, manifest.artefact.digest)
