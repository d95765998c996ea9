"""Replay a node's ledger: every header recomputed, every signature checked, with the genesis alone (rule 8.2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from dropbeard.agreement.chain import genesis_header
from dropbeard.agreement.lane_store import fits_group
from dropbeard.agreement.ledger import Applied, apply_block
from dropbeard.agreement.ledger_state import StateView, genesis_base
from dropbeard.agreement.records import (
    BatchRecord,
    BlockRecord,
    CertificateRecord,
    EntriesRecord,
    EvidenceRecord,
    OpeningsRecord,
    Record,
    SnapshotRecord,
    SuccessionRecord,
    VoteRecord,
)
from dropbeard.agreement.rows import base_from_rows
from dropbeard.agreement.standing import BucketRecord, GuardRecord, HeldSnapshotRecord, OwnRecord, StandingRecord
from dropbeard.agreement.tables import Succeeding
from dropbeard.audit.findings import Audit, BlockRow, ModelRow
from dropbeard.audit.pruned import headers_below, snapshot_in
from dropbeard.errors import LedgerInvalid, MessageInvalid
from dropbeard.evidence.judge import Judge
from dropbeard.evidence.justification import (
    AnyCertificate,
    certificate_checks,
    closes,
    cover_fault,
    page_checks,
    static_fault,
    succession_fault,
)
from dropbeard.signing.signer import NodeKeyChecker
from dropbeard.types.blocks import Header, LaneTip, Page
from dropbeard.types.entries import Entry, EntryKind
from dropbeard.types.group import FIRST_VERSION, Group
from dropbeard.types.ids import GENESIS_HEIGHT, Digest, Epoch, OwnerId, Signature, Version
from dropbeard.types.lanes import LaneBatch, SignedBatch
from dropbeard.types.membership import change_fault, following_group
from dropbeard.types.messages import Proposal
from dropbeard.types.statements import Finalize, Notarize
from dropbeard.types.succession import Succession, root_header

Witness = Callable[[Header, tuple[Entry, ...] | None], None]
"""Told of each final block, ascending: its header, and its entries, or None where only the header is left. What it was
told counts when the replay is over: until then something above may not check."""


class _Counting:
    """A checker that counts what it finds good."""

    def __init__(self, checker: NodeKeyChecker) -> None:
        self._checker = checker
        self.good = 0

    def check(self, signer: OwnerId, statement: bytes, signature: Signature) -> bool:
        found = self._checker.check(signer, statement, signature)
        self.good += found
        return found

    def check_owner(self, signer: OwnerId, statement: bytes, signature: Signature) -> bool:
        found = self._checker.check_owner(signer, statement, signature)
        self.good += found
        return found

    def following(self, group: Group) -> _Counting:
        return _Counting(NodeKeyChecker(group))


@dataclass(slots=True)
class _Held:
    """Everything of a journal that the ledger consists of."""

    blocks: dict[Digest, Proposal] = field(default_factory=dict)
    batches: dict[Digest, SignedBatch] = field(default_factory=dict)
    finalizations: dict[Digest, AnyCertificate] = field(default_factory=dict)
    snapshots: dict[Digest, SnapshotRecord] = field(default_factory=dict)
    successions: dict[Epoch, Succession] = field(default_factory=dict)


def audit_ledger(
    group: Group, records: Iterable[Record], checkpoint: Sequence[Record] = (), witness: Witness | None = None
) -> Audit:
    """Replay the chain below the highest finalized block; LedgerInvalid names the height and what does not check.

    With a ``checkpoint``, records before it are pruned but for the chain of headers, which is checked from its start.
    """
    held = _collect([*checkpoint, *records])
    replay = _Replay(group, held, witness)
    if checkpoint:
        replay.skip_to(snapshot_in(checkpoint))
    while True:
        path, start = _final_path(replay.group, replay.last, held)
        replay.begin(start)
        replay.follow(path)
        if path or (checkpoint and replay.last.view >= 0):
            replay.check_finalization(held.finalizations.get(replay.last.digest))
        if not replay.next_epoch():
            break
    audit = replay.audit
    audit.marks, audit.usage = dict(replay.base.marks), dict(replay.base.usage)
    audit.signatures = replay.good
    return audit


def _collect(records: Iterable[Record]) -> _Held:
    held = _Held()
    for record in records:
        match record:
            case BlockRecord(proposal):
                held.blocks[proposal.header.digest] = proposal
            case BatchRecord(signed):
                held.batches[signed.batch.digest] = signed
            case CertificateRecord(certificate):
                if isinstance(certificate.vote, Finalize):
                    held.finalizations[certificate.vote.header] = certificate
            case SnapshotRecord(header=header):
                held.snapshots[header.digest] = record
            case SuccessionRecord(succession):
                held.successions[succession.epoch] = succession
            case VoteRecord() | OpeningsRecord() | EvidenceRecord() | EntriesRecord():
                pass
            case StandingRecord() | HeldSnapshotRecord() | BucketRecord() | OwnRecord() | GuardRecord():
                pass
            case _:
                assert_never(record)
    return held


def _final_path(group: Group, root: Header, held: _Held) -> tuple[list[Header], SnapshotRecord | None]:
    """Headers of an epoch's final chain, ascending, above its root or above the snapshot that the node once took."""
    finals = [held.blocks[digest].header for digest in held.finalizations if digest in held.blocks]
    known = [header for header in finals if header.epoch == group.epoch]
    snapshot = held.snapshots.get(root.digest)
    if not known:
        return [], snapshot
    at, path = max(known, key=lambda header: header.view), []
    while at.digest != root.digest:
        path.append(at)
        parent = held.blocks.get(at.parent)
        if parent is None and at.parent != root.digest:
            snapshot = held.snapshots.get(at.parent)
            if snapshot is None:
                raise LedgerInvalid(f"height {at.height}: the block below it is missing")
            return path[::-1], snapshot
        at = root if parent is None else parent.header
    return path[::-1], snapshot


