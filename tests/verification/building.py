"""Certificates made from scratch: fresh keys, fixed layouts, nothing of the agreement core."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache

from dropbeard.signing.ecdsa_p256 import PrivateKey
from dropbeard.types.blocks import Header, LaneTip, Signatures
from dropbeard.types.certificates import Answer, Certificate, ProvedEntry
from dropbeard.types.entries import Entry, EntryKind, Promise, entries_tree
from dropbeard.types.group import Endpoints, Group, Owner
from dropbeard.types.ids import (
    ClientKey,
    Digest,
    Epoch,
    Height,
    LaneHeight,
    Nonce,
    OwnerId,
    RequestId,
    Signature,
    TimeUs,
    Version,
    View,
)
from dropbeard.types.parameters import Parameters
from dropbeard.types.requests import Opening, Request
from dropbeard.types.statements import Finalize, Notarize
from dropbeard.types.task import Classification, Input, InputKind, TaskSchema

CLASSES = 10
TOP_K = 5
IMAGE = Input(InputKind.ENCODED_IMAGE, (0, 0, 0), b"the bytes of a picture")
CLIENT = ClientKey(bytes(range(32)))


@dataclass(frozen=True)
class World:
    """A group and its node keys."""

    group: Group
    keys: tuple[PrivateKey, ...]


def filled(byte: int) -> Digest:
    """A digest that means nothing."""
    return Digest(bytes([byte]) * 32)


def _owner(number: int, key: PrivateKey) -> Owner:
    port = 7400 + 10 * number
    ends = Endpoints(*(f"tcp://127.0.0.1:{port + i}" for i in range(4)))
    cold, curve = PrivateKey.generate().public.to_bytes(), bytes([number + 1]) * 32
    identity = OwnerId(number), f"owner {number}", cold, key.public.to_bytes(), curve
    return Owner(*identity, ends, filled(0x40 + number), f"model-{number}")


@lru_cache(maxsize=8)
def world(n: int = 4) -> World:
    """A group of ``n`` that tolerates the most faults."""
    keys = tuple(PrivateKey.generate() for _ in range(n))
    owners = tuple(_owner(number, key) for number, key in enumerate(keys))
    labels = tuple(f"class {number}" for number in range(CLASSES))
    task = TaskSchema("pictures", labels, TOP_K, 1 << 20, 1_000_000)
    f = (n - 1) // 3
    return World(Group("tested", f, n - f, owners, task, Parameters()), keys)


def output(first: int, probability: int = 40_000) -> bytes:
    """A top-5 that begins with class ``first``."""
    rest = [class_id for class_id in range(CLASSES) if class_id != first][: TOP_K - 1]
    return Classification(((first, probability), *((class_id, 1_000) for class_id in rest))).encode()


def _same(_: int, value: Header) -> Header:
    return value


def _same_entry(value: Entry) -> Entry:
    return value


@dataclass(frozen=True)
class Plan:
    """What to build. The twists change a part before it is hashed and signed, so that only its own step can object."""

    base: tuple[int, ...] = (0, 1, 2)
    late: tuple[tuple[int, ...], ...] = ()
    """Owners of each supplement; the first one stands in the block above the base entry's, and so on."""
    opened: tuple[int, ...] | None = None
    links: int = 0
    leaves: int = 8
    kind: EntryKind = EntryKind.AGREED
    image: Input = IMAGE
    votes: dict[int, bytes] = field(default_factory=dict)
    signers: tuple[int, ...] | None = None
    twist_header: Callable[[int, Header], Header] = _same
    twist_base: Callable[[Entry], Entry] = _same_entry
    twist_supplement: Callable[[Entry], Entry] = _same_entry


def request_of(made: World, image: Input = IMAGE) -> Request:
    """The request that a certificate about ``image`` is about."""
    deadline = TimeUs(1_700_000_000_000_000)
    return Request(CLIENT, made.group.id, Nonce(77), deadline, 250_000, b"options", image.digest())


def opening_of(made: World, plan: Plan, owner: int) -> Opening:
    """What the owner answered."""
    model = made.group.owners[owner].model
    answer = plan.votes.get(owner, output(3, 40_000 + owner))
    return Opening(request_of(made, plan.image).id, OwnerId(owner), Version(1), model, answer, bytes([owner + 1]) * 32)


def entry_of(made: World, plan: Plan, kind: EntryKind, owners: tuple[int, ...]) -> Entry:
    """An entry with the promises of ``owners``."""
    openings = [opening_of(made, plan, owner) for owner in owners]
    promises = tuple(Promise(o.owner, o.version, o.model, o.commitment()) for o in openings)
    return Entry(kind, request_of(made, plan.image).id, CLIENT, promises)


