"""Signers of the simulated group: P-256 on some seeds, elsewhere a keyed-BLAKE3 stand-in that nobody can forge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from typing import Protocol

from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric import ec

from dropbeard.agreement.records import Record, decode_record
from dropbeard.signing.ecdsa_p256 import PrivateKey
from dropbeard.signing.guard import Guard
from dropbeard.signing.signer import NodeKeyChecker
from dropbeard.simulator.options import SIMULATED, Options
from dropbeard.types.checking import SignatureChecker
from dropbeard.types.group import Endpoints, Group, Owner
from dropbeard.types.ids import Digest, Epoch, OwnerId, Signature, View
from dropbeard.types.parameters import Parameters
from dropbeard.types.statements import Statement
from dropbeard.types.task import TaskSchema

LABELS = ("cat", "dog", "owl", "fox", "hen", "ant")
CONTEXT = "dropbeard 1 simulated key"


class Key(Protocol):
    """Signs bytes."""

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""


@dataclass(frozen=True, slots=True)
class _StandIn:
    secret: bytes

    def sign(self, message: bytes) -> bytes:
        return blake3(message, key=self.secret).digest(64)


class _StandInChecker:
    """Reads every secret out of the public key, as only the simulation can; replicas never do."""

    def __init__(self, group: Group) -> None:
        self._nodes = {owner.id: _StandIn(owner.node_key[1:]) for owner in group.owners}
        self._owners = {owner.id: _owner_key(owner.owner_key[1:]) for owner in group.owners}

    def check(self, signer: OwnerId, statement: bytes, signature: Signature) -> bool:
        return signer in self._nodes and self._nodes[signer].sign(statement) == signature

    def check_owner(self, signer: OwnerId, statement: bytes, signature: Signature) -> bool:
        return signer in self._owners and self._owners[signer].sign(statement) == signature

    def following(self, group: Group) -> _StandInChecker:
        return _StandInChecker(group)


def _owner_key(secret: bytes) -> _StandIn:
    return _StandIn(blake3(secret + b"owner").digest())


@dataclass(frozen=True)
class Keys:
    """The group of a schedule with everyone's keys; ``keys`` and ``owner_keys`` by owner id.

    ``spares``: owners who may join later, their ids going on from the group's. ``fresh``: new node keys for who changes
    its own. ``nodes``: every node key by its public bytes.
    """

    group: Group
    keys: tuple[Key, ...]
    owner_keys: tuple[Key, ...]
    checker: SignatureChecker
    nodes: Mapping[bytes, Key]
    spares: tuple[Owner, ...] = ()
    fresh: tuple[bytes, ...] = ()

    @cached_property
    def read_record(self) -> Callable[[bytes], Record]:
        """Decodes the genesis group's journal records; the same bytes are read once, on however many disks they are."""
        return cache(partial(decode_record, group=self.group))


def make_keys(options: Options) -> Keys:
    """Keys and group from the seed alone."""
    count = options.n + 2 * options.changes
    secrets = [blake3(f"{options.seed}/{i}".encode(), derive_key_context=CONTEXT).digest() for i in range(count)]
    signing = secrets if options.real_keys else []
    real = [PrivateKey(ec.derive_private_key(int.from_bytes(s[:31], "big") + 1, ec.SECP256R1())) for s in signing]
    cold = [PrivateKey(ec.derive_private_key(int.from_bytes(s[1:], "big") + 1, ec.SECP256R1())) for s in signing]
    public = [key.public.to_bytes() for key in real] if options.real_keys else [b"\x02" + s for s in secrets]
    owner_public = [key.public.to_bytes() for key in cold] if options.real_keys else [b"\x03" + s for s in secrets]
    made = tuple(_owner(i, secrets[i], public[i], owner_public[i]) for i in range(options.n + options.changes))
    owners, spares, fresh = made[: options.n], made[options.n :], tuple(public[options.n + options.changes :])
    task = TaskSchema("simulated", LABELS, 2, 1 << 16, 1 << 16)
    group = Group("simulated", options.f, options.n - options.f, owners, task, _parameters(options))
    if options.real_keys:
        nodes: dict[bytes, Key] = dict(zip(public, real, strict=True))
        return Keys(group, tuple(real), tuple(cold), NodeKeyChecker(group), nodes, spares, fresh)
    stand_ins = tuple(_StandIn(secret) for secret in secrets)
    cold_ones = tuple(_owner_key(secret) for secret in secrets)
    by_public: dict[bytes, Key] = dict(zip(public, stand_ins, strict=True))
    return Keys(group, stand_ins, cold_ones, _StandInChecker(group), by_public, spares, fresh)


def _parameters(options: Options) -> Parameters:
    return replace(SIMULATED, snapshot_interval=options.snapshot_interval, retention_us=options.retention_us)


def _owner(number: int, secret: bytes, node_key: bytes, owner_key: bytes) -> Owner:
    ends = Endpoints(*(f"tcp://127.0.0.1:{1_000 + 10 * number + i}" for i in range(4)))
    model = Digest(blake3(secret + b"model").digest())
    return Owner(OwnerId(number), f"owner {number}", owner_key, node_key, secret, ends, model, "simulated")


class GuardedSigner:
    """Guard and key of one replica, as in a node."""

    def __init__(self, key: Callable[[], Key], guard: Guard) -> None:
        self._key = key
        self._guard = guard

    def sign(self, statement: Statement) -> Signature:
        """Promise, then sign with the key of the epoch."""
        self._guard.promise(statement)
        return Signature(self._key().sign(statement.encode()))

    def promised(self, epoch: Epoch, before: View) -> bytes:
        """What the guard remembers."""
        return self._guard.encode(epoch, before)
