"""Who serves the next epoch: a configuration, the owners' signatures under it, and the group that it makes (rule 8.4).

Layout of a configuration: origin 32 (the id of the genesis), epoch u32, owner ids given out u16, f u16, answers u16,
owners u16 and each as in the genesis, ascending by id. Name, task and parameters never change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from dropbeard.errors import ConfigInvalid, MessageInvalid
from dropbeard.types import limits, wire
from dropbeard.types.blocks import Signatures, encode_signatures, read_signatures
from dropbeard.types.checking import SignatureChecker
from dropbeard.types.group import Endpoints, Group, Owner
from dropbeard.types.hashing import CONFIGURATION, digest
from dropbeard.types.ids import KEY_BYTES, PUBLIC_KEY_BYTES, Digest, Epoch, GroupId, OwnerId
from dropbeard.types.statements import MembershipChange


@dataclass(frozen=True, slots=True)
class SignedChange:
    """The configuration of the next epoch, with signatures of owner keys of this one over MembershipChange."""

    configuration: bytes
    signatures: Signatures

    def encode(self) -> bytes:
        """u32 length and the configuration, then the signatures."""
        return wire.long_bytes(self.configuration) + encode_signatures(self.signatures)


def read_change(reader: wire.Reader) -> SignedChange:
    """Take a change off ``reader``; whether it can be is another question."""
    size = reader.u32()
    if size > limits.CONFIGURATION_BYTES_MAX:
        raise MessageInvalid(f"a configuration has {size} bytes, at most {limits.CONFIGURATION_BYTES_MAX} are possible")
    return SignedChange(reader.take(size), read_signatures(reader))


def configuration_digest(configuration: bytes) -> Digest:
    """What owners sign, and what the first header of the next epoch names."""
    return digest(CONFIGURATION, configuration)


def change_statement(group: Group, configuration: bytes) -> MembershipChange:
    """What the owner keys of ``group`` sign to have this configuration follow."""
    return MembershipChange(group.id, group.epoch, configuration_digest(configuration))


def encode_configuration(group: Group) -> bytes:
    """Canonical bytes of a group of a later epoch than the first."""
    head = group.id + wire.u32(group.epoch) + wire.u16(group.ids_given)
    sizes = wire.u16(group.f) + wire.u16(group.answers) + wire.u16(group.n)
    return head + sizes + b"".join(owner.encode() for owner in group.owners)


@lru_cache(maxsize=64)
def following_group(group: Group, configuration: bytes) -> Group:
    """The group of the next epoch; MessageInvalid when this configuration cannot follow ``group``."""
    reader = wire.Reader(configuration)
    origin, epoch, ids_given = GroupId(reader.take(32)), Epoch(reader.u32()), reader.u16()
    f, answers = reader.u16(), reader.u16()
    owners = tuple(_read_owner(reader) for _ in range(reader.count(limits.REPLICAS_MAX, "owners")))
    reader.end()
    if origin != group.id or epoch != group.epoch + 1:
        raise MessageInvalid(f"the configuration is of epoch {epoch} of another group, or does not follow this one")
    made = _made(group, owners, epoch, ids_given, f, answers)
    for owner in owners:
        before = group.owner(owner.id)
        if before is None and owner.id < group.ids_given:
            raise MessageInvalid(f"owner id {owner.id} was given out before; ids are never used again")
        if before is not None and (before.name, before.model, before.model_name) != (
            owner.name,
            owner.model,
            owner.model_name,
        ):
            raise MessageInvalid(f"owner {owner.id} keeps its name and its first model; updates change models")
    if ids_given != max(group.ids_given, *(owner.id + 1 for owner in owners)):
        raise MessageInvalid("the configuration counts the owner ids given out wrongly")
    return made


def _made(group: Group, owners: tuple[Owner, ...], epoch: Epoch, ids_given: int, f: int, answers: int) -> Group:
    try:
        made = replace(group, owners=owners, f=f, answers=answers, epoch=epoch, ids_given=ids_given, origin=group.id)
    except ConfigInvalid as wrong:
        raise MessageInvalid(f"the configuration cannot work: {wrong}") from wrong
    return made


def next_group(group: Group, owners: tuple[Owner, ...], f: int, answers: int) -> Group:
    """The group that its owners want next; ConfigInvalid when it cannot follow."""
    ids_given = max(group.ids_given, *(owner.id + 1 for owner in owners))
    try:
        made = _made(group, owners, Epoch(group.epoch + 1), ids_given, f, answers)
        return following_group(group, encode_configuration(made))
    except MessageInvalid as wrong:
        raise ConfigInvalid(str(wrong)) from wrong


def change_fault(group: Group, signed: SignedChange, checker: SignatureChecker) -> str | None:
    """Why this change is none, by its bytes and this group alone; None when it is one (rules 2.8, 8.4)."""
    try:
        following_group(group, signed.configuration)
    except MessageInvalid as wrong:
        return str(wrong)
    if len(signed.signatures) < group.quorum:
        return f"{len(signed.signatures)} owners signed the change, a quorum is {group.quorum}"
    statement = change_statement(group, signed.configuration).encode()
    for owner, signature in signed.signatures:
        if group.owner(owner) is None or not checker.check_owner(owner, statement, signature):
            return f"the signature of owner {owner} is not its owner key's"
    return None


def _read_owner(reader: wire.Reader) -> Owner:
    number, name = OwnerId(reader.u16()), _text(reader)
    owner_key, node_key = reader.take(PUBLIC_KEY_BYTES), reader.take(PUBLIC_KEY_BYTES)
    curve_key = reader.take(KEY_BYTES)
    ends = Endpoints(_text(reader), _text(reader), _text(reader), _text(reader))
    model = Digest(reader.take(32))
    return Owner(number, name, owner_key, node_key, curve_key, ends, model, _text(reader))


def _text(reader: wire.Reader) -> str:
    try:
        return reader.short_bytes().decode()
    except UnicodeDecodeError as wrong:
        raise MessageInvalid("a name or an endpoint is no text") from wrong
