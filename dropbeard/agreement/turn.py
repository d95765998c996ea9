"""One turn of the loop: events to effects, promises to disk in one commit, then everything else (rule 3.8).

The daemon and the simulator drive the same turn; they differ in clocks, sockets and disks only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, assert_never

from dropbeard.agreement.checkpoints import Checkpointing, begin, guarded_view, is_due, next_piece
from dropbeard.agreement.effects import (
    Broadcast,
    CastVote,
    Effect,
    Halt,
    Infer,
    Persist,
    PromiseBatch,
    Propose,
    Report,
    Send,
    SendClient,
    WakeAt,
)
from dropbeard.agreement.events import BatchCame, Event, Now, PeerSpoke, TurnEnded
from dropbeard.agreement.records import (
    BatchRecord,
    BlockRecord,
    OpeningsRecord,
    VoteRecord,
    encode_record,
)
from dropbeard.agreement.replica import handle
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.agreement.replies import answer_retry
from dropbeard.errors import StorageFailed
from dropbeard.types.ids import ClientKey, Digest, Epoch, RequestId, Signature, View
from dropbeard.types.journal import Piece
from dropbeard.types.lanes import SignedBatch
from dropbeard.types.limits import CHECKPOINT_BYTES_TURN, CHECKPOINT_PAUSE_US
from dropbeard.types.messages import BatchNotice, PeerMessage, Proposal, Reply
from dropbeard.types.statements import Finalize, Notarize, Statement
from dropbeard.types.votes import SignedVote

ROUNDS_MAX = 64
"""Times a turn may go round on its own votes; each round ends a view or casts a vote, so a few are usual."""

Outgoing = Send | Broadcast | SendClient | Infer | Report | Halt


class StatementSigner(Protocol):
    """Signs a statement of this replica after the guard has found no conflict; PromiseConflict otherwise."""

    def sign(self, statement: Statement) -> Signature:
        """64 bytes over ``statement.encode()``."""

    def promised(self, epoch: Epoch, before: View) -> bytes:
        """What the guard remembers, for a checkpoint; it signs nothing below view ``before`` any more."""


class RecordWriter(Protocol):
    """The journal's writing end."""

    def append(self, records: Sequence[bytes], piece: Piece | None = None) -> None:
        """Make all of them durable in one commit, with a piece of a checkpoint; StorageFailed when that cannot be
        promised."""


@dataclass(slots=True)
class Outcome:
    """What a turn wants sent, now that its promises are on disk, and when the next turn is due."""

    outgoing: list[Outgoing]
    wake_at_us: int


