"""The block tree: justifications, pages, paths, what is forgotten (rules 3.1, 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from dropbeard.agreement.chain import Block, Chain, is_full, make_pages, statically_valid
from dropbeard.agreement.effects import Broadcast
from dropbeard.agreement.inspection import is_worth_handling
from dropbeard.evidence.justification import cover_fault, static_fault
from dropbeard.types.blocks import Header, Justification, Page, QuorumCertificate
from dropbeard.types.ids import Digest, Epoch, GroupId, Height, View
from dropbeard.types.limits import PAGE_VIEWS
from dropbeard.types.messages import PageNotice, Proposal
from dropbeard.types.statements import Finalize
from tests.agreement.pieces import (
    GENESIS,
    GROUP,
    KEYS,
    certificate_of,
    first_block,
    notarization_of,
    notarize,
    nullification_of,
    nullify,
    replica,
    sign,
    tell,
)

FULL = tuple(nullification_of(view) for view in range(PAGE_VIEWS))


def page(*views: int) -> Page:
    return Page(tuple(nullification_of(view) for view in views))


def proposal_over(parent: Header, view: int, pages: Sequence[Page] = (), **changed: object) -> Proposal:
    why = Justification(notarization_of(parent) if parent.view >= 0 else None, tuple(p.digest for p in pages))
    header = replace(
        GENESIS,
        height=Height(parent.height + 1),
        view=View(view),
        parent=parent.digest,
        parent_view=parent.view,
        justification=why.digest,
    )
    header = replace(header, **changed)  # type: ignore[arg-type]
    return Proposal(header, sign(GROUP.leader(header.view), notarize(header)), why, tuple(pages))


def grown(chain: Chain, length: int, parent: Header = GENESIS, first_view: int = 0) -> list[Block]:
    """Blocks in views one after the other, each over the one before."""
    blocks: list[Block] = []
    for step in range(length):
        made = proposal_over(parent, first_view + step)
        blocks.append(Block(made.header, made, 0, applied=chain.final.applied, justified=True))
        chain.blocks[made.header.digest] = blocks[-1]
        parent = made.header
    return blocks


def finalize_at(chain: Chain, path: Sequence[Block]) -> None:
    top = path[-1].header
    chain.make_final(path, QuorumCertificate(Finalize(GROUP.id, GROUP.epoch, top.view, top.digest), ()))


def complaint(views: Sequence[Sequence[int]], view: int, **changed: object) -> str | None:
    """What is wrong with a child of the genesis in ``view`` under pages of these views."""
    chain = Chain(GROUP)
    pages = [page(*row) for row in views]
    for each in pages:
        chain.add_page(each)
    made = proposal_over(GENESIS, view, pages, **changed)
    wrong = static_fault(GROUP, GENESIS, made.header, made.justification)
    return wrong or cover_fault(made.header, made.justification, chain.final.header, chain.pages)


def test_a_nullification_of_each_view_between_justifies_a_block() -> None:
    assert complaint([], 0) is None
    assert complaint([[0, 1, 2]], 3) is None
    assert complaint([range(PAGE_VIEWS), [PAGE_VIEWS]], PAGE_VIEWS + 1) is None


@pytest.mark.parametrize(
    ("views", "view"),
    [
        ([], 1),
        ([[0]], 0),
        ([[0, 1]], 3),
        ([[0, 2]], 3),
        ([[0, 1, 2, 3]], 3),
        ([[1, 0, 2]], 3),
        ([[0, 1, 1]], 3),
        ([[0, 1], [2]], 3),
        ([[*range(PAGE_VIEWS + 1)]], PAGE_VIEWS + 1),
    ],
)
def test_any_other_pages_do_not(views: list[list[int]], view: int) -> None:
    assert complaint(views, view) is not None


def test_a_block_whose_height_or_parent_view_is_not_its_parents_is_not_justified() -> None:
    assert complaint([], 0, height=Height(2)) is not None
    assert complaint([], 0, parent_view=View(-2)) is not None


@pytest.mark.parametrize(
    "changed",
    [
        {"group": GroupId(bytes(32))},
        {"epoch": Epoch(1)},
        {"parent_view": View(3)},
        {"parent": Digest(b"x" * 32)},
        {"height": Height(1)},
        {"cut": GENESIS.cut[1:]},
        {"cut": GENESIS.cut[::-1]},
        {"justification": Digest(b"x" * 32)},
        {"view": View(0)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_proposal_with_one_defect_is_invalid_by_its_bytes_alone(changed: dict[str, object]) -> None:
    parent = proposal_over(GENESIS, 0).header
    whole = proposal_over(parent, 1)
    assert statically_valid(Chain(GROUP), whole) is None
    wrong = replace(whole, header=replace(whole.header, **changed))  # type: ignore[arg-type]
    # A child of a notarized block is not held to a height here: its parent may not be in hand yet.
    assert (statically_valid(Chain(GROUP), wrong) is None) == (changed == {"height": Height(1)})


def test_only_the_genesis_goes_without_a_notarization() -> None:
    parent = proposal_over(GENESIS, 0).header
    whole = proposal_over(parent, 1)
    bare = Justification(None, ())
    header = replace(whole.header, justification=bare.digest)
    assert statically_valid(Chain(GROUP), replace(whole, header=header, justification=bare)) is not None
    over_genesis = proposal_over(GENESIS, 0)
    extra = Justification(notarization_of(parent), ())
    header = replace(over_genesis.header, justification=extra.digest)
    assert statically_valid(Chain(GROUP), replace(over_genesis, header=header, justification=extra)) is not None
    assert statically_valid(Chain(GROUP), proposal_over(GENESIS, 0, height=Height(2))) is not None


def test_a_full_page_holds_each_of_its_views_once_and_in_order() -> None:
    assert is_full(Page(FULL))
    assert not is_full(Page(FULL[:-1]))
    assert not is_full(Page((FULL[0], FULL[0], *FULL[2:])))
    assert not is_full(Page((FULL[0], FULL[2], FULL[1], *FULL[3:])))
    assert not is_full(Page((*FULL[1:], nullification_of(PAGE_VIEWS))))
    assert not is_full(Page(()))


def test_a_page_with_a_view_twice_never_gets_into_an_honest_leaders_justification() -> None:
    """A liar spreads it before the true page exists; whoever reused it would propose blocks that nobody accepts."""
    state = replica(0)
    forged = Page((FULL[0], FULL[0], *FULL[2:]))
    assert not is_worth_handling(state, PageNotice(forged), KEYS.checker)
    assert is_worth_handling(state, PageNotice(Page(FULL)), KEYS.checker)
    state.chain.add_page(forged)
    held = {View(view): cert for view, cert in enumerate(FULL)}
    pages, missing = make_pages(state.chain, View(-1), View(PAGE_VIEWS), held)
    assert (pages, missing) == ([Page(FULL)], [])


def test_the_first_full_page_seen_is_the_one_reused() -> None:
    chain = Chain(GROUP)
    chain.add_page(Page(FULL))
    chain.add_page(Page((nullification_of(0, (1, 2, 3)), *FULL[1:])))
    pages, missing = make_pages(chain, View(-1), View(PAGE_VIEWS + 2), {View(PAGE_VIEWS): nullification_of(PAGE_VIEWS)})
    assert pages[0] == Page(FULL)
    assert missing == [PAGE_VIEWS + 1]


def test_a_spread_page_is_the_true_one_whatever_a_liar_spread_before() -> None:
    state = replica(1)
    state.chain.add_page(Page((FULL[0], FULL[0], *FULL[2:])))
    sent = [e for view in range(PAGE_VIEWS) for e in tell(state, 2, certificate_of(nullify(view)))]
    pages = [e.message for e in sent if isinstance(e, Broadcast) and isinstance(e.message, PageNotice)]
    assert pages == [PageNotice(state.chain.full_pages[0])]
    assert is_full(state.chain.full_pages[0])


def test_paths_lead_down_to_the_final_block_or_nowhere() -> None:
    chain = Chain(GROUP)
    blocks = grown(chain, 3)
    assert chain.path_to_final(blocks[2]) == blocks[::-1]
    del chain.blocks[blocks[1].header.digest]
    assert chain.path_to_final(blocks[2]) is None
    assert chain.state_after(blocks[2]) is None


def test_a_side_branch_below_the_final_block_has_no_path() -> None:
    chain = Chain(GROUP)
    (side,) = grown(chain, 1)
    blocks = grown(chain, 2, first_view=1)
    finalize_at(chain, blocks)
    assert chain.path_to_final(side) is None
    assert chain.state_after(blocks[0]) is None
    assert chain.links_down(blocks[1].header.digest, blocks[0]) == [blocks[1].header, blocks[0].header]
    assert chain.links_down(blocks[1].header.digest, side) is None


def test_old_blocks_side_branches_and_pages_are_forgotten_whatever_height_they_claim() -> None:
    chain = Chain(GROUP)
    blocks = grown(chain, 4, first_view=2)
    tall = proposal_over(GENESIS, 1, height=Height(1 << 40))
    chain.blocks[tall.header.digest] = Block(tall.header, tall, 0)
    chain.add_page(page(0, 1))
    finalize_at(chain, blocks)
    chain.forget(Height(2))
    assert list(chain.blocks.values()) == blocks[2:]
    assert list(chain.heights) == [3, 4]
    assert chain.pages == {}
    assert chain.oldest == 3


def test_a_proposal_of_a_view_that_the_final_chain_has_passed_is_not_kept() -> None:
    state = replica(1)
    finalize_at(state.chain, grown(state.chain, 3))
    late = first_block(replica(2), 2)
    before = dict(state.chain.blocks)
    assert tell(state, 2, late) == []
    assert state.chain.blocks == before
