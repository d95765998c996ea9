"""A second verifier, written from docs/certificate-format.md alone: needs only ``blake3`` and ``ecdsa``.

``dropbeard-verify CERT GENESIS``, or ``python portable.py CERT GENESIS`` with this one file, prints class ids, margin
and digests. Exit code 0: valid, 1: invalid (the failed step is named), 2: a file cannot be read as what it should be.
"""

from __future__ import annotations

import hashlib
import struct
import sys
import tomllib
from collections import namedtuple
from math import prod
from statistics import median
from typing import Any

from blake3 import blake3
from ecdsa import BadSignatureError, MalformedPointError, NIST256p, VerifyingKey

MAGIC = b"DBCERT\0\x01"
CERTIFICATE_BYTES_MAX, GENESIS_BYTES_MAX, HEADERS_MAX, OWNERS_MAX, SIBLINGS_MAX = 1 << 20, 8 << 20, 1025, 64, 20
LABELS_MAX, OUTPUT_BYTES_MAX, INPUT_BYTES_MAX, PIXELS_MAX, DIMENSIONS_MAX = 1 << 16, 1 << 14, 1 << 24, 1 << 28, 4
BOXES_MAX, LIMIT_MAX, ALLOWED_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX, UNIT_BYTES_MAX = 256, 10**9, 16_384, 64, 128, 32
AGREED, EXPIRED, SUPPLEMENT, ORDER = 1, 2, 3, int(NIST256p.order)
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
Genesis = namedtuple("Genesis", "id n f answers keys kind size classes")
# ``body``: all of its bytes; ``lanes``: the owners of its cut; ``has_height``: it closes no epoch.
Header = namedtuple("Header", "body epoch height view parent parent_view lanes time entries_root has_height")
# ``promises``: owner -> (version u32 and model, commitment); ``asked``: deadline and patience, digest of the body.
Proved = namedtuple("Proved", "position data kind request client promises index leaves siblings")
Certificate = namedtuple("Certificate", "group epoch headers signatures asked entries openings")


class Unreadable(Exception):
    """A file is not what it should be."""


class Invalid(Exception):
    """A certificate fails the step ``step``."""

    def __init__(self, step: int, text: str) -> None:
        super().__init__(f"step {step}: {text}")
        self.step = step


def readable(holds: bool, text: str) -> None:
    if not holds:
        raise Unreadable(text)


def require(step: int, holds: bool, text: str) -> None:
    if not holds:
        raise Invalid(step, text)


def hashed(context: str, *parts: bytes) -> bytes:
    return blake3(b"".join(parts), derive_key_context=f"dropbeard 1 {context}").digest()


def short(data: bytes) -> bytes:
    return struct.pack("<H", len(data)) + data


def read_genesis(text: str) -> Genesis:
    """Parse the TOML and compute the id from its values."""
    try:
        readable(len(text.encode()) <= GENESIS_BYTES_MAX, f"a genesis has at most {GENESIS_BYTES_MAX} bytes")
        return _genesis(tomllib.loads(text))
    except BROKEN as wrong:
        raise Unreadable(f"not a genesis file: {type(wrong).__name__}: {wrong}") from wrong


def _genesis(table: dict[str, Any]) -> Genesis:
    for name, rows in table.items():
        for row in rows if name == "owner" else [rows]:
            _check_keys(name, row)
    group, owners = table["group"], table["owner"]
    n, f, answers = len(owners), group["f"], group["answers"]
    readable([owner["id"] for owner in owners] == list(range(n)) and 1 <= n <= OWNERS_MAX, "ids are not 0, 1, 2, ...")
    fits = group["format"] == 1 and n >= 3 * f + 1 and 2 * f + 1 <= answers <= n - f
    readable(fits, f"its format is not 1, or n = {n}, f = {f}, answers = {answers} do not fit")
    columns = [[owner[name] for owner in owners] for name in ("name", "owner_key", "node_key", "curve_key")]
    columns.append([owner[name] for owner in owners for name in SOCKETS])
    readable(all(len(set(column)) == len(column) for column in columns), "two owners share a name, key or endpoint")
    kind, size, task = _task(table["task"])
    head = name_bytes(group["name"]) + struct.pack("<HHH", f, answers, n) + b"".join(map(_owner, owners))
    settings = struct.pack("<21Q", *(table["parameters"][name] for name in PARAMETERS))
    settings += _clients(table["clients"]) if "clients" in table else b""
    identity = hashed("genesis", head, task, settings)
    readable(group.get("id", identity.hex()) == identity.hex(), f"the id of the genesis is {identity.hex()}")
    keys = tuple(VerifyingKey.from_string(bytes.fromhex(owner["node_key"]), curve=NIST256p) for owner in owners)
    return Genesis(identity, n, f, answers, keys, kind, size, len(table["task"].get("labels", ())))


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


