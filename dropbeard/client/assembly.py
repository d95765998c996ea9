"""Put certificates together from what the nodes send, sans IO (rules 5.1, 5.2).

Nothing a node sends is believed: finalize signatures are checked before they are counted, entries by their Merkle
proof, openings by the commitment that the entry holds. A node that sends wrong parts only fails to help.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from dropbeard.errors import MessageInvalid
from dropbeard.types.blocks import Header
from dropbeard.types.certificates import Answer, Certificate, ProvedEntry
from dropbeard.types.entries import Entry, EntryKind, Promise, first_promises
from dropbeard.types.group import Group
from dropbeard.types.ids import ClientKey, Digest, OwnerId, RequestId, Signature, Version
from dropbeard.types.merkle import Path, paths_from_multiproof
from dropbeard.types.messages import Reply
from dropbeard.types.requests import Opening, Request
from dropbeard.types.statements import Finalize
from dropbeard.verification.certificate import has_signed

OPENINGS_KEPT: Final = 8
"""Openings kept for each owner of a group, whichever owners sent them."""

BLOCKS_KEPT: Final = 4_096
"""Blocks whose signatures are remembered; replies of one block come within one round trip or two."""

UNSUPPORTED_KEPT: Final = 256
"""Of them, those of one first signer that no honest owner need have signed: f signatures at most."""

PROOFS_KEPT: Final = 64
"""Proofs of entries of one request and kind; a reply that is needed brings its own again."""

PROVED_KEPT: Final = 32
"""Blocks whose proved entries are remembered: an entry that comes later is proved again."""


@dataclass(slots=True)
class _Finalized:
    """Checked finalize signatures over one header."""

    header: Header
    signatures: dict[OwnerId, Signature] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Proof:
    """An entry, its path, and the headers from a signed one down to its block."""

    entry: Entry
    path: Path
    headers: tuple[Header, ...]


@dataclass(frozen=True, slots=True)
class _Opened:
    """A readable opening and the commitment that it gives."""

    opening: Opening
    commitment: Digest


@dataclass(slots=True)
class Gathering:
    """What has come for one request."""

    request: Request
    openings: dict[tuple[OwnerId, Version], _Opened] = field(default_factory=dict)
    """An owner that updated its model meanwhile opens twice; the entry says which version counts."""
    bases: dict[tuple[Digest, Digest], _Proof] = field(default_factory=dict)
    """By (signed header, entry block)."""
    supplements: dict[tuple[Digest, Digest], _Proof] = field(default_factory=dict)


class Assembler:
    """Gathers for the open requests of one client in one group."""

    def __init__(self, group: Group, client: ClientKey) -> None:
        self.group = group
        self.client = client
        self._groups = {group.epoch: group}
        """Whose keys count, by epoch (rule 8.4)."""
        self.open: dict[RequestId, Gathering] = {}
        self._finalized: dict[Digest, _Finalized] = {}
        self._unsupported: dict[OwnerId, dict[Digest, None]] = {}
        """By who signed them first: whoever signs headers of its own drives out only those."""
        self._proved: dict[Digest, dict[int, tuple[Entry, Path]]] = {}
        """By block: our entries and their paths, once they were proved; every node sends the same ones."""

    def follow(self, group: Group) -> None:
        """Another epoch is known, or was: its certificates can be put together, too."""
        self._groups[group.epoch] = group
        self.group = max(self._groups.values(), key=lambda known: known.epoch)

    def start(self, request: Request) -> RequestId:
        """Gather for a request; its id."""
        known = request.id
        self.open[known] = Gathering(request)
        return known

    def stop(self, request: RequestId) -> None:
        """Drop what was gathered."""
        self.open.pop(request, None)

    def on_opening(self, sender: OwnerId, opening: Opening) -> RequestId | None:
        """Keep an owner's own opening of an open request; the request when it was kept."""
        gathering = self.open.get(opening.request)
        if gathering is None or opening.owner != sender or not _readable(self.group, opening):
            return None
        if len(gathering.openings) >= OPENINGS_KEPT * self.group.n:
            gathering.openings.pop(next(iter(gathering.openings)))
        gathering.openings[sender, opening.version] = _Opened(opening, opening.commitment())
        return opening.request

    def answered(self, request: RequestId) -> tuple[OwnerId, ...]:
        """Owners that have opened an answer to a request, whatever becomes of it."""
        gathering = self.open.get(request)
        return () if gathering is None else tuple(sorted({owner for owner, _ in gathering.openings}))

    def on_reply(self, reply: Reply) -> list[RequestId]:
        """Take in a block's signatures and our entries; the open requests that it moves on."""
        top = reply.headers[0]
        if not _is_chain(reply.headers) or not self._take_signatures(top, reply):
            return []
        block = reply.headers[-1]
        moved = []
        for entry, path in self._prove(block, reply):
            gathering = self.open.get(entry.request)
            if gathering is not None and entry.client == self.client:
                kept = gathering.supplements if entry.kind is EntryKind.SUPPLEMENT else gathering.bases
                kept.pop((top.digest, block.digest), None)
                if len(kept) >= PROOFS_KEPT:
                    kept.pop(next(iter(kept)))
                kept[top.digest, block.digest] = _Proof(entry, path, reply.headers)
                moved.append(entry.request)
        return moved

    def _prove(self, block: Header, reply: Reply) -> list[tuple[Entry, Path]]:
        """The reply's entries with their paths to the block's root; nothing when one of them does not stand there."""
        if not any(entry.request in self.open for _, entry in reply.entries):
            return []
        known = self._proved.get(block.digest, {})
        held = [known.get(index) for index, _ in reply.entries]
        seen = [row for row, (_, entry) in zip(held, reply.entries, strict=True) if row is not None and row[0] == entry]
        if len(seen) == len(reply.entries):
            return seen
        rows = [(index, entry.leaf()) for index, entry in reply.entries]
        proved = paths_from_multiproof(reply.count, rows, reply.proof)
        if proved is None or proved[0] != block.entries_root:
            return []
        fresh = [(entry, path) for (_, entry), path in zip(reply.entries, proved[1], strict=True)]
        if block.digest not in self._proved and len(self._proved) >= PROVED_KEPT:
            self._proved.pop(next(iter(self._proved)))
        self._proved.setdefault(block.digest, {}).update((path.index, (entry, path)) for entry, path in fresh)
        return fresh

    def _take_signatures(self, top: Header, reply: Reply) -> bool:
        """Count every new finalize signature that checks; is the header worth keeping?"""
        group = self._groups.get(top.epoch)
        if group is None or top.group != group.id or top.view < 0:
            return False
        seen = self._finalized.get(top.digest) or _Finalized(top)
        statement = Finalize(group.id, group.epoch, top.view, top.digest).encode()
        for signer, signature in reply.signatures:
            owner = group.owner(signer)
            known = owner is None or signer in seen.signatures
            if owner is not None and not known and has_signed(owner.node_key, statement, signature):
                seen.signatures[signer] = signature
        if not seen.signatures:
            return False
        self._bound_unsupported(top.digest, next(iter(seen.signatures)), len(seen.signatures) > group.f)
        if top.digest not in self._finalized and len(self._finalized) >= BLOCKS_KEPT:
            self._finalized.pop(next(iter(self._finalized)))
        self._finalized[top.digest] = seen
        return True

    def _bound_unsupported(self, header: Digest, first: OwnerId, supported: bool) -> None:
        waiting = self._unsupported.setdefault(first, {})
        if supported:
            waiting.pop(header, None)
            return
        waiting[header] = None
        if len(waiting) > UNSUPPORTED_KEPT:
            oldest = next(iter(waiting))
            del waiting[oldest]
            self._finalized.pop(oldest, None)

    def certificate(self, request: RequestId, all_owners: bool) -> Certificate | None:
        """The certificate of a request, if its parts are here.

        ``all_owners``: only with an opening of every owner in the entry; otherwise ``answers`` of them are enough.
        An expired entry needs none.
        """
        gathering = self.open.get(request)
        if gathering is None:
            return None
        for (top, _), base in sorted(gathering.bases.items(), key=lambda row: len(row[1].headers)):
            if not self._is_final(top):
                continue
            extra = self._supplements_above(gathering, base)
            promises = first_promises((base.entry, *(proof.entry for _, proof in extra)))
            answers = _matching(promises, gathering.openings)
            needed = len(promises) if all_owners else 0
            if base.entry.kind is EntryKind.EXPIRED:
                return self._build(gathering.request, base, extra, (), self._finalized[top])
            if len(answers) >= max(needed, self._group_of(base).answers):
                return self._build(gathering.request, base, extra, answers, self._finalized[top])
        return None

    def unlinked(self, request: RequestId) -> tuple[OwnerId, ...]:
        """Who signed a final block with a supplement that no proof of the base entry passes; empty when none lacks.

        Any of them can show the base entry under a later finalization that does (rule 5.1).
        """
        gathering = self.open.get(request)
        if gathering is None or not any(self._is_final(top) for top, _ in gathering.bases):
            return ()
        passed = {h.digest for (top, _), base in gathering.bases.items() if self._is_final(top) for h in base.headers}
        for top, block in gathering.supplements:
            if block not in passed and self._is_final(top):
                return tuple(sorted(self._finalized[top].signatures))
        return ()

    def _is_final(self, top: Digest) -> bool:
        seen = self._finalized.get(top)
        return seen is not None and len(seen.signatures) >= self._groups[seen.header.epoch].quorum

    def _group_of(self, base: _Proof) -> Group:
        return self._groups[base.headers[0].epoch]

    def _supplements_above(self, gathering: Gathering, base: _Proof) -> list[tuple[int, _Proof]]:
        """Supplements whose block lies on the base's chain of headers, as (position, proof), lowest height first."""
        positions = {header.digest: at for at, header in enumerate(base.headers[:-1])}
        found = [(positions[block], proof) for (_, block), proof in gathering.supplements.items() if block in positions]
        unique = dict(sorted(found, key=lambda row: -row[0]))
        return list(unique.items())

    def _build(
        self,
        request: Request,
        base: _Proof,
        extra: list[tuple[int, _Proof]],
        answers: tuple[Answer, ...],
        seen: _Finalized,
    ) -> Certificate:
        group = self._group_of(base)
        quorum = tuple(sorted(seen.signatures.items())[: group.quorum])
        return Certificate(
            group=group.id,
            epoch=group.epoch,
            headers=base.headers,
            signatures=quorum,
            deadline=request.deadline,
            patience_us=request.patience_us,
            nonce=request.nonce,
            options=request.options,
            input_digest=request.input_digest,
            base=ProvedEntry(len(base.headers) - 1, base.entry, base.path),
            supplements=tuple(ProvedEntry(at, proof.entry, proof.path) for at, proof in extra),
            answers=answers,
        )


def _matching(promises: dict[OwnerId, Promise], openings: dict[tuple[OwnerId, Version], _Opened]) -> tuple[Answer, ...]:
    """Every opening that is what its owner promised, by owner."""
    answers = []
    for owner, promise in sorted(promises.items()):
        opened = openings.get((owner, promise.version))
        if opened is not None and opened.commitment == promise.commitment and opened.opening.model == promise.model:
            answers.append(Answer(owner, opened.opening.salt, opened.opening.output))
    return tuple(answers)


def _readable(group: Group, opening: Opening) -> bool:
    try:
        group.task.read_output(opening.output)
    except MessageInvalid:
        return False
    return True


def _is_chain(headers: tuple[Header, ...]) -> bool:
    return all(child.parent == parent.digest for child, parent in pairwise(headers))
