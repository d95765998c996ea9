"""Entries have one encoding, and their leaves differ when anything in them does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dropbeard.errors import MessageInvalid
from dropbeard.types.entries import Entry, EntryKind, Promise, decode_entry, entries_tree
from dropbeard.types.ids import ClientKey, Digest, OwnerId, RequestId, Version
from dropbeard.types.merkle import path_root


def promise(owner: int) -> Promise:
    """A promise of an owner."""
    return Promise(OwnerId(owner), Version(3), Digest(b"m" * 32), Digest(bytes([owner]) * 32))


ENTRY = Entry(EntryKind.AGREED, RequestId(b"r" * 32), ClientKey(b"c" * 32), (promise(0), promise(2)))


@pytest.mark.parametrize("kind", EntryKind)
def test_decoding_gives_back_the_entry(kind: EntryKind) -> None:
    entry = replace(ENTRY, kind=kind)
    assert decode_entry(entry.encoded) == entry


def test_the_layout_is_the_one_described() -> None:
    rows = b"\x00\x00" + b"\x03\0\0\0" + b"m" * 32 + b"\0" * 32 + b"\x02\x00" + b"\x03\0\0\0" + b"m" * 32 + b"\x02" * 32
    assert ENTRY.encoded == b"\x01" + b"r" * 32 + b"c" * 32 + b"\x02\x00" + rows


@pytest.mark.parametrize("number", [0, 4, 255])
def test_an_unknown_kind_is_refused(number: int) -> None:
    with pytest.raises(MessageInvalid):
        decode_entry(bytes([number]) + ENTRY.encoded[1:])


@pytest.mark.parametrize("owners", [(2, 0), (1, 1)])
def test_owners_that_do_not_ascend_are_refused(owners: tuple[int, int]) -> None:
    with pytest.raises(MessageInvalid):
        decode_entry(replace(ENTRY, promises=tuple(promise(owner) for owner in owners)).encoded)


def test_every_truncation_and_a_byte_more_are_refused() -> None:
    data = ENTRY.encoded
    for wrong in [*(data[:length] for length in range(len(data))), data + b"\0"]:
        with pytest.raises(MessageInvalid):
            decode_entry(wrong)


def test_the_kind_is_in_the_leaf() -> None:
    assert len({replace(ENTRY, kind=kind).leaf() for kind in EntryKind}) == len(EntryKind)


def test_an_entry_is_proved_by_its_path() -> None:
    entries = tuple(replace(ENTRY, kind=kind) for kind in EntryKind)
    tree = entries_tree(entries)
    assert [path_root(entry.leaf(), tree.path(at)) for at, entry in enumerate(entries)] == [tree.root] * 3