def _owner(owner: dict[str, Any]) -> bytes:
    raw = [key_bytes(owner[name], size) for name, size in SIZES.items()]
    place = struct.pack("<H", owner["id"]) + name_bytes(owner["name"])
    endpoints = b"".join(name_bytes(owner[name], TEXT_BYTES_MAX) for name in SOCKETS)
    return place + b"".join(raw[:3]) + endpoints + raw[3] + name_bytes(owner["model_name"])


class Reader:
    """Takes fields off the front of the file."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        readable(self.at + count <= len(self.data), f"the file ends within a field that begins at byte {self.at}")
        self.at += count
        return self.data[self.at - count : self.at]

    def numbers(self, layout: str) -> tuple[int, ...]:
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))

    def number(self, letter: str) -> int:
        return self.numbers(letter)[0]

    def rows(self, most: int) -> range:
        """A u16 count that begins a list."""
        count = self.number("H")
        readable(count <= most, f"a list has {count} items, at most {most} are allowed")
        return range(count)


def ascending(owners: list[int], what: str) -> None:
    readable(owners == sorted(set(owners)), f"the owners of {what} do not ascend")


def read_header(reader: Reader) -> Header:
    begin = reader.at
    epoch, height, view = reader.numbers("IQq")
    parent, parent_view = reader.take(32), reader.number("q")
    lanes = [(reader.number("H"), reader.take(40))[0] for _ in reader.rows(OWNERS_MAX)]
    ascending(lanes, "a cut")
    rest = tuple(lanes), reader.number("Q"), reader.take(32), reader.take(64)[:32] != bytes(32)
    return Header(reader.data[begin : reader.at], epoch, height, view, parent, parent_view, *rest)


def read_proved(reader: Reader, position: int) -> Proved:
    begin = reader.at
    kind = reader.number("B")
    readable(kind in (AGREED, EXPIRED, SUPPLEMENT), f"an entry has unknown kind {kind}")
    request, client = reader.take(32), reader.take(32)
    rows = [(reader.number("H"), (reader.take(36), reader.take(32))) for _ in reader.rows(OWNERS_MAX)]
    ascending([owner for owner, _ in rows], "an entry")
    end = reader.at
    index, leaves, count = reader.numbers("IIB")
    readable(count <= SIBLINGS_MAX, f"a path has {count} siblings, at most {SIBLINGS_MAX} are possible")
    siblings = tuple(reader.take(32) for _ in range(count))
    return Proved(position, reader.data[begin:end], kind, request, client, dict(rows), index, leaves, siblings)


def read_certificate(data: bytes) -> Certificate:
    named = len(data) <= CERTIFICATE_BYTES_MAX and data[: len(MAGIC)] == MAGIC
    readable(named, "not an inference certificate of version 1")
    reader = Reader(data)
    _, group, epoch = reader.take(len(MAGIC)), reader.take(32), reader.number("I")
    headers = [read_header(reader) for _ in reader.rows(HEADERS_MAX)]
    readable(bool(headers), "there is no header")
    signatures = [(reader.number("H"), reader.take(64)) for _ in reader.rows(OWNERS_MAX)]
    ascending([signer for signer, _ in signatures], "the signatures")
    times, nonce, options, given = reader.take(12), reader.take(8), reader.take(reader.number("H")), reader.take(32)
    asked = times, hashed("request body", nonce, group, short(options), given)
    entries = [read_proved(reader, len(headers) - 1)]
    entries += [read_proved(reader, reader.number("H")) for _ in reader.rows(OWNERS_MAX)]
    openings = [(reader.number("H"), reader.take(32), reader.take(reader.number("H"))) for _ in reader.rows(OWNERS_MAX)]
    readable(reader.at == len(data), f"{len(data) - reader.at} bytes follow the end")
    return Certificate(group, epoch, headers, signatures, asked, entries, openings)


def verify(cert: Certificate, genesis: Genesis) -> None:
    """All steps in order; Invalid names the first that fails."""
    for check in (check_finalization, check_blocks, check_openings):
        check(cert, genesis)


def check_finalization(cert: Certificate, genesis: Genesis) -> None:
    """Steps 1 to 5."""
    base, supplements, top = cert.entries[0], cert.entries[1:], cert.headers[0]
    positions = [entry.position for entry in cert.entries]
    require(1, base.kind in (AGREED, EXPIRED), "the base entry is a supplement")
    require(1, all(entry.kind == SUPPLEMENT and entry.promises for entry in supplements), "an entry is no supplement")
    require(1, base.kind == AGREED or not supplements, "an expired entry has supplements")
    require(1, positions == sorted(set(positions), reverse=True), "the entries' positions do not descend")
    require(1, all(h.height >= 1 and h.view >= 0 for h in cert.headers), "a header is the genesis or below it")
    require(2, cert.group == genesis.id, "another group")
    require(3, cert.epoch == 0 and all(h.epoch == 0 for h in cert.headers), "another epoch")
    signers = {signer for signer, _ in cert.signatures}
    require(4, all(signer < genesis.n for signer in signers), "a signer is no owner")
    require(4, len(signers) >= (genesis.n + genesis.f + 2) // 2, f"only {len(signers)} signers")
    vote = b"dropbeard/1/finalize\0" + cert.group + struct.pack("<IQ", 0, top.view)
    vote += hashed("header", cert.group, top.body)
    for signer, signature in cert.signatures:
        require(5, verifies(genesis.keys[signer], signature, vote), f"the signature of owner {signer} does not check")


def verifies(key: VerifyingKey, signature: bytes, message: bytes) -> bool:
    """ECDSA P-256 with SHA-256, low s only."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    in_range = 1 <= r < ORDER and 1 <= s <= ORDER // 2
    try:
        return in_range and bool(key.verify(signature, message, hashfunc=hashlib.sha256))
    except BadSignatureError:
        return False