class _Replay:
    """One block after the other on top of what is final, epoch after epoch."""

    def __init__(self, group: Group, held: _Held, witness: Witness | None) -> None:
        self.held, self._witness = held, witness or (lambda header, entries: None)
        self.base = genesis_base(group)
        self.audit = Audit(GENESIS_HEIGHT)
        self._checked = 0
        self._sealed: tuple[Digest, Digest] | None = None
        """Of the last block of an epoch: what its state root is made of, together with the configuration."""
        self._versions: dict[OwnerId, Version] = dict.fromkeys(group.members, FIRST_VERSION)
        self._enter(group, genesis_header(group))

    def _enter(self, group: Group, root: Header) -> None:
        self.group, self.root = group, root
        self.audit.names.update({owner.id: owner.name for owner in group.owners})
        self.checker = _Counting(NodeKeyChecker(group))
        self.judge = Judge(group, root, self.checker)
        self.last = root

    @property
    def good(self) -> int:
        """Signatures that were checked and are good."""
        return self._checked + self.checker.good

    def begin(self, start: SnapshotRecord | None) -> None:
        """Stand on a snapshot that the node once took, if there is one."""
        if start is None:
            return
        try:
            self.base = base_from_rows(self.group, start.header, start.small, start.rows)
        except MessageInvalid as wrong:
            raise LedgerInvalid(f"height {start.header.height}: the snapshot is malformed: {wrong}") from wrong
        self._witness(start.header, None)
        self.last = start.header
        self.audit.start = start.header.height
        for owner, model in sorted(self.base.models.items()):
            if model.version > self._versions.get(owner, FIRST_VERSION):
                self.audit.models.append(ModelRow(model.since, owner, model.version, model.model))
            self._versions[owner] = model.version

    def skip_to(self, start: SnapshotRecord) -> None:
        """Check headers up to a snapshot, epoch after epoch, and stand on it."""
        while self.group.epoch < start.header.epoch:
            given = self.held.successions.get(self.group.epoch)
            if given is None:
                raise LedgerInvalid(f"what ended epoch {self.group.epoch} is missing")
            self._check_headers(given.headers[0])
            self._follow(given)
        self._check_headers(start.header)
        self.begin(start)

    def _check_headers(self, top: Header) -> None:
        """From the lowest header of this epoch that is there: the node took a snapshot where it is not the first."""
        for header in headers_below(self.held.blocks, top, self.root):
            self._check_header(header)

    def _check_header(self, header: Header) -> None:
        """What can be checked without lane batches; the lowest header of all that are there may hang in the air."""
        if header.parent == self.last.digest or self.last is not self.root:
            self._check_justification(header)
        self.last = header
        self._witness(header, None)
        self.audit.headers += not header.is_closing
        if header.digest in self.held.finalizations:
            self.check_finalization(self.held.finalizations[header.digest])

    def follow(self, path: Sequence[Header]) -> None:
        """Block after block; where lane batches are missing, on to the next snapshot that the node took instead."""
        at = 0
        while at < len(path):
            reached = self._next_snapshot(path[at:]) if self._lacks_batches(path[at]) else None
            if reached is None:
                self.take(path[at])
                at += 1
            else:
                for header in path[at : at + reached + 1]:
                    self._check_header(header)
                at += reached + 1
                self.begin(self.held.snapshots[self.last.digest])

    def _lacks_batches(self, header: Header) -> bool:
        below = {tip.owner: tip.height for tip in self.last.cut}
        for tip in header.cut:
            at = tip.digest
            for _ in range(tip.height - below[tip.owner]):
                signed = self.held.batches.get(at)
                if signed is None:
                    return True
                at = signed.batch.parent
        return False

    def _next_snapshot(self, path: Sequence[Header]) -> int | None:
        return next((at for at, header in enumerate(path) if header.digest in self.held.snapshots), None)

    def next_epoch(self) -> bool:
        """Into the epoch that the last block, or a succession that the node holds, hands over to (rule 8.4)."""
        change = self._ending()
        if change is not None:
            self._note_succession(change)
            self._hand_over(self._closing()[-1], change.configuration)
            return True
        given = self.held.successions.get(self.group.epoch)
        if given is not None:
            self._follow(given)
        return given is not None

    def _follow(self, given: Succession) -> None:
        """Into the next epoch by its proof alone."""
        fault = succession_fault(self.group, given, self.checker)
        if fault is not None:
            raise LedgerInvalid(f"height {given.last.height}: what ended epoch {given.epoch} does not check: {fault}")
        self.audit.successions.append(given)
        self._hand_over(given.last, given.configuration)

    def _note_succession(self, change: Succeeding) -> None:
        """The proof for strangers, from the blocks that were replayed, or as the node once took it."""
        given = self.held.successions.get(self.group.epoch)
        if given is None and self._sealed is not None:
            signatures = self.held.finalizations[self.last.digest].signatures
            given = Succession(
                self.group.epoch, tuple(self._closing()), signatures, *self._sealed, change.configuration
            )
        if given is not None:
            self.audit.successions.append(given)

    def _ending(self) -> Succeeding | None:
        """The change that hands over above the last block, if this was the epoch's last height."""
        return StateView(self.base, ()).ending_at(self.group.epoch, self.last.height)

    def _closing(self) -> list[Header]:
        """From the final block down to the last one of the epoch."""
        headers = [self.last]
        while headers[-1].is_closing:
            headers.append(self.held.blocks[headers[-1].parent].header)
        return headers

    def _hand_over(self, last: Header, configuration: bytes) -> None:
        group = following_group(self.group, configuration)
        self._checked += self.checker.good
        self._enter(group, root_header(group, last, configuration))

    def take(self, header: Header) -> None:
        """Check one block in every way and make it the last."""
        self._check_justification(header)
        if self._ending() is not None:
            if not closes(header, self.last):
                raise LedgerInvalid(f"height {header.height}: the epoch was over, and this is no closing block")
            self.last = header
            return
        ordered = {tip.owner: self._batches(header, tip) for tip in header.cut}
        try:
            applied = apply_block(self.group, StateView(self.base, ()), self.last, ordered, self.judge.verdict)
        except KeyError as wrong:
            raise LedgerInvalid(f"height {header.height}: the snapshot below it does not hold {wrong}") from wrong
        computed = {
            "time": (applied.time, header.time),
            "entries root": (applied.tree.root, header.entries_root),
            "state root": (applied.state_root, header.state_root),
        }
        for name, (mine, theirs) in computed.items():
            if mine != theirs:
                raise LedgerInvalid(f"height {header.height}: its {name} is not what its lane batches give")
        self.base.merge(applied.delta, header.time, header.height)
        self._sealed = None if applied.whole is None else (applied.unsealed, applied.whole)
        self._note(header, applied, sum(map(len, ordered.values())))
        self.last = header

    def _check_justification(self, header: Header) -> None:
        proposal = self.held.blocks[header.digest]
        pages = {page.digest: page for page in proposal.pages}
        fault = self._fault(header, proposal, pages)
        if fault is not None:
            raise LedgerInvalid(f"height {header.height}: {fault}")

    def _fault(self, header: Header, proposal: Proposal, pages: dict[Digest, Page]) -> str | None:
        justification = proposal.justification
        fault = static_fault(self.group, self.root, header, justification)
        if fault is not None:
            return fault
        if justification.digest != header.justification or any(page not in pages for page in justification.pages):
            return "its justification or a page of it is missing"
        vote = Notarize(header.group, header.epoch, header.view, header.digest)
        if not self.checker.check(self.group.leader(header.view), vote.encode(), proposal.signature):
            return "its leader did not sign it"
        notarization = justification.notarization
        if notarization is not None and not certificate_checks(self.group, notarization, self.checker):
            return "the notarization of its parent does not check"
        if not all(page_checks(self.group, pages[page], self.checker) for page in justification.pages):
            return "a nullification in its justification does not check"
        return cover_fault(header, justification, self.last, pages)

    def _batches(self, header: Header, tip: LaneTip) -> list[LaneBatch]:
        below = next(low for low in self.last.cut if low.owner == tip.owner)
        rows: list[LaneBatch] = []
        at, height = tip.digest, tip.height
        where = f"height {header.height}, lane of owner {tip.owner}"
        if tip.height > below.height + self.group.parameters.block_batches_max:
            raise LedgerInvalid(f"{where}: the cut grows beyond the limits")
        while height > below.height:
            signed = self.held.batches.get(at)
            if signed is None or (signed.batch.owner, signed.batch.lane_height) != (tip.owner, height):
                raise LedgerInvalid(f"{where}: the batch at lane height {height} is missing")
            self._check_batch(signed, where)
            rows.append(signed.batch)
            at, height = signed.batch.parent, type(height)(height - 1)
        if (at, height) != (below.digest, below.height):
            raise LedgerInvalid(f"{where}: the cut does not extend its parent's")
        return rows[::-1]

    def _check_batch(self, signed: SignedBatch, where: str) -> None:
        batch, update = signed.batch, signed.batch.update
        good = fits_group(self.group, signed) and self.checker.check(
            batch.owner, batch.promise.encode(), signed.signature
        )
        if not good:
            raise LedgerInvalid(f"{where}: the batch at lane height {batch.lane_height} is not its owner's")
        if update is not None and not self.checker.check_owner(batch.owner, update.update.encode(), update.signature):
            raise LedgerInvalid(f"{where}: the model update at lane height {batch.lane_height} is not its owner's")
        if batch.change is not None and change_fault(self.group, batch.change, self.checker) is not None:
            raise LedgerInvalid(f"{where}: the membership change at lane height {batch.lane_height} is none")

    def _note(self, header: Header, applied: Applied, batches: int) -> None:
        self._witness(header, applied.entries)
        kinds = Counter(entry.kind for entry in applied.entries)
        counts = kinds[EntryKind.AGREED], kinds[EntryKind.EXPIRED], kinds[EntryKind.SUPPLEMENT]
        self.audit.blocks.append(BlockRow(header.height, header.view, header.time, batches, *counts))
        for owner, model in sorted(applied.delta.models.items()):
            if self._versions.get(owner) == model.version:
                continue  # the end of an epoch writes everyone's row again (rule 8.4)
            self._versions[owner] = model.version
            self.audit.models.append(ModelRow(header.height, owner, model.version, model.model))

    def check_finalization(self, certificate: AnyCertificate | None) -> None:
        """The whole chain hangs on this one."""
        if certificate is None or not certificate_checks(self.group, certificate, self.checker):
            raise LedgerInvalid(f"height {self.last.height}: its finalization does not check")