class Turn:
    """Runs turns of one replica."""

    def __init__(
        self,
        state: ReplicaState,
        signer: StatementSigner,
        writer: RecordWriter,
        piece_bytes_max: int = CHECKPOINT_BYTES_TURN,
    ) -> None:
        self.state = state
        self._signer = signer
        self._writer = writer
        self._inbox: deque[Event] = deque()
        self._records: list[bytes] = []
        self._outgoing: list[Outgoing] = []
        self._wake_at_us = 0
        self._under_way = Checkpointing(piece_bytes_max)

    def run(self, events: Sequence[Event], now: Now) -> Outcome:
        """Handle the events, let the replica act until nothing new comes of it, commit, and hand out the rest."""
        self._inbox.extend(events)
        for _ in range(ROUNDS_MAX):
            while self._inbox:
                self._carry_out(handle(self.state, self._inbox.popleft(), now))
            self._carry_out(handle(self.state, TurnEnded(), now))
            if not self._inbox:
                break
        return self._commit(self._next_piece(), now)

    def try_again(self, now: Now) -> Outcome:
        """Commit what a full disk refused, and hand it out; nothing new is decided."""
        return self._commit(None, now)

    def show(self, client: ClientKey, request: RequestId) -> list[Outgoing]:
        """While the disk is full: what is on it of a client's own request, and nothing of what was not committed."""
        said = [effect.message for effect in self._outgoing if isinstance(effect, Broadcast)]
        held_back = {known for b in said if isinstance(b, BatchNotice) for known in b.signed.batch.request_ids}
        if request in held_back:
            return []
        unwritten = _finalized_by(said)
        told = [effect for effect in answer_retry(self.state, client, request) if isinstance(effect, SendClient)]
        return [
            effect
            for effect in told
            if not (isinstance(effect.message, Reply) and effect.message.headers[0].digest in unwritten)
        ]

    def _commit(self, piece: Piece | None, now: Now) -> Outcome:
        if self._records or piece is not None:
            try:
                self._writer.append(self._records, piece)
            except StorageFailed:
                self._under_way.parts = None
                raise
            self._under_way.written += sum(map(len, self._records))
        if self._under_way.parts is not None:
            self._wake_at_us = min(self._wake_at_us, now.monotonic_us + CHECKPOINT_PAUSE_US)
        outcome = Outcome(self._outgoing, self._wake_at_us)
        self._records, self._outgoing = [], []
        return outcome

    def _next_piece(self) -> Piece | None:
        """Part of a checkpoint: a new one is taken only when everything of this turn is in the state."""
        state, under_way = self.state, self._under_way
        first = under_way.parts is None and not self._inbox and is_due(state, under_way)
        if first:
            begin(state, under_way, self._signer.promised(state.group.epoch, guarded_view(state)))
        return next_piece(state, under_way, first)

    def send_again(self, effects: Sequence[Effect]) -> None:
        """Queue effects of a restored replica for the next turn."""
        self._carry_out(effects)

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case WakeAt(at):
                    self._wake_at_us = at
                case Persist(record):
                    self._records.append(encode_record(record))
                case CastVote(vote):
                    self._cast(SignedVote(self.state.me, vote, self._signer.sign(vote)))
                case Propose():
                    self._propose(effect)
                case PromiseBatch():
                    self._promise(effect)
                case Send() | Broadcast() | SendClient() | Infer() | Report() | Halt():
                    self._outgoing.append(effect)
                case _:
                    assert_never(effect)

    def _cast(self, signed: SignedVote) -> None:
        self._records.append(encode_record(VoteRecord(signed)))
        self._outgoing.append(Broadcast(signed))
        self._inbox.append(PeerSpoke(self.state.me, signed))

    def _propose(self, effect: Propose) -> None:
        vote = Notarize(self.state.group.id, self.state.group.epoch, effect.header.view, effect.header.digest)
        signature = self._signer.sign(vote)
        whole = Proposal(effect.header, signature, effect.justification, effect.pages)
        signed = SignedVote(self.state.me, vote, signature)
        self._records += [encode_record(BlockRecord(whole)), encode_record(VoteRecord(signed))]
        proposal = Proposal(effect.header, signature, effect.justification, effect.inline)
        self._outgoing.append(Broadcast(proposal))
        self._inbox += [PeerSpoke(self.state.me, proposal), PeerSpoke(self.state.me, signed)]

    def _promise(self, effect: PromiseBatch) -> None:
        signed = SignedBatch(effect.batch, self._signer.sign(effect.batch.promise))
        if effect.openings:
            answers = tuple((opening.model, opening.output) for opening in effect.openings)
            self._records.append(encode_record(OpeningsRecord(answers)))
        self._records.append(encode_record(BatchRecord(signed)))
        self._outgoing.append(Broadcast(BatchNotice(signed)))
        self._inbox.append(BatchCame(self.state.me, signed))


def _finalized_by(said: Sequence[PeerMessage]) -> set[Digest]:
    """Headers that votes of ours finalize: a certificate of one may hold our signature."""
    votes = [message.vote for message in said if isinstance(message, SignedVote)]
    return {vote.header for vote in votes if isinstance(vote, Finalize)}