def check_blocks(cert: Certificate, genesis: Genesis) -> None:
    """Steps 6 to 9; step 10 needs an input, which this program does not take."""
    require(6, all(h.lanes == tuple(range(genesis.n)) for h in cert.headers), "a cut is not over the group's lanes")
    require(6, all(-1 <= header.parent_view < header.view for header in cert.headers), "a view is not above its parent")
    require(6, all(o < genesis.n for entry in cert.entries for o in entry.promises), "a promise is no owner's")
    for child, parent in zip(cert.headers, cert.headers[1:], strict=False):
        require(7, child.parent == hashed("header", cert.group, parent.body), "a header has another parent")
        require(7, child.height == parent.height + child.has_height, "heights do not follow each other")
        require(7, child.parent_view == parent.view, "a header misstates its parent's view")
        require(7, child.time >= parent.time, "a header is older than its parent")
    for entry in cert.entries:
        require(8, root_of(entry) == cert.headers[entry.position].entries_root, "a path misses the entries root")
    base = cert.entries[0]
    require(9, base.request == hashed("request id", base.client, *cert.asked), "another request id")
    same = all((entry.request, entry.client) == (base.request, base.client) for entry in cert.entries)
    require(9, same, "a supplement is of another request")


def root_of(entry: Proved) -> bytes | None:
    """The root that the entry's path leads to, or None when its shape is wrong."""
    if entry.index >= entry.leaves:
        return None
    at, width, node, rest = entry.index, entry.leaves, hashed("merkle leaf", entry.data), list(entry.siblings)
    while width > 1:
        if at ^ 1 < width:
            if not rest:
                return None
            sibling = rest.pop(0)
            node = hashed("merkle node", sibling, node) if at % 2 else hashed("merkle node", node, sibling)
        at, width = at // 2, (width + 1) // 2
    return None if rest else hashed("merkle root", struct.pack("<I", entry.leaves), node)


