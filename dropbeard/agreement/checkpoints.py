"""Checkpoints: where a replica stands, written beside its journal in bounded pieces, so that a start replays little and
old records can go (rules 7.1, 7.3).

A checkpoint holds a final snapshot of the ledger and everything above it that binds us: own votes as the signing guard
knows them, our lane's end, the promises of open requests, blocks, certificates and batches. It is taken as one whole at
the end of a turn, as references to values that never change, and encoded in later turns. What is below the snapshot and
still shown to somebody stays in the journal's rows until retention has passed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain as joined

from dropbeard.agreement.accusing import votes_of
from dropbeard.agreement.chain import Block
from dropbeard.agreement.holding import whole_proposal
from dropbeard.agreement.records import (
    BatchRecord,
    BlockRecord,
    CertificateRecord,
    EvidenceRecord,
    Record,
    SuccessionRecord,
    VoteRecord,
    encode_record,
)
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.agreement.snapshots import cut_at, reported_height, served_from
from dropbeard.agreement.standing import (
    MILESTONES_MAX,
    BucketRecord,
    GuardRecord,
    HeldSnapshotRecord,
    Milestone,
    OwnRecord,
    StandingRecord,
)
from dropbeard.agreement.whole_state import Snapshot
from dropbeard.types.ids import GENESIS_HEIGHT, NO_DIGEST, Height, TimeUs, View
from dropbeard.types.journal import Piece

MILESTONES_A_RETENTION = 2
"""Kept checkpoints for each retention: more of them free space sooner and take some themselves."""


@dataclass(slots=True)
class Checkpointing:
    """The checkpoint under way, of one process: after a crash another one is begun.

    ``piece_bytes_max``: what one turn encodes of it, and one record.
    """

    piece_bytes_max: int
    parts: Iterator[Record] | None = None
    height: Height = Height(0)
    kept: bool = False
    written: int = 0
    """Bytes of records since the latest one was begun."""
    size: int = 0
    """Bytes of that one's snapshot."""


def is_due(state: ReplicaState, under_way: Checkpointing) -> bool:
    """Is there a final snapshot of this epoch above the latest checkpoint, and has the journal grown enough since?

    Journal and checkpoints share the writing: a large state is not written again for a few records.
    """
    newest = max(state.chain.base.whole.snapshots, default=GENESIS_HEIGHT)
    block = snapshot_block(state) if newest > state.checkpoint else None
    if block is None or block.header.height <= state.checkpoint or under_way.written < under_way.size:
        return False
    return not state.chain.hollow and block.header.epoch == state.group.epoch and block.header.view >= 0


def snapshot_block(state: ReplicaState) -> Block | None:
    """The final block of the newest regular snapshot."""
    interval = state.group.parameters.snapshot_interval
    regular = (height for height in state.chain.base.whole.snapshots if height % interval == 0)
    digest = state.chain.heights.get(max(regular, default=Height(0)))
    return None if digest is None else state.chain.block(digest)


def begin(state: ReplicaState, under_way: Checkpointing, promised: bytes) -> None:
    """Take the checkpoint; ``promised`` is what the signing guard remembers of views from ``guarded_view`` on."""
    block = snapshot_block(state)
    if block is None:
        return
    snapshots = dict(state.chain.base.whole.snapshots)
    state.checkpoint = under_way.height = block.header.height
    under_way.kept = _is_kept(state, block)
    if under_way.kept:
        until = max(state.latest_deadline, block.header.time) + state.group.parameters.retention_us
        state.milestones.append(Milestone(block.header.height, block.header.time, TimeUs(until)))
    newest = snapshots[block.header.height]
    under_way.size = len(newest.small) + sum(len(rows) for _, rows in newest.buckets.values())
    under_way.written = 0
    ended = [SuccessionRecord(given) for _, given in sorted(state.successions.items())]
    head: list[Record] = [GuardRecord(promised), *ended, _standing(state, block)]
    above = [*_own(state), *_above(state, block)]
    under_way.parts = joined(head, _snapshots(snapshots), above)


def guarded_view(state: ReplicaState) -> View:
    """Below it nothing is signed any more: every view that is voted in is the current one or above the final one."""
    return View(max(0, min(state.view, state.chain.final.header.view)))


def next_piece(state: ReplicaState, under_way: Checkpointing, first: bool) -> Piece | None:
    """What goes to the journal with this turn."""
    forget = _forgettable(state)
    if under_way.parts is None:
        return None if forget is None else Piece(under_way.height, forget=forget)
    parts: list[bytes] = []
    size = 0
    for record in under_way.parts:
        parts.append(encode_record(record))
        size += len(parts[-1])
        if size >= under_way.piece_bytes_max:
            break
    else:
        under_way.parts = None
    last = under_way.parts is None
    return Piece(under_way.height, tuple(parts), first, last, under_way.kept, forget)


