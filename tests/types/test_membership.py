"""Configurations of later epochs, and who may sign one (rule 8.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dropbeard.errors import ConfigInvalid, MessageInvalid
from dropbeard.types import wire
from dropbeard.types.group import Group
from dropbeard.types.ids import Digest, Epoch, OwnerId, Signature
from dropbeard.types.limits import CONFIGURATION_BYTES_MAX, NAME_BYTES_MAX, REPLICAS_MAX
from dropbeard.types.membership import (
    SignedChange,
    change_fault,
    encode_configuration,
    following_group,
    next_group,
    read_change,
)
from tests.agreement.epoch_pieces import KEYS, change, replaced
from tests.agreement.pieces import GROUP

CHECKER = KEYS.checker


def test_a_later_epoch_keeps_the_group_id_and_comes_back_from_its_bytes() -> None:
    after = replaced()
    assert (after.id, after.epoch, after.ids_given, after.members) == (GROUP.id, 1, 5, (1, 2, 3, 4))
    assert following_group(GROUP, encode_configuration(after)) == after
    assert after.owner(OwnerId(0)) is None
    assert after.member(OwnerId(4)) == KEYS.spares[0]


def test_leaders_of_a_later_epoch_rotate_over_its_own_members() -> None:
    assert [replaced().leader(view) for view in range(5)] == [1, 2, 3, 4, 1]  # type: ignore[arg-type]


def test_an_id_that_was_given_out_is_never_used_again() -> None:
    after = replaced()
    again = replace(KEYS.spares[1], id=OwnerId(0))
    with pytest.raises(ConfigInvalid, match="owner id 0 was given out before; ids are never used again"):
        next_group(after, (again, *after.owners[1:]), 1, 3)


@pytest.mark.parametrize("changed", [{"name": "another"}, {"model": Digest(b"m" * 32)}, {"model_name": "another"}])
def test_who_stays_keeps_its_name_and_its_first_model(changed: dict[str, Any]) -> None:
    owners = (replace(GROUP.owners[0], **changed), *GROUP.owners[1:])
    with pytest.raises(ConfigInvalid, match="owner 0 keeps its name and its first model"):
        next_group(GROUP, owners, 1, 3)


def test_who_stays_may_change_every_key_and_endpoint() -> None:
    spare = KEYS.spares[0]
    moved = replace(spare, id=OwnerId(0), name="owner 0", model=GROUP.owners[0].model)
    assert next_group(GROUP, (moved, *GROUP.owners[1:]), 1, 3).owners[0] == moved


def test_a_configuration_that_cannot_tolerate_its_faults_is_none() -> None:
    with pytest.raises(ConfigInvalid, match="cannot tolerate f = 1"):
        next_group(GROUP, GROUP.owners[1:], 1, 3)


def forged(how: str) -> bytes:
    after = replaced()
    made: dict[str, Group] = {
        "epoch": replace(after, epoch=Epoch(2)),
        "origin": replace(after, origin=replace(GROUP, name="another").id),
        "ids": replace(after, ids_given=9),
        "order": after,
    }
    data = encode_configuration(made.get(how, after))
    if how == "long":
        return data + b"\0"
    if how == "short":
        return data[:-1]
    if how == "text":
        return data.replace(b"owner 1", b"owner\xff1")
    if how == "order":
        return data.replace(wire.u16(1) + wire.short_bytes(b"owner 1"), wire.u16(3) + wire.short_bytes(b"owner 1"))
    return data


@pytest.mark.parametrize("how", ["epoch", "origin", "ids", "order", "long", "short", "text"])
def test_other_bytes_follow_no_group(how: str) -> None:
    with pytest.raises(MessageInvalid):
        following_group(GROUP, forged(how))


def test_a_quorum_of_owner_keys_makes_a_change() -> None:
    assert change_fault(GROUP, change(), CHECKER) is None
    assert read_change(wire.Reader(change().encode())) == change()


def unsigned(how: str) -> SignedChange:
    good = change()
    (owner, signature), *rest = good.signatures
    if how == "few":
        return replace(good, signatures=tuple(rest))
    if how == "stranger":
        return replace(good, signatures=(*rest, (OwnerId(4), signature)))
    if how == "node key":
        wrong = Signature(KEYS.keys[owner].sign(b"whatever"))
        return replace(good, signatures=((owner, wrong), *rest))
    return replace(good, configuration=good.configuration + b"\0")


@pytest.mark.parametrize("how", ["few", "stranger", "node key", "configuration"])
def test_anything_less_is_none(how: str) -> None:
    assert change_fault(GROUP, unsigned(how), CHECKER) is not None


def test_the_largest_group_with_the_longest_names_fits() -> None:
    owner = KEYS.spares[0]
    ends = replace(owner.endpoints, **dict.fromkeys(("votes", "lanes", "clients", "catchup"), "x" * 128))
    longest = replace(owner, name="n" * NAME_BYTES_MAX, model_name="m" * NAME_BYTES_MAX, endpoints=ends)
    assert REPLICAS_MAX * len(longest.encode()) + 64 < CONFIGURATION_BYTES_MAX
