"""What clients are told of a block: their entries, one multiproof, and who finalized it (rule 5.2)."""

from __future__ import annotations

from dropbeard.agreement.chain import Block
from dropbeard.agreement.effects import Effect, SendClient
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.types.blocks import Header, Signatures
from dropbeard.types.entries import Entry
from dropbeard.types.ids import ClientKey, Digest, RequestId, Signature
from dropbeard.types.limits import LINKS_MAX, REPLY_ENTRIES_MAX
from dropbeard.types.messages import Openings, Reply


def reply_with_own_signature(state: ReplicaState, header: Digest, signature: Signature) -> list[Effect]:
    """With our Finalize vote: the block's entries to each client, under our signature."""
    block = state.chain.block(header)
    if block is None or block.applied is None or not block.applied.entries:
        return []
    block.replied = True
    return _replies(block, (block.header,), ((state.me, signature),))


def reply_with_finalization(state: ReplicaState, block: Block) -> list[Effect]:
    """Once a finalization covers a block that we did not finalize ourselves: the whole of it, with the links."""
    proof = _proof_of(state, block)
    if block.replied or proof is None:
        return []
    block.replied = True
    return _replies(block, *proof)


def _proof_of(state: ReplicaState, block: Block) -> tuple[tuple[Header, ...], Signatures] | None:
    if block.proved_by is None:
        return None
    finalization = state.chain.finalizations.get(block.proved_by)
    headers = state.chain.links_down(block.proved_by, block)
    if finalization is None or headers is None or len(headers) > LINKS_MAX:
        return None
    return tuple(headers), finalization.signatures


def _replies(block: Block, headers: tuple[Header, ...], signatures: Signatures) -> list[Effect]:
    by_client: dict[ClientKey, list[tuple[int, Entry]]] = {}
    for index, entry in enumerate(block.applied.entries if block.applied is not None else ()):
        by_client.setdefault(entry.client, []).append((index, entry))
    effects: list[Effect] = []
    for client, rows in by_client.items():
        for first in range(0, len(rows), REPLY_ENTRIES_MAX):
            part = rows[first : first + REPLY_ENTRIES_MAX]
            effects.append(SendClient(client, _reply(block, headers, signatures, part)))
    return effects


def _reply(block: Block, headers: tuple[Header, ...], signatures: Signatures, rows: list[tuple[int, Entry]]) -> Reply:
    if block.applied is None:
        raise AssertionError("a reply needs an applied block")
    tree = block.applied.tree
    return Reply(headers, signatures, tuple(rows), tree.count, tree.multiproof([index for index, _ in rows]))


def answer_retry(state: ReplicaState, client: ClientKey, request: RequestId) -> list[Effect]:
    """All that is known of a request that came again: our opening, and each entry under a whole finalization."""
    effects: list[Effect] = []
    own = state.mine.get(request)
    if own is not None and own.opening is not None:
        effects.append(SendClient(client, Openings((own.opening,))))
    for digest in state.placed.get(request, ()):
        block = state.chain.block(digest)
        proof = None if block is None else _proof_of(state, block)
        if block is not None and block.applied is not None and proof is not None:
            rows = [(i, entry) for i, entry in enumerate(block.applied.entries) if entry.request == request]
            effects.append(SendClient(client, _reply(block, *proof, rows)))
    return effects
