"""What is left of a ledger whose lane batches are pruned: the chain of headers, and a snapshot (rule 7.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dropbeard.agreement.records import Record, SnapshotRecord
from dropbeard.agreement.standing import BucketRecord, HeldSnapshotRecord, StandingRecord
from dropbeard.errors import LedgerInvalid
from dropbeard.types.blocks import Header
from dropbeard.types.ids import Digest
from dropbeard.types.messages import Proposal


def snapshot_in(checkpoint: Sequence[Record]) -> SnapshotRecord:
    """The snapshot that a checkpoint's replica stood on; LedgerInvalid when it lacks a part."""
    standing = next((record for record in checkpoint if isinstance(record, StandingRecord)), None)
    if standing is None:
        raise LedgerInvalid("the checkpoint does not say where its node stood")
    height = standing.header.height
    small = next((r.small for r in checkpoint if isinstance(r, HeldSnapshotRecord) and r.height == height), None)
    if small is None:
        raise LedgerInvalid(f"height {height}: the checkpoint does not hold its snapshot")
    buckets = [r for r in checkpoint if isinstance(r, BucketRecord) and height in r.heights]
    rows = b"".join(bucket.rows for bucket in sorted(buckets, key=lambda bucket: bucket.number))
    return SnapshotRecord(standing.header, small, rows)


def headers_below(blocks: Mapping[Digest, Proposal], top: Header, root: Header) -> list[Header]:
    """Headers that are linked from ``top`` down to just above ``root``, or to where they end; ascending."""
    path: list[Header] = []
    digest = top.digest
    while digest != root.digest and (proposal := blocks.get(digest)) is not None:
        path.append(proposal.header)
        digest = proposal.header.parent
    return path[::-1]
