"""The task schema: what a request may carry and what an answer looks like, byte by byte (rule 2.5)."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

from dropbeard.errors import InputInvalid, MessageInvalid
from dropbeard.types import wire
from dropbeard.types.hashing import INPUT, digest_large
from dropbeard.types.ids import Digest
from dropbeard.types.outputs import Boxes, Numbers, OutputForm, OutputKind, decode_boxes, decode_numbers

PROBABILITY_ONE = 65_535
"""A probability is a u16 in units of 1/65535."""

CHOICES_KEPT = 4_096
"""Answers remembered by their bytes: a client looks at each more than once."""

_INPUT = struct.Struct("<BIII")
_CHOICE = struct.Struct("<IH")


class InputKind(enum.IntEnum):
    """How an input's bytes are to be read."""

    ENCODED_IMAGE = 1
    """An image file's own bytes, unchanged."""
    RAW_RGB8 = 2
    """A uint8 array height x width x 3, row-major, RGB; the shape is in the request."""


@dataclass(frozen=True, slots=True)
class Input:
    """One input: ``shape`` is (height, width, 3) for RAW_RGB8 and (0, 0, 0) for ENCODED_IMAGE."""

    kind: InputKind
    shape: tuple[int, int, int]
    data: bytes
    known_digest: Digest | None = field(default=None, repr=False, compare=False)
    """The digest, where it is known from who worked it out: an engine's node."""

    def digest(self) -> Digest:
        """Covers kind, shape and exactly these bytes (rule 2.5): kind u8, 3 x u32, data. Worked out once."""
        if self.known_digest is None:
            found = digest_large(INPUT, _INPUT.pack(self.kind, *self.shape), self.data)
            object.__setattr__(self, "known_digest", found)
            return found
        return self.known_digest


@dataclass(frozen=True, slots=True)
class Classification:
    """An answer: ``choices`` are (class id, probability in 1/65535), best first, ties by lower class id.

    Layout: for each choice class id u32, probability u16. Their number is the schema's ``top_k``.
    """

    choices: tuple[tuple[int, int], ...]

    def encode(self) -> bytes:
        """The canonical bytes that a commitment covers."""
        return b"".join(_CHOICE.pack(class_id, probability) for class_id, probability in self.choices)


Output = Classification | Numbers | Boxes
"""An answer of some task."""


@dataclass(frozen=True, slots=True)
class TaskSchema:
    """What the group answers. ``labels`` name the classes; ``top_k`` choices make a classification.

    Of a task that is none, ``form`` says how answers look; its ``top_k`` is 0, its ``labels`` name classes of boxes or
    single scores.
    """

    name: str
    labels: tuple[str, ...]
    top_k: int
    encoded_bytes_max: int
    pixels_max: int
    form: OutputForm | None = None

    @property
    def kind(self) -> OutputKind:
        """What kind of answer it is."""
        return OutputKind.CLASSIFICATION if self.form is None else self.form.kind

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.labels)

    def encode(self) -> bytes:
        """Canonical bytes: name, top_k u16, encoded_bytes_max u32, pixels_max u32, u32 labels, each short bytes.

        Behind them the form, where there is one: top_k, which is 0 there and nowhere else, tells them apart.
        """
        head = wire.short_bytes(self.name.encode()) + wire.u16(self.top_k)
        limits = wire.u32(self.encoded_bytes_max) + wire.u32(self.pixels_max)
        labels = b"".join(wire.short_bytes(label.encode()) for label in self.labels)
        form = b"" if self.form is None else self.form.encode()
        return head + limits + wire.u32(len(self.labels)) + labels + form

    def check_input(self, given: Input) -> None:
        """Raise InputInvalid unless kind, shape and size fit; the pixels of a file are the engine's to check."""
        if given.kind is InputKind.ENCODED_IMAGE:
            self._check_encoded(given)
            return
        height, width, channels = given.shape
        if channels != 3 or height < 1 or width < 1:
            raise InputInvalid(f"raw input has shape {given.shape}, expected (height, width, 3)")
        if height * width > self.pixels_max:
            raise InputInvalid(f"raw input has {height * width} pixels, at most {self.pixels_max} are accepted")
        if height * width * 3 != len(given.data):
            raise InputInvalid(
                f"raw input of shape {given.shape} needs {height * width * 3} bytes, got {len(given.data)}"
            )

    def _check_encoded(self, given: Input) -> None:
        if given.shape != (0, 0, 0):
            raise InputInvalid("an encoded image carries no shape; send (0, 0, 0)")
        if not given.data:
            raise InputInvalid("the image is empty (0 bytes)")
        if len(given.data) > self.encoded_bytes_max:
            raise InputInvalid(f"the image has {len(given.data)} bytes, at most {self.encoded_bytes_max} are accepted")

    def read_output(self, output: bytes) -> Output:
        """Read an answer of this task, whatever its kind; MessageInvalid unless it is the canonical form of one."""
        if self.form is None:
            return self.decode_output(output)
        if self.form.kind is OutputKind.BOXES:
            return decode_boxes(self.form, self.classes, output)
        return decode_numbers(self.form, output)

    def decode_output(self, output: bytes) -> Classification:
        """Read a classification; MessageInvalid unless it is the canonical form of ``top_k`` distinct choices."""
        if self.form is not None:
            raise MessageInvalid(f"the task {self.name} answers with {self.kind.name.lower()}, not with classes")
        if len(output) != _CHOICE.size * self.top_k:
            raise MessageInvalid(
                f"an answer has {len(output)} bytes, the task's top-{self.top_k} has {_CHOICE.size * self.top_k}"
            )
        return _read_choices(output, self.top_k, len(self.labels))


@lru_cache(maxsize=CHOICES_KEPT)
def _read_choices(output: bytes, top_k: int, classes: int) -> Classification:
    choices: tuple[tuple[int, int], ...] = tuple(_CHOICE.iter_unpack(output))
    ids, probabilities = zip(*choices, strict=True)
    if len(set(ids)) != top_k or max(ids) >= classes:
        raise MessageInvalid("an answer names a class that does not exist, or one class twice")
    if any(a[1] < b[1] or (a[1] == b[1] and a[0] > b[0]) for a, b in pairwise(choices)):
        raise MessageInvalid("an answer's choices are not ordered by probability, then class id")
    # Each probability is rounded to the nearest unit, so a full vector may exceed one by half a unit a class.
    if sum(probabilities) > PROBABILITY_ONE + top_k:
        raise MessageInvalid("an answer's probabilities add up to more than one")
    return Classification(choices)
