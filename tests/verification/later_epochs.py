"""Successions made from scratch, with one thing wrong in each, and certificates of epochs around them (rule 8.4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dropbeard.signing.ecdsa_p256 import PrivateKey
from dropbeard.types import wire
from dropbeard.types.blocks import Header, Signatures, encode_signatures
from dropbeard.types.group import Owner
from dropbeard.types.ids import NO_DIGEST, Digest, Epoch, GroupId, Height, OwnerId, TimeUs, View
from dropbeard.types.succession import MAGIC, empty_cut, last_state_root
from tests.verification.building import Plan, World, build, filled, sign, world

WORLD = world()
LAST = 40
"""Height of the last block of the first epoch; certificates that are built from a plan are of lower ones."""

OWNERS = WORLD.group.owners
KEYS = (PrivateKey.generate(), *WORLD.keys[1:], PrivateKey.generate())
ROTATED = replace(OWNERS[0], node_key=KEYS[0].public.to_bytes())
NEWCOMER = replace(world(5).group.owners[4], node_key=KEYS[4].public.to_bytes())
NEXT = (ROTATED, *OWNERS[1:], NEWCOMER)
"""Owner 0 has another node key, and a fifth owner comes."""


def configuration(
    owners: Sequence[Owner] = NEXT,
    origin: GroupId = WORLD.group.id,
    epoch: int = 1,
    ids_given: int = 5,
    f: int = 1,
    answers: int = 4,
) -> bytes:
    """Its bytes, whether it can be or not."""
    sizes = wire.u32(epoch) + b"".join(map(wire.u16, (ids_given, f, answers, len(owners))))
    return origin + sizes + b"".join(owner.encode() for owner in owners)


def following(owners: Sequence[Owner] = NEXT, f: int = 1, ids_given: int = 5) -> World:
    """The group of the second epoch, which needs an answer of all but f, and its keys."""
    sizes = {"f": f, "answers": len(owners) - f, "ids_given": ids_given}
    changed = {"owners": tuple(owners), "epoch": Epoch(1), "origin": WORLD.group.id}
    return World(replace(WORLD.group, **sizes, **changed), KEYS)  # type: ignore[arg-type]


Twist = Callable[[Header], Header]


def _same(header: Header) -> Header:
    return header


@dataclass(frozen=True)
class Ending:
    """What ends an epoch. The twists change a header before what stands above it is made, and before it is signed."""

    configuration: bytes = configuration()
    by: World = WORLD
    height: int = LAST
    closing: int = 1
    signers: tuple[int, ...] = (0, 1, 2)
    epoch: int | None = None
    """What it says of itself; the epoch of ``by`` when None."""
    twist_last: Twist = _same
    twist_closing: Twist = _same
    forge: Callable[[Signatures], Signatures] = tuple
    more_in_header: bytes = b""

    def headers(self) -> list[Header]:
        """The finalized one first."""
        group, number = self.by.group, View(2 * self.height)
        root = last_state_root(filled(0x71), filled(0x72), self.configuration)
        named = filled(0x11), View(number - 1), empty_cut(group), TimeUs(1_700_000_000_000_000), filled(0x73)
        parts = group.id, group.epoch, Height(self.height), number, *named
        made = [self.twist_last(Header(*parts, root, filled(0x74)))]
        for _ in range(self.closing):
            below = made[0]
            over = replace(below, view=View(below.view + 1), parent=below.digest, parent_view=below.view)
            made.insert(0, self.twist_closing(replace(over, state_root=Digest(NO_DIGEST))))
        return made

    def encode(self) -> bytes:
        """Its bytes in a file of successions."""
        headers = self.headers()
        signatures = self.forge(sign(self.by, headers[0], self.signers))
        bodies = b"".join(wire.long_bytes(header.body + self.more_in_header) for header in headers)
        epoch = self.by.group.epoch if self.epoch is None else self.epoch
        head = wire.u32(epoch) + wire.u16(len(headers)) + bodies + encode_signatures(signatures)
        return head + filled(0x71) + filled(0x72) + wire.long_bytes(self.configuration)


def file_of(*rows: bytes) -> bytes:
    """A file of successions."""
    return MAGIC + WORLD.group.id + wire.u16(len(rows)) + b"".join(map(wire.long_bytes, rows))


def certified(made: World, height: int = 7) -> bytes:
    """A certificate of the world's epoch whose block has this height."""
    epoch, answers = made.group.epoch, tuple(range(made.group.answers))

    def moved(_: int, header: Header) -> Header:
        return replace(header, epoch=epoch, height=Height(height), view=View(2 * height))

    return replace(build(made, Plan(base=answers, twist_header=moved)), epoch=epoch).encode()


def _with(place: int, **changes: object) -> bytes:
    owners = list(NEXT)
    owners[place] = replace(owners[place], **changes)  # type: ignore[arg-type]
    return configuration(owners)


_SECOND = following()
_GONE = configuration(OWNERS[:3], ids_given=4, f=0, answers=3)
_BACK = configuration(OWNERS, epoch=2, ids_given=4, f=1, answers=3)
_THREE = World(following(OWNERS[:3], 0, 4).group, WORLD.keys)

