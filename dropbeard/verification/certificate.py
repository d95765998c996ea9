"""Offline verification of an inference certificate, in the numbered steps of docs/certificate-format.md (rule 5.4).

A valid certificate says that at least ``answers`` owners, each with the version named, answered this, and that all
but f of them are honest. It does not say that the answer is true (rule 5.5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Final

from dropbeard.errors import AggregateInvalid, CertificateInvalid, MessageInvalid
from dropbeard.signing.ecdsa_p256 import PublicKey
from dropbeard.types.blocks import Header
from dropbeard.types.certificates import Certificate, ProvedEntry
from dropbeard.types.entries import EntryKind, Promise
from dropbeard.types.group import Group
from dropbeard.types.ids import Digest, Height, OwnerId, RequestId, Signature, TimeUs, Version
from dropbeard.types.merkle import path_root
from dropbeard.types.statements import Finalize
from dropbeard.types.task import Classification, Input, Output

KEYS_CACHED_MAX: Final = 1024
"""Parsed node keys kept: sixteen groups of the largest size."""

SIGNATURES_CACHED_MAX: Final = 8_192
"""Checked signatures remembered, good and bad: every certificate of a block carries the same ones."""

EPOCH_STEP: Final = (3, "epoch")


@dataclass(frozen=True, slots=True)
class OwnerAnswer:
    """What one owner answered, under which version of which model."""

    owner: OwnerId
    name: str
    version: Version
    model: Digest
    output: Output

    @property
    def classification(self) -> Classification:
        """The answer of a task that classifies; AggregateInvalid when it is another."""
        if not isinstance(self.output, Classification):
            raise AggregateInvalid(f"owner {self.name} did not classify: see dropbeard.aggregate for other tasks")
        return self.output


@dataclass(frozen=True, slots=True)
class Verified:
    """What a valid certificate says; ``answers`` is empty when the request expired."""

    kind: EntryKind
    request: RequestId
    height: Height
    time: TimeUs
    n: int
    f: int
    answers: tuple[OwnerAnswer, ...]

    @property
    def tally(self) -> dict[int, int]:
        """Votes of each class that some owner puts first, by class id; AggregateInvalid unless the task classifies."""
        votes: dict[int, int] = {}
        for answer in self.answers:
            first = answer.classification.choices[0][0]
            votes[first] = votes.get(first, 0) + 1
        return dict(sorted(votes.items()))


def verify(certificate: Certificate, group: Group, given: Input | None = None) -> Verified:
    """Check every step in order; CertificateInvalid names the first that fails. ``given`` is the input, if at hand."""
    case = _Case(certificate, group, given)
    _check(case, len(_STEPS))
    return _verified(case)


def check_before_epoch(certificate: Certificate, group: Group) -> None:
    """The steps that need no keys, and so come before the question whose keys count; CertificateInvalid as above."""
    _check(_Case(certificate, group, None), EPOCH_STEP[0] - 1)


def _check(case: _Case, steps: int) -> None:
    for number, (name, check) in enumerate(_STEPS[:steps], start=1):
        wrong = check(case)
        if wrong is not None:
            raise CertificateInvalid(number, name, wrong)


@lru_cache(maxsize=SIGNATURES_CACHED_MAX)
def has_signed(node_key: bytes, statement: bytes, signature: Signature) -> bool:
    """Is ``signature`` the one of ``node_key`` (33 bytes) over exactly these bytes? Remembered: blocks share it."""
    return _key(node_key).verify(statement, signature)


@lru_cache(maxsize=KEYS_CACHED_MAX)
def _key(encoded: bytes) -> PublicKey:
    return PublicKey.from_bytes(encoded)


class _Case:
    """A certificate under verification, and what several steps want of it, worked out once."""

    def __init__(self, certificate: Certificate, group: Group, given: Input | None) -> None:
        self.certificate = certificate
        self.group = group
        self.given = given
        self.proved: tuple[ProvedEntry, ...] = (certificate.base, *certificate.supplements)
        self.outputs: list[Output] = []
        """What each answer says, once the last step has read it."""

    @cached_property
    def promises(self) -> dict[OwnerId, Promise]:
        return self.certificate.promises()


def _verified(case: _Case) -> Verified:
    certificate, group = case.certificate, case.group
    block = certificate.headers[-1]
    answers = []
    for answer, output in zip(certificate.answers, case.outputs, strict=True):
        promise, owner = case.promises[answer.owner], group.member(answer.owner)
        answers.append(OwnerAnswer(owner.id, owner.name, promise.version, promise.model, output))
    request = certificate.base.entry.request
    return Verified(certificate.kind, request, block.height, block.time, group.n, group.f, tuple(answers))


# 1. The parts have the kinds and the order that the format demands.
def _format(case: _Case) -> str | None:
    certificate, base = case.certificate, case.certificate.base
    if base.entry.kind is EntryKind.SUPPLEMENT:
        return "the base entry is a supplement"
    if base.position != len(certificate.headers) - 1:
        return "the base entry does not belong to the last header"
    if base.entry.kind is EntryKind.EXPIRED and certificate.supplements:
        return "an expired entry carries supplements"
    if any(proved.entry.kind is not EntryKind.SUPPLEMENT for proved in certificate.supplements):
        return "an entry among the supplements is not one"
    if any(not proved.entry.promises for proved in certificate.supplements):
        return "a supplement holds no promise"
    # A supplement's block is above the base entry's, and two of one height would be one (rule 4.5).
    positions = [proved.position for proved in case.proved]
    if any(below <= above for below, above in pairwise(positions)):
        return "the supplements do not ascend in height above the base entry"
    if any(header.view < 0 or header.height < 1 for header in certificate.headers):
        return "a header is the genesis or below it"
    return None


# 2. The certificate is of this group.
def _group(case: _Case) -> str | None:
    certificate, group = case.certificate, case.group
    if certificate.group != group.id:
        return f"it is of group {certificate.group.hex()[:12]}, the genesis is of {group.id.hex()[:12]}"
    return None


# 3. Its keys are those of its epoch.
def _epoch(case: _Case) -> str | None:
    certificate, group = case.certificate, case.group
    for epoch in (certificate.epoch, *(header.epoch for header in certificate.headers)):
        if epoch != group.epoch:
            return f"epoch {epoch} is not epoch {group.epoch}, whose keys are at hand"
    return None


# 4. There are enough signers, all members, each once.
def _signers(case: _Case) -> str | None:
    certificate, group = case.certificate, case.group
    signers = [owner for owner, _ in certificate.signatures]
    if len(set(signers)) != len(signers):
        return "an owner signs twice"
    strangers = [owner for owner in signers if group.owner(owner) is None]
    if strangers:
        return f"signer {strangers[0]} is no member of the group"
    if len(signers) < group.quorum:
        return f"{len(signers)} signers, need {group.quorum}"
    return None


# 5. Each of them finalized the first header.
def _signatures(case: _Case) -> str | None:
    certificate, group = case.certificate, case.group
    top = certificate.headers[0]
    statement = Finalize(certificate.group, certificate.epoch, top.view, top.digest).encode()
    for signer, signature in certificate.signatures:
        if not has_signed(group.member(signer).node_key, statement, signature):
            return f"the signature of owner {signer} is not over this header"
    return None


# 6. Headers and entries speak of this group's owners and follow the form of a block.
def _block(case: _Case) -> str | None:
    certificate, group = case.certificate, case.group
    for header in certificate.headers:
        if tuple(tip.owner for tip in header.cut) != group.members:
            return f"the cut at height {header.height} is not over the group's lanes"
        if not -1 <= header.parent_view < header.view:
            return f"the block at height {header.height} is of view {header.view}, its parent of {header.parent_view}"
    owners = [promise.owner for proved in case.proved for promise in proved.entry.promises]
    strangers = [owner for owner in owners if group.owner(owner) is None]
    return f"owner {strangers[0]} of an entry is no member of the group" if strangers else None


# 7. Each header is the parent of the one before it.
def _link(case: _Case) -> str | None:
    for child, parent in pairwise(case.certificate.headers):
        wrong = _broken_link(child, parent)
        if wrong is not None:
            return f"the block at height {child.height} {wrong}"
    return None


def _broken_link(child: Header, parent: Header) -> str | None:
    if child.parent != parent.digest:
        return "names another parent"
    # rule 8.4: a closing block has no height of its own.
    if child.height != parent.height + (not child.is_closing):
        return f"has a parent at height {parent.height}"
    if child.parent_view != parent.view:
        return f"says that its parent is of view {child.parent_view}, it is of view {parent.view}"
    # rule 3.1: block time never goes back.
    return "is older than its parent" if child.time < parent.time else None


# 8. Each entry stands in the entries tree of its header.
def _path(case: _Case) -> str | None:
    for proved in case.proved:
        header = case.certificate.headers[proved.position]
        if path_root(proved.entry.leaf(), proved.path) != header.entries_root:
            return f"the path of the {proved.entry.kind.name.lower()} entry misses the root at height {header.height}"
    return None


# 9. The entries are about the request that the certificate states.
def _request(case: _Case) -> str | None:
    certificate = case.certificate
    base = certificate.base.entry
    if certificate.request().id != base.request:
        return "client, deadline, patience, nonce, options and input digest do not give the entry's request id"
    if any(s.entry.request != base.request or s.entry.client != base.client for s in certificate.supplements):
        return "a supplement is of another request"
    return None


# 10. The input at hand, if any, is the one that was asked about.
def _input(case: _Case) -> str | None:
    if case.given is not None and case.given.digest() != case.certificate.input_digest:
        return "the certificate is about another input"
    return None


# 11. Each opening is what its owner promised.
def _openings(case: _Case) -> str | None:
    for answer in case.certificate.answers:
        opening = case.certificate.opening(answer, case.promises)
        if opening is None:
            return f"owner {answer.owner} promised nothing"
        if opening.commitment() != case.promises[answer.owner].commitment:
            return f"the opening of owner {answer.owner} does not match its commitment"
    return None


# 12. No replica counts twice.
def _replicas(case: _Case) -> str | None:
    promised = [promise.owner for proved in case.proved for promise in proved.entry.promises]
    if len(set(promised)) != len(promised):
        return "an owner promised twice"
    opened = [answer.owner for answer in case.certificate.answers]
    if any(a >= b for a, b in pairwise(opened)):
        return "the owners of the openings do not ascend"
    return None


# 13. As many owners promised and opened as the group asks for.
def _answers(case: _Case) -> str | None:
    certificate, group = case.certificate, case.group
    opened, promised = len(certificate.answers), len(certificate.base.entry.promises)
    if certificate.kind is EntryKind.EXPIRED:
        return f"an expired entry carries {opened} openings" if opened else None
    # rule 4.4: no record is agreed before that.
    if promised < group.answers:
        return f"the entry has {promised} promises, need {group.answers}"
    return f"{opened} openings, need {group.answers}" if opened < group.answers else None


# 14. Each answer is one that the task can have.
def _outputs(case: _Case) -> str | None:
    for answer in case.certificate.answers:
        try:
            case.outputs.append(case.group.task.read_output(answer.output))
        except MessageInvalid as wrong:
            return f"owner {answer.owner}: {wrong}"
    return None


_STEPS: Final[tuple[tuple[str, Callable[[_Case], str | None]], ...]] = (
    ("format", _format),
    ("group", _group),
    ("epoch", _epoch),
    ("signers", _signers),
    ("signatures", _signatures),
    ("block", _block),
    ("link", _link),
    ("path", _path),
    ("request", _request),
    ("input", _input),
    ("openings", _openings),
    ("replicas", _replicas),
    ("answers", _answers),
    ("outputs", _outputs),
)
"""Each says what is wrong, or None."""
