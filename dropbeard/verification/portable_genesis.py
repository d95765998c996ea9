"""The first part of the portable verifier: the genesis, and whose keys count in an epoch.

portable_epochs.py and portable.py are the others; ``dropbeard verify --portable`` writes all three as one file.
"""

from __future__ import annotations

import struct
import tomllib
from collections.abc import Mapping
from math import prod
from typing import Any, NamedTuple

from blake3 import blake3
from ecdsa import MalformedPointError, NIST256p, VerifyingKey

GENESIS_BYTES_MAX, OWNERS_MAX = 8 << 20, 64
LABELS_MAX, OUTPUT_BYTES_MAX, INPUT_BYTES_MAX, PIXELS_MAX, DIMENSIONS_MAX = 1 << 16, 1 << 14, 1 << 24, 1 << 28, 4
BOXES_MAX, LIMIT_MAX, ALLOWED_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX, UNIT_BYTES_MAX = 256, 10**9, 16_384, 64, 128, 32
BROKEN = (LookupError, TypeError, AttributeError, ValueError, RecursionError, struct.error, MalformedPointError)
KINDS, SCORES, BOXES, TENSOR = ("classification", "embedding", "scores", "boxes", "tensor"), 2, 3, 4
ELEMENTS = {"i8": "b", "i16": "h", "i32": "i", "i64": "q", "u8": "B", "u16": "H", "u32": "I"}
PARAMETERS = (
    *("block_interval_us", "lane_linger_us", "propose_timeout_us", "advance_timeout_us", "finalize_timeout_us"),
    *("timeout_growth_percent", "timeout_growth_steps_max", "status_interval_us", "starvation_us", "horizon_us"),
    *("near_us", "retention_us", "open_max", "client_open_max", "lane_window", "batch_items_max"),
    *("block_batches_max", "update_gap", "evidence_max", "snapshot_interval", "epoch_delay"),
)
SIZES, BOUNDS = {"owner_key": 33, "node_key": 33, "curve_key": 32, "model": 32}, ("encoded_bytes_max", "pixels_max")
SOCKETS, LIMITS = ("votes", "lanes", "clients", "catchup"), ("rate_per_s", "burst", "per_day")
FORM = {"shape": list, "element": str, "fraction_bits": int, "scale": int, "unit": str}
KEYS: dict[str, tuple[dict[str, type], dict[str, type]]] = {  # of each table: those it has, those it may have
    "group": ({"format": int, "name": str, "f": int, "answers": int}, {"id": str}),
    "task": ({"name": str, **dict.fromkeys(BOUNDS, int)}, {"kind": str, "labels": list, "top_k": int, **FORM}),
    "parameters": (dict.fromkeys(PARAMETERS, int), {}),
    "clients": (dict.fromkeys(LIMITS, int), {"allow": list}),
    "owner": ({"id": int, **dict.fromkeys(("name", *SIZES, *SOCKETS, "model_name"), str)}, {}),
}


class Owner(NamedTuple):
    """A row of the genesis or of a configuration; keys and model in hex."""

    id: int
    name: str
    owner_key: str
    node_key: str
    curve_key: str
    votes: str
    lanes: str
    clients: str
    catchup: str
    model: str
    model_name: str


class Group(NamedTuple):
    """Whose keys count in one epoch."""

    id: bytes
    epoch: int
    f: int
    answers: int
    owners: list[Owner]
    ids_given: int
    """Owner ids below it were given out."""
    kind: int
    size: int
    """Of an answer: choices, bytes, or boxes at most."""
    classes: int
    keys: Mapping[int, VerifyingKey]
    """Node keys by owner."""
    ended: int | None = None
    """The height of the epoch's last block, if it is known to be over."""

    @property
    def quorum(self) -> int:
        return (len(self.keys) + self.f + 2) // 2


class Unreadable(Exception):
    """A file is not what it should be."""


def readable(holds: bool, text: str) -> None:
    if not holds:
        raise Unreadable(text)


def hashed(context: str, *parts: bytes) -> bytes:
    return blake3(b"".join(parts), derive_key_context=f"dropbeard 1 {context}").digest()


def short(data: bytes) -> bytes:
    return struct.pack("<H", len(data)) + data


def read_genesis(text: str) -> Group:
    """Parse the TOML and compute the id from its values."""
    try:
        readable(len(text.encode()) <= GENESIS_BYTES_MAX, f"a genesis has at most {GENESIS_BYTES_MAX} bytes")
        return _genesis(tomllib.loads(text))
    except BROKEN as wrong:
        raise Unreadable(f"not a genesis file: {type(wrong).__name__}: {wrong}") from wrong


def _genesis(table: dict[str, Any]) -> Group:
    for name, rows in table.items():
        for row in rows if name == "owner" else [rows]:
            _check_keys(name, row)
    group, owners = table["group"], [Owner(**row) for row in table["owner"]]
    n, f, answers = len(owners), group["f"], group["answers"]
    numbered = group["format"] == 1 and [owner.id for owner in owners] == list(range(n))
    readable(numbered, "its format is not 1, or ids are not 0, 1, 2, ...")
    kind, size, task = _task(table["task"])
    head = name_bytes(group["name"]) + struct.pack("<HHH", f, answers, n) + b"".join(map(_owner, owners))
    settings = struct.pack("<21Q", *(table["parameters"][name] for name in PARAMETERS))
    settings += _clients(table["clients"]) if "clients" in table else b""
    identity = hashed("genesis", head, task, settings)
    readable(group.get("id", identity.hex()) == identity.hex(), f"the id of the genesis is {identity.hex()}")
    classes = len(table["task"].get("labels", ()))
    return seated(Group(identity, 0, f, answers, owners, n, kind, size, classes, {}))


