"""Records of checkpoints alone: where a replica stood, so that a start need not replay what led there (rule 7.3)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import NamedTuple

from dropbeard.errors import MessageInvalid
from dropbeard.types import limits, wire
from dropbeard.types.blocks import Cut, Header, LaneTip, decode_header
from dropbeard.types.ids import ClientKey, Digest, Epoch, GroupId, Height, LaneHeight, OwnerId, TimeUs, View
from dropbeard.types.lanes import SignedPromise, encode_promise, read_promise
from dropbeard.types.requests import Opening, decode_openings, encode_openings
from dropbeard.types.votes import SignedVote, encode_signed_vote, read_signed_vote

MILESTONES_MAX = 8
"""Kept checkpoints that wait for retention. Half of it lies between two, so there are fewer, unless deadlines lie much
farther ahead."""

SNAPSHOTS_MAX = 64

_OWN = struct.Struct("<32sQI32sB")


class Milestone(NamedTuple):
    """A kept checkpoint: its height, the final time at it, and the time from which on nobody is owed what is older."""

    height: Height
    time: TimeUs
    until: TimeUs


@dataclass(frozen=True, slots=True)
class StandingRecord:
    """``header``: the final block whose snapshot the checkpoint holds; ``proved_by``: whose finalization covers it.

    ``own_vote_view``: the highest view of an own vote. ``latest_deadline``: of any request that was ever admitted.
    ``served``: the cut above which lane batches are kept in memory for peers. ``unsealed``: state roots before a
    snapshot was mixed in, by height. ``votes``, ``promises``: each replica's latest, for its boot question (rule 7.4).
    """

    header: Header
    proved_by: Digest
    view: View
    own_vote_view: View
    own_tip: LaneTip
    own_time: TimeUs
    latest_deadline: TimeUs
    served: Cut
    unsealed: tuple[tuple[Height, Digest], ...]
    milestones: tuple[Milestone, ...]
    votes: tuple[SignedVote, ...]
    promises: tuple[SignedPromise, ...]


@dataclass(frozen=True, slots=True)
class HeldSnapshotRecord:
    """The small tables of a snapshot that peers may ask for; its buckets follow."""

    height: Height
    small: bytes


@dataclass(frozen=True, slots=True)
class BucketRecord:
    """One bucket, and the heights of the snapshots that have it in this form."""

    number: int
    heights: tuple[Height, ...]
    rows: bytes


@dataclass(frozen=True, slots=True)
class OwnRecord:
    """A request of ours without a final outcome: how far we are with it (a stage's number), and our answers."""

    client: ClientKey
    deadline: TimeUs
    patience_us: int
    body: Digest
    stage: int
    openings: tuple[Opening, ...]


@dataclass(frozen=True, slots=True)
class GuardRecord:
    """What the signing guard remembers, in its own form."""

    data: bytes


def encode_standing(record: StandingRecord) -> bytes:
    """The fields in their order; views as i64, counts as u16."""
    own = wire.u64(record.own_tip.height) + record.own_tip.digest + wire.u64(record.own_time)
    parts = [
        wire.long_bytes(record.header.body),
        record.proved_by,
        wire.i64(record.view),
        wire.i64(record.own_vote_view),
    ]
    parts += [wire.u16(record.own_tip.owner), own, wire.u64(record.latest_deadline), wire.u16(len(record.served))]
    parts += [wire.u16(tip.owner) + wire.u64(tip.height) + tip.digest for tip in record.served]
    parts.append(wire.u16(len(record.unsealed)))
    parts += [wire.u64(height) + root for height, root in record.unsealed]
    parts.append(wire.u16(len(record.milestones)))
    parts += [wire.u64(field) for milestone in record.milestones for field in milestone]
    parts.append(wire.u16(len(record.votes)))
    parts += [encode_signed_vote(signed) for signed in record.votes]
    parts.append(wire.u16(len(record.promises)))
    parts += [
        wire.u32(signed.promise.epoch) + wire.u16(signed.promise.owner) + encode_promise(signed)
        for signed in record.promises
    ]
    return b"".join(parts)


def read_standing(reader: wire.Reader, group: GroupId) -> StandingRecord:
    """The same back; MessageInvalid on other bytes."""
    header, proved_by = decode_header(reader.long_bytes(), group), Digest(reader.take(32))
    view, own_vote_view = View(reader.i64()), View(reader.i64())
    own_tip, own_time = _read_tip(reader), TimeUs(reader.u64())
    latest = TimeUs(reader.u64())
    served = tuple(_read_tip(reader) for _ in range(reader.count(limits.REPLICAS_MAX, "lanes")))
    roots = tuple(
        (Height(reader.u64()), Digest(reader.take(32))) for _ in range(reader.count(SNAPSHOTS_MAX, "state roots"))
    )
    milestones = tuple(
        Milestone(Height(reader.u64()), TimeUs(reader.u64()), TimeUs(reader.u64()))
        for _ in range(reader.count(MILESTONES_MAX, "milestones"))
    )
    votes = tuple(read_signed_vote(reader, group) for _ in range(reader.count(limits.REPLICAS_MAX, "votes")))
    promises = []
    for _ in range(reader.count(limits.REPLICAS_MAX, "promises")):
        epoch, owner = Epoch(reader.u32()), OwnerId(reader.u16())
        promises.append(read_promise(reader, group, epoch, owner))
    return StandingRecord(
        header,
        proved_by,
        view,
        own_vote_view,
        own_tip,
        own_time,
        latest,
        served,
        roots,
        milestones,
        votes,
        tuple(promises),
    )


def _read_tip(reader: wire.Reader) -> LaneTip:
    return LaneTip(OwnerId(reader.u16()), LaneHeight(reader.u64()), Digest(reader.take(32)))


def encode_bucket(record: BucketRecord) -> bytes:
    """number u64, heights u16 and each u64, rows compressed: clients and times repeat in them."""
    heights = b"".join(wire.u64(height) for height in record.heights)
    return wire.u64(record.number) + wire.u16(len(record.heights)) + heights + zlib.compress(record.rows, 1)


def read_bucket(reader: wire.Reader) -> BucketRecord:
    """The same back; MessageInvalid on other bytes."""
    number = reader.u64()
    heights = tuple(Height(reader.u64()) for _ in range(reader.count(SNAPSHOTS_MAX, "snapshots")))
    try:
        rows = zlib.decompress(reader.take(reader.remaining))
    except zlib.error as wrong:
        raise MessageInvalid(f"a bucket of a checkpoint does not unpack: {wrong}") from wrong
    return BucketRecord(number, heights, rows)


def encode_own(record: OwnRecord) -> bytes:
    """client 32, deadline u64, patience u32, body 32, stage u8, openings."""
    head = _OWN.pack(record.client, record.deadline, record.patience_us, record.body, record.stage)
    return head + encode_openings(record.openings)


def read_own(reader: wire.Reader) -> OwnRecord:
    """The same back."""
    client, deadline, patience_us, body, stage = _OWN.unpack(reader.take(_OWN.size))
    openings = decode_openings(reader.take(reader.remaining), limits.ENTRIES_MAX)
    return OwnRecord(ClientKey(client), TimeUs(deadline), patience_us, Digest(body), stage, openings)