def _is_kept(state: ReplicaState, block: Block) -> bool:
    if not state.milestones or len(state.milestones) >= MILESTONES_MAX:
        return not state.milestones
    pause = state.group.parameters.retention_us // MILESTONES_A_RETENTION
    return block.header.time >= state.milestones[-1].time + pause


def _forgettable(state: ReplicaState) -> Height | None:
    """The newest milestone before which nothing is owed: retention has passed, and a quorum has proved its snapshot.

    The proof of a snapshot at mK is the final header at (m+1)K (rule 4.1).
    """
    interval, now = state.group.parameters.snapshot_interval, state.chain.final.header.time
    if not state.milestones or state.milestones[0].until > now:
        return None
    reported = reported_height(state)
    found: Height | None = None
    while state.milestones and state.milestones[0].until <= now and state.milestones[0].height + interval <= reported:
        found = state.milestones.pop(0).height
    return found


def _standing(state: ReplicaState, block: Block) -> StandingRecord:
    chain = state.chain
    roots = [chain.block(chain.heights.get(height, NO_DIGEST)) for height in sorted(chain.base.whole.snapshots)]
    unsealed = [(b.header.height, b.unsealed) for b in roots if b is not None and b.unsealed is not None]
    return StandingRecord(
        header=block.header,
        proved_by=block.proved_by or NO_DIGEST,
        view=state.view,
        own_vote_view=state.own_vote_view,
        own_tip=state.own_tip,
        own_time=state.own_time,
        latest_deadline=state.latest_deadline,
        served=cut_at(state, served_from(state, block.header.height)),
        unsealed=tuple(unsealed),
        milestones=tuple(state.milestones),
        votes=tuple(state.latest_votes.values()),
        promises=tuple(state.latest_promises.values()),
    )


def _snapshots(snapshots: dict[Height, Snapshot]) -> Iterator[Record]:
    """Each snapshot's small tables; each bucket once, however many snapshots share it."""
    for height, snapshot in sorted(snapshots.items()):
        yield HeldSnapshotRecord(height, snapshot.small)
    for number in sorted({number for snapshot in snapshots.values() for number in snapshot.buckets}):
        forms: dict[bytes, tuple[bytes, list[Height]]] = {}
        for height, snapshot in sorted(snapshots.items()):
            if number in snapshot.buckets:
                digest, rows = snapshot.buckets[number]
                forms.setdefault(digest, (rows, []))[1].append(height)
        for rows, heights in forms.values():
            yield BucketRecord(number, tuple(heights), rows)


def _own(state: ReplicaState) -> list[Record]:
    """Requests that have no final outcome, as far as we answered them."""
    return [
        OwnRecord(own.client, own.deadline, own.patience_us, own.body, own.stage.value, tuple(own.openings.values()))
        for own in (state.mine[request] for request in state.open_mine)
        if own.openings
    ]


def _above(state: ReplicaState, below: Block) -> list[Record]:
    """What lies above the snapshot: lane batches, certificates, blocks with their justifications, evidence."""
    records: list[Record] = []
    low = {tip.owner: tip.height for tip in below.header.cut}
    for owner, lane in state.lanes.lanes.items():
        heights = sorted(height for height in lane.heights if height > low.get(owner, 0))
        held = [state.lanes.get(owner, digest) for height in heights for digest in lane.heights[height]]
        records += [BatchRecord(signed) for signed in held if signed is not None]
    for view in sorted(view for view in state.rounds if view >= 0):
        round_ = state.rounds[view]
        records += [CertificateRecord(notarization) for notarization in round_.notarizations.values()]
        records += [] if round_.nullification is None else [CertificateRecord(round_.nullification)]
    since = below.header.view
    blocks = sorted(state.chain.blocks.values(), key=lambda block: block.header.view)
    later = [b for b in blocks if b.header.epoch == state.group.epoch and b.header.view > since]
    for block in later:
        whole = whole_proposal(state, block)
        records += [] if whole is None else [BlockRecord(whole)]
    proofs = [f for f in state.chain.finalizations.values() if f.vote.epoch == state.group.epoch]
    records += [CertificateRecord(f) for f in sorted(proofs, key=lambda f: f.vote.view) if f.vote.view >= since]
    records += [EvidenceRecord(data) for data in state.evidence.values()]
    for view, round_ in sorted(state.rounds.items()):
        records += [VoteRecord(signed) for signed in votes_of(state, round_, view, state.me)]
    return records
