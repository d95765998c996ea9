"""What a group answers that is no classification: vectors, scores, boxes and tensors, byte by byte (rule 2.5).

Numbers are whole: under ``fraction_bits`` b the integer v stands for v / 2**b, so that every machine reads, compares
and aggregates the same. Raw floats never enter canonical bytes.
"""

from __future__ import annotations

import enum
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final, NamedTuple

from dropbeard.errors import ConfigInvalid, MessageInvalid
from dropbeard.types import limits, wire

_BOX: Final = struct.Struct("<I4HH")


class OutputKind(enum.IntEnum):
    """What kind of answer a task has; the number stands in the genesis' canonical bytes, 0 never does."""

    CLASSIFICATION = 0
    EMBEDDING = 1
    """One vector, compared by its direction."""
    SCORES = 2
    """One number for each label: regression, ratings, measurements in ``unit``."""
    BOXES = 3
    """Objects in a picture, each a class and a rectangle."""
    TENSOR = 4
    """An array of whole or fixed-point numbers that means what the task's name says."""


class Element(enum.IntEnum):
    """How one number is stored, little-endian; the code stands in the genesis' canonical bytes."""

    I8 = 1
    I16 = 2
    I32 = 3
    I64 = 4
    U8 = 5
    U16 = 6
    U32 = 7

    @property
    def letter(self) -> str:
        """As ``struct`` and numpy spell it."""
        return "bhiqBHI"[self - 1]

    @property
    def bytes(self) -> int:
        """Bytes of one number."""
        return struct.calcsize("<" + self.letter)

    @property
    def bounds(self) -> tuple[int, int]:
        """Least and largest number."""
        bits = 8 * self.bytes
        return (0, (1 << bits) - 1) if self >= Element.U8 else (-(1 << bits - 1), (1 << bits - 1) - 1)


@dataclass(frozen=True)
class OutputForm:
    """How an answer looks that is no classification.

    ``shape``: (numbers,) of a vector or of scores, (most boxes,) of boxes, anything of a tensor. ``element`` and
    ``fraction_bits``: how a number is stored (boxes have their own layout: U16, 0). ``scale``: the difference, in
    stored units, at which two scores do not agree at all, and up to which elements of a tensor do; 0 for vectors and
    boxes. ``unit`` is for people. Raises ConfigInvalid when it cannot work.
    """

    kind: OutputKind
    shape: tuple[int, ...]
    element: Element = Element.I16
    fraction_bits: int = 0
    scale: int = 0
    unit: str = ""

    def __post_init__(self) -> None:
        wrong = _fault(self)
        if wrong is not None:
            raise ConfigInvalid(f"the task's {self.kind.name.lower()}: {wrong}")

    def encode(self) -> bytes:
        """Canonical bytes: kind u8, element u8, fraction_bits u8, dimensions u8, each u32, scale u32, unit short."""
        head = bytes((self.kind, self.element, self.fraction_bits, len(self.shape)))
        return head + b"".join(map(wire.u32, self.shape)) + wire.u32(self.scale) + wire.short_bytes(self.unit.encode())

    @cached_property
    def numbers(self) -> int:
        """Numbers in an answer (of boxes: the most boxes)."""
        return math.prod(self.shape)

    @cached_property
    def layout(self) -> struct.Struct:
        """Of an answer made of numbers alone: row-major, little-endian."""
        return struct.Struct(f"<{self.numbers}{self.element.letter}")


@dataclass(frozen=True, slots=True)
class Numbers:
    """An embedding, scores or a tensor: ``values`` row-major, each v / 2**fraction_bits of its form."""

    form: OutputForm
    values: tuple[int, ...]

    def encode(self) -> bytes:
        """The canonical bytes that a commitment covers: each number, nothing else."""
        return self.form.layout.pack(*self.values)

    def reals(self) -> tuple[float, ...]:
        """The numbers as floats, for display and for arithmetic of one's own."""
        return tuple(math.ldexp(value, -self.form.fraction_bits) for value in self.values)


class Box(NamedTuple):
    """One object. Coordinates are u16 in 1/65535 of the side of the picture's centre square, x to the right and y down,
    ``x0 < x1`` and ``y0 < y1``; ``score`` is u16 in 1/65535.
    """

    class_id: int
    x0: int
    y0: int
    x1: int
    y1: int
    score: int

    @property
    def place(self) -> tuple[int, ...]:
        """Canonical order: best score first, then class id and coordinates."""
        return (-self.score, *self[:5])


