"""Made-up blocks for tests of what only looks at a header's height, time and epoch, and at entries."""

from __future__ import annotations

from collections.abc import Sequence

from dropbeard.types.blocks import Header
from dropbeard.types.entries import Entry, EntryKind, Promise
from dropbeard.types.ids import (
    NO_DIGEST,
    ClientKey,
    Digest,
    Epoch,
    GroupId,
    Height,
    OwnerId,
    RequestId,
    TimeUs,
    Version,
    View,
)

SOME = Digest(b"\7" * 32)


def header(height: int, time: int, epoch: int = 0, closing: bool = False) -> Header:
    state_root = NO_DIGEST if closing else SOME
    return Header(
        group=GroupId(SOME),
        epoch=Epoch(epoch),
        height=Height(height),
        view=View(height),
        parent=SOME,
        parent_view=View(height - 1),
        cut=(),
        time=TimeUs(time),
        entries_root=SOME,
        state_root=state_root,
        justification=SOME,
    )


def entry(kind: EntryKind, number: int, owners: Sequence[int], client: int = 0, version: int = 1) -> Entry:
    promises = tuple(
        Promise(OwnerId(owner), Version(version), Digest(bytes([owner, version] * 16)), SOME) for owner in owners
    )
    return Entry(kind, RequestId(number.to_bytes(32, "big")), ClientKey(bytes([client]) * 32), promises)
