"""Final blocks that are only shown any more: entries in few bytes, read and not applied at a start (rules 4.6, 7.3).

Packed entries: models u16 and each (owner u16, version u32, model 32), clients u32 and each 32, then entries: kind u8,
request id 32, client's place u32, promises u8 and each (model's place u16, commitment 32).
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from dropbeard.agreement.chain import Block, is_full
from dropbeard.agreement.records import (
    BatchRecord,
    BlockRecord,
    CertificateRecord,
    EntriesRecord,
    OpeningsRecord,
    Record,
    is_audit,
    lane_place,
)
from dropbeard.agreement.replica_state import OwnRequest, OwnStage, ReplicaState
from dropbeard.types import wire
from dropbeard.types.blocks import Cut, Finalization
from dropbeard.types.entries import Entry, EntryKind, Promise, entries_tree
from dropbeard.types.ids import ClientKey, Digest, Height, LaneHeight, OwnerId, RequestId, TimeUs, Version
from dropbeard.types.lanes import SignedBatch
from dropbeard.types.merkle import Tree
from dropbeard.types.messages import Proposal

_MODEL = struct.Struct("<HI32s")
_ENTRY = struct.Struct("<B32sIB")
_PROMISE = struct.Struct("<H32s")


def pack_entries(entries: Sequence[Entry]) -> bytes:
    """The layout above."""
    models: dict[tuple[OwnerId, Version, Digest], int] = {}
    clients: dict[ClientKey, int] = {}
    rows: list[bytes] = []
    for entry in entries:
        client = clients.setdefault(entry.client, len(clients))
        rows.append(_ENTRY.pack(entry.kind, entry.request, client, len(entry.promises)))
        for owner, version, model, commitment in entry.promises:
            rows.append(_PROMISE.pack(models.setdefault((owner, version, model), len(models)), commitment))
    head = wire.u16(len(models)) + b"".join(_MODEL.pack(*model) for model in models)
    return head + wire.u32(len(clients)) + b"".join(clients) + b"".join(rows)


_Model = tuple[OwnerId, Version, Digest]


def _rows(packed: bytes) -> tuple[list[_Model], list[bytes], Iterator[tuple[int, bytes, int, bytes]]]:
    """Models, clients, and (kind, request, client's place, promises) of each entry."""
    reader = wire.Reader(packed)
    models: list[_Model] = [_MODEL.unpack(reader.take(_MODEL.size)) for _ in range(reader.u16())]
    clients = [reader.take(32) for _ in range(reader.u32())]

    def rows() -> Iterator[tuple[int, bytes, int, bytes]]:
        while reader.remaining:
            kind, request, client, count = _ENTRY.unpack(reader.take(_ENTRY.size))
            yield kind, request, client, reader.take(count * _PROMISE.size)

    return models, clients, rows()


def packed_requests(packed: bytes) -> Iterator[RequestId]:
    """Whose entries they are."""
    return (RequestId(request) for _, request, _, _ in _rows(packed)[2]) if packed else iter(())


def unpack_entries(packed: bytes) -> tuple[Entry, ...]:
    """The same back."""
    models, clients, rows = _rows(packed)
    return tuple(
        Entry(
            EntryKind(kind),
            RequestId(request),
            ClientKey(clients[client]),
            tuple(Promise._make((*models[at], Digest(said))) for at, said in _PROMISE.iter_unpack(promises)),
        )
        for kind, request, client, promises in rows
    )


def shown_entries(block: Block) -> tuple[Entry, ...]:
    """A block's entries, whether it was applied here or comes off the shelf."""
    if block.applied is not None and block.applied.entries:
        return block.applied.entries
    return unpack_entries(block.packed) if block.packed else ()


def shown_tree(block: Block, entries: tuple[Entry, ...]) -> Tree:
    """Their tree."""
    applied = block.applied
    return applied.tree if applied is not None and applied.entries else entries_tree(entries)


# --- a start -------------------------------------------------------------------------------------------------------


class _Shelf:
    """What the rows that a checkpoint stands for hold, less what binds us: that is in the checkpoint."""

    def __init__(self, state: ReplicaState, served: Cut, read: Callable[[bytes], Record]) -> None:
        self.state = state
        self._read = read
        self.served = {tip.owner: tip.height for tip in served}
        self.blocks: dict[Digest, Proposal] = {}
        self.packed: dict[Digest, bytes] = {}
        self.finalizations: dict[Digest, Finalization] = {}
        self._opened = OpeningsRecord(())

    def take(self, data: bytes) -> None:
        """One row; most are told apart by their first bytes."""
        place = lane_place(data)
        if place is not None:
            owner, height = place
            if owner == self.state.me or height > self.served.get(owner, LaneHeight(0)):
                self._take_batch(data, owner, height)
        elif data[:1] in (b"\x04", b"\x09") or is_audit(data):
            match self._read(data):
                case BlockRecord(proposal):
                    self.blocks[proposal.header.digest] = proposal
                case CertificateRecord(certificate):
                    self.finalizations[certificate.vote.header] = certificate  # type: ignore[assignment, union-attr]
                case EntriesRecord(header, packed):
                    self.packed[header] = packed
                case OpeningsRecord() as opened:
                    self._opened = opened
                case _:
                    pass

    def _take_batch(self, data: bytes, owner: OwnerId, height: LaneHeight) -> None:
        record = self._read(data)
        if not isinstance(record, BatchRecord):
            return
        signed, state = record.signed, self.state
        if signed.batch.epoch == state.group.epoch and height > self.served.get(owner, LaneHeight(0)):
            state.lanes.add(signed, state.final_lane_height(owner), named=True)
        if owner == state.me:
            self._take_own(signed)

    def _take_own(self, signed: SignedBatch) -> None:
        """What we promised and may be asked for by its client; whether it is still open the checkpoint says."""
        state, batch = self.state, signed.batch
        until = state.group.parameters.retention_us
        for known, item in zip(batch.request_ids, batch.attestations, strict=True):
            own = state.mine.get(known)
            if own is None and item.deadline + until > state.chain.final.header.time:
                own = OwnRequest(item.client, item.deadline, item.patience_us, item.body, OwnStage.PROMISED)
                state.mine[known] = own
                heapq.heappush(state.ends, (TimeUs(item.deadline + until), known))
        for opening in self._opened.openings(batch, state.secret):
            if opening.request in state.mine:
                state.mine[opening.request].openings.setdefault(batch.version, opening)


def shelve(
    state: ReplicaState,
    rows: Iterable[bytes],
    served: Cut,
    roots: dict[Digest, Block],
    read: Callable[[bytes], Record],
) -> None:
    """Show again, from the rows before a checkpoint, what was final by then. ``roots``: blocks that epochs start from.

    MessageInvalid when a row is no record of this group.
    """
    shelf = _Shelf(state, served, read)
    for data in rows:
        shelf.take(data)
    chain = state.chain
    for succession in state.successions.values():
        shelf.finalizations[succession.headers[0].digest] = succession.finalization
        for closing in succession.headers[:-1]:
            chain.blocks[closing.digest] = Block(closing, None, 0, justified=True)
    at, proved_by = chain.final, chain.final.proved_by
    at.proposal = at.proposal or shelf.blocks.get(at.header.digest)
    _show(state, shelf, at)
    while True:
        root = roots.get(at.header.parent)
        digest = at.header.parent if root is None else root.header.parent
        proposal = shelf.blocks.get(digest)
        if proposal is None:
            break
        ended = root is not None and state.successions.get(proposal.header.epoch)
        if ended:
            proved_by = ended.headers[0].digest
        elif digest in shelf.finalizations:
            proved_by = digest
        at = _put_back(state, shelf, proposal, proved_by)
    chain.finalizations.update(
        (digest, given) for digest, given in shelf.finalizations.items() if digest in chain.blocks
    )


def _put_back(state: ReplicaState, shelf: _Shelf, proposal: Proposal, proved_by: Digest | None) -> Block:
    """One final block, as it is kept after others were built on it."""
    chain, header = state.chain, proposal.header
    sent = replace(proposal, pages=tuple(page for page in proposal.pages if not is_full(page)))
    block = Block(header, sent, state.mono, justified=True, replied=True, proved_by=proved_by)
    chain.blocks[header.digest] = block
    if not header.is_closing:
        chain.heights[header.height] = header.digest
        chain.oldest = Height(min(chain.oldest, header.height))
    for page in proposal.pages if header.epoch == state.group.epoch else ():
        chain.add_page(page)
    _show(state, shelf, block)
    return block


def _show(state: ReplicaState, shelf: _Shelf, block: Block) -> None:
    digest = block.header.digest
    block.packed = shelf.packed.get(digest, b"")
    for request in packed_requests(block.packed):
        state.placed.setdefault(request, []).insert(0, digest)
