"""What clients are told of a block: their entries, one multiproof, and who finalized it (rule 5.2)."""

from __future__ import annotations

from dropbeard.agreement.chain import Block
from dropbeard.agreement.effects import Effect, SendClient
from dropbeard.agreement.replica_state import OwnStage, ReplicaState
from dropbeard.agreement.shelving import shown_entries, shown_tree
from dropbeard.types.blocks import Header, Signatures
from dropbeard.types.entries import Entry
from dropbeard.types.ids import ClientKey, Digest, RequestId, Signature
from dropbeard.types.limits import LINKS_MAX, REPLY_ENTRIES_MAX
from dropbeard.types.merkle import Tree
from dropbeard.types.messages import Openings, Reply


def reply_with_own_signature(state: ReplicaState, header: Digest, signature: Signature) -> list[Effect]:
    """With our Finalize vote: the block's entries to each client, under our signature."""
    block = state.chain.block(header)
    if block is None or not shown_entries(block):
        return []
    block.replied = True
    return _replies(block, (block.header,), ((state.me, signature),))


def reply_with_finalization(state: ReplicaState, block: Block) -> list[Effect]:
    """Once a finalization covers a block that we did not finalize ourselves: the whole of it, with the links."""
    proof = _proof_of(state, block, block.proved_by)
    if block.replied or proof is None:
        return []
    block.replied = True
    return _replies(block, *proof)


def _proof_of(state: ReplicaState, block: Block, top: Digest | None) -> tuple[tuple[Header, ...], Signatures] | None:
    if top is None:
        return None
    finalization = state.chain.finalizations.get(top)
    headers = state.chain.links_down(top, block)
    if finalization is None or headers is None or len(headers) > LINKS_MAX:
        return None
    return tuple(headers), finalization.signatures


def _replies(block: Block, headers: tuple[Header, ...], signatures: Signatures) -> list[Effect]:
    by_client: dict[ClientKey, list[tuple[int, Entry]]] = {}
    entries = shown_entries(block)
    for index, entry in enumerate(entries):
        by_client.setdefault(entry.client, []).append((index, entry))
    effects: list[Effect] = []
    tree = shown_tree(block, entries)
    for client, rows in by_client.items():
        for first in range(0, len(rows), REPLY_ENTRIES_MAX):
            part = rows[first : first + REPLY_ENTRIES_MAX]
            effects.append(SendClient(client, _reply(tree, headers, signatures, part)))
    return effects


def _reply(tree: Tree, headers: tuple[Header, ...], signatures: Signatures, rows: list[tuple[int, Entry]]) -> Reply:
    return Reply(headers, signatures, tuple(rows), tree.count, tree.multiproof([index for index, _ in rows]))


def answer_retry(state: ReplicaState, client: ClientKey, request: RequestId) -> list[Effect]:
    """All that is known of a client's own request: our openings, and each entry under one whole finalization.

    The finalization is the one that covers the latest entry, so that the headers down to the base pass every
    supplement (rule 5.1).
    """
    effects: list[Effect] = []
    own = state.mine.get(request)
    if own is not None and own.client == client:
        # What was answered and has not left in a lane yet is no promise.
        unsaid = state.own_model.version if own.stage is OwnStage.ANSWERED else None
        promised = tuple(opening for version, opening in own.openings.items() if version != unsaid)
        effects += [SendClient(client, Openings(promised))] if promised else []
    blocks = [state.chain.block(digest) for digest in state.placed.get(request, ())]
    held = [block for block in blocks if block is not None and (block.applied is not None or block.packed)]
    if not held:
        return effects
    # A supplement too far above the base to be linked to it must not take the base's own proof away.
    tops = (block.proved_by for block in reversed(held))
    top = next((top for top in tops if _proof_of(state, held[0], top) is not None), None)
    for block in held:
        proof = _proof_of(state, block, top)
        entries = shown_entries(block) if proof is not None else ()
        rows = [(i, entry) for i, entry in enumerate(entries) if (entry.request, entry.client) == (request, client)]
        if proof is not None and rows:
            effects.append(SendClient(client, _reply(shown_tree(block, entries), *proof, rows)))
    return effects
