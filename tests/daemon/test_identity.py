"""Which owner a node is, over epochs that change its keys (rule 8.4)."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from dropbeard.agreement.events import Now
from dropbeard.agreement.replica_state import new_replica
from dropbeard.daemon.epoch_files import EpochsFile, read_epochs, write_epochs
from dropbeard.daemon.identity import Keys, identify
from dropbeard.daemon.wiring import EpochKeys
from dropbeard.errors import ConfigInvalid, KeyInvalid, StorageFailed
from dropbeard.signing.curve import CurveSecret
from dropbeard.signing.ecdsa_p256 import PrivateKey
from dropbeard.types.group import Group, Owner
from dropbeard.types.ids import TimeUs
from dropbeard.types.membership import next_group
from tests.agreement.pieces import GROUP, KEYS
from tests.verification.epochs import LINEAGE, SUCCESSIONS, WORLD

OLD, NEW = (PrivateKey.generate(), CurveSecret.generate()), (PrivateKey.generate(), CurveSecret.generate())


def with_keys(owner: Owner, pair: tuple[PrivateKey, CurveSecret]) -> Owner:
    return replace(owner, node_key=pair[0].public.to_bytes(), curve_key=pair[1].public)


FIRST = replace(GROUP, owners=(*GROUP.owners[:2], with_keys(GROUP.owners[2], OLD), GROUP.owners[3]))
SECOND: Group = next_group(FIRST, (*FIRST.owners[:2], with_keys(FIRST.owners[2], NEW), FIRST.owners[3]), 1, 3)


def keys(*pairs: tuple[PrivateKey, CurveSecret]) -> Keys:
    return Keys(pairs, bytes(32))


def test_with_both_keys_a_node_is_who_the_latest_epoch_says() -> None:
    assert identify([FIRST], keys(OLD, NEW)).node_key == OLD[0]
    assert identify([FIRST, SECOND], keys(OLD, NEW)).node_key == NEW[0]
    assert identify([FIRST, SECOND], keys(NEW)).owner == SECOND.owners[2]


def test_with_its_old_keys_alone_it_is_still_the_owner_of_the_earlier_epoch() -> None:
    assert identify([FIRST, SECOND], keys(OLD)).owner == FIRST.owners[2]
    assert keys(OLD).identity(SECOND.owners[2]) is None


def test_keys_that_no_epoch_names_and_pairs_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ConfigInvalid, match="no owner of the genesis has this node key"):
        identify([FIRST], keys(NEW))
    with pytest.raises(ConfigInvalid, match="from its genesis to epoch 1, has this node key"):
        identify([FIRST, SECOND], keys((PrivateKey.generate(), CurveSecret.generate())))
    with pytest.raises(ConfigInvalid, match="another CURVE key for owner"):
        identify([FIRST], keys((OLD[0], NEW[1])))


def test_a_node_without_the_key_that_its_epoch_names_signs_nothing() -> None:
    state = new_replica(FIRST, FIRST.owners[2].id, bytes(32), Now(0, TimeUs(0)), KEYS.checker)
    assert EpochKeys(state, keys(OLD, NEW)).signing(FIRST.epoch) == OLD[0]
    state.group = SECOND
    assert EpochKeys(state, keys(OLD, NEW)).signing(SECOND.epoch) == NEW[0]
    with pytest.raises(KeyInvalid, match=r"epoch 1 gives owner .* another node key; name its files under \[keys\]"):
        EpochKeys(state, keys(OLD)).signing(SECOND.epoch)
    state.group = replace(SECOND, owners=SECOND.owners[:2], f=0, answers=2)
    assert EpochKeys(state, keys(OLD)).identity() is None


def test_a_state_directory_keeps_how_its_epochs_ended_and_damage_is_named(tmp_path: Path) -> None:
    genesis = WORLD.keys.group
    assert read_epochs(genesis, tmp_path)[0].groups == (genesis,)
    write_epochs(genesis, tmp_path, reversed(SUCCESSIONS))
    lineage, given = read_epochs(genesis, tmp_path)
    assert (lineage.groups, given) == (LINEAGE.groups, SUCCESSIONS)
    (tmp_path / "successions").write_bytes(b"damaged")
    with pytest.raises(StorageFailed, match="remove .*successions, the node makes it anew"):
        read_epochs(genesis, tmp_path)


def test_epochs_that_found_no_room_on_the_disk_are_written_once_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    kept = EpochsFile(WORLD.keys.group, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        kept.keep(SUCCESSIONS)
        assert not kept.settle()
    assert read_epochs(WORLD.keys.group, tmp_path)[1] == []
    assert kept.settle()
    assert read_epochs(WORLD.keys.group, tmp_path)[1] == SUCCESSIONS
