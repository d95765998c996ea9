"""A gallery of bad certificates: each has one defect, which names it, and the step that must refuse it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dropbeard.types.blocks import Header
from dropbeard.types.certificates import Answer, Certificate, ProvedEntry
from dropbeard.types.entries import Entry, EntryKind, Promise
from dropbeard.types.ids import (
    ClientKey,
    Epoch,
    GroupId,
    Height,
    Nonce,
    OwnerId,
    RequestId,
    Signature,
    TimeUs,
    Version,
    View,
)
from dropbeard.types.merkle import Path
from dropbeard.types.statements import Notarize
from dropbeard.types.task import Classification
from tests.verification.building import Plan, World, build, entry_of, filled, output, sign, with_answer

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
LINKED = Plan(links=1)
LATE = Plan(links=1, late=((3,),))

Make = Callable[[World], Certificate]
DEFECTS: dict[str, tuple[int, Make]] = {}


def _add(step: int, name: str, make: Make) -> None:
    DEFECTS[name] = step, make


def _base_entry(certificate: Certificate, entry: Entry) -> Certificate:
    return replace(certificate, base=replace(certificate.base, entry=entry))


def _path(certificate: Certificate, **changes: object) -> Certificate:
    path = replace(certificate.base.path, **changes)  # type: ignore[arg-type]
    return replace(certificate, base=replace(certificate.base, path=path))


def _top(**changes: object) -> Callable[[int, Header], Header]:
    """A twist of the finalized header."""
    return lambda position, header: replace(header, **changes) if position == 0 else header  # type: ignore[arg-type]


def _kind(kind: EntryKind) -> Callable[[Entry], Entry]:
    return lambda entry: replace(entry, kind=kind)


# 1. format
_add(1, "the base entry is a supplement", lambda w: build(w, Plan(kind=EntryKind.SUPPLEMENT)))
_add(
    1,
    "a supplement is of kind agreed",
    lambda w: build(w, replace(LATE, twist_supplement=_kind(EntryKind.AGREED))),
)
_add(
    1,
    "a supplement is of kind expired",
    lambda w: build(w, replace(LATE, twist_supplement=_kind(EntryKind.EXPIRED))),
)
_add(
    1,
    "an expired entry has a supplement",
    lambda w: build(w, replace(LATE, kind=EntryKind.EXPIRED, base=(0, 1))),
)
_add(
    1,
    "a supplement holds no promise",
    lambda w: build(w, replace(LATE, late=((),))),
)


def _moved_supplement(w: World, position: int) -> Certificate:
    certificate = build(w, LATE)
    return replace(certificate, supplements=(replace(certificate.supplements[0], position=position),))


_add(1, "a supplement stands in the base entry's block", lambda w: _moved_supplement(w, 1))
_add(1, "a supplement stands in a header that is not there", lambda w: _moved_supplement(w, 2))


def _reversed_supplements(w: World) -> Certificate:
    certificate = build(w, Plan(late=((3,), (3,)), links=2))
    return replace(certificate, supplements=certificate.supplements[::-1])


def _doubled_supplement(w: World) -> Certificate:
    certificate = build(w, LATE)
    return replace(certificate, supplements=certificate.supplements * 2)


_add(1, "the supplements descend in height", _reversed_supplements)
_add(1, "one supplement is there twice", _doubled_supplement)
_add(1, "the finalized header has height 0", lambda w: build(w, Plan(twist_header=_top(height=Height(0)))))
_add(1, "the finalized header has view -1", lambda w: build(w, Plan(twist_header=_top(view=View(-1)))))

# 2. group, 3. epoch
_add(2, "the group id is another", lambda w: replace(build(w, Plan()), group=GroupId(filled(9))))
_add(3, "the certificate is of epoch 1", lambda w: replace(build(w, Plan()), epoch=Epoch(1)))
_add(3, "the finalized header is of epoch 1", lambda w: build(w, Plan(twist_header=_top(epoch=Epoch(1)))))
_add(
    3,
    "a header below the finalized one is of epoch 1",
    lambda w: build(w, replace(LINKED, twist_header=lambda at, h: replace(h, epoch=Epoch(1)) if at else h)),
)

# 4. signers
_add(4, "nobody signs", lambda w: build(w, Plan(signers=())))
_add(4, "one signer is missing", lambda w: build(w, Plan(signers=(1, 2))))


def _stranger_signs(w: World) -> Certificate:
    certificate = build(w, Plan())
    return replace(certificate, signatures=(*certificate.signatures, (OwnerId(9), certificate.signatures[0][1])))


_add(4, "a stranger signs as well", _stranger_signs)


# 5. signatures
def _signature(change: Callable[[bytes], bytes]) -> Make:
    def make(w: World) -> Certificate:
        certificate = build(w, Plan())
        (owner, signature), *rest = certificate.signatures
        return replace(certificate, signatures=((owner, Signature(change(signature))), *rest))

    return make


def _high_s(signature: bytes) -> bytes:
    return signature[:32] + (ORDER - int.from_bytes(signature[32:], "big")).to_bytes(32, "big")


def _swapped_signatures(w: World) -> Certificate:
    certificate = build(w, Plan())
    (a, first), (b, second), *rest = certificate.signatures
    return replace(certificate, signatures=((a, second), (b, first), *rest))


def _signed_otherwise(change: Callable[[World, Header], tuple[tuple[OwnerId, Signature], ...]]) -> Make:
    def make(w: World) -> Certificate:
        certificate = build(w, Plan())
        return replace(certificate, signatures=change(w, certificate.headers[0]))

    return make


def _one_forged_among_four(w: World) -> Certificate:
    certificate = build(w, Plan(signers=(0, 1, 2, 3)))
    *rest, (owner, _) = certificate.signatures
    return replace(certificate, signatures=(*rest, (owner, certificate.signatures[0][1])))


Q = (0, 1, 2)
_add(5, "a signature has high s", _signature(_high_s))
_add(5, "a signature has r = 0", _signature(lambda s: bytes(32) + s[32:]))
_add(5, "a signature has s = 0", _signature(lambda s: s[:32] + bytes(32)))
_add(5, "a signature has r = the order", _signature(lambda s: ORDER.to_bytes(32, "big") + s[32:]))
_add(5, "a signature has r and s exchanged", _signature(lambda s: s[32:] + s[:32]))
_add(5, "two signers have exchanged signatures", _swapped_signatures)
_add(5, "one of four signatures is copied", _one_forged_among_four)
_add(5, "the votes are notarizations", _signed_otherwise(lambda w, h: sign(w, h, Q, Notarize)))
_add(5, "the votes are of another view", _signed_otherwise(lambda w, h: sign(w, replace(h, view=View(h.view + 1)), Q)))
_add(5, "the votes are of another epoch", _signed_otherwise(lambda w, h: sign(w, replace(h, epoch=Epoch(1)), Q)))
_add(
    5,
    "the votes are of another group",
    _signed_otherwise(lambda w, h: sign(w, replace(h, group=GroupId(filled(9))), Q)),
)
_add(5, "the votes are for another block", _signed_otherwise(lambda w, h: sign(w, replace(h, time=TimeUs(1)), Q)))


def _signed_below(w: World) -> Certificate:
    certificate = build(w, LINKED)
    return replace(certificate, signatures=sign(w, certificate.headers[1], Q))


_add(5, "the votes are for the parent", _signed_below)

# 6. block
_add(6, "a cut lacks a lane", lambda w: build(w, Plan(twist_header=lambda _, h: replace(h, cut=h.cut[1:]))))
_add(
    6,
    "a cut has a stranger's lane",
    lambda w: build(w, Plan(twist_header=lambda _, h: replace(h, cut=(*h.cut, replace(h.cut[0], owner=OwnerId(9)))))),
)
_add(6, "a header is of its parent's view", lambda w: build(w, Plan(twist_header=_top(parent_view=View(14)))))
_add(6, "a parent's view is below the genesis'", lambda w: build(w, Plan(twist_header=_top(parent_view=View(-2)))))


def _stranger_promises(entry: Entry) -> Entry:
    return replace(entry, promises=(*entry.promises, Promise(OwnerId(9), Version(1), filled(1), filled(2))))


_add(6, "a stranger promises", lambda w: build(w, Plan(twist_base=_stranger_promises)))

# 7. link
_add(7, "a header names another parent", lambda w: build(w, replace(LINKED, twist_header=_top(parent=filled(1)))))
_add(7, "a height is left out", lambda w: build(w, replace(LINKED, twist_header=_top(height=Height(9)))))
_add(7, "a height is there twice", lambda w: build(w, replace(LINKED, twist_header=_top(height=Height(7)))))
_add(7, "a parent's view is misstated", lambda w: build(w, replace(LINKED, twist_header=_top(parent_view=View(13)))))
_add(7, "a header is older than its parent", lambda w: build(w, replace(LINKED, twist_header=_top(time=TimeUs(5)))))


def _skipped_header(w: World) -> Certificate:
    certificate = build(w, Plan(links=2))
    headers = (certificate.headers[0], certificate.headers[2])
    return replace(certificate, headers=headers, base=replace(certificate.base, position=1))


_add(7, "a header between is left out", _skipped_header)


# 8. path
def _siblings(change: Callable[[Path], tuple[bytes, ...]]) -> Make:
    def make(w: World) -> Certificate:
        certificate = build(w, Plan())
        return _path(certificate, siblings=change(certificate.base.path))

    return make


_add(8, "a path begins at another leaf", lambda w: _path(build(w, Plan()), index=3))
_add(8, "a path begins beyond the leaves", lambda w: _path(build(w, Plan()), index=8))
_add(8, "a path is of a larger tree", lambda w: _path(build(w, Plan()), count=7))
_add(8, "a path is of an empty tree", lambda w: _path(build(w, Plan()), count=0, index=0))
_add(8, "a path lacks a sibling", _siblings(lambda path: path.siblings[1:]))
_add(8, "a path has one sibling more", _siblings(lambda path: (*path.siblings, filled(1))))
_add(8, "a sibling is another", _siblings(lambda path: (filled(1), *path.siblings[1:])))
_add(8, "two siblings are exchanged", _siblings(lambda path: (path.siblings[1], path.siblings[0], *path.siblings[2:])))


def _other_promise(w: World) -> Certificate:
    certificate = build(w, Plan())
    first, *rest = certificate.base.entry.promises
    return _base_entry(
        certificate, replace(certificate.base.entry, promises=(first._replace(version=Version(2)), *rest))
    )


def _unproved_supplement(w: World) -> Certificate:
    certificate = build(w, LINKED)
    entry = entry_of(w, LATE, EntryKind.SUPPLEMENT, (3,))
    return replace(certificate, supplements=(ProvedEntry(0, entry, certificate.base.path),))


def _agreed_from_expired(w: World) -> Certificate:
    certificate = build(w, Plan(kind=EntryKind.EXPIRED, opened=(0, 1, 2)))
    return _base_entry(certificate, replace(certificate.base.entry, kind=EntryKind.AGREED))


_add(8, "an entry's version was changed", _other_promise)
_add(8, "an expired entry was made an agreed one", _agreed_from_expired)
_add(8, "a supplement is in no tree", _unproved_supplement)

# 9. request
_add(9, "the nonce is another", lambda w: replace(build(w, Plan()), nonce=Nonce(78)))
_add(9, "the deadline is another", lambda w: replace(build(w, Plan()), deadline=TimeUs(1)))
_add(9, "the patience is another", lambda w: replace(build(w, Plan()), patience_us=1))
_add(9, "the options are others", lambda w: replace(build(w, Plan()), options=b""))
_add(9, "the input digest is another", lambda w: replace(build(w, Plan()), input_digest=filled(1)))


def _other_client(entry: Entry) -> Entry:
    return replace(entry, client=ClientKey(bytes(32)))


def _other_request(entry: Entry) -> Entry:
    return replace(entry, request=RequestId(bytes(32)))


_add(9, "the entry is of another client", lambda w: build(w, Plan(twist_base=_other_client)))
_add(9, "the entry is of another request", lambda w: build(w, Plan(twist_base=_other_request)))
_add(9, "a supplement is of another client", lambda w: build(w, replace(LATE, twist_supplement=_other_client)))
_add(9, "a supplement is of another request", lambda w: build(w, replace(LATE, twist_supplement=_other_request)))


# 11. openings
def _opening(**changes: object) -> Make:
    def make(w: World) -> Certificate:
        certificate = build(w, Plan())
        return with_answer(certificate, 0, replace(certificate.answers[0], **changes))  # type: ignore[arg-type]

    return make


def _promise(**changes: object) -> Make:
    def twist(entry: Entry) -> Entry:
        first, *rest = entry.promises
        return replace(entry, promises=(first._replace(**changes), *rest))  # type: ignore[arg-type]

    return lambda w: build(w, Plan(twist_base=twist))


def _copied_opening(w: World) -> Certificate:
    certificate = build(w, Plan())
    copied = certificate.answers[0]
    return with_answer(certificate, 1, Answer(OwnerId(1), copied.salt, copied.output))


_add(11, "an opening has no promise", lambda w: build(w, Plan(opened=(0, 1, 2, 3))))
_add(11, "an opening is of a stranger", _opening(owner=OwnerId(9)))
_add(11, "a salt is another", _opening(salt=bytes(32)))
_add(11, "an output is another", _opening(output=output(4)))
_add(11, "an opening is copied from another owner", _copied_opening)
_add(11, "the entry names another version", _promise(version=Version(2)))
_add(11, "the entry names another model", _promise(model=filled(9)))
_add(11, "the entry holds another commitment", _promise(commitment=filled(9)))

# 12. replicas
_add(12, "an owner promises in entry and supplement", lambda w: build(w, replace(LATE, late=((0, 3),))))
_add(12, "an owner promises in two supplements", lambda w: build(w, Plan(late=((3,), (3,)), links=2)))
_add(12, "an owner's opening is there twice", lambda w: build(w, Plan(opened=(0, 0, 1))))
_add(12, "the openings do not ascend", lambda w: build(w, Plan(opened=(1, 0, 2))))

# 13. answers
_add(13, "an opening is missing", lambda w: build(w, Plan(opened=(0, 1))))
_add(13, "there is no opening", lambda w: build(w, Plan(opened=())))
_add(13, "the entry has too few promises", lambda w: build(w, Plan(base=(0, 1))))
_add(13, "only the supplement makes enough", lambda w: build(w, replace(LATE, base=(0, 1))))
_add(13, "an expired entry has openings", lambda w: build(w, Plan(kind=EntryKind.EXPIRED, opened=(0,))))


# 14. outputs
def _answer(*choices: tuple[int, int]) -> Make:
    return lambda w: build(w, Plan(votes={1: Classification(choices).encode()}))


_add(14, "an output is empty", _answer())
_add(14, "an output has a choice too few", _answer((1, 50), (2, 40), (3, 30), (4, 20)))
_add(14, "an output has a choice too many", _answer((1, 60), (2, 50), (3, 40), (4, 30), (5, 20), (6, 10)))
_add(14, "an output ends within a choice", lambda w: build(w, Plan(votes={1: output(3)[:-1]})))
_add(14, "an output names an unknown class", _answer((10, 50), (2, 40), (3, 30), (4, 20), (5, 10)))
_add(14, "an output names a class twice", _answer((1, 50), (1, 40), (3, 30), (4, 20), (5, 10)))
_add(14, "an output is not ordered by probability", _answer((1, 40), (2, 50), (3, 30), (4, 20), (5, 10)))
_add(14, "an output's tie is not ordered by class", _answer((2, 50), (1, 50), (3, 30), (4, 20), (5, 10)))
_add(14, "an output adds up to more than one", _answer((1, 65_535), (2, 6), (3, 0), (4, 0), (5, 0)))
