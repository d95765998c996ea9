"""Signs this replica's statements, guarded; checks everyone's, remembering what was checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from dropbeard.errors import PromiseConflict
from dropbeard.signing.ecdsa_p256 import PrivateKey, PublicKey
from dropbeard.signing.guard import Guard
from dropbeard.types.group import Group
from dropbeard.types.ids import Epoch, OwnerId, Signature, View
from dropbeard.types.statements import Statement

CHECKED_MAX: Final = 16_384
"""Signatures remembered as good; a vote comes back inside certificates, so each would be checked several times."""


class NodeSigner:
    """The node key behind its guard: no path to a signature leads around it (rule 3.8).

    ``key``: that of an epoch, or KeyInvalid when it is not here. One guard stands before all of them (rule 8.4).
    ``barred``: public keys that sign nothing any more, as what they signed is not all known here (rule 7.4).
    """

    def __init__(
        self, key: Callable[[Epoch], PrivateKey], guard: Guard, barred: frozenset[bytes] = frozenset()
    ) -> None:
        self._key = key
        self._guard = guard
        self._barred = barred

    def sign(self, statement: Statement) -> Signature:
        """64 bytes over the statement; PromiseConflict when it contradicts an earlier one."""
        key = self._key(statement.epoch)
        if key.public.encoded in self._barred:
            raise PromiseConflict("this node key may sign nothing more since its state was restored from a backup")
        self._guard.promise(statement)
        return Signature(key.sign(statement.encode()))

    def promised(self, epoch: Epoch, before: View) -> bytes:
        """What the guard remembers, for a checkpoint; it signs nothing below view ``before`` any more."""
        return self._guard.encode(epoch, before)


class NodeKeyChecker:
    """Checks signatures of a group's owners. Good ones of node keys are remembered, with their exact bytes."""

    def __init__(self, group: Group) -> None:
        self._keys: dict[OwnerId, PublicKey] = {o.id: PublicKey.from_bytes(o.node_key) for o in group.owners}
        self._owner_keys = {o.id: o.owner_key for o in group.owners}
        self._good: dict[tuple[OwnerId, bytes, bytes], None] = {}

    def check(self, signer: OwnerId, statement: bytes, signature: Signature) -> bool:
        """Did ``signer`` sign exactly these bytes?"""
        name = (signer, statement, signature)
        if name in self._good:
            return True
        key = self._keys.get(signer)
        if key is None or not key.verify(statement, signature):
            return False
        if len(self._good) >= CHECKED_MAX:
            del self._good[next(iter(self._good))]
        self._good[name] = None
        return True

    def check_owner(self, signer: OwnerId, statement: bytes, signature: Signature) -> bool:
        """Did the owner key of ``signer`` sign exactly these bytes? Rare, so nothing is remembered."""
        key = self._owner_keys.get(signer)
        return key is not None and PublicKey.from_bytes(key).verify(statement, signature)

    def following(self, group: Group) -> NodeKeyChecker:
        """A checker with the keys of another epoch."""
        return NodeKeyChecker(group)