CONFIGURATIONS = {
    "of another group": configuration(origin=GroupId(filled(9))),
    "of the epoch after the next": configuration(epoch=2),
    "that counts too few ids": configuration(ids_given=4),
    "that counts too many ids": configuration(ids_given=6),
    "with f too large": configuration(f=2, answers=3),
    "with answers too few": configuration(answers=2),
    "with answers too many": configuration(answers=5),
    "without owners": configuration((), ids_given=4, f=0, answers=0),
    "whose ids do not ascend": configuration((*NEXT[1:4], NEXT[0], NEXT[4])),
    "with one owner twice": configuration((*NEXT, NEWCOMER), ids_given=5),
    "with a name of two owners": _with(4, name=OWNERS[1].name),
    "with an owner key of two owners": _with(4, owner_key=OWNERS[1].owner_key),
    "with a node key of two owners": _with(4, node_key=OWNERS[1].node_key),
    "with a CURVE key of two owners": _with(4, curve_key=OWNERS[1].curve_key),
    "with an endpoint of two owners": _with(4, endpoints=OWNERS[1].endpoints),
    "with a node key that is no point": _with(4, node_key=b"\x02" + bytes(31) + b"\x01"),
    "that renames an owner": _with(1, name="another"),
    "that changes a first model": _with(1, model=filled(9)),
    "that renames a first model": _with(1, model_name="another"),
    "of a byte more": configuration() + b"\0",
    "of a byte less": configuration()[:-1],
    "with a name that is no text": configuration().replace(b"owner 4", b"owner \xff"),
}
"""That cannot follow, each made final by a quorum."""

_AFTER_HEADERS = len(encode_signatures(sign(WORLD, Ending().headers()[0], (0, 1, 2)))) + 64 + 4 + len(configuration())

FORMS: dict[str, bytes] = {
    "of another epoch": Ending(epoch=1).encode(),
    "whose last block is of another epoch": Ending(twist_last=lambda h: replace(h, epoch=Epoch(1))).encode(),
    "whose last block has view -1": Ending(twist_last=lambda h: replace(h, view=View(-1))).encode(),
    "whose last block names another configuration": Ending(
        twist_last=lambda h: replace(h, state_root=filled(9))
    ).encode(),
    "whose last block is a closing one": Ending(
        closing=0, twist_last=lambda h: replace(h, state_root=Digest(NO_DIGEST))
    ).encode(),
    "whose closing block has a state root": Ending(twist_closing=lambda h: replace(h, state_root=filled(9))).encode(),
    "whose closing block has a height": Ending(twist_closing=lambda h: replace(h, height=Height(LAST + 1))).encode(),
    "whose closing block has another parent": Ending(twist_closing=lambda h: replace(h, parent=filled(9))).encode(),
    "with a byte more in a header": Ending(more_in_header=b"\0").encode(),
    "with a signer too few": Ending(signers=(0, 1)).encode(),
    "signed by one owner for another": Ending(forge=lambda rows: (*rows[:2], (OwnerId(3), rows[2][1]))).encode(),
    "with a stranger besides": Ending(forge=lambda rows: (*rows, (OwnerId(9), rows[0][1]))).encode(),
    "whose signers do not ascend": Ending(forge=lambda rows: rows[::-1]).encode(),
    "whose signer is there twice": Ending(forge=lambda rows: (rows[0], *rows)).encode(),
    "without headers": wire.u32(0) + wire.u16(0) + Ending().encode()[-_AFTER_HEADERS:],
    "of a byte more": Ending().encode() + b"\0",
    "of a byte less": Ending().encode()[:-1],
}
"""Bytes that are no succession, or do not check."""

_PLAIN = _with(4, name="not\nplain ")

GOOD = {
    "a closing block": file_of(Ending().encode()),
    "no closing block": file_of(Ending(closing=0).encode()),
    "three closing blocks, all sign": file_of(Ending(closing=3, signers=(0, 1, 2, 3)).encode()),
    "one that is there twice": file_of(Ending().encode(), Ending(closing=2).encode()),
    "a name that is not plain": file_of(Ending(_PLAIN).encode()),
}
"""Files that lead to the second epoch."""

SECOND = certified(_SECOND)
USUAL = GOOD["a closing block"]
_AGAIN = Ending(configuration(NEXT, epoch=2), _SECOND, LAST + 9, signers=(0, 1, 2, 3)).encode()
THIRD = file_of(_AGAIN, Ending().encode())
"""Two successions, in disorder."""

VERDICTS = {
    "in the epoch that follows": (SECOND, USUAL, None),
    "in the first epoch, now over": (certified(WORLD), USUAL, None),
    "at the last height of its epoch": (certified(WORLD, LAST), USUAL, None),
    "above the last height of its epoch": (certified(WORLD, LAST + 1), USUAL, 3),
    "at any height of an epoch that is not known to be over": (certified(_SECOND, LAST + 10), USUAL, None),
    "in the middle of three epochs": (SECOND, THIRD, None),
    "above the last height of the second epoch": (certified(_SECOND, LAST + 10), THIRD, 3),
    "signed with a key of the epoch before": (certified(World(_SECOND.group, (WORLD.keys[0], *KEYS[1:]))), USUAL, 5),
}
"""Certificate, file, and the step that fails."""

UNREADABLE = {
    "an id that was used before": file_of(
        Ending(_GONE).encode(), Ending(_BACK, _THREE, LAST + 9, signers=(0, 1)).encode()
    ),
    **{f"a configuration {name}": file_of(Ending(given).encode()) for name, given in CONFIGURATIONS.items()},
    **{f"one {name}": file_of(given) for name, given in FORMS.items()},
    "one too many said": USUAL[:40] + wire.u16(2) + USUAL[42:],
}
"""Files that are none of successions, by what is wrong with them."""
