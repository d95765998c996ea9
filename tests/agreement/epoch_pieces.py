"""A group on its way from one epoch to the next, block by block, for tests of rule 8.4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dropbeard.agreement.ledger import apply_block
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.simulator.keys import make_keys
from dropbeard.simulator.membership import sign_change
from dropbeard.simulator.options import options_for
from dropbeard.types.blocks import Header, Justification
from dropbeard.types.group import Group
from dropbeard.types.ids import NO_DIGEST, Digest, Height, View
from dropbeard.types.lanes import Attestation, LaneBatch
from dropbeard.types.membership import SignedChange, next_group
from dropbeard.types.merkle import EMPTY_ROOT
from dropbeard.types.messages import CertificateNotice, Proposal
from dropbeard.types.statements import Finalize, Notarize
from dropbeard.types.succession import Succession
from tests.agreement.pieces import GENESIS, GROUP, batch, came, cut_with, end_turn, feed, notarization_of, tell
from tests.agreement.pieces import certificate_of as certified
from tests.agreement.pieces import sign as signed_by

KEYS = make_keys(replace(options_for(1, 4), changes=2))
DELAY = GROUP.parameters.epoch_delay
LAST = Height(1 + DELAY)
"""The last height of the epoch, when the first block orders the change."""


def replaced() -> Group:
    """The next epoch: owner 0 leaves, owner 4 comes."""
    return next_group(GROUP, (*GROUP.owners[1:], KEYS.spares[0]), 1, 3)


def change() -> SignedChange:
    return sign_change(KEYS, GROUP, replaced())


def changing_batch() -> LaneBatch:
    return replace(batch(0), change=change())


def block_over(state: ReplicaState, parent: Header, view: int, *tips: LaneBatch, closing: bool = False) -> Proposal:
    """The one valid child of ``parent`` in ``view`` 's turn, which follows the parent's view at once."""
    assert view == parent.view + 1
    why = Justification(None if parent.view < 0 else notarization_of(parent), ())
    place = {"view": View(view), "parent": parent.digest, "parent_view": parent.view, "justification": why.digest}
    if closing:
        header = replace(parent, **place, entries_root=EMPTY_ROOT, state_root=NO_DIGEST)  # type: ignore[arg-type]
    else:
        held = state.chain.block(parent.digest)
        before = None if held is None else state.chain.state_after(held)
        assert before is not None
        ordered = {made.owner: [made] for made in tips}
        applied = apply_block(state.group, before, parent, ordered, state.judge.verdict)
        header = replace(
            parent,
            **place,  # type: ignore[arg-type]
            height=Height(parent.height + 1),
            cut=cut_with(*tips, over=parent.cut),
            time=applied.time,
            entries_root=applied.tree.root,
            state_root=applied.state_root,
        )
    vote = Notarize(GROUP.id, GROUP.epoch, header.view, header.digest)
    return Proposal(header, signed_by(GROUP.leader(header.view), vote), why, ())


def notarize(state: ReplicaState, proposal: Proposal) -> Header:
    """The replica sees the block and its notarization."""
    tell(state, GROUP.leader(proposal.header.view), proposal)
    tell(state, 3, CertificateNotice(notarization_of(proposal.header)))
    end_turn(state)
    return proposal.header


def grown(state: ReplicaState, *tips: LaneBatch, attested: Sequence[Attestation] = ()) -> Header:
    """Notarized blocks up to the last height of the epoch; the first one orders the change, with what its lane, that of
    owner 0, attests, and ``tips``."""
    ordered = (replace(changing_batch(), attestations=tuple(attested)), *tips)
    feed(state, [came(made) for made in ordered])
    at = notarize(state, block_over(state, GENESIS, 0, *ordered))
    while at.height < LAST:
        at = notarize(state, block_over(state, at, at.view + 1))
    return at


def finalized(header: Header) -> CertificateNotice:
    return certified(Finalize(GROUP.id, GROUP.epoch, header.view, header.digest))


def close_epoch(state: ReplicaState, *tips: LaneBatch) -> Header:
    """Into the next epoch by a finalization of the last block."""
    last = grown(state, *tips)
    tell(state, 3, finalized(last))
    end_turn(state)
    return last


def hasty_succession(state: ReplicaState) -> Succession | None:
    """What a replica would step on that takes a notarized last block for a final one; None before there is one."""
    best = state.chain.block(state.best[1])
    after = None if best is None else state.chain.state_after(best)
    if best is None or after is None:
        return None
    last = best
    while last.header.is_closing:
        last = state.chain.blocks[last.header.parent]
    found = after.ending_at(state.group.epoch, best.header.height)
    nothing = Digest(bytes(32))
    return None if found is None else Succession(found.epoch, (last.header,), (), nothing, nothing, found.configuration)
