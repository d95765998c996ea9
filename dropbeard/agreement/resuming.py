"""Stand again where a checkpoint was taken: what binds us from it, what is only shown from older rows (rule 7.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from dropbeard.agreement.epochs import carry_over, jump
from dropbeard.agreement.events import Now
from dropbeard.agreement.finality import finalize_ready
from dropbeard.agreement.records import (
    BatchRecord,
    BlockRecord,
    CertificateRecord,
    EvidenceRecord,
    Record,
    SuccessionRecord,
    VoteRecord,
    decode_record,
)
from dropbeard.agreement.replica_state import OwnRequest, OwnStage, ReplicaState
from dropbeard.agreement.requests import run
from dropbeard.agreement.restoring import follow_own, hold_open, restore_block, restore_evidence, take_batch
from dropbeard.agreement.shelving import shelve
from dropbeard.agreement.snapshots import install
from dropbeard.agreement.standing import BucketRecord, GuardRecord, HeldSnapshotRecord, OwnRecord, StandingRecord
from dropbeard.agreement.voting import on_certificate, on_vote
from dropbeard.agreement.whole_state import Snapshot, snapshot_digest
from dropbeard.errors import MessageInvalid
from dropbeard.signing.guard import Guard
from dropbeard.types.hashing import STATE_BUCKET, digest
from dropbeard.types.ids import NO_DIGEST, Digest, Height, OwnerId
from dropbeard.types.requests import request_id
from dropbeard.types.succession import Succession


@dataclass(slots=True)
class _Held:
    """A checkpoint's records by kind; ``above`` in their order."""

    standing: StandingRecord | None = None
    successions: list[Succession] = field(default_factory=list)
    small: dict[Height, bytes] = field(default_factory=dict)
    buckets: dict[Height, dict[int, tuple[Digest, bytes]]] = field(default_factory=dict)
    own: list[OwnRecord] = field(default_factory=list)
    above: list[Record] = field(default_factory=list)

    def take(self, record: Record) -> None:
        match record:
            case StandingRecord():
                self.standing = record
            case SuccessionRecord(succession):
                self.successions.append(succession)
            case HeldSnapshotRecord(height, small):
                self.small[height] = small
            case BucketRecord(number, heights, rows):
                named = digest(STATE_BUCKET, rows)
                for height in heights:
                    self.buckets.setdefault(height, {})[number] = (named, rows)
            case OwnRecord():
                self.own.append(record)
            case GuardRecord():
                pass  # the guard reads it itself
            case _:
                self.above.append(record)

    def snapshot(self, height: Height) -> Snapshot:
        """A snapshot as it was kept."""
        small, buckets = self.small[height], dict(sorted(self.buckets.get(height, {}).items()))
        return Snapshot(
            snapshot_digest(height, small, [(n, named) for n, (named, _) in buckets.items()]), small, buckets
        )


def resume(
    state: ReplicaState,
    checkpoint: Iterable[Record],
    shelf: Iterable[bytes],
    now: Now,
    read: Callable[[bytes], Record] | None = None,
) -> None:
    """Bring a new replica to where the checkpoint was taken; nothing when there is none.

    ``shelf``: the rows that it stands for and that are not pruned. MessageInvalid when a row is no record of the group,
    or the checkpoint lacks its head. ``read``: reads such a row otherwise than
    ``decode_record`` does.
    """
    state.now = now
    held = _Held()
    for record in checkpoint:
        held.take(record)
    standing = held.standing
    if standing is None:
        if held.above:
            raise MessageInvalid("a checkpoint does not say where its replica stood")
        return
    for succession in held.successions:
        jump(state, succession)
    roots = {name: block for name, block in state.chain.blocks.items() if block.header.view < 0}
    _stand(state, held, standing)
    for own in held.own:
        _open_again(state, own)
    for record in held.above:
        _take_above(state, record)
    finalize_ready(state)
    shelve(state, shelf, standing.served, roots, read or partial(decode_record, group=state.group))
    for request in list(state.open_mine):
        own_request = state.mine[request]
        if own_request.stage is OwnStage.RUNNING:
            run(state, request, own_request)
    state.wanted.clear()


def _stand(state: ReplicaState, held: _Held, standing: StandingRecord) -> None:
    """The ledger as it was final, and every figure of our own."""
    height, hollow = standing.header.height, state.chain.hollow is not None
    at = held.snapshot(height)
    install(state, standing.header, at.small, b"".join(rows for _, rows in at.buckets.values()))
    if hollow:
        carry_over(state)
    state.own_model = state.chain.base.models.get(state.me, state.own_model)
    whole = state.chain.base.whole
    whole.snapshots = {known: held.snapshot(known) for known in sorted(held.small)}
    final, roots = state.chain.final, dict(standing.unsealed)
    final.unsealed = roots.get(height)
    final.proved_by = None if standing.proved_by == NO_DIGEST else standing.proved_by
    state.view, state.own_vote_view = standing.view, standing.own_vote_view
    state.own_tip, state.own_time = standing.own_tip, standing.own_time
    state.latest_deadline = standing.latest_deadline
    state.checkpoint, state.milestones = height, list(standing.milestones)
    state.latest_votes = {signed.signer: signed for signed in standing.votes}
    state.latest_promises = {signed.promise.owner: signed for signed in standing.promises}


def _open_again(state: ReplicaState, record: OwnRecord) -> None:
    """An answered request without an outcome; what had not left in a lane yet leaves now."""
    openings = {opening.version: opening for opening in record.openings}
    stage = OwnStage(record.stage)
    own = OwnRequest(record.client, record.deadline, record.patience_us, record.body, stage, None, openings)
    known = request_id(record.client, record.deadline, record.patience_us, record.body)
    hold_open(state, known, own)
    if stage is OwnStage.ANSWERED:
        state.outbox[known] = None


def _take_above(state: ReplicaState, record: Record) -> None:
    """Nothing of it counts as written, since the checkpoint goes when a newer one is whole; but for batches of our own,
    which always have a row, and one alone."""
    match record:
        case BatchRecord(signed):
            take_batch(state, signed)
            if signed.batch.owner == state.me:
                state.note_persisted(signed.batch.digest)
                follow_own(state, signed.batch)
        case CertificateRecord(certificate):
            on_certificate(state, certificate)
        case BlockRecord(proposal):
            restore_block(state, proposal)
        case VoteRecord(signed_vote):
            on_vote(state, signed_vote)
        case EvidenceRecord(data):
            restore_evidence(state, data)
        case _:
            raise MessageInvalid("a checkpoint holds what belongs in a journal's row")


def promise_again(guard: Guard, me: OwnerId, checkpoint: Iterable[Record], records: Iterable[Record]) -> None:
    """The guard learns every promise on disk before anything new is signed."""
    for record in checkpoint:
        if isinstance(record, GuardRecord):
            guard.resume(record.data)
    for record in records:
        if isinstance(record, VoteRecord):
            guard.promise(record.signed.vote)
        elif isinstance(record, BatchRecord) and record.signed.batch.owner == me:
            guard.promise(record.signed.batch.promise)