@dataclass(frozen=True, slots=True)
class Boxes:
    """The objects that an owner sees, best score first; there may be none."""

    boxes: tuple[Box, ...]

    def encode(self) -> bytes:
        """The canonical bytes: how many u16, then for each class id u32, x0, y0, x1, y1, score, each u16."""
        return wire.u16(len(self.boxes)) + b"".join(_BOX.pack(*box) for box in self.boxes)


def boxes_in_order(boxes: Sequence[Box]) -> Boxes:
    """Boxes in canonical order, each once."""
    return Boxes(tuple(sorted(set(boxes), key=lambda box: box.place)))


def decode_numbers(form: OutputForm, output: bytes) -> Numbers:
    """Read a vector, scores or a tensor; MessageInvalid unless it has exactly the form's size."""
    if len(output) != form.layout.size:
        raise MessageInvalid(f"an answer has {len(output)} bytes, the task's {_name(form)} has {form.layout.size}")
    return Numbers(form, form.layout.unpack(output))


def decode_boxes(form: OutputForm, classes: int, output: bytes) -> Boxes:
    """Read boxes; MessageInvalid unless they are in canonical order, at most the form's number, all of them real."""
    count = int.from_bytes(output[:2], "little")
    if len(output) != 2 + count * _BOX.size or count > form.numbers:
        raise MessageInvalid(f"an answer of {len(output)} bytes does not hold 0 to {form.numbers} boxes")
    boxes = tuple(map(Box._make, _BOX.iter_unpack(output[2:])))
    if any(box.class_id >= classes for box in boxes):
        raise MessageInvalid("a box is of a class that does not exist")
    if any(box.x0 >= box.x1 or box.y0 >= box.y1 for box in boxes):
        raise MessageInvalid("a box has no area")
    if any(a.place >= b.place for a, b in pairwise(boxes)):
        raise MessageInvalid(
            "an answer's boxes are not ordered by score, class id and coordinates, or one is there twice"
        )
    return Boxes(boxes)


def _name(form: OutputForm) -> str:
    return form.kind.name.lower()


def _fault(form: OutputForm) -> str | None:
    """What is wrong with a form, or None."""
    if form.kind is OutputKind.CLASSIFICATION:
        return "a classification has no form"
    flat = form.kind is not OutputKind.TENSOR
    if not 1 <= len(form.shape) <= (1 if flat else limits.DIMENSIONS_MAX):
        return f"shape has {len(form.shape)} dimensions, {1 if flat else f'1 to {limits.DIMENSIONS_MAX}'} are possible"
    if any(not 1 <= side <= limits.OUTPUT_BYTES_MAX for side in form.shape):
        return f"a dimension of shape must be 1 to {limits.OUTPUT_BYTES_MAX}"
    if form.kind is OutputKind.BOXES:
        return _boxes_fault(form)
    if form.numbers * form.element.bytes > limits.OUTPUT_BYTES_MAX:
        return f"{form.numbers} numbers take more than {limits.OUTPUT_BYTES_MAX} bytes"
    if not 0 <= form.fraction_bits < 8 * form.element.bytes:
        return f"fraction_bits = {form.fraction_bits} does not fit {form.element.name.lower()}"
    if form.kind is OutputKind.EMBEDDING and (form.scale or form.unit):
        return "a vector is compared by its direction: it has no scale and no unit"
    least = int(form.kind is OutputKind.SCORES)
    if form.kind is not OutputKind.EMBEDDING and not least <= form.scale < 1 << 32:
        return f"scale = {form.scale} must be {least} to {(1 << 32) - 1}"
    plain = form.unit.isprintable() and form.unit == form.unit.strip()
    return None if plain and len(form.unit.encode()) <= limits.UNIT_BYTES_MAX else "unit must be a short printable word"


def _boxes_fault(form: OutputForm) -> str | None:
    if (form.element, form.fraction_bits, form.scale, form.unit) != (Element.U16, 0, 0, ""):
        return "boxes are u16 with no fraction_bits, scale or unit"
    most = limits.BOXES_MAX
    return None if form.numbers <= most else f"{form.numbers} boxes in an answer, at most {most} are possible"
