"""Blocks as a replica holds them: known, justified, applied, final (rules 3.1 to 3.3, 4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dropbeard.agreement.ledger import Applied, nothing_applied
from dropbeard.agreement.ledger_state import StateView, genesis_base, genesis_state_root
from dropbeard.evidence.justification import static_fault
from dropbeard.types.blocks import (
    Finalization,
    Header,
    Justification,
    LaneTip,
    Nullification,
    Page,
    page_ranges,
)
from dropbeard.types.group import Group
from dropbeard.types.ids import (
    GENESIS_HEIGHT,
    NO_DIGEST,
    Digest,
    Epoch,
    Height,
    LaneHeight,
    OwnerId,
    TimeUs,
    View,
)
from dropbeard.types.limits import PAGE_VIEWS
from dropbeard.types.messages import Proposal
from dropbeard.types.statements import Nullify
from dropbeard.types.succession import Succession, starting_header


@dataclass(slots=True)
class Block:
    """One known block. ``applied`` once its batches and its parent's state were in hand; ``refused`` says why it is
    invalid; ``complained``: its leader was reported, or sent what it starves; ``replied``: our own Finalize went to its
    clients; ``proved_by``: the header whose finalization covers it; ``lacks``: the batches that were missing
    when it was last to be applied. Once final: ``unsealed``, its state root before a snapshot was mixed in, and
    ``packed``, its entries, which are shown after ``applied`` is dropped.
    """

    header: Header
    proposal: Proposal | None
    seen_at_us: int
    applied: Applied | None = None
    refused: str | None = None
    complained: bool = False
    justified: bool = False
    replied: bool = False
    proved_by: Digest | None = None
    lacks: tuple[LaneTip, ...] = ()
    unsealed: Digest | None = None
    packed: bytes = b""


def genesis_header(group: Group) -> Header:
    """Height 0, view -1, nothing ordered (rule 3.1)."""
    return starting_header(group, GENESIS_HEIGHT, NO_DIGEST, TimeUs(0), genesis_state_root(group), NO_DIGEST)


class Chain:
    """The block tree above and below the last final block."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.base = genesis_base(group)
        header = genesis_header(group)
        self.final = self.root = _starting_block(header)
        """What this epoch starts from (rule 8.4)."""
        self.hollow: Succession | None = None
        """What we stand on without the state that it proves: a snapshot is on its way (rules 7.2, 8.4)."""
        self.blocks: dict[Digest, Block] = {header.digest: self.final}
        self.heights: dict[Height, Digest] = {header.height: header.digest}
        """Final blocks by height."""
        self.final_lanes: dict[OwnerId, LaneHeight] = {}
        """How far the final cut has come in each lane."""
        self.stand_on(self.final)
        self.oldest = header.height
        """The lowest height that is still held."""
        self.finalizations: dict[Digest, Finalization] = {}
        self.pages: dict[Digest, Page] = {}
        self.full_pages: dict[int, Page] = {}
        """The first full page seen of each number, reused in justifications (rule 3.2)."""

    def block(self, digest: Digest) -> Block | None:
        """The block of this digest."""
        return self.blocks.get(digest)

    def stand_on(self, block: Block) -> None:
        """This block is the last final one."""
        self.final = block
        self.final_lanes = {tip.owner: tip.height for tip in block.header.cut}

    def at(self, height: Height) -> Block:
        """The final block at a height that is still held."""
        return self.blocks[self.heights[height]]

    def add_page(self, page: Page) -> None:
        """Keep a page whose signatures were checked."""
        self.pages.setdefault(page.digest, page)
        if is_full(page):
            self.full_pages.setdefault(page.nullifications[0].vote.view // PAGE_VIEWS, page)

    def path_to_final(self, block: Block) -> list[Block] | None:
        """Blocks from ``block`` down to just above the final one; None unless it is a descendant by known headers."""
        path: list[Block] = []
        at: Block | None = block
        while at is not None and at.header.height > self.final.header.height:
            path.append(at)
            at = self.blocks.get(at.header.parent)
        return path if at is self.final else None

    def state_after(self, block: Block) -> StateView | None:
        """The ledger after ``block``; None unless it descends from the final block and all between is applied."""
        path = self.path_to_final(block)
        if path is None or self.hollow is not None:
            return None
        deltas = [step.applied.delta for step in reversed(path) if step.applied is not None]
        return StateView(self.base, deltas) if len(deltas) == len(path) else None

    def missing_pages(self, justification: Justification) -> list[Digest]:
        """Page digests of a justification that are not in hand."""
        return [digest for digest in justification.pages if digest not in self.pages]

    def make_final(self, path: Sequence[Block], by: Finalization) -> None:
        """Merge ``path`` (ascending, applied, ending at the finalized block) into the base."""
        self.finalizations[by.vote.header] = by
        for block in path:
            if block.applied is None:
                raise AssertionError("a block becomes final only when it is applied")
            block.proved_by, block.unsealed = by.vote.header, block.applied.unsealed
            if not block.header.is_closing:  # rule 8.4: it has no height of its own
                self.base.merge(block.applied.delta, block.header.time, block.header.height)
                self.heights[block.header.height] = block.header.digest
                self.stand_on(block)

    def start_epoch(self, group: Group, root: Header) -> None:
        """Stand on the root of the next epoch; what was final stays."""
        self.group = group
        self.full_pages.clear()
        self.root = _starting_block(root)
        self.blocks[root.digest] = self.root
        self.stand_on(self.root)

    def links_down(self, top: Digest, bottom: Block) -> list[Header] | None:
        """Headers from ``top`` down to ``bottom``, or None when one is gone or they are of two epochs (rule 8.4)."""
        headers: list[Header] = []
        at = self.blocks.get(top)
        while at is not None and at.header.epoch == bottom.header.epoch:
            headers.append(at.header)
            if at is bottom:
                return headers
            if at.header.height <= bottom.header.height and not at.header.is_closing:
                return None
            at = self.blocks.get(at.header.parent)
        return None

    def forget(self, before: Height) -> None:
        """Drop blocks at and below ``before``, every side branch that old, and the pages that only those needed."""
        top = self.blocks[self.heights[before]].header
        # By view, since a header's height is only its leader's word until its parent is known.
        for digest in [d for d, b in self.blocks.items() if _at(b.header) <= _at(top) and b is not self.final]:
            del self.blocks[digest]
            self.finalizations.pop(digest, None)
        for height in [h for h in self.heights if h <= before]:
            del self.heights[height]
        for digest in [d for d, page in self.pages.items() if _at(page.nullifications[-1].vote) < _at(top)]:
            del self.pages[digest]
        for number in [n for n, page in self.full_pages.items() if _at(page.nullifications[-1].vote) < _at(top)]:
            del self.full_pages[number]
        self.oldest = Height(before + 1)


def _starting_block(header: Header) -> Block:
    """Nobody proposed it, and it is final."""
    return Block(header, None, 0, applied=nothing_applied(header), justified=True)


def _at(what: Header | Nullify) -> tuple[Epoch, View]:
    """Views start again with every epoch."""
    return what.epoch, what.view


def is_full(page: Page) -> bool:
    """Does the page hold each view of an aligned page once, in order? Only such a page serves later proposals."""
    views = [cert.vote.view for cert in page.nullifications]
    return (
        len(views) == PAGE_VIEWS
        and views[0] % PAGE_VIEWS == 0
        and views == list(range(views[0], views[0] + PAGE_VIEWS))
    )


def statically_valid(chain: Chain, proposal: Proposal) -> str | None:
    """What is wrong with a proposal by its bytes alone, or None (rules 3.1 to 3.3); signatures are checked before."""
    header, justification = proposal.header, proposal.justification
    if header.justification != justification.digest:
        return "its justification is not the one it commits to"
    return static_fault(chain.group, chain.root.header, header, justification)


def make_pages(
    chain: Chain, parent_view: View, view: View, held: dict[View, Nullification]
) -> tuple[list[Page], list[View]]:
    """The pages that cover the views between, from full pages kept and nullifications held; and the views missing."""
    pages: list[Page] = []
    missing: list[View] = []
    for first, last in page_ranges(parent_view, view):
        full = chain.full_pages.get(first // PAGE_VIEWS)
        if full is not None and first % PAGE_VIEWS == 0 and last == first + PAGE_VIEWS - 1:
            pages.append(full)
            continue
        views = [View(v) for v in range(first, last + 1)]
        missing += [v for v in views if v not in held]
        pages.append(Page(tuple(held[v] for v in views if v in held)))
    return pages, missing
