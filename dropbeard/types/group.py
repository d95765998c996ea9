"""The model group as its genesis file states it: owners, keys, endpoints, task, parameters (rule 1.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from dropbeard.errors import ConfigInvalid
from dropbeard.types import limits, wire
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
    """A whole genesis. ``owners`` stand in the order of their ids 0..n-1. Raises ConfigInvalid when it cannot work."""

    name: str
    f: int
    answers: int
    owners: tuple[Owner, ...]
    task: TaskSchema
    parameters: Parameters

    def __post_init__(self) -> None:
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
        if [owner.id for owner in self.owners] != list(range(n)):
            raise ConfigInvalid("owner ids must be 0, 1, 2, ... in order")

    @property
    def epoch(self) -> Epoch:
        """The epoch that these owners and keys serve: a genesis states epoch 0 (rule 8.4)."""
        return GENESIS_EPOCH

    @property
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

    def leader(self, view: View) -> OwnerId:
        """Leader of ``view`` (rule 3.1)."""
        return self.members[view % self.n]

    def owner(self, owner_id: OwnerId) -> Owner | None:
        """The owner with this id, or None."""
        return self.owners[owner_id] if 0 <= owner_id < self.n else None

    def encode(self) -> bytes:
        """Canonical bytes: name, f u16, answers u16, n u16, the owners, the task, the parameters (rule 1.3)."""
        head = wire.short_bytes(self.name.encode()) + wire.u16(self.f) + wire.u16(self.answers) + wire.u16(self.n)
        owners = b"".join(owner.encode() for owner in self.owners)
        return head + owners + self.task.encode() + self.parameters.encode()

    @cached_property
    def id(self) -> GroupId:
        """``group_id``: BLAKE3 of the canonical bytes."""
        return GroupId(digest(GENESIS, self.encode()))


def _refuse_duplicates(what: str, values: Sequence[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise ConfigInvalid(f"two owners (or sockets) share the {what} {value}; each needs its own")
        seen.add(value)
