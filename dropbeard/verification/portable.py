"""A second verifier, written from docs/certificate-format.md alone: needs only ``blake3`` and ``ecdsa``.

``dropbeard-verify CERT GENESIS [SUCCESSIONS]``, or ``python verifier.py ...`` with the one file that
``dropbeard verify --portable`` writes, prints class ids, margin and digests. SUCCESSIONS says what ended earlier epochs
(``dropbeard ledger successions``). Exit code 0: valid, 1: invalid (the failed step is named), 2: a file cannot be read
as what it should be.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from dropbeard.verification.portable_epochs import (
    HEADERS_MAX,
    Header,
    Reader,
    Signatures,
    ascending,
    bad_signer,
    read_epochs,
    read_header,
    read_signatures,
)
from dropbeard.verification.portable_genesis import (
    BOXES,
    GENESIS_BYTES_MAX,
    KINDS,
    OWNERS_MAX,
    Group,
    Unreadable,
    hashed,
    read_genesis,
    readable,
    short,
)

MAGIC = b"DBCERT\0\x01"
CERTIFICATE_BYTES_MAX, SUCCESSIONS_BYTES_MAX, SIBLINGS_MAX = 1 << 20, 64 << 20, 20
AGREED, EXPIRED, SUPPLEMENT = 1, 2, 3


class Proved(NamedTuple):
    """``promises``: owner -> (version u32 and model, commitment)."""

    position: int
    data: bytes
    kind: int
    request: bytes
    client: bytes
    promises: dict[int, tuple[bytes, bytes]]
    leaf: int
    leaves: int
    siblings: tuple[bytes, ...]


class Certificate(NamedTuple):
    """``asked``: deadline and patience, digest of the body; ``openings``: (owner, salt, output)."""

    group: bytes
    epoch: int
    headers: list[Header]
    signatures: Signatures
    asked: tuple[bytes, bytes]
    entries: list[Proved]
    openings: list[tuple[int, bytes, bytes]]


class Invalid(Exception):
    """A certificate fails the step ``step``."""

    def __init__(self, step: int, text: str) -> None:
        super().__init__(f"step {step}: {text}")
        self.step = step


def require(step: int, holds: bool, text: str) -> None:
    if not holds:
        raise Invalid(step, text)


def read_proved(reader: Reader, position: int) -> Proved:
    begin = reader.at
    kind = reader.number("B")
    readable(kind in (AGREED, EXPIRED, SUPPLEMENT), f"an entry has unknown kind {kind}")
    request, client = reader.take(32), reader.take(32)
    rows = [(reader.number("H"), (reader.take(36), reader.take(32))) for _ in reader.rows(OWNERS_MAX)]
    ascending([owner for owner, _ in rows], "an entry")
    end = reader.at
    leaf, leaves, count = reader.numbers("IIB")
    readable(count <= SIBLINGS_MAX, f"a path has {count} siblings, at most {SIBLINGS_MAX} are possible")
    siblings = tuple(reader.take(32) for _ in range(count))
    return Proved(position, reader.data[begin:end], kind, request, client, dict(rows), leaf, leaves, siblings)


def read_certificate(data: bytes) -> Certificate:
    named = len(data) <= CERTIFICATE_BYTES_MAX and data[: len(MAGIC)] == MAGIC
    readable(named, "not an inference certificate of version 1")
    reader = Reader(data)
    _, group, epoch = reader.take(len(MAGIC)), reader.take(32), reader.number("I")
    headers = [read_header(reader) for _ in reader.rows(HEADERS_MAX)]
    readable(bool(headers), "there is no header")
    signatures = read_signatures(reader)
    times, nonce, options, given = reader.take(12), reader.take(8), reader.sized("H"), reader.take(32)
    asked = times, hashed("request body", nonce, group, short(options), given)
    entries = [read_proved(reader, len(headers) - 1)]
    entries += [read_proved(reader, reader.number("H")) for _ in reader.rows(OWNERS_MAX)]
    openings = [(reader.number("H"), reader.take(32), reader.sized("H")) for _ in reader.rows(OWNERS_MAX)]
    reader.end()
    return Certificate(group, epoch, headers, signatures, asked, entries, openings)


def verify(cert: Certificate, groups: Sequence[Group]) -> Group:
    """All steps in order, by the groups of the epochs that are known; Invalid names the first that fails. The
    certificate's own group.
    """
    check_form(cert)
    group = group_of(cert, groups)
    for check in (check_finalization, check_blocks, check_openings):
        check(cert, group)
    return group


def check_form(cert: Certificate) -> None:
    """Step 1."""
    base, supplements = cert.entries[0], cert.entries[1:]
    positions = [entry.position for entry in cert.entries]
    require(1, base.kind in (AGREED, EXPIRED), "the base entry is a supplement")
    require(1, all(entry.kind == SUPPLEMENT and entry.promises for entry in supplements), "an entry is no supplement")
    require(1, base.kind == AGREED or not supplements, "an expired entry has supplements")
    require(1, positions == sorted(set(positions), reverse=True), "the entries' positions do not descend")
    require(1, all(h.height >= 1 and h.view >= 0 for h in cert.headers), "a header is the genesis or below it")


def group_of(cert: Certificate, groups: Sequence[Group]) -> Group:
    """Steps 2 and 3."""
    require(2, cert.group == groups[0].id, "another group")
    require(3, cert.epoch < len(groups), f"epoch {cert.epoch}, and the latest that is known here is {len(groups) - 1}")
    group = groups[cert.epoch]
    within = group.ended is None or all(header.height <= group.ended for header in cert.headers)
    require(3, within, f"epoch {cert.epoch} ended with height {group.ended}")
    require(3, all(header.epoch == cert.epoch for header in cert.headers), "a header is of another epoch")
    return group


def check_finalization(cert: Certificate, group: Group) -> None:
    """Steps 4 and 5."""
    require(4, all(signer in group.keys for signer, _ in cert.signatures), "a signer is no owner")
    require(4, len(cert.signatures) >= group.quorum, f"only {len(cert.signatures)} signers")
    bad = bad_signer(group, cert.headers[0], cert.signatures)
    require(5, bad is None, f"the signature of owner {bad} does not check")


def check_blocks(cert: Certificate, group: Group) -> None:
    """Steps 6 to 9; step 10 needs an input, which this program does not take."""
    require(6, all(h.lanes == tuple(group.keys) for h in cert.headers), "a cut is not over the group's lanes")
    require(6, all(-1 <= header.parent_view < header.view for header in cert.headers), "a view is not above its parent")
    require(6, all(o in group.keys for entry in cert.entries for o in entry.promises), "a promise is no owner's")
    for child, parent in pairwise(cert.headers):
        require(7, child.parent == parent.digest(cert.group), "a header has another parent")
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
    if entry.leaf >= entry.leaves:
        return None
    at, width, node, rest = entry.leaf, entry.leaves, hashed("merkle leaf", entry.data), list(entry.siblings)
    while width > 1:
        if at ^ 1 < width:
            if not rest:
                return None
            sibling = rest.pop(0)
            node = hashed("merkle node", sibling, node) if at % 2 else hashed("merkle node", node, sibling)
        at, width = at // 2, (width + 1) // 2
    return None if rest else hashed("merkle root", struct.pack("<I", entry.leaves), node)


def check_openings(cert: Certificate, group: Group) -> None:
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
    enough = min(len(base.promises), len(owners)) >= group.answers if base.kind == AGREED else not owners
    require(13, enough, f"{len(base.promises)} promises and {len(owners)} openings do not fit the kind of entry")
    for owner, _, output in cert.openings:
        require(14, well_formed(output, group), f"the output of owner {owner} is no answer of the task")


def well_formed(output: bytes, group: Group) -> bool:
    if group.kind not in (0, BOXES):
        return bool(len(output) == group.size)
    head, layout = (2, "<I5H") if group.kind == BOXES else (0, "<IH")
    count = int.from_bytes(output[:head], "little") if head else group.size
    if count > group.size or len(output) != head + count * struct.calcsize(layout):
        return False
    rows = list(struct.iter_unpack(layout, output[head:]))
    ids = {row[0] for row in rows}
    if rows != sorted(set(rows), key=lambda row: (-row[-1], *row)) or max(ids, default=-1) >= group.classes:
        return False
    if head:
        return all(x0 < x1 and y0 < y1 for _, x0, y0, x1, y1, _ in rows)
    return len(ids) == count and sum(row[1] for row in rows) <= 65_535 + count


def plurality(outputs: list[bytes], group: Group) -> tuple[int, int]:
    """Class id shown first and its margin (section 5)."""
    answers = [list(struct.iter_unpack("<IH", output)) for output in outputs]
    votes = [choices[0][0] for choices in answers]
    middle = {class_id: median(dict(choices).get(class_id, 0) for choices in answers) for class_id in votes}
    ranked = sorted(middle, key=lambda class_id: (-votes.count(class_id), -middle[class_id], class_id))
    second = votes.count(ranked[1]) if len(ranked) > 1 else 0
    return ranked[0], votes.count(ranked[0]) - second - (len(group.keys) - len(votes))


def report(cert: Certificate, group: Group) -> list[str]:
    """What a valid certificate says, line by line."""
    lines = [
        f"valid: request {cert.entries[0].request.hex()}",
        f"group {cert.group.hex()}, epoch {cert.epoch}, height {cert.headers[-1].height}",
    ]
    if cert.entries[0].kind == EXPIRED:
        return [*lines, "expired: the group agreed on no answer before the deadline"]
    said = f"answers of kind {KINDS[group.kind]}, as their bytes in hex, not aggregated here"
    if not group.kind:
        first, margin = plurality([output for _, _, output in cert.openings], group)
        grade = ("none", "honest-plurality", "robust")[(margin > group.f) + (margin > 2 * group.f)]
        said = f"agreed class {first}" if margin > 0 else f"undecided, class {first} leads"
        said += f", margin {margin}, assurance {grade}"
    lines.append(f"{said}, openings {len(cert.openings)} of {len(group.keys)}")
    for owner, _, output in cert.openings:
        place = next(entry.promises[owner][0] for entry in cert.entries if owner in entry.promises)
        class_id, share = int.from_bytes(output[:4], "little"), int.from_bytes(output[4:6], "little") / 65_535
        answer = output.hex() if group.kind else f"class {class_id} ({share:.4f})"
        lines.append(f"owner {owner} version {int.from_bytes(place[:4], 'little')} model {place[4:].hex()} {answer}")
    return lines


def read(path: str, most: int) -> bytes:
    """A file, or the beginning of one that is longer than any of its kind."""
    with open(path, "rb") as file:
        return file.read(most + 1)


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    if {"-h", "--help"} & set(argv):
        print(__doc__)
        return 0
    if len(argv) not in (2, 3):
        print("usage: dropbeard-verify CERT GENESIS [SUCCESSIONS]", file=sys.stderr)
        return 2
    try:
        cert = read_certificate(read(argv[0], CERTIFICATE_BYTES_MAX))
        genesis = read_genesis(read(argv[1], GENESIS_BYTES_MAX).decode())
        group = verify(cert, read_epochs(genesis, read(argv[2], SUCCESSIONS_BYTES_MAX) if argv[2:] else None))
    except (Invalid, Unreadable, OSError, UnicodeDecodeError) as wrong:
        print(f"{'invalid' if isinstance(wrong, Invalid) else 'unreadable'}: {wrong}", file=sys.stderr)
        return 1 if isinstance(wrong, Invalid) else 2
    print(*report(cert, group), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
