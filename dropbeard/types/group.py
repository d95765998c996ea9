"""The model group as its genesis file states it: owners, keys, endpoints, task, parameters (rule 1.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from dropbeard.errors import ConfigInvalid
from dropbeard.types import limits, wire
from dropbeard.types.client_rules import ClientRules
from dropbeard.types.hashing import GENESIS, digest
from dropbeard.types.ids import Digest, Epoch, GroupId, OwnerId, Version, View
from dropbeard.types.parameters import Parameters
from dropbeard.types.quorum import most_faults, quorum_size, weak_quorum_size
from dropbeard.types.task import TaskSchema

GENESIS_EPOCH = Epoch(0)
FIRST_VERSION = Version(1)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a node listens, as ZeroMQ endpoints (``tcp://host:port`` or ``ipc://path``)."""

    votes: str
    lanes: str
    clients: str
    catchup: str

    @property
    def all(self) -> tuple[str, str, str, str]:
        """Each of them, in their order."""
        return self.votes, self.lanes, self.clients, self.catchup

    def encode(self) -> bytes:
        """Canonical bytes: four short strings."""
        return b"".join(wire.short_bytes(text.encode()) for text in self.all)


@dataclass(frozen=True, slots=True)
class Owner:
    """A model owner and its node. Keys: P-256 as 33 compressed bytes, CURVE as 32 bytes.

    ``model`` is the digest of the first model (rule 4.1, version 1); ``model_name`` is a label that proves nothing.
    """

    id: OwnerId
    name: str
    owner_key: bytes
    node_key: bytes
    curve_key: bytes
    endpoints: Endpoints
    model: Digest
    model_name: str

    def encode(self) -> bytes:
        """Canonical bytes: id u16, name, owner key 33, node key 33, CURVE key 32, endpoints, model 32, model name."""
        keys = self.owner_key + self.node_key + self.curve_key
        text = self.endpoints.encode() + self.model + wire.short_bytes(self.model_name.encode())
        return wire.u16(self.id) + wire.short_bytes(self.name.encode()) + keys + text


@dataclass(frozen=True)
class Group:
    """A whole genesis, or what a later epoch makes of it. ``owners`` stand in the order of their ids, 0..n-1 at first.

    Raises ConfigInvalid when it cannot work.
    """

    name: str
    f: int
    answers: int
    owners: tuple[Owner, ...]
    task: TaskSchema
    parameters: Parameters
    epoch: Epoch = GENESIS_EPOCH
    """The epoch that these owners and keys serve (rule 8.4)."""
    origin: GroupId | None = None
    """The id that the genesis gave the group; None for the genesis itself."""
    ids_given: int = -1
    """Owner ids below this were given out; as many as there are owners in the genesis."""
    clients: ClientRules | None = None
    """Who may ask, and how much; None: anyone, within ``client_open_max``."""

    def __post_init__(self) -> None:
        if self.epoch == GENESIS_EPOCH:
            object.__setattr__(self, "ids_given", len(self.owners))
        self._check_sizes()
        for what, values in (
            ("name", [owner.name for owner in self.owners]),
            ("owner key", [owner.owner_key.hex() for owner in self.owners]),
            ("node key", [owner.node_key.hex() for owner in self.owners]),
            ("CURVE key", [owner.curve_key.hex() for owner in self.owners]),
            ("endpoint", [end for owner in self.owners for end in owner.endpoints.all]),
        ):
            _refuse_duplicates(what, values)

    def _check_sizes(self) -> None:
        n = len(self.owners)
        if n > limits.REPLICAS_MAX:
            raise ConfigInvalid(f"the group has {n} owners, at most {limits.REPLICAS_MAX} are possible")
        if self.f < 0 or n < 3 * self.f + 1:
            raise ConfigInvalid(f"n = {n} owners cannot tolerate f = {self.f}: n >= 3f+1 needs f <= {most_faults(n)}")
        if not 2 * self.f + 1 <= self.answers <= n - self.f:
            raise ConfigInvalid(
                f"answers = {self.answers} must be between 2f+1 = {2 * self.f + 1} and n-f = {n - self.f}"
            )
        ids = [owner.id for owner in self.owners]
        if self.epoch == GENESIS_EPOCH and ids != list(range(n)):
            raise ConfigInvalid("owner ids must be 0, 1, 2, ... in order")
        if any(a >= b for a, b in pairwise(ids)):
            raise ConfigInvalid("owner ids must ascend")

    @cached_property
    def n(self) -> int:
        """Number of replicas."""
        return len(self.owners)

    @cached_property
    def quorum(self) -> int:
        """q of rule 1.1."""
        return quorum_size(self.n, self.f)

    @cached_property
    def weak_quorum(self) -> int:
        """f+1."""
        return weak_quorum_size(self.f)

    @cached_property
    def members(self) -> tuple[OwnerId, ...]:
        """Owner ids in the order of leadership."""
        return tuple(owner.id for owner in self.owners)

    def all_but(self, one: OwnerId) -> tuple[OwnerId, ...]:
        """Every member but one; every member when that is none."""
        return self._others.get(one, self.members)

    @cached_property
    def _others(self) -> dict[OwnerId, tuple[OwnerId, ...]]:
        return {one: tuple(owner for owner in self.members if owner != one) for one in self.members}

    def leader(self, view: View) -> OwnerId:
        """Leader of ``view`` (rule 3.1)."""
        return self.members[view % self.n]

    def owner(self, owner_id: OwnerId) -> Owner | None:
        """The owner with this id, or None."""
        return self._by_id.get(owner_id)

    def member(self, owner_id: OwnerId) -> Owner:
        """The owner with this id, who is known to be a member."""
        return self._by_id[owner_id]

    @cached_property
    def _by_id(self) -> dict[OwnerId, Owner]:
        return {owner.id: owner for owner in self.owners}

    def encode(self) -> bytes:
        """Canonical bytes of a genesis: name, f u16, answers u16, n u16, owners, task, parameters (rule 1.3), and
        the rules for clients if there are any: without them nothing is added, so no older group changes its id."""
        head = wire.short_bytes(self.name.encode()) + wire.u16(self.f) + wire.u16(self.answers) + wire.u16(self.n)
        owners = b"".join(owner.encode() for owner in self.owners)
        clients = b"" if self.clients is None else self.clients.encode()
        return head + owners + self.task.encode() + self.parameters.encode() + clients

    @cached_property
    def id(self) -> GroupId:
        """``group_id``: BLAKE3 of the genesis' canonical bytes; every epoch keeps it."""
        return GroupId(digest(GENESIS, self.encode())) if self.origin is None else self.origin


def _refuse_duplicates(what: str, values: Sequence[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ConfigInvalid(f"two owners (or sockets) share the {what} {value}; each needs its own")
        seen.add(value)