def check_openings(cert: Certificate, genesis: Genesis) -> None:
    """Steps 11 to 14."""
    base = cert.entries[0]
    promises = {owner: promise for entry in reversed(cert.entries) for owner, promise in entry.promises.items()}
    for owner, salt, output in cert.openings:
        require(11, owner in promises, f"owner {owner} promised nothing")
        opened = hashed("commitment", base.request, struct.pack("<H", owner), promises[owner][0], salt, output)
        require(11, opened == promises[owner][1], f"the opening of owner {owner} does not match")
    require(12, len(promises) == sum(len(entry.promises) for entry in cert.entries), "an owner promised twice")
    owners = [owner for owner, _, _ in cert.openings]
    require(12, owners == sorted(set(owners)), "the owners of the openings do not ascend")
    enough = min(len(base.promises), len(owners)) >= genesis.answers if base.kind == AGREED else not owners
    require(13, enough, f"{len(base.promises)} promises and {len(owners)} openings do not fit the kind of entry")
    for owner, _, output in cert.openings:
        require(14, well_formed(output, genesis), f"the output of owner {owner} is no answer of the task")


def well_formed(output: bytes, genesis: Genesis) -> bool:
    if genesis.kind not in (0, BOXES):
        return bool(len(output) == genesis.size)
    head, layout = (2, "<I5H") if genesis.kind == BOXES else (0, "<IH")
    count = int.from_bytes(output[:head], "little") if head else genesis.size
    if count > genesis.size or len(output) != head + count * struct.calcsize(layout):
        return False
    rows = list(struct.iter_unpack(layout, output[head:]))
    ids = {row[0] for row in rows}
    if rows != sorted(set(rows), key=lambda row: (-row[-1], *row)) or max(ids, default=-1) >= genesis.classes:
        return False
    if head:
        return all(x0 < x1 and y0 < y1 for _, x0, y0, x1, y1, _ in rows)
    return len(ids) == count and sum(row[1] for row in rows) <= 65_535 + count


def plurality(outputs: list[bytes], genesis: Genesis) -> tuple[int, int]:
    """Class id shown first and its margin (section 5)."""
    answers = [list(struct.iter_unpack("<IH", output)) for output in outputs]
    votes = [choices[0][0] for choices in answers]
    middle = {class_id: median(dict(choices).get(class_id, 0) for choices in answers) for class_id in votes}
    ranked = sorted(middle, key=lambda class_id: (-votes.count(class_id), -middle[class_id], class_id))
    second = votes.count(ranked[1]) if len(ranked) > 1 else 0
    return ranked[0], votes.count(ranked[0]) - second - (genesis.n - len(votes))


def report(cert: Certificate, genesis: Genesis) -> list[str]:
    """What a valid certificate says, line by line."""
    lines = [
        f"valid: request {cert.entries[0].request.hex()}",
        f"group {cert.group.hex()}, height {cert.headers[-1].height}",
    ]
    if cert.entries[0].kind == EXPIRED:
        return [*lines, "expired: the group agreed on no answer before the deadline"]
    said = f"answers of kind {KINDS[genesis.kind]}, as their bytes in hex, not aggregated here"
    if not genesis.kind:
        first, margin = plurality([output for _, _, output in cert.openings], genesis)
        grade = ("none", "honest-plurality", "robust")[(margin > genesis.f) + (margin > 2 * genesis.f)]
        said = f"agreed class {first}" if margin > 0 else f"undecided, class {first} leads"
        said += f", margin {margin}, assurance {grade}"
    lines.append(f"{said}, openings {len(cert.openings)} of {genesis.n}")
    for owner, _, output in cert.openings:
        place = next(entry.promises[owner][0] for entry in cert.entries if owner in entry.promises)
        class_id, share = int.from_bytes(output[:4], "little"), int.from_bytes(output[4:6], "little") / 65_535
        answer = output.hex() if genesis.kind else f"class {class_id} ({share:.4f})"
        lines.append(f"owner {owner} version {int.from_bytes(place[:4], 'little')} model {place[4:].hex()} {answer}")
    return lines


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    try:
        readable(len(argv) == 2, "usage: dropbeard-verify CERT GENESIS")
        with open(argv[0], "rb") as first, open(argv[1], "rb") as second:
            data, text = first.read(CERTIFICATE_BYTES_MAX + 1), second.read(GENESIS_BYTES_MAX + 1)
        cert, genesis = read_certificate(data), read_genesis(text.decode())
        verify(cert, genesis)
    except (Invalid, Unreadable, OSError, UnicodeDecodeError) as wrong:
        print(f"{'invalid' if isinstance(wrong, Invalid) else 'unreadable'}: {wrong}", file=sys.stderr)
        return 1 if isinstance(wrong, Invalid) else 2
    print(*report(cert, genesis), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