def seated(group: Group) -> Group:
    """The group with its keys, if its owners fit together."""
    n, f, answers, owners = len(group.owners), group.f, group.answers, group.owners
    fits = 1 <= n <= OWNERS_MAX and n >= 3 * f + 1 and 2 * f + 1 <= answers <= n - f
    readable(fits, f"n = {n}, f = {f}, answers = {answers} do not fit")
    columns = [[getattr(owner, name) for owner in owners] for name in ("name", "owner_key", "node_key", "curve_key")]
    columns.append([getattr(owner, name) for owner in owners for name in SOCKETS])
    readable(all(len(set(column)) == len(column) for column in columns), "two owners share a name, key or endpoint")
    keys = {owner.id: VerifyingKey.from_string(bytes.fromhex(owner.node_key), curve=NIST256p) for owner in owners}
    return group._replace(keys=keys)


def _check_keys(name: str, row: dict[str, Any]) -> None:
    known = KEYS[name][0] | KEYS[name][1]
    readable(set(KEYS[name][0]) <= set(row) <= set(known), f"[{name}] lacks keys or has others")
    for key, value in row.items():
        items, kind = value if type(value) is list else (), int if key == "shape" else str
        fits = type(value) is known[key] and all(type(item) is kind for item in items)
        readable(fits, f"[{name}]: {key} has the wrong type")


def name_bytes(text: str, most: int = NAME_BYTES_MAX, least: int = 1) -> bytes:
    """A text that people see, as its field: printable, no spaces around."""
    fits = text.isprintable() and text == text.strip() and least <= len(text.encode()) <= most
    readable(fits, f"{text!r} is not {least} to {most} printable bytes")
    return short(text.encode())


def _task(task: dict[str, Any]) -> tuple[int, int, bytes]:
    labels, kind = task.get("labels", []), KINDS.index(task.get("kind", KINDS[0]))
    fewest, bounds = (2, 0, 1, 1, 0)[kind], [task[name] for name in BOUNDS]
    readable(fewest <= len(labels) <= (LABELS_MAX if fewest else 0), f"{len(labels)} labels do not fit the task's kind")
    readable(1 <= bounds[0] <= INPUT_BYTES_MAX and 1 <= bounds[1] <= PIXELS_MAX, "a bound of inputs is out of range")
    size, form = _form(task, kind, len(labels)) if kind else (task["top_k"], b"")
    fits = 1 <= size <= min(len(labels), OUTPUT_BYTES_MAX // 6) and not set(FORM) & set(task)
    readable(kind > 0 or fits, "top_k does not fit the labels, or a classification has a form")
    head = name_bytes(task["name"]) + struct.pack("<HIII", 0 if kind else size, *bounds, len(labels))
    return kind, size, head + b"".join(name_bytes(label, TEXT_BYTES_MAX) for label in labels) + form


def _form(task: dict[str, Any], kind: int, classes: int) -> tuple[int, bytes]:
    shape, element = task.get("shape", [classes]), task.get("element", "u16" if kind == BOXES else "i16")
    bits, scale, measured = task.get("fraction_bits", 0), task.get("scale", 0), kind in (SCORES, TENSOR)
    width, most = (1, BOXES_MAX) if kind == BOXES else (struct.calcsize("<" + ELEMENTS[element]), OUTPUT_BYTES_MAX)
    shaped = "top_k" not in task and ("shape" in task) == (kind != SCORES)
    flat = 1 <= len(shape) <= (DIMENSIONS_MAX if kind == TENSOR else 1)
    sides = all(1 <= side <= OUTPUT_BYTES_MAX for side in shape) and prod(shape) * width <= most
    fixed = element == "u16" and bits == 0 if kind == BOXES else 0 <= bits < 8 * width
    scaled = int(kind == SCORES) <= scale < (1 << 32 if measured else 1)
    readable(shaped and flat and sides and fixed and scaled, f"a form does not fit the kind {KINDS[kind]}")
    head = bytes((kind, list(ELEMENTS).index(element) + 1, bits, len(shape)))
    unit = name_bytes(task.get("unit", ""), UNIT_BYTES_MAX if measured else 0, 0)
    return prod(shape) * width, head + struct.pack(f"<{len(shape)}II", *shape, scale) + unit


def _clients(rules: dict[str, Any]) -> bytes:
    keys, limits = rules.get("allow", []), [rules[name] for name in LIMITS]
    readable(all(0 <= limit <= LIMIT_MAX for limit in limits), "a limit of [clients] is out of range")
    readable((limits[0] == 0) == (limits[1] == 0), "rate_per_s and burst go together")
    listed = "allow" not in rules or 1 <= len(keys) <= ALLOWED_MAX
    readable(listed and keys == sorted(set(keys)) and (any(limits) or bool(keys)), "[clients] allows none, or all")
    return struct.pack("<BIIII", 1, *limits, len(keys)) + b"".join(key_bytes(key, 32) for key in keys)


def key_bytes(text: str, size: int) -> bytes:
    raw = bytes.fromhex(text)
    readable((len(raw), raw.hex()) == (size, text), f"{text!r} is not lower-case hex of {size} bytes")
    return raw


def _owner(owner: Owner) -> bytes:
    raw = [key_bytes(getattr(owner, name), size) for name, size in SIZES.items()]
    endpoints = b"".join(name_bytes(getattr(owner, name), TEXT_BYTES_MAX) for name in SOCKETS)
    named = struct.pack("<H", owner.id) + name_bytes(owner.name)
    return named + b"".join(raw[:3]) + endpoints + raw[3] + name_bytes(owner.model_name)
