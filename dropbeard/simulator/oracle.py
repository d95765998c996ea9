"""The judge: sees what is signed, stored and sent, and holds it against the rules with predicates of its own.

It shares no predicate with the product: quorums, tallies, forks, cuts, trees and entries are worked out here again.
Every finding is one line that starts with the name of the check.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from blake3 import blake3

from dropbeard.simulator.reference_ledger import PlainEntry, ReferenceLedger
from dropbeard.types.blocks import Header
from dropbeard.types.group import Group
from dropbeard.types.lanes import LaneBatch
from dropbeard.types.messages import Openings, Reply
from dropbeard.types.statements import Finalize, LanePromise, Notarize, Nullify, Statement

FINDINGS_MAX = 20

Slot = tuple[int, int]
"""Epoch and view: what a replica signs at most once of each kind in."""


@dataclass(slots=True)
class _Slots:
    """What one honest replica signed in one view."""

    notarized: bytes | None = None
    finalized: bytes | None = None
    nullified: bool = False


@dataclass(slots=True)
class Oracle:
    """Watches one schedule. ``liars`` may sign anything; what is checked of signing is checked of the others."""

    group: Group
    liars: frozenset[int] = frozenset()
    groups: dict[int, Group] = field(default_factory=dict)
    """By epoch: the genesis, and each group that a quorum of owners signed; one for each epoch."""
    found: list[str] = field(default_factory=list)
    final: dict[int, bytes] = field(default_factory=dict)
    """Header digest by height, as q Finalize signatures make it."""
    entries: dict[bytes, list[PlainEntry]] = field(default_factory=dict)
    """Entries of each final block, by the reference ledger."""
    outcomes: dict[bytes, int] = field(default_factory=dict)
    """Agreed or expired, by request."""
    decided: dict[bytes, int] = field(default_factory=dict)
    """Block time of each outcome."""
    headers: dict[bytes, Header] = field(default_factory=dict)
    batches: dict[bytes, LaneBatch] = field(default_factory=dict)
    ordered: list[LaneBatch] = field(default_factory=list)
    """What final blocks order."""
    _epochs: dict[int, int] = field(default_factory=dict)
    _slots: dict[tuple[int, Slot], _Slots] = field(default_factory=dict)
    _voters: dict[tuple[str, Slot, bytes], set[int]] = field(default_factory=dict)
    _lanes: dict[tuple[int, int, int], bytes] = field(default_factory=dict)
    _promises: dict[tuple[int, int, bytes], bytes] = field(default_factory=dict)
    _final_views: dict[Slot, bytes] = field(default_factory=dict)
    _notarized_in: dict[Slot, set[bytes]] = field(default_factory=dict)
    _judged: int = 0
    _agreed: dict[bytes, None] = field(default_factory=dict)
    _states: dict[int, bytes] = field(default_factory=dict)
    _ledger: ReferenceLedger = field(init=False)

    def __post_init__(self) -> None:
        self.groups[0] = self.group
        self._ledger = ReferenceLedger(self.groups)

    def flag(self, what: str) -> None:
        """Note a violation."""
        if len(self.found) < FINDINGS_MAX:
            self.found.append(what)

    # --- what is promised ---------------------------------------------------------------------------------------------

    def signed(self, owner: int, statement: Statement) -> None:
        """An honest replica promised a statement: one for each slot, over all restarts (R1, R2, R2')."""
        if isinstance(statement, LanePromise):
            digest = blake3(statement.encode()).digest()
            if self._lanes.setdefault((statement.epoch, owner, statement.lane_height), digest) != digest:
                self.flag(f"double-lane: owner {owner} signed two batches at height {statement.lane_height}")
            return
        if self._epochs.setdefault(owner, 0) > statement.epoch:
            self.flag(f"went-back: owner {owner} signed in epoch {statement.epoch} after a later one")
        self._epochs[owner] = statement.epoch
        slots = self._slots.setdefault((owner, (statement.epoch, statement.view)), _Slots())
        self._check_slots(owner, slots, statement)
        self._count(owner, statement)

    def lied(self, owner: int, vote: Notarize | Finalize | Nullify) -> None:
        """A liar's vote, validly signed, is out: it counts towards certificates and is held to nothing."""
        self._count(owner, vote)

    def _count(self, owner: int, vote: Notarize | Finalize | Nullify) -> None:
        name = b"" if isinstance(vote, Nullify) else bytes(vote.header)
        key = type(vote).__name__, (int(vote.epoch), int(vote.view)), name
        if owner not in {int(member.id) for member in self.groups[int(vote.epoch)].owners}:
            self.flag(f"no-member: owner {owner} votes in epoch {vote.epoch}")
            return
        self._voters.setdefault(key, set()).add(owner)
        if self._has_quorum(*key):
            self._certified(*key)

    def _check_slots(self, owner: int, slots: _Slots, vote: Notarize | Finalize | Nullify) -> None:
        where = f"owner {owner} in view {vote.view}"
        if isinstance(vote, Notarize):
            if slots.notarized not in (None, vote.header):
                self.flag(f"double-notarize: {where}")
            slots.notarized = vote.header
        elif isinstance(vote, Finalize):
            if slots.finalized not in (None, vote.header):
                self.flag(f"double-finalize: {where}")
            slots.finalized = vote.header
        else:
            slots.nullified = True
        if slots.nullified and slots.finalized is not None:
            self.flag(f"nullify-finalize: {where}")
        if None not in (slots.notarized, slots.finalized) and slots.notarized != slots.finalized:
            self.flag(f"notarize-finalize: {where}")

    def _certified(self, kind: str, view: Slot, header: bytes) -> None:
        """A quorum said the same: never a nullified final view, never a second notarization in one (6.1)."""
        if kind == "Finalize":
            self._final_views[view] = header
            self._finalized(header)
        elif kind == "Notarize":
            self._notarized_in.setdefault(view, set()).add(header)
        final = self._final_views.get(view)
        if final is None:
            return
        if self._has_quorum("Nullify", view, b""):
            self.flag(f"nullified-final: view {view} is nullified and final")
        if self._notarized_in.get(view, set()) - {final}:
            self.flag(f"second-notarization: view {view} is final with another notarized header")

    def _has_quorum(self, kind: str, view: Slot, header: bytes) -> bool:
        voters, group = self._voters.get((kind, view, header), ()), self.groups[view[0]]
        return 2 * len(voters) > len(group.owners) + group.f

    def _finalized(self, digest: bytes) -> None:
        """The block and its ancestors are final: one header at each height."""
        header = self.headers.get(digest)
        while header is not None and header.height > 0:
            if not any(header.state_root):  # a closing block: it has no height of its own
                header = self.headers.get(header.parent)
                continue
            known = self.final.setdefault(header.height, header.digest)
            if known != header.digest:
                self.flag(f"fork: two final headers at height {header.height}")
                return
            if header.height <= self._judged:
                return
            self._check_epoch(header)
            header = self.headers.get(header.parent)

    def _check_epoch(self, header: Header) -> None:
        """An epoch's first final block stands on the last final one of the epoch before, and that is final (8.4)."""
        if header.epoch == 0 or header.parent_view >= 0:
            return
        below = self.headers.get(self.final.get(header.height - 1, b""))
        if below is None or below.epoch + 1 != header.epoch:
            self.flag(f"epoch: height {header.height} of epoch {header.epoch} stands on nothing final")

    def believes_final(self, owner: int, header: Header) -> None:
        """A replica holds this header for its last final one: it must be, by everyone's votes."""
        digest = header.parent if header.view < 0 else header.digest
        if header.height > 0 and self.final.get(header.height) != digest:
            self.flag(f"believed-final: owner {owner} at height {header.height} without a quorum")

    def stands_at(self, owner: int, height: int, whole: bytes) -> None:
        """An honest replica's digest of its whole state at a height: equal at all (4.1)."""
        if self._states.setdefault(height, whole) != whole:
            self.flag(f"whole-state: owner {owner} has another state at height {height}")

    # --- what is proposed and promised --------------------------------------------------------------------------------

    def proposed(self, header: Header) -> None:
        """A leader sent a header."""
        self.headers[header.digest] = header

    def promised(self, batch: LaneBatch) -> None:
        """An owner has its batch on disk; what it promises must be opened as promised."""
        if batch.digest in self.batches:
            return
        self.batches[batch.digest] = batch
        for item in () if int(batch.owner) in self.liars else batch.attestations:
            name = (int(batch.owner), int(batch.version), bytes(item.request_id()))
            if self._promises.setdefault(name, item.commitment) != item.commitment:
                self.flag(f"double-commitment: owner {batch.owner} promised two answers to one request")

    def opened(self, owner: int, openings: Openings) -> None:
        """An owner opened answers to a client: each matches what it promised (2.6, 2.9)."""
        for opening in openings.openings:
            promised = self._promises.get((owner, int(opening.version), bytes(opening.request)))
            if promised is None:
                self.flag(f"opened-unpromised: owner {owner}")
            elif opening.commitment() != promised:
                self.flag(f"opening-mismatch: owner {owner}")

    # --- the ledger ---------------------------------------------------------------------------------------------------

    def judge_ledger(self) -> None:
        """Run the reference ledger over every block that became final since the last call."""
        while self._judged + 1 in self.final:
            header = self.headers[self.final[self._judged + 1]]
            ordered = self._ordered(header)
            if ordered is None:
                return
            self._judged += 1
            self.ordered += [batch for rows in ordered.values() for batch in rows]
            time, entries = self._ledger.apply(ordered)
            self.entries[header.digest] = entries
            if time != header.time:
                self.flag(f"block-time: height {header.height} says {header.time}, the lanes say {time}")
            if _tree_root([_leaf(entry) for entry in self._with_models(entries)]) != header.entries_root:
                self.flag(f"entries: the block at height {header.height} has other entries than its lanes give")
            for kind, request, _, _ in entries:
                if kind in (1, 2):
                    self.decided.setdefault(request, header.time)
                if kind in (1, 2) and self.outcomes.setdefault(request, kind) != kind:
                    self.flag("two-outcomes: a request was agreed and expired")
                if kind == 1:
                    self._agree(request)

    def _agree(self, request: bytes) -> None:
        if request in self._agreed:
            self.flag("agreed-twice: a request has two agreed entries")
        self._agreed[request] = None

    def _ordered(self, header: Header) -> dict[int, list[LaneBatch]] | None:
        parent = self.headers.get(header.parent)
        below = {tip.owner: tip.height for tip in parent.cut} if parent is not None else {}
        ordered: dict[int, list[LaneBatch]] = {}
        for tip in header.cut:
            rows: list[LaneBatch] = []
            at, height = tip.digest, tip.height
            while height > below.get(tip.owner, 0):
                batch = self.batches.get(at)
                if batch is None:
                    return None
                if batch.lane_height != height or batch.owner != tip.owner:
                    self.flag(f"cut: height {header.height} orders a batch out of place")
                    return None
                rows.insert(0, batch)
                at, height = batch.parent, type(height)(height - 1)
            ordered[int(tip.owner)] = rows
        return ordered

    def _with_models(self, entries: list[PlainEntry]) -> list[bytes]:
        rows = []
        for kind, request, client, said in entries:
            parts = [bytes((kind,)), request, client, len(said).to_bytes(2, "little")]
            for owner, commitment in said:
                version, model = self._ledger.models[owner]
                parts += [owner.to_bytes(2, "little"), version.to_bytes(4, "little"), model, commitment]
            rows.append(b"".join(parts))
        return rows

    def replied(self, reply: Reply) -> None:
        """A client was told of entries: they are checked once the chain is known."""
        self._replies.append(reply)

    _replies: list[Reply] = field(default_factory=list)

    def judge_replies(self) -> None:
        """Every entry that a client was shown under a final header is in the final chain, in that block."""
        for reply in self._replies:
            top, block = reply.headers[0], reply.headers[-1]
            if self.final.get(top.height) != top.digest:
                continue
            known = {(entry[0], entry[1]): entry[3] for entry in self.entries.get(block.digest, [])}
            for _, entry in reply.entries:
                said = tuple((int(p.owner), bytes(p.commitment)) for p in entry.promises)
                if known.get((int(entry.kind), bytes(entry.request))) != said:
                    self.flag(f"reply: a client was shown an entry that height {block.height} does not have")
        self._replies.clear()


def _hash(context: str, *parts: bytes) -> bytes:
    return blake3(b"".join(parts), derive_key_context=context).digest()


def _leaf(entry: bytes) -> bytes:
    return _hash("dropbeard 1 merkle leaf", entry)


def _tree_root(leaves: list[bytes]) -> bytes:
    """Root over leaf digests, straight from the format's description."""
    count, row = len(leaves), leaves or [bytes(32)]
    while len(row) > 1:
        pairs = [row[i : i + 2] for i in range(0, len(row), 2)]
        row = [_hash("dropbeard 1 merkle node", *pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return _hash("dropbeard 1 merkle root", count.to_bytes(4, "little"), row[0])
