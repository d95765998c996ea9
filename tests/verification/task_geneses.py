"""Geneses of every kind of task and with rules for clients, and what is none: each condition of the format once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dropbeard.types.genesis_file import genesis_to_toml
from dropbeard.types.limits import CLIENT_LIMIT_MAX, CLIENTS_ALLOWED_MAX, INPUT_BYTES_MAX, LABELS_MAX, PIXELS_MAX
from dropbeard.types.toml_text import table
from tests.verification.building import world

Task = Mapping[str, Any]

BOUNDS = {"encoded_bytes_max": 1 << 20, "pixels_max": 1_000_000}
CLASSES: Task = {"name": "pictures", "top_k": 2, **BOUNDS, "labels": ["cat", "dog"]}
VECTOR: Task = {"name": "vectors", "kind": "embedding", "shape": [3], **BOUNDS}
SCORES: Task = {"name": "weights", "kind": "scores", "scale": 16, **BOUNDS, "labels": ["left", "right"]}
BOXES: Task = {"name": "pets", "kind": "boxes", "shape": [2], **BOUNDS, "labels": ["cat", "dog"]}
TENSOR: Task = {"name": "maps", "kind": "tensor", "shape": [2, 1], "element": "u8", **BOUNDS}

KEYS = [f"{number:064x}" for number in range(1, 4)]
RATES = "rate_per_s = 5\nburst = 10\n"


def genesis_of(task: Task, clients: str = "") -> str:
    """The genesis of the usual four owners without its id; ``clients`` is text of TOML."""
    text = genesis_to_toml(world().group).replace("\n[task]", f"\n{clients}\n[task]")
    lines = [line for line in text[: text.index("[task]")].split("\n") if not line.startswith('id = "')]
    return "\n".join(lines) + table("[task]", task)


def _measures(**changes: Any) -> Task:
    return {**SCORES, **changes}


def _vector(**changes: Any) -> Task:
    return {**VECTOR, **changes}


def _boxes(**changes: Any) -> Task:
    return {**BOXES, **changes}


def _tensor(**changes: Any) -> Task:
    return {**TENSOR, **changes}


def _classes(**changes: Any) -> Task:
    return {**CLASSES, **changes}


TASKS: dict[str, Task] = {
    "a classification that says so": _classes(kind="classification"),
    "two labels that are one word": _classes(labels=["crane", "crane"]),
    "bounds as large as they can be": _classes(encoded_bytes_max=INPUT_BYTES_MAX, pixels_max=PIXELS_MAX),
    "a vector": VECTOR,
    "a vector that states what is the default": _vector(element="i16", fraction_bits=0, scale=0, unit="", labels=[]),
    "a vector of one number": _vector(shape=[1]),
    "a vector as long as it can be": _vector(shape=[16_384], element="i8"),
    "a vector of fractions alone": _vector(fraction_bits=15),
    "scores": SCORES,
    "one score": _measures(labels=["weight"]),
    "scores with the largest scale and the longest unit": _measures(scale=(1 << 32) - 1, unit="é" * 16),
    "scores with a unit of two words": _measures(unit="kg a"),
    "boxes": BOXES,
    "boxes that state what is the default": _boxes(element="u16", fraction_bits=0, scale=0, unit=""),
    "boxes of one class, as many as there can be": _boxes(labels=["cat"], shape=[256]),
    "a tensor": TENSOR,
    "a tensor of four dimensions": _tensor(shape=[1, 2, 3, 4]),
    "a tensor as large as it can be": _tensor(shape=[128, 128]),
    "a tensor with a scale and a unit": _tensor(scale=3, unit="m", fraction_bits=7),
    "a tensor of i64 with 63 bits of fraction": _tensor(element="i64", fraction_bits=63),
    **{f"a tensor of {name}": _tensor(element=name) for name in ("i8", "i16", "i32", "i64", "u16", "u32")},
}

NO_TASKS: dict[str, Task] = {
    "a kind that nobody knows": _vector(kind="vector"),
    "a kind in capitals": _vector(kind="Embedding"),
    "a kind that is a number": _vector(kind=1),
    "a name that is a list": _vector(name=["vectors"]),
    "an empty name": _vector(name=""),
    "a name with spaces around it": _vector(name=" vectors"),
    "a name that is too long": _vector(name="n" * 65),
    "a name that cannot be printed": _vector(name="vec\u200btors"),
    "no name": _vector(name=None),
    "no bound of pixels": _vector(pixels_max=None),
    "inputs of no byte": _vector(encoded_bytes_max=0),
    "inputs that are too large": _vector(encoded_bytes_max=INPUT_BYTES_MAX + 1),
    "inputs of no pixel": _vector(pixels_max=0),
    "inputs of too many pixels": _vector(pixels_max=PIXELS_MAX + 1),
    "a bound that is true": _vector(pixels_max=True),
    "a key that nobody knows": _vector(shapes=[3]),
    "a classification without top_k": _classes(top_k=None),
    "a classification of one class": _classes(labels=["cat"], top_k=1),
    "a classification without labels": _classes(labels=None),
    "a classification of too many classes": _classes(labels=["cat"] * (LABELS_MAX + 1)),
    "top_k that is 0": _classes(top_k=0),
    "top_k above the labels": _classes(top_k=3),
    "top_k that takes too many bytes": _classes(top_k=2_731, labels=["cat"] * 3_000),
    "an empty label": _classes(labels=["cat", ""]),
    "a label that is too long": _classes(labels=["cat", "d" * 129]),
    "a label that is a number": _classes(labels=[1, 2]),
    "labels that are words and numbers": _classes(labels=["cat", 2]),
    "labels that are one text": _classes(labels="cats and dogs"),
    **{
        f"a classification with {key}": _classes(**{key: value})
        for key, value in {"shape": [2], "element": "i16", "fraction_bits": 0, "scale": 0, "unit": ""}.items()
    },
    "a vector with top_k": _vector(top_k=1),
    "a vector without shape": _vector(shape=None),
    "a vector with labels": _vector(labels=["cat"]),
    "a vector of no dimension": _vector(shape=[]),
    "a vector of two dimensions": _vector(shape=[3, 1]),
    "a vector of no number": _vector(shape=[0]),
    "a vector of fewer than none": _vector(shape=[-3]),
    "a vector whose shape is a number": _vector(shape=3),
    "a vector whose shape is words": _vector(shape=["3"]),
    "a vector whose shape holds a shape": _vector(shape=[[3]]),
    "a vector whose shape is true": _vector(shape=[True]),
    "a vector of too many bytes": _vector(shape=[8_193]),
    "a vector of too many numbers": _vector(shape=[16_385], element="i8"),
    "a vector of floats": _vector(element="f32"),
    "a vector with a scale": _vector(scale=1),
    "a vector with a unit": _vector(unit="m"),
    "fractions of as many bits as a number has": _vector(fraction_bits=16),
    "fractions of fewer bits than none": _vector(fraction_bits=-1),
    "fractions that are a text": _vector(fraction_bits="14"),
    "scores with top_k": _measures(top_k=1),
    "scores with a shape": _measures(shape=[2]),
    "scores without labels": _measures(labels=[]),
    "scores without scale": _measures(scale=None),
    "scores with a scale of 0": _measures(scale=0),
    "scores with a scale that is too large": _measures(scale=1 << 32),
    "scores of too many bytes": _measures(labels=["cat"] * 8_193),
    "a unit that is too long": _measures(unit="é" * 16 + "e"),
    "a unit with a space behind it": _measures(unit="kg "),
    "a unit that cannot be printed": _measures(unit="k\u200bg"),
    "boxes with top_k": _boxes(top_k=1),
    "boxes without shape": _boxes(shape=None),
    "boxes without labels": _boxes(labels=None),
    "boxes of too many classes": _boxes(labels=["cat"] * (LABELS_MAX + 1)),
    "boxes in two dimensions": _boxes(shape=[2, 2]),
    "no boxes at all": _boxes(shape=[0]),
    "too many boxes": _boxes(shape=[257]),
    "boxes of another element": _boxes(element="i16"),
    "boxes of fractions": _boxes(fraction_bits=1),
    "boxes with a scale": _boxes(scale=1),
    "boxes with a unit": _boxes(unit="m"),
    "a tensor with top_k": _tensor(top_k=1),
    "a tensor without shape": _tensor(shape=None),
    "a tensor with labels": _tensor(labels=["cat"]),
    "a tensor of no dimension": _tensor(shape=[]),
    "a tensor of five dimensions": _tensor(shape=[1, 1, 1, 1, 1]),
    "a tensor with a side of 0": _tensor(shape=[2, 0]),
    "a tensor with a side that is too long": _tensor(shape=[1, 16_385]),
    "a tensor of too many bytes": _tensor(shape=[128, 129]),
    "a tensor that would take all there is": _tensor(shape=[16_384] * 4),
    "a tensor with a negative scale": _tensor(scale=-1),
    "a tensor with a scale that is too large": _tensor(scale=1 << 32),
    "a tensor with a unit that is too long": _tensor(unit="m" * 33),
    "a tensor of fractions of 8 bits": _tensor(fraction_bits=8),
}


def _allow(keys: list[str]) -> str:
    return table("allow = []", {"allow": keys}).partition("\n")[2]


CLIENTS: dict[str, str] = {
    "a rate": f"{RATES}per_day = 0\n",
    "a daily limit": "rate_per_s = 0\nburst = 0\nper_day = 1\n",
    "keys alone": f"rate_per_s = 0\nburst = 0\nper_day = 0\n{_allow(KEYS[:1])}",
    "all of it": f"{RATES}per_day = 100\n{_allow(KEYS)}",
    "limits as large as they can be": "".join(
        f"{name} = {CLIENT_LIMIT_MAX}\n" for name in ("rate_per_s", "burst", "per_day")
    ),
}

NO_CLIENTS: dict[str, str] = {
    "no rule": "rate_per_s = 0\nburst = 0\nper_day = 0\n",
    "no key at all": "",
    "no daily limit": RATES,
    "a key that nobody knows": f"{RATES}per_day = 0\nper_hour = 0\n",
    "a rate without burst": "rate_per_s = 5\nburst = 0\nper_day = 0\n",
    "a burst without rate": "rate_per_s = 0\nburst = 5\nper_day = 1\n",
    "a rate that is too large": f"rate_per_s = {CLIENT_LIMIT_MAX + 1}\nburst = 1\nper_day = 0\n",
    "a burst that is too large": f"rate_per_s = 1\nburst = {CLIENT_LIMIT_MAX + 1}\nper_day = 0\n",
    "a daily limit that is too large": f"rate_per_s = 0\nburst = 0\nper_day = {CLIENT_LIMIT_MAX + 1}\n",
    "a daily limit below 0": "rate_per_s = 0\nburst = 0\nper_day = -1\n",
    "a daily limit that is a text": 'rate_per_s = 0\nburst = 0\nper_day = "1"\n',
    "a daily limit that is true": "rate_per_s = 0\nburst = 0\nper_day = true\n",
    "an empty list of keys": f"{RATES}per_day = 0\nallow = []\n",
    "one key without a list": f'{RATES}per_day = 0\nallow = "{KEYS[0]}"\n',
    "keys that are numbers": f"{RATES}per_day = 0\nallow = [1, 2]\n",
    "keys that descend": f"{RATES}per_day = 0\n{_allow(KEYS[::-1])}",
    "a key twice": f"{RATES}per_day = 0\n{_allow(KEYS[:1] * 2)}",
    "a key in capitals": f"{RATES}per_day = 0\n{_allow(['AB' * 32])}",
    "a key that is too short": f"{RATES}per_day = 0\n{_allow(['ab' * 31])}",
    "a key that is no hex": f"{RATES}per_day = 0\n{_allow(['xy' * 32])}",
    "too many keys": f"{RATES}per_day = 0\n{_allow([f'{n:064x}' for n in range(CLIENTS_ALLOWED_MAX + 1)])}",
}
