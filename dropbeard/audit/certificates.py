"""What an auditor keeps of each certificate: where it stands, who promised and opened what, and what it decided."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dropbeard.aggregate.outcome import outcome
from dropbeard.errors import CertificateInvalid, CertificateUnreadable
from dropbeard.evidence.kinds import MAGIC
from dropbeard.storage.files import read_certificate
from dropbeard.types.certificates import Certificate, decode_certificate
from dropbeard.types.entries import EntryKind
from dropbeard.types.ids import Digest, Epoch, Height, OwnerId, RequestId, TimeUs, Version, View
from dropbeard.types.task import Classification
from dropbeard.verification.aggregate import Assurance
from dropbeard.verification.certificate import Verified
from dropbeard.verification.lineage import Lineage

SUFFIXES: Final = (".dbcert", ".dbevid")
FILES_MAX: Final = 1_000_000
"""Certificates of one audit."""


@dataclass(frozen=True, slots=True)
class BadFile:
    """A file that is no valid certificate: ``step`` and ``name`` are of the check that it fails, None of one that
    cannot be read as a certificate at all.
    """

    path: Path
    step: int | None
    name: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Promised:
    """A promise of an owner in the entry at ``height``; ``late``: in a supplement."""

    owner: OwnerId
    version: Version
    model: Digest
    height: Height
    late: bool


@dataclass(frozen=True, slots=True)
class Block:
    """A header that a certificate proves to be final. ``closing`` ones have no height of their own (rule 8.4)."""

    epoch: Epoch
    view: View
    height: Height
    time: TimeUs
    digest: Digest
    closing: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """One valid certificate. ``leaf``, ``index``: the base entry in its block; ``leaves``: (height, index, number of
    entries in that block) of it and of the supplements; ``opened``: owners whose answers are here.

    ``label``: the agreed class id, None unless the task classifies and it is decided. ``margin``: None where the
    aggregate of the task has none. ``agreements``: of each opened owner with what was decided, 0 to 65535; none when
    nothing was.
    """

    path: Path
    request: RequestId
    kind: EntryKind
    blocks: tuple[Block, ...]
    index: int
    leaf: Digest
    leaves: tuple[tuple[Height, int, int], ...]
    promises: tuple[Promised, ...]
    opened: tuple[OwnerId, ...]
    label: int | None
    margin: int | None
    assurance: Assurance
    agreements: dict[OwnerId, int]

    @property
    def block(self) -> Block:
        """Of the base entry."""
        return self.blocks[-1]

    @property
    def place(self) -> tuple[int, int, bytes]:
        """Where the request stands in the group's order."""
        return self.block.height, self.index, self.request


def files_among(sources: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Certificates and pieces of evidence: the files among ``sources`` and, by their suffix, those in directories among
    them; each once, in order. CertificateUnreadable when there are too many of them.
    """
    found: set[Path] = set()
    for source in sources:
        inside = (path for suffix in SUFFIXES for path in source.glob(f"*{suffix}"))
        found.update(inside if source.is_dir() else [source])
        if len(found) > FILES_MAX:
            raise CertificateUnreadable(f"more than {FILES_MAX} certificates; audit them in parts")
    evidence = {path for path in found if _is_evidence(path)}
    return sorted(found - evidence), sorted(evidence)


def _is_evidence(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def read_certificate_file(path: Path, lineage: Lineage) -> Seen | BadFile:
    """Verify one file with the keys of its epoch."""
    try:
        certificate = decode_certificate(read_certificate(path))
        return _seen(path, certificate, lineage.verify(certificate))
    except OSError as wrong:
        return BadFile(path, None, None, f"cannot be read: {wrong.strerror}")
    except CertificateUnreadable as wrong:
        return BadFile(path, None, None, str(wrong))
    except CertificateInvalid as wrong:
        return BadFile(path, wrong.step, wrong.name, wrong.detail)


def _seen(path: Path, certificate: Certificate, verified: Verified) -> Seen:
    headers = certificate.headers
    proved = (certificate.base, *certificate.supplements)
    blocks = tuple(Block(h.epoch, h.view, h.height, h.time, h.digest, h.is_closing) for h in headers)
    heights = [headers[row.position].height for row in proved]
    found = outcome(verified)
    return Seen(
        path=path,
        request=verified.request,
        kind=verified.kind,
        blocks=blocks,
        index=certificate.base.path.index,
        leaf=certificate.base.entry.leaf(),
        leaves=tuple((at, row.path.index, row.path.count) for at, row in zip(heights, proved, strict=True)),
        promises=tuple(
            Promised(promise.owner, promise.version, promise.model, at, row.entry.kind is EntryKind.SUPPLEMENT)
            for at, row in zip(heights, proved, strict=True)
            for promise in row.entry.promises
        ),
        opened=tuple(answer.owner for answer in verified.answers),
        label=found.value.choices[0][0] if isinstance(found.value, Classification) else None,
        margin=found.margin,
        assurance=found.assurance,
        agreements=dict(found.agreements),
    )
