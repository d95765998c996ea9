"""What replicas sign: fixed-layout statements, each with its domain, group and epoch (rule 1.5).

Bytes of every statement: domain, group 32, epoch u32, then the fields in the order of the class. The signature is
ECDSA P-256 with SHA-256 over these bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar

from dropbeard.types import wire
from dropbeard.types.ids import Digest, Epoch, GroupId, LaneHeight, OwnerId, TimeUs, Version, View

_FOR_HEADER = struct.Struct("<32sIQ32s")
_FOR_VIEW = struct.Struct("<32sIQ")
_FOR_BATCH = struct.Struct("<32sIHIQ32sQ32s")


@dataclass(frozen=True, slots=True)
class Notarize:
    """I hold the block ``header`` and all it orders, and it is valid in ``view`` (rules 3.3, 3.4)."""

    domain: ClassVar[bytes] = b"dropbeard/1/notarize\0"
    group: GroupId
    epoch: Epoch
    view: View
    header: Digest

    def encode(self) -> bytes:
        """domain, group, epoch, view u64, header 32."""
        return self.domain + _FOR_HEADER.pack(self.group, self.epoch, self.view, self.header)


@dataclass(frozen=True, slots=True)
class Finalize:
    """I hold a notarization of ``header`` in ``view`` and never nullified that view (rule 3.4)."""

    domain: ClassVar[bytes] = b"dropbeard/1/finalize\0"
    group: GroupId
    epoch: Epoch
    view: View
    header: Digest

    def encode(self) -> bytes:
        """domain, group, epoch, view u64, header 32."""
        return self.domain + _FOR_HEADER.pack(self.group, self.epoch, self.view, self.header)


@dataclass(frozen=True, slots=True)
class Nullify:
    """I gave up on ``view`` and never finalize in it (rules 3.4, 3.5)."""

    domain: ClassVar[bytes] = b"dropbeard/1/nullify\0"
    group: GroupId
    epoch: Epoch
    view: View

    def encode(self) -> bytes:
        """domain, group, epoch, view u64."""
        return self.domain + _FOR_VIEW.pack(self.group, self.epoch, self.view)


@dataclass(frozen=True, slots=True)
class LanePromise:
    """This is the one batch of my lane at ``lane_height``; its items hash to ``items`` (rule 2.7)."""

    domain: ClassVar[bytes] = b"dropbeard/1/lane batch\0"
    group: GroupId
    epoch: Epoch
    owner: OwnerId
    version: Version
    lane_height: LaneHeight
    parent: Digest
    time: TimeUs
    items: Digest

    def encode(self) -> bytes:
        """domain, group, epoch, owner u16, version u32, lane height u64, parent 32, time u64, items 32."""
        place = self.owner, self.version, self.lane_height, self.parent, self.time
        return self.domain + _FOR_BATCH.pack(self.group, self.epoch, *place, self.items)


@dataclass(frozen=True, slots=True)
class ModelUpdate:
    """From my next lane batch on I answer with this model (rule 4.3). Signed with the owner key, not the node key."""

    domain: ClassVar[bytes] = b"dropbeard/1/model update\0"
    group: GroupId
    epoch: Epoch
    owner: OwnerId
    version: Version
    model: Digest

    def encode(self) -> bytes:
        """domain, group, epoch, owner u16, version u32, model 32."""
        return (
            self.domain + self.group + wire.u32(self.epoch) + wire.u16(self.owner) + wire.u32(self.version) + self.model
        )


@dataclass(frozen=True, slots=True)
class MembershipChange:
    """After this epoch the group has this configuration (rule 8.4). Signed with owner keys, a quorum of them."""

    domain: ClassVar[bytes] = b"dropbeard/1/membership\0"
    group: GroupId
    epoch: Epoch
    configuration: Digest

    def encode(self) -> bytes:
        """domain, group, epoch u32, configuration 32."""
        return self.domain + self.group + wire.u32(self.epoch) + self.configuration


Vote = Notarize | Finalize | Nullify
Statement = Notarize | Finalize | Nullify | LanePromise