def _stranger(number: int) -> Entry:
    promise = Promise(OwnerId(0), Version(1), filled(0x40), filled(0x77))
    request = RequestId(number.to_bytes(2, "big") + bytes(30))
    return Entry(EntryKind.AGREED, request, CLIENT, (promise,))


def _proved(position: int, entry: Entry, leaves: int) -> tuple[ProvedEntry, Digest]:
    index = leaves // 3
    entries = [_stranger(number) for number in range(leaves)]
    entries[index] = entry
    tree = entries_tree(tuple(entries))
    return ProvedEntry(position, entry, tree.path(index)), tree.root


def _header(made: World, below: Header | None, height: int, root: Digest) -> Header:
    cut = tuple(LaneTip(owner, LaneHeight(height), filled(0x20 + owner)) for owner in made.group.members)
    parent = filled(0x11) if below is None else below.digest
    # One view in between was nullified.
    view, parent_view = View(2 * height), View(2 * height - 2)
    time = TimeUs(1_699_999_999_000_000 + height)
    roots = root, filled(0x12), filled(0x13)
    return Header(made.group.id, Epoch(0), Height(height), view, parent, parent_view, cut, time, *roots)


def sign(
    made: World, header: Header, signers: tuple[int, ...], kind: type[Finalize | Notarize] = Finalize
) -> Signatures:
    """Votes of ``signers`` for ``header``; for tests the genesis' view counts as 0."""
    view = View(max(header.view, 0))
    statement = kind(header.group, header.epoch, view, header.digest).encode()
    return tuple((OwnerId(signer), Signature(made.keys[signer].sign(statement))) for signer in signers)


def build(made: World, plan: Plan) -> Certificate:
    """The certificate of a plan."""
    last = plan.links
    base, root = _proved(last, plan.twist_base(entry_of(made, plan, plan.kind, plan.base)), plan.leaves)
    roots = {last: root}
    supplements = []
    for above, owners in enumerate(plan.late, start=1):
        entry = plan.twist_supplement(entry_of(made, plan, EntryKind.SUPPLEMENT, owners))
        proved, roots[last - above] = _proved(last - above, entry, plan.leaves)
        supplements.append(proved)
    headers: list[Header] = []
    for position in range(last, -1, -1):
        below = headers[0] if headers else None
        made_here = _header(made, below, 7 + last - position, roots.get(position, filled(0x55)))
        headers.insert(0, plan.twist_header(position, made_here))
    signers = tuple(range(made.group.quorum)) if plan.signers is None else plan.signers
    return _assemble(made, plan, headers, sign(made, headers[0], signers), base, supplements)


def _assemble(
    made: World,
    plan: Plan,
    headers: list[Header],
    signatures: Signatures,
    base: ProvedEntry,
    supplements: list[ProvedEntry],
) -> Certificate:
    asked = request_of(made, plan.image)
    owners = sorted({*plan.base, *(owner for late in plan.late for owner in late)})
    if plan.opened is not None:
        owners = list(plan.opened)
    elif plan.kind is EntryKind.EXPIRED:
        owners = []
    openings = [opening_of(made, plan, owner) for owner in owners]
    return Certificate(
        group=made.group.id,
        epoch=Epoch(0),
        headers=tuple(headers),
        signatures=signatures,
        deadline=asked.deadline,
        patience_us=asked.patience_us,
        nonce=asked.nonce,
        options=asked.options,
        input_digest=asked.input_digest,
        base=base,
        supplements=tuple(supplements),
        answers=tuple(Answer(o.owner, o.salt, o.output) for o in openings),
    )


def with_answer(certificate: Certificate, index: int, answer: Answer) -> Certificate:
    """Another opening in place of one."""
    answers = list(certificate.answers)
    answers[index] = answer
    return replace(certificate, answers=tuple(answers))


GOOD = {
    "direct": Plan(),
    "all four": Plan(base=(0, 1, 2, 3)),
    "one link": Plan(links=1),
    "three links": Plan(links=3),
    "a supplement": Plan(links=1, late=((3,),)),
    "a supplement and a link above": Plan(links=2, late=((3,),)),
    "expired": Plan(kind=EntryKind.EXPIRED, base=(0, 1)),
    "expired after all promises went stale": Plan(kind=EntryKind.EXPIRED, base=()),
    "alone in its block": Plan(leaves=1),
    "all sign": Plan(signers=(0, 1, 2, 3)),
    "any three sign": Plan(signers=(0, 2, 3)),
}
"""Plans of valid certificates for n = 4."""
